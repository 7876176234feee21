//! Redaction of any text: what is shown is plain and short, and a key in the middle of it is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session::redact::{plain, shown};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fuzz_target!(|text: (&str, &str, u8)| {
    let (before, after, longest) = text;
    let shown = shown(&format!("{before}{KEY}{after}"), usize::from(longest));
    assert!(shown.chars().count() <= usize::from(longest).max(1));
    assert_eq!(plain(&shown), shown);
    assert!(!shown.contains(KEY));
});
