//! `cargo run -p e2e --bin package`: the functions' packages for this machine's architecture, as the tests deploy them.

use std::process::ExitCode;

fn main() -> ExitCode {
    match e2e::package::build() {
        Ok(packages) => {
            packages.archives().for_each(|(_, archive)| eprintln!("{}", archive.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("package: {error}");
            ExitCode::FAILURE
        }
    }
}
