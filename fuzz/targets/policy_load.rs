//! A text to policies: they load, or every error has a place in the text.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session::parameters::Parameters;
use session::policy::{Policies, PolicySource};

static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| {
    policy_folder::parameters(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies"))).unwrap()
});

fuzz_target!(|text: &str| {
    let source = PolicySource { path: "policy.cedar".into(), folder: "x".into(), text: text.to_owned() };
    match Policies::load(std::slice::from_ref(&source), PARAMETERS.clone()) {
        Ok(policies) => assert_eq!(policies.abouts().count(), 1),
        Err(errors) => {
            assert!(!errors.is_empty());
            for (line, column) in errors.iter().filter_map(|error| error.position) {
                assert!(line <= text.split('\n').count() && column > 0);
            }
        }
    }
});
