//! What the functions tell X-Ray, held against the calls that the stack saw.

use serde_json::{Value, json};

use crate::guard::{Guard, Kind, TAGGED, UNTAGGED, record};

/// The documents of the one run in which the function told of a thing with this annotation.
fn run(guard: &Guard, name: &str, value: &str) -> (Value, Vec<Value>) {
    let has = |trace: &&Value| {
        let documents = trace["documents"].as_array().unwrap();
        documents.iter().any(|document| document["annotations"][name] == value)
    };
    let traces = guard.traces();
    let trace = traces.iter().find(has).unwrap_or_else(|| panic!("no {name} {value} in {traces:#?}"));
    (trace["segmentId"].clone(), trace["documents"].as_array().unwrap().clone())
}

/// The subsegment of the thing, complete, and those of the calls about it; it belongs to the run, and they to it.
fn parts<'a>(segment: &Value, documents: &'a [Value], name: &str) -> (&'a Value, Vec<&'a Value>) {
    let [begun, calls @ .., done] = documents else { panic!("{documents:#?}") };
    assert_eq!((&begun["name"], &begun["in_progress"]), (&json!(name), &json!(true)));
    assert_eq!((&done["name"], &done["id"], &done["parent_id"]), (&json!(name), &begun["id"], segment));
    let time = |document: &Value, name: &str| document[name].as_f64().unwrap();
    for call in calls {
        assert_eq!((&call["namespace"], &call["parent_id"]), (&json!("aws"), &done["id"]), "{call:#}");
        assert!(time(done, "start_time") <= time(call, "start_time"), "{call:#}");
        assert!(time(call, "start_time") <= time(call, "end_time"), "{call:#}");
        assert!(time(call, "end_time") <= time(done, "end_time"), "{call:#}");
        assert!(call["aws"]["request_id"].is_string(), "{call:#}");
    }
    (done, calls.iter().collect())
}

fn operation(call: &Value) -> String {
    call["aws"]["operation"].as_str().unwrap().to_owned()
}

/// A trace tells each call of a run to AWS, and nothing that a caller wrote.
#[test]
fn a_trace_tells_each_call_of_an_event() {
    // One instance, so that no other one greets the services meanwhile.
    let guard = Guard::deploy_with(&[("Mode", "enforce"), ("ReservedConcurrency", "1")]);
    guard.warm();
    let (told, called) = (guard.traces().len(), guard.all_calls().len());
    let session = guard.open("alice-daaaaaaaaaaaaaaaaaaaaaaaaa", UNTAGGED);
    guard.fault(&json!({"service": "ssm", "operation": "TerminateSession", "error": "ThrottlingException", "status": 400}));
    guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);

    let (segment, documents) = run(&guard, "event_id", "event-1");
    let (event, calls) = parts(&segment, &documents, "event");
    assert_eq!(event["annotations"]["outcome"], "terminated");
    assert_eq!(event["annotations"]["session"], "daaaaaaaaaaaaaaaaaaaaaaaaa");
    assert!(!json!(documents).to_string().contains("alice"), "{documents:#?}");
    let end = calls.iter().find(|call| operation(call) == "TerminateSession").unwrap();
    assert_eq!((&end["name"], &end["aws"]["region"]), (&json!("SSM"), &json!("eu-west-1")));
    assert_eq!((&end["aws"]["retries"], &end["http"]["response"]["status"]), (&json!(1), &json!(200)));

    // This event, and the guard's own TerminateSession that came back as one: all calls are theirs, the one that was tried
    // again twice.
    let traces = guard.traces().split_off(told);
    assert_eq!(traces.len(), 2);
    let of_all = traces.iter().flat_map(|trace| trace["documents"].as_array().unwrap());
    let mut of_all: Vec<_> =
        of_all.filter(|document| document["namespace"] == "aws").map(operation).collect();
    of_all.push("TerminateSession".to_owned());
    let mut called = guard.all_calls().split_off(called);
    of_all.sort();
    called.sort();
    assert_eq!(of_all, called);
}

/// A trace tells each call of a run to AWS, and nothing that a caller wrote: nothing of a log either.
#[test]
fn a_trace_tells_each_call_about_a_log() {
    let guard = Guard::deploy("enforce");
    let session = guard.open("alice-daaaaaaaaaaaaaaaaaaaaaaaab", TAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, TAGGED)]);
    guard.put_log(&session, b"sh-4.2$ sudo cat /etc/shadow\r\r\nsh-4.2$ exit\r\r\n");
    guard.next_alert();
    guard.settle();
    let traces = guard.traces();
    let of_logs = |trace: &&Value| trace["function"].as_str().unwrap().contains("LogObject");
    let trace = traces.iter().find(of_logs).unwrap();
    let documents = trace["documents"].as_array().unwrap();
    let (log, calls) = parts(&trace["segmentId"], documents, "log");
    assert_eq!(log["annotations"], json!({"session": "daaaaaaaaaaaaaaaaaaaaaaaab"}));
    let operations: Vec<_> = calls.iter().map(|call| operation(call)).collect();
    assert_eq!(
        operations,
        ["UpdateItem", "GetObject", "GetItem", "GetItem", "TransactWriteItems", "Publish", "UpdateItem"]
    );
    let text = json!(documents).to_string();
    assert!(!text.contains("alice") && !text.contains("shadow"), "{text}");
}

/// A trace tells each call of a run to AWS, and nothing that a caller wrote: of a run that X-Ray does not sample nothing at all.
#[test]
fn a_run_that_is_not_sampled_tells_nothing() {
    let guard = Guard::deploy_with(&[("Mode", "enforce"), ("Tracing", "PassThrough")]);
    let session = guard.open("alice-daaaaaaaaaaaaaaaaaaaaaaaac", UNTAGGED);
    guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    assert_eq!(guard.ledger().verdict("event-1")["outcome"], "terminated");
    let traces = guard.traces();
    assert_eq!(traces.len(), 2);
    for trace in traces {
        assert_eq!((&trace["sampled"], &trace["documents"]), (&json!(false), &json!([])), "{trace:#}");
    }
}

/// A trace tells each call of a run to AWS, and nothing that a caller wrote: those too of a run that was killed.
#[test]
fn a_run_that_is_killed_leaves_what_it_did() {
    let guard = Guard::deploy("observe");
    let session = guard.open("alice-daaaaaaaaaaaaaaaaaaaaaaaad", UNTAGGED);
    guard.fault(&json!({"service": "sns", "operation": "Publish", "kill": "before"}));
    guard.deliver(&[record(Kind::Start, 1, &session, UNTAGGED)]);
    let traces = guard.traces();
    let [killed, retried] = &traces[..] else { panic!("{traces:#?}") };
    let documents = killed["documents"].as_array().unwrap();
    let [begun, calls @ ..] = &documents[..] else { panic!("{killed:#}") };
    assert_eq!((&begun["name"], &begun["in_progress"]), (&json!("event"), &json!(true)));
    assert!(calls.iter().any(|call| operation(call) == "TransactWriteItems"), "{calls:#?}");
    assert!(calls.iter().all(|call| call["parent_id"] == begun["id"]), "{calls:#?}");
    let (_, calls) = parts(&retried["segmentId"], retried["documents"].as_array().unwrap(), "event");
    assert!(calls.iter().any(|call| operation(call) == "Publish"), "{calls:#?}");
}
