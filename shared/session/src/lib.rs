//! What a Session Manager session is, how it is judged, what follows, and how it is told.
//!
//! Everything here is a value or a function from values to values: no clock, environment, file,
//! socket or AWS crate. `now`, tags and modes are parameters. That is what lets `ssm-guard replay`
//! give evidence about production: it runs the very functions that the Lambda runs.
//!
//! The path of one event: [`cloudtrail::session_event`] reads it, [`policy::Policies::decide`]
//! judges it, [`response::respond`] plans what follows, [`ledger::SessionRecord`] joins it to what is known of
//! the session, and [`alert`] tells it. The path of a session's log is [`object`], [`transcript`], ledger, alert; what
//! was run in it is read by the crates `transcript`, `sigma` and `detection`.

pub mod alert;
pub mod cases;
pub mod cloudtrail;
pub mod document;
pub mod event;
pub mod ledger;
pub mod object;
pub mod parameters;
pub mod policy;
pub mod principal;
pub mod redact;
pub mod response;
pub mod target;
pub mod transcript;
