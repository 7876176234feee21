//! Everything that calls AWS: free functions over the SDK's own clients.
//!
//! What an answer means for a session is decided in [`session`]; here calls are made, errors are named and classed,
//! and nothing is retried by hand that the SDK or Lambda retries.

pub mod accounts;
pub mod alert;
pub mod clients;
pub mod environment;
pub mod error;
pub mod greeting;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod principal;
pub mod ssm;
pub mod target;
pub mod trace;
