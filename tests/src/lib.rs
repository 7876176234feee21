//! The local AWS stack as tests and the demo use it: started, deployed to, and asked.

pub mod account;
pub mod children;
pub mod demo;
pub mod package;
mod signature;
pub mod stack;
pub mod tools;

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where everything goes that is made and not kept: cargo's own folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("target"),
    }
}
