//! The promises of `docs/behaviour.md`, on the local stack: the release binaries, deployed from the real template.
//!
//! Every test has an account of its own, so nothing but its own events reaches its functions. What comes of them is read
//! from the alert topic, the ledger and Session Manager, after the stack says that no invocation is left.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod events;
mod guard;
mod guide;
mod logs;
mod operations;
mod organization;
mod privilege;
mod traces;
