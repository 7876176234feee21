//! What became of events, as metrics.

use aws::metrics::line;
use jiff::Timestamp;
use serde_json::{Value, json};
use session::event::{EventKind, Session};
use session::policy::Decision;
use session::response::Outcome;

/// What became of one judged event.
pub(crate) fn judged(
    session: &Session,
    decision: &Decision,
    outcome: &Outcome,
    invoked: Timestamp,
    now: Timestamp,
) -> Vec<String> {
    let mut values = vec![
        ("Sessions", count(matches!(session.event.kind, EventKind::Started { .. }))),
        ("Undecided", json!(decision.undecided.len() + decision.errors.len())),
        ("Terminations", count(matches!(outcome, Outcome::Terminated { .. }))),
        ("Failures", count(matches!(outcome, Outcome::Failed { .. }))),
    ];
    if let Outcome::Terminated { confirmed } = outcome {
        let since = |began: Timestamp| json!(confirmed.as_millisecond() - began.as_millisecond());
        values.push(("EventToEndMilliseconds", since(session.event.time)));
        values.push(("InvocationToEndMilliseconds", since(invoked)));
    }
    let mut lines = vec![line(&[], &values, now)];
    for policy in &decision.violations {
        lines.push(line(&[("policy", &policy.id)], &[("Violations", json!(1))], now));
    }
    lines
}

/// An event that could not be read.
pub(crate) fn unreadable(now: Timestamp) -> String {
    line(&[], &[("Unreadable", json!(1))], now)
}

fn count(happened: bool) -> Value {
    json!(u8::from(happened))
}
