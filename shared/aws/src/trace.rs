//! Traces: an X-Ray subsegment for each event or log of a run, and in it one for each call to AWS.
//!
//! Lambda makes the segment of a run, names it in a header, and runs a daemon beside the function. What happened in the run
//! is for the function to tell: JSON documents, a datagram each, sent and forgotten. Nothing waits for the daemon, and a
//! document that is lost is a gap in a picture. A run that is not sampled, or has no daemon, has no scope, and then each call
//! costs a look at a task's local variable. The documents of a run that is killed are there up to the kill.
//!
//! Which run a call belongs to is told by the task that makes it ([`tokio::task_local`]): a future that is spawned as a task
//! of its own is not traced. Nothing that a caller wrote is in a document: of a session's id only what follows the name.
//!
//! It cannot tell of calls while the function starts, for which Lambda has no trace; of a call that was given up because
//! another one failed; and the call that opens a log from S3 ends before the log is read.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_types::region::SigningRegion;
use aws_types::request_id::RequestId;
use jiff::Timestamp;
use serde::Serialize;
use session::event::SessionId;
use tracing::warn;

use crate::clients::Variable;

/// What every datagram begins with.
const HEADER: &str = "{\"format\": \"json\", \"version\": 1}\n";

tokio::task_local! {
    /// What the calls of this task belong to.
    static SCOPE: Arc<Scope>;
}

/// Where documents go.
#[derive(Clone, Debug)]
pub struct Tracer {
    daemon: Option<Arc<UdpSocket>>,
}

impl Tracer {
    /// Finds the daemon by the variable that Lambda sets.
    pub fn from_environment(variable: Variable<'_>) -> Self {
        let address = variable("AWS_XRAY_DAEMON_ADDRESS").filter(|address| !address.is_empty());
        let daemon = address.and_then(|address| {
            let socket = udp_address(&address).ok_or("it is no address").map_err(str::to_owned);
            let socket = socket.and_then(|address| connect(address).map_err(|error| error.to_string()));
            // A function without traces does its work all the same.
            socket
                .inspect_err(|reason| warn!("There are no traces: `AWS_XRAY_DAEMON_ADDRESS`: {reason}."))
                .ok()
        });
        Self { daemon: daemon.map(Arc::new) }
    }

    /// Runs what one invocation does, with the header that Lambda gave it.
    pub async fn run<F: Future>(&self, header: Option<&str>, work: F) -> F::Output {
        match header.and_then(Parent::sampled).zip(self.daemon.as_ref()) {
            Some((parent, daemon)) => {
                let annotations = Mutex::default();
                let scope =
                    Scope { daemon: Arc::clone(daemon), trace: parent.trace, id: parent.id, annotations };
                SCOPE.scope(Arc::new(scope), work).await
            }
            None => work.await,
        }
    }
}

/// Runs the work on one thing as a subsegment, to which the calls in it belong. Which errors are faults is the caller's to say.
pub async fn within<T, E>(
    name: &'static str,
    is_fault: impl FnOnce(&E) -> bool,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Ok(parent) = SCOPE.try_with(Arc::clone) else { return work.await };
    let began = Timestamp::now();
    let scope = Scope {
        daemon: Arc::clone(&parent.daemon),
        trace: parent.trace.clone(),
        id: new_id(),
        annotations: Mutex::default(),
    };
    let scope = Arc::new(scope);
    let begun = || parent.subsegment(&scope.id, name, began);
    // So that the calls of a run that is killed belong to something.
    parent.send(&Subsegment { in_progress: true, ..begun() });
    let result = SCOPE.scope(Arc::clone(&scope), work).await;
    parent.send(&Subsegment {
        end_time: Some(seconds(Timestamp::now())),
        annotations: scope.annotations.lock().map(|kept| kept.clone()).unwrap_or_default(),
        fault: result.as_ref().is_err_and(is_fault),
        ..begun()
    });
    result
}

/// Gives the subsegment a word by which its trace can be found.
pub fn annotate(name: &'static str, value: &str) {
    let add = |scope: &Arc<Scope>| {
        if let Ok(mut annotations) = scope.annotations.lock() {
            annotations.insert(name, value.to_owned());
        }
    };
    // Without a scope there is no trace to find.
    let _ = SCOPE.try_with(add);
}

/// Makes the trace one that can be found by its session: by what follows the name that a session's id begins with.
pub fn annotate_session(session: &SessionId) {
    annotate("session", session.as_str().rsplit('-').next().unwrap_or_default());
}

/// The interceptor of every client: a call of a run that is traced becomes a subsegment.
#[derive(Debug)]
pub(crate) struct Calls;

/// When a call began; kept with the call itself.
#[derive(Debug)]
struct Began(Timestamp);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if SCOPE.try_with(|_| ()).is_ok() {
            bag.interceptor_state().store_put(Began(Timestamp::now()));
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(&Began(began)), Some(called)) = (bag.load::<Began>(), bag.load::<Metadata>()) else {
            return Ok(());
        };
        let response = context.response();
        let status = response.map(|response| response.status().as_u16());
        let has_failed = !matches!(context.output_or_error(), Some(Ok(_)));
        let (error, throttle, fault) = came_to(status, has_failed);
        let call = Call {
            operation: called.name(),
            region: bag.load::<SigningRegion>().map(AsRef::as_ref),
            request_id: response.and_then(RequestId::request_id),
            retries: bag.load::<RequestAttempts>().map_or(0, |made| made.attempts().saturating_sub(1)),
        };
        // A call of a run that is not traced has not begun either.
        let _ = SCOPE.try_with(|scope| {
            scope.send(&Subsegment {
                namespace: Some("aws"),
                end_time: Some(seconds(Timestamp::now())),
                aws: Some(call),
                http: status.map(|status| Http { response: Response { status } }),
                error,
                throttle,
                fault,
                ..scope.subsegment(&new_id(), called.service(), began)
            });
        });
        Ok(())
    }
}

/// Whether a call ended in an error, in one for its rate, or in a fault. 4xx is the caller's error; all else that fails is a
/// fault.
fn came_to(status: Option<u16>, has_failed: bool) -> (bool, bool, bool) {
    match status {
        Some(429) => (true, true, false),
        Some(400..500) => (true, false, false),
        _ => (false, false, has_failed),
    }
}

/// Something that subsegments belong to: a run's segment, or a subsegment of ours.
#[derive(Debug)]
struct Scope {
    daemon: Arc<UdpSocket>,
    trace: String,
    id: String,
    annotations: Mutex<BTreeMap<&'static str, String>>,
}

impl Scope {
    /// What is known of a subsegment of this one when it begins.
    fn subsegment<'a>(&'a self, id: &'a str, name: &'a str, began: Timestamp) -> Subsegment<'a> {
        Subsegment {
            kind: "subsegment",
            trace_id: &self.trace,
            parent_id: &self.id,
            id,
            name,
            start_time: seconds(began),
            ..Subsegment::default()
        }
    }

    fn send(&self, document: &Subsegment<'_>) {
        let Ok(document) = serde_json::to_string(document) else { return };
        // A daemon that does not listen, or cannot keep up, costs a document and no time.
        let _ = self.daemon.send(format!("{HEADER}{document}").as_bytes());
    }
}

/// X-Ray's document of a subsegment that is sent alone. What is not known or not so is left out.
#[derive(Debug, Default, Serialize)]
struct Subsegment<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    trace_id: &'a str,
    parent_id: &'a str,
    id: &'a str,
    name: &'a str,
    start_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<f64>,
    #[serde(skip_serializing_if = "is_not")]
    in_progress: bool,
    #[serde(skip_serializing_if = "is_not")]
    error: bool,
    #[serde(skip_serializing_if = "is_not")]
    throttle: bool,
    #[serde(skip_serializing_if = "is_not")]
    fault: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct Call<'a> {
    operation: &'a str,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Http {
    response: Response,
}

#[derive(Debug, Serialize)]
struct Response {
    status: u16,
}

fn is_not(flag: &bool) -> bool {
    !flag
}

/// The segment of a run, from `Root=1-...;Parent=...;Sampled=1`.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: String,
    id: String,
}

impl Parent {
    /// Reads Lambda's header; `None` when the run is not sampled.
    fn sampled(header: &str) -> Option<Self> {
        let value = |name| {
            let mut fields = header.split(';').filter_map(|field| field.trim().split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let is_sampled = value("Sampled").as_deref() == Some("1");
        is_sampled.then(|| Some(Self { trace: value("Root")?, id: value("Parent")? }))?
    }
}

/// The address for UDP, from `127.0.0.1:2000` or `tcp:127.0.0.1:2000 udp:127.0.0.1:2001`.
fn udp_address(text: &str) -> Option<SocketAddr> {
    let udp = text.split_whitespace().find_map(|part| part.strip_prefix("udp:"));
    udp.unwrap_or(text).parse().ok()
}

fn connect(daemon: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = match daemon {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(daemon)?;
    Ok(socket)
}

/// Each state hashes nothing to another number, from the system's own randomness.
fn new_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Seconds since the epoch, with microseconds.
fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_ssm::operation::terminate_session::{TerminateSessionError, TerminateSessionOutput};
    use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;
    use serde_json::{Value, json};

    use super::*;

    const TRACE: &str = "1-6a1c2d3e-0123456789abcdef01234567";
    const SAMPLED: &str =
        "Root=1-6a1c2d3e-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0";

    /// A daemon, and a tracer that sends to it.
    fn daemon() -> (UdpSocket, Tracer) {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let address = daemon.local_addr().unwrap().to_string();
        let tracer =
            Tracer::from_environment(&|name| (name == "AWS_XRAY_DAEMON_ADDRESS").then(|| address.clone()));
        (daemon, tracer)
    }

    fn received(daemon: &UdpSocket, count: usize) -> Vec<Value> {
        let one = || {
            let mut buffer = [0; 4096];
            let length = daemon.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            let (header, document) = text.split_once('\n').unwrap();
            let header: Value = serde_json::from_str(header).unwrap();
            assert_eq!(header, json!({"format": "json", "version": 1}));
            serde_json::from_str(document).unwrap()
        };
        (0..count).map(|_| one()).collect()
    }

    fn has_more(daemon: &UdpSocket) -> bool {
        daemon.set_nonblocking(true).unwrap();
        daemon.recv(&mut [0; 4096]).is_ok()
    }

    async fn end(rule: &Rule) -> Result<TerminateSessionOutput, String> {
        let ssm = mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [rule], |config| config.interceptor(Calls));
        annotate("event_id", "event-1");
        annotate_session(&SessionId::new("alice-smith-0e34861185201706f").unwrap());
        let answer = ssm.terminate_session().session_id("alice-smith-0e34861185201706f").send().await;
        answer.map_err(|error| error.to_string())
    }

    fn ends() -> Rule {
        mock!(aws_sdk_ssm::Client::terminate_session)
            .then_output(|| TerminateSessionOutput::builder().build())
    }

    #[tokio::test]
    async fn a_call_is_a_subsegment_of_its_event_and_that_of_the_run() {
        let (daemon, tracer) = daemon();
        tracer.run(Some(SAMPLED), within("event", |_| true, end(&ends()))).await.unwrap();
        let [begun, call, done] = &received(&daemon, 3)[..] else { panic!() };
        for document in [begun, call, done] {
            assert_eq!((&document["type"], &document["trace_id"]), (&json!("subsegment"), &json!(TRACE)));
            assert_eq!(document["id"].as_str().unwrap().len(), 16, "{document}");
        }
        assert_eq!((&begun["id"], &begun["in_progress"]), (&done["id"], &json!(true)));
        assert_eq!((&done["name"], &done["parent_id"]), (&json!("event"), &json!("53995c3f42cd8ad8")));
        // Of the session's id there is nothing that its principal chose.
        assert_eq!(done["annotations"], json!({"event_id": "event-1", "session": "0e34861185201706f"}));
        assert_eq!((&call["name"], &call["namespace"]), (&json!("SSM"), &json!("aws")));
        assert_eq!(call["parent_id"], done["id"]);
        assert_eq!(call["aws"]["operation"], "TerminateSession");
        assert!(!call.to_string().contains("alice"), "{call}");
        let times = [&done["start_time"], &call["start_time"], &call["end_time"], &done["end_time"]];
        assert!(times.map(|time| time.as_f64().unwrap()).is_sorted(), "{times:?}");
        assert!(!has_more(&daemon));
    }

    #[tokio::test]
    async fn an_error_of_a_call_and_one_of_the_run_are_told_apart() {
        let refused = || {
            let code = ErrorMetadata::builder().code("DoesNotExistException").message("alice").build();
            TerminateSessionError::generic(code)
        };
        let rule = mock!(aws_sdk_ssm::Client::terminate_session).then_error(refused);
        for (is_fault, expected) in [(true, json!(true)), (false, Value::Null)] {
            let (daemon, tracer) = daemon();
            tracer.run(Some(SAMPLED), within("event", |_| is_fault, end(&rule))).await.unwrap_err();
            let [_, call, done] = &received(&daemon, 3)[..] else { panic!() };
            assert_eq!((&call["error"], &call["fault"]), (&json!(true), &Value::Null), "{call}");
            assert!(!call.to_string().contains("alice"), "{call}");
            assert_eq!(done["fault"], expected);
        }
    }

    #[tokio::test]
    async fn a_run_that_is_not_sampled_sends_nothing() {
        let (daemon, tracer) = daemon();
        let unsampled = SAMPLED.replace("Sampled=1", "Sampled=0");
        for header in [None, Some(unsampled.as_str()), Some("Sampled=1"), Some("")] {
            tracer.run(header, within("event", |_| true, end(&ends()))).await.unwrap();
        }
        assert!(!has_more(&daemon));
    }

    #[tokio::test]
    async fn a_daemon_that_is_gone_or_is_none_changes_nothing() {
        let (daemon, tracer) = daemon();
        drop(daemon);
        let set = |value: &'static str| Tracer::from_environment(&move |_| Some(value.to_owned()));
        for tracer in [tracer, set(""), set("nowhere"), Tracer::from_environment(&|_| None)] {
            for _ in 0..3 {
                tracer.run(Some(SAMPLED), within("event", |_| true, end(&ends()))).await.unwrap();
            }
        }
    }

    #[test]
    fn a_document_is_one_of_x_ray() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (socket, _) = daemon();
        let annotations = Mutex::default();
        let scope = Scope {
            daemon: Arc::new(socket),
            trace: TRACE.to_owned(),
            id: "53995c3f42cd8ad8".to_owned(),
            annotations,
        };
        let call =
            Call { operation: "GetItem", retries: 2, region: Some("eu-west-1"), request_id: Some("0A1B") };
        let document = Subsegment {
            namespace: Some("aws"),
            end_time: Some(seconds(time("2026-11-23T09:30:00.25Z"))),
            aws: Some(call),
            http: Some(Http { response: Response { status: 200 } }),
            ..scope.subsegment("0123456789abcdef", "DynamoDB", time("2026-11-23T09:30:00Z"))
        };
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            json!({
                "type": "subsegment", "trace_id": TRACE, "parent_id": "53995c3f42cd8ad8",
                "id": "0123456789abcdef", "name": "DynamoDB", "namespace": "aws",
                "start_time": 1_795_426_200.0, "end_time": 1_795_426_200.25,
                "aws": {"operation": "GetItem", "retries": 2, "region": "eu-west-1", "request_id": "0A1B"},
                "http": {"response": {"status": 200}},
            })
        );
    }

    #[test]
    fn what_a_call_came_to_is_told_by_its_status() {
        for (status, has_failed, expected) in [
            (Some(200), false, (false, false, false)),
            (Some(400), true, (true, false, false)),
            (Some(429), true, (true, true, false)),
            (Some(503), true, (false, false, true)),
            // An answer that cannot be read, and none.
            (Some(200), true, (false, false, true)),
            (None, true, (false, false, true)),
        ] {
            assert_eq!(came_to(status, has_failed), expected, "{status:?}");
        }
    }

    #[test]
    fn lambdas_header_names_the_segment_of_a_sampled_run() {
        let parent = Parent { trace: TRACE.to_owned(), id: "53995c3f42cd8ad8".to_owned() };
        assert_eq!(Parent::sampled(SAMPLED), Some(parent));
        for header in [
            "",
            "Root=1-2-3;Parent=4",
            "Root=1-2-3;Sampled=1",
            "Parent=4;Sampled=1",
            "Root=1;Parent=4;Sampled=?",
        ] {
            assert_eq!(Parent::sampled(header), None, "{header}");
        }
    }

    #[test]
    fn the_daemons_address_may_name_two_protocols() {
        for (text, expected) in [
            ("169.254.100.1:2000", Some("169.254.100.1:2000")),
            ("tcp:127.0.0.1:2000 udp:127.0.0.2:2001", Some("127.0.0.2:2001")),
            ("[::1]:2000", Some("[::1]:2000")),
            ("localhost", None),
        ] {
            assert_eq!(udp_address(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn ids_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
