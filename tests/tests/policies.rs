//! The shipped policies do what their cases say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use session::cases;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

#[test]
fn every_shipped_policy_passes_its_cases_and_has_them_both_ways() {
    let folder = folder();
    let policies = policy_folder::policies(&folder, policy_folder::parameters(&folder).unwrap()).unwrap();
    let mut ways = BTreeSet::new();
    for case in policy_folder::cases(&folder).unwrap() {
        let text = policy_folder::read(&case.path).unwrap();
        cases::run(&policies, &case.policy, case.expected, &text)
            .unwrap_or_else(|error| panic!("{}: {error}", case.path.display()));
        ways.insert((case.policy, format!("{:?}", case.expected)));
    }
    for about in policies.abouts().filter(|about| policies.is_forbid(&about.id)) {
        for way in ["Allow", "Deny"] {
            assert!(ways.contains(&(about.id.clone(), way.to_owned())), "{} has no {way} case", about.id);
        }
    }
}
