//! Metrics in CloudWatch's embedded metric format: one line of JSON on standard output for each set of dimensions.

use jiff::Timestamp;
use serde_json::{Value, json};
use session::event::{EventKind, Session};
use session::policy::Decision;
use session::response::Outcome;

const NAMESPACE: &str = "SsmGuard";

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

/// Prints the lines; the log is all that reads them.
#[expect(clippy::print_stdout, reason = "standard output is how the format is delivered")]
pub(crate) fn emit(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        println!("{line}");
    }
}

fn count(happened: bool) -> Value {
    json!(u8::from(happened))
}

fn line(dimensions: &[(&str, &str)], values: &[(&str, Value)], now: Timestamp) -> String {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<_> = values
        .iter()
        .map(|(name, _)| {
            let unit = if name.ends_with("Milliseconds") { "Milliseconds" } else { "Count" };
            json!({"Name": name, "Unit": unit})
        })
        .collect();
    let mut document = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics}],
        },
    });
    if let Some(fields) = document.as_object_mut() {
        fields.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        fields.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_of_the_embedded_metric_format() {
        let now = Timestamp::from_millisecond(1_795_426_200_000).unwrap();
        let line = line(&[("policy", "root-user")], &[("Violations", json!(1))], now);
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({
                "_aws": {
                    "Timestamp": 1_795_426_200_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "SsmGuard",
                        "Dimensions": [["policy"]],
                        "Metrics": [{"Name": "Violations", "Unit": "Count"}],
                    }],
                },
                "policy": "root-user",
                "Violations": 1,
            })
        );
    }
}
