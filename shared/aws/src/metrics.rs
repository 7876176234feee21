//! Metrics in CloudWatch's embedded metric format: one line of JSON on standard output for each set of dimensions.

use jiff::Timestamp;
use serde_json::{Value, json};

const NAMESPACE: &str = "SsmGuard";

/// Prints the lines; the log is all that reads them.
#[expect(clippy::print_stdout, reason = "standard output is how the format is delivered")]
pub fn emit(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        println!("{line}");
    }
}

/// One line: values with the same dimensions. A name that ends in `Milliseconds` or `Bytes` tells its unit, all others are counts.
pub fn line(dimensions: &[(&str, &str)], values: &[(&str, Value)], now: Timestamp) -> String {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<_> = values
        .iter()
        .map(|(name, _)| {
            let unit = match name {
                name if name.ends_with("Milliseconds") => "Milliseconds",
                name if name.ends_with("Bytes") => "Bytes",
                _ => "Count",
            };
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
