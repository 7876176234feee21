//! The architecture's invariants, which no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{MetadataCommand, PackageId};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// `shared/session` has no dependency, direct or not, that does I/O.
#[test]
fn the_pure_half_stays_pure() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let graph = metadata.resolve.as_ref().unwrap();
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = graph
        .nodes
        .iter()
        .map(|node| {
            let normal = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal)
            });
            (&node.id, normal.map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    let mut open = vec![names.iter().find(|(_, name)| **name == "session").map(|(id, _)| *id).unwrap()];
    let mut reached = BTreeSet::new();
    while let Some(package) = open.pop() {
        if reached.insert(package) {
            open.extend(&edges[package]);
        }
    }
    let forbidden = ["tokio", "hyper", "ureq", "reqwest"];
    for name in reached.iter().map(|package| names[package]) {
        let impure = forbidden.contains(&name) || name.starts_with("aws-") || name.starts_with("lambda_");
        assert!(!impure, "session depends on {name}");
    }
}

#[test]
fn the_pure_half_reads_no_clock_environment_file_or_socket() {
    let mut folders = vec![root().join("shared/session/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for word in [
                "Timestamp::now",
                "SystemTime",
                "Instant::now",
                "env::var",
                "std::fs",
                "std::net::Tcp",
                "println!",
            ] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}

#[test]
fn every_package_has_the_workspace_lints() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    for package in metadata.packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", package.name);
    }
}
