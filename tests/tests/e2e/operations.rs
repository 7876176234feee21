//! What people look at: the dashboard and the saved queries name what the functions really write.
//!
//! A metric or a field that nothing writes is an empty graph, which looks like good news. So both are held against what
//! the release binaries printed in a run that made everything happen that they tell of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::guard::{Guard, Kind, TAGGED, UNTAGGED, record};

/// What Lambda itself writes to a function's log, of which the local stack writes nothing.
const OF_LAMBDA: [&str; 6] = [
    "type",
    "record.requestId",
    "record.status",
    "record.metrics.durationMs",
    "record.metrics.initDurationMs",
    "record.metrics.maxMemoryUsedMB",
];

/// The words of Logs Insights that the queries use, and the fields that CloudWatch adds.
const OF_INSIGHTS: [&str; 23] = [
    "SOURCE",
    "and",
    "as",
    "asc",
    "by",
    "count",
    "desc",
    "fields",
    "filter",
    "in",
    "ispresent",
    "latest",
    "limit",
    "max",
    "or",
    "parse",
    "sort",
    "stats",
    "sum",
    "@log",
    "@message",
    "@timestamp",
    "who",
];

/// Metrics that AWS publishes, by namespace, with the dimension that selects a resource.
const OF_AWS: [(&str, &str, &[&str]); 5] = [
    (
        "AWS/DynamoDB",
        "TableName",
        &["ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"],
    ),
    ("AWS/Events", "RuleName", &["FailedInvocations", "Invocations"]),
    (
        "AWS/Lambda",
        "FunctionName",
        &["AsyncEventAge", "ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"],
    ),
    ("AWS/SNS", "TopicName", &["NumberOfMessagesPublished", "NumberOfNotificationsFailed"]),
    ("AWS/SQS", "QueueName", &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"]),
];

/// What the functions wrote: each metric with its dimension, and each field of a log line.
#[derive(Debug, Default)]
struct Written {
    metrics: BTreeSet<(String, String)>,
    fields: BTreeSet<String>,
}

impl Written {
    fn read(&mut self, log: &str) {
        // Lambda's own lines are text on the local stack.
        for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match line["_aws"]["CloudWatchMetrics"][0].as_object() {
                Some(directive) => {
                    let dimension = directive["Dimensions"][0][0].as_str().unwrap_or_default();
                    for metric in directive["Metrics"].as_array().unwrap() {
                        let name = metric["Name"].as_str().unwrap();
                        self.metrics.insert((name.to_owned(), dimension.to_owned()));
                    }
                }
                None => self.add("", &line),
            }
        }
    }

    fn add(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.add(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value);
                }
            }
            _ => {
                self.fields.insert(path.to_owned());
            }
        }
    }
}

/// A guard that everything has happened to, and what its functions wrote.
fn busy() -> (Guard, Written) {
    let guard = Guard::deploy("enforce");
    // A target without tags, whose tags cannot be looked up the first time; an event that cannot be read.
    let session = guard.open("alice-caaaaaaaaaaaaaaaaaaaaaaaaa", UNTAGGED);
    guard.fault(&json!({"service": "tagging", "operation": "GetResources", "error": "AccessDeniedException", "status": 400}));
    guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let mut unreadable = record(Kind::Start, 2, &session, UNTAGGED);
    unreadable.as_object_mut().unwrap().remove("eventTime");
    guard.deliver(&[unreadable]);
    // A log with findings, an object that is no log, and a message that is nothing.
    let session = guard.open("alice-caaaaaaaaaaaaaaaaaaaaaaaab", TAGGED);
    guard.deliver(&[record(Kind::Start, 3, &session, TAGGED)]);
    guard.put_log("notes-today", b"no log");
    guard.send_to_logs("not JSON");
    guard.put_log(&session, b"sh-4.2$ sudo cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\n");
    guard.next_alert();
    guard.settle();
    let mut written = Written::default();
    written.read(&guard.log());
    written.read(&guard.printed("LogFunctionLogGroup"));
    (guard, written)
}

fn queries(guard: &Guard) -> BTreeMap<String, String> {
    let answer = guard.ask("logs", "Logs_20140328.DescribeQueryDefinitions", &json!({}));
    let definitions = answer["queryDefinitions"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    definitions.map(|query| (text(&query["name"]), text(&query["queryString"]))).collect()
}

fn widgets(guard: &Guard) -> Vec<Value> {
    let request = json!({"DashboardName": "guard-eu-west-1"});
    let answer = guard.ask("monitoring", "GraniteServiceVersion20100801.GetDashboard", &request);
    let body: Value = serde_json::from_str(answer["DashboardBody"].as_str().unwrap()).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

/// The names in a query that are neither text, nor a pattern, nor a number.
fn names(query: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let lines = query.lines().filter(|line| !line.starts_with('#'));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        if let '"' | '\'' | '/' = first {
            rest = rest[1..].split_once(first).unwrap().1;
            continue;
        }
        let is_of_name = |letter: char| letter.is_alphanumeric() || "_.@".contains(letter);
        let length = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
        if length > 0 && !rest.starts_with(|letter: char| letter.is_ascii_digit()) {
            names.insert(rest[..length].to_owned());
        }
        rest = &rest[length.max(first.len_utf8())..];
    }
    names
}

/// The names that a query gives itself: after `as`.
fn aliases(query: &str) -> BTreeSet<String> {
    let words: Vec<_> = query.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
    words.windows(2).filter(|pair| pair[0] == "as").map(|pair| pair[1].to_owned()).collect()
}

/// The metrics of a widget, each written out: `...` stands for all that came before, `.` for the same as above.
fn metrics(widget: &Value) -> Vec<Vec<String>> {
    let mut above: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
        let parts: Vec<_> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let parts = match parts.split_first() {
            None => continue,
            Some((&"...", own)) => {
                let kept = above.len() - own.len();
                above[..kept]
                    .iter()
                    .map(String::as_str)
                    .chain(own.iter().copied())
                    .map(str::to_owned)
                    .collect()
            }
            Some(_) => {
                let same = |(position, part): (usize, &&str)| match *part {
                    "." => above[position].clone(),
                    part => part.to_owned(),
                };
                parts.iter().enumerate().map(same).collect::<Vec<_>>()
            }
        };
        above.clone_from(&parts);
        all.push(parts);
    }
    all
}

#[test]
fn the_dashboard_and_the_queries_name_what_the_functions_write() {
    let (guard, written) = busy();
    let widgets = widgets(&guard);
    let mut queries = queries(&guard);
    assert!(queries.len() >= 9 && widgets.len() >= 16, "{} {}", queries.len(), widgets.len());

    // Of everything that the functions count, something is shown.
    let mut shown = BTreeSet::new();
    for widget in &widgets {
        let properties = &widget["properties"];
        if let Some(query) = properties["query"].as_str() {
            queries.insert(properties["title"].as_str().unwrap().to_owned(), query.to_owned());
        }
        for metric in metrics(widget) {
            let parts: Vec<_> = metric.iter().map(String::as_str).collect();
            match parts[..] {
                ["SsmGuard", name] => drop(shown.insert((name.to_owned(), String::new()))),
                [namespace, name, dimension, resource] => {
                    let known = OF_AWS.iter().find(|(known, ..)| *known == namespace);
                    let (_, selects, names) = known.unwrap_or_else(|| panic!("{metric:?}"));
                    assert!(*selects == dimension && names.contains(&name), "{metric:?}");
                    assert!(resource.starts_with("guard-"), "{metric:?} is of no resource of the stack");
                }
                _ => panic!("{metric:?}"),
            }
        }
        for search in properties["metrics"].as_array().into_iter().flatten() {
            let Some(search) = search[0]["expression"].as_str() else { continue };
            let (_, dimension) = search.split_once("SEARCH('{SsmGuard,").unwrap();
            let (dimension, name) = dimension.split_once("} MetricName=\"").unwrap();
            shown.insert((name.split('"').next().unwrap().to_owned(), dimension.to_owned()));
        }
    }
    assert_eq!(shown, written.metrics);

    for (title, query) in queries {
        let own = aliases(&query);
        for name in names(&query) {
            let is_known = OF_INSIGHTS.contains(&name.as_str())
                || OF_LAMBDA.contains(&name.as_str())
                || own.contains(&name)
                || written.fields.contains(&name);
            assert!(is_known, "{title}: nothing writes `{name}`; the functions wrote {:#?}", written.fields);
        }
    }
}

#[test]
fn the_names_of_a_query_are_found() {
    let query = "# a comment\nfilter fields.a = \"text b\" and ispresent(c)\n| parse d /^(?<who>.+)-x$/\n| stats count(*) as n by who\n| limit 50";
    let found = names(query);
    let found: Vec<_> = found.iter().map(String::as_str).filter(|name| !OF_INSIGHTS.contains(name)).collect();
    assert_eq!(found, ["c", "d", "fields.a", "n"]);
    assert_eq!(aliases(query), BTreeSet::from(["n".to_owned()]));
}

#[test]
fn a_metric_is_written_out() {
    let widget = json!({"properties": {"metrics": [
        ["AWS/SQS", "Age", "QueueName", "one", {"stat": "p50"}], ["...", "two"], ["...", {"stat": "p99"}], [".", "Size", ".", "."],
        [{"expression": "SEARCH()"}],
    ]}});
    assert_eq!(
        metrics(&widget),
        [
            ["AWS/SQS", "Age", "QueueName", "one"],
            ["AWS/SQS", "Age", "QueueName", "two"],
            ["AWS/SQS", "Age", "QueueName", "two"],
            ["AWS/SQS", "Size", "QueueName", "two"],
        ]
    );
}
