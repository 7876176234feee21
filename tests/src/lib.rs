//! The demo, the checks and the tests that cross packages.
