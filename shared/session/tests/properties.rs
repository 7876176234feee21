//! What holds for any bytes, records, parameters and policies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use session::cases::{Expected, run};
use session::cloudtrail;
use session::event::{EventKind, Session};
use session::parameters::Parameters;
use session::policy::{Lookup, Policies, PolicySource, Respond};
use session::response::{Mode, respond};
use session::target::{Tags, Target, TargetId};

fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(path)).unwrap()
}

fn source(folder: &str, text: String) -> PolicySource {
    PolicySource { path: format!("{folder}/policy.cedar"), folder: folder.to_owned(), text }
}

static SOURCES: LazyLock<Vec<PolicySource>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let folders =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let names = folders.map(|folder| folder.file_name().into_string().unwrap());
    names.map(|name| source(&name, shipped(&format!("{name}/policy.cedar")))).collect()
});

static PARAMETERS: LazyLock<String> = LazyLock::new(|| shipped("parameters.json"));

static POLICIES: LazyLock<Policies> =
    LazyLock::new(|| Policies::load(&SOURCES, Parameters::from_json(&PARAMETERS).unwrap()).unwrap());

/// The policies that read the target's tags.
static READ_TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let read_tags = |source: &&PolicySource| {
        let alone = Policies::load(std::slice::from_ref(*source), POLICIES.parameters().clone()).unwrap();
        alone.needs(Lookup::TargetTags)
    };
    SOURCES.iter().filter(read_tags).map(|source| source.folder.clone()).collect()
});

/// Records as CloudTrail writes them, one of each kind.
fn real_shapes() -> Vec<Value> {
    let common = json!({
        "eventVersion": "1.11", "eventSource": "ssm.amazonaws.com", "eventType": "AwsApiCall",
        "eventID": "7ad1600d-0000-4000-8000-000000000001", "eventTime": "2026-11-23T09:30:00Z",
        "awsRegion": "eu-west-1", "recipientAccountId": "111122223333", "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31", "managementEvent": true, "readOnly": false
    });
    let user = json!({
        "type": "IAMUser", "accountId": "111122223333", "userName": "alice",
        "arn": "arn:aws:iam::111122223333:user/ops/alice", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {"sessionIssuer": {}, "attributes": {"mfaAuthenticated": "true"}}
    });
    let role = "AWSReservedSSO_Ops_0123456789abcdef";
    let person = json!({
        "type": "AssumedRole", "accountId": "111122223333",
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/jane@example.com"),
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "userName": role,
                "arn": format!("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/{role}")
            },
            "webIdFederationData": {"federatedProvider": "x", "attributes": {}},
            "attributes": {"mfaAuthenticated": "false"}
        }
    });
    let id = "jane@example.com-abcdefghijklmnopqrstuvwxy2";
    let forwarding = json!({
        "target": "i-0123456789abcdef0", "documentName": "AWS-StartPortForwardingSessionToRemoteHost",
        "reason": "CHG-1", "parameters": {"host": ["db.internal"], "portNumber": ["5432"]}
    });
    let refused = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ssm:StartSession on \
                   resource: arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0 because no policy allows it";
    [
        json!({"eventName": "StartSession", "userIdentity": user, "requestParameters": {"target": "mi-0123456789abcdef0"},
            "responseElements": {"sessionId": "alice-0e34861185201706f", "tokenValue": "hidden"}}),
        json!({"eventName": "StartSession", "userIdentity": person, "requestParameters": forwarding,
            "responseElements": {"sessionId": id}}),
        json!({"eventName": "ResumeSession", "userIdentity": person, "requestParameters": {"sessionId": id},
            "responseElements": {"sessionId": id}}),
        json!({"eventName": "TerminateSession", "userIdentity": {"type": "Root"}, "requestParameters": {"sessionId": id},
            "responseElements": {"sessionId": id}}),
        json!({"eventName": "StartSession", "userIdentity": user, "errorCode": "AccessDenied", "errorMessage": refused,
            "requestParameters": null, "responseElements": null}),
    ]
    .into_iter()
    .map(|fields| {
        let mut record = common.clone();
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        record
    })
    .collect()
}

/// Texts that mean something to a reader of records.
const KNOWN: &[&str] = &[
    "",
    "1.08",
    "2.0",
    "ssm.amazonaws.com",
    "StartSession",
    "ResumeSession",
    "TerminateSession",
    "Root",
    "AssumedRole",
    "IAMUser",
    "i-",
    "mi-0",
    "ecs:a_b_c",
    "ecs:___",
    "arn:aws:iam::1:root",
    "arn:::::",
    "::ffff:1.2.3.4",
    "true",
    "-009999-01-02T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-30T23:59:59.999999999Z",
    "22",
    "65536",
    "x on resource: arn:aws:ssm:::session/a",
    ":document/x",
    "AccessDenied",
    "..-0",
    "a#b",
];

/// Texts that mean something, and texts that mean nothing.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![select(KNOWN).prop_map(str::to_owned), any::<String>(), "[ -~]{0,40}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The places in a document, as JSON pointers.
fn places(document: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match document {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A document with some of its values replaced by others.
fn mutated(documents: Vec<Value>) -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((any::<Index>(), any_json()), 0..4);
    (select(documents), changes).prop_map(|(mut document, changes)| {
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&document, "", &mut found);
            *document.pointer_mut(place.get(found.as_slice()).as_str()).unwrap() = value;
        }
        document
    })
}

fn text_at<'a>(record: &'a Value, path: &str) -> Option<&'a str> {
    record.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

fn is_ours(record: &Value) -> bool {
    text_at(record, "/eventSource") == Some("ssm.amazonaws.com")
        && matches!(
            text_at(record, "/eventName"),
            Some("StartSession" | "ResumeSession" | "TerminateSession")
        )
}

fn tags() -> impl Strategy<Value = Tags> {
    let known = prop::collection::btree_map("Owner|Environment|SessionAccess|[a-z]{1,5}", text(), 0..4);
    prop_oneof![known.prop_map(Tags::Known), Just(Tags::Unknown("AccessDenied".to_owned()))]
}

/// A session of a record, on a target with these tags.
fn session(record: &Value, tags: Tags) -> Option<Session> {
    let event = cloudtrail::session_event(record).ok()??;
    let target = event.target().cloned().map(|id| Target::new(id, tags, None));
    Some(Session::new(event, target))
}

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { cases: number, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(512))]

    /// Nothing of ours is lost, and nothing else is taken for ours.
    #[test]
    fn a_record_is_passed_over_only_when_it_is_not_ours(
        record in prop_oneof![any_json(), mutated(real_shapes())]
    ) {
        prop_assert_eq!(cloudtrail::session_event(&record) == Ok(None), !is_ours(&record));
    }

    #[test]
    fn what_is_read_is_what_the_record_says(record in mutated(real_shapes())) {
        let Ok(Some(event)) = cloudtrail::session_event(&record) else { return Ok(()) };
        prop_assert_eq!(Some(event.id.as_str()), text_at(&record, "/eventID"));
        prop_assert_eq!(Some(event.region.as_str()), text_at(&record, "/awsRegion"));
        prop_assert_eq!(Some(event.operation()), text_at(&record, "/eventName"));
        prop_assert!(event.account.len() == 12 && event.account.bytes().all(|byte| byte.is_ascii_digit()));
        let (request, response) =
            (text_at(&record, "/requestParameters/sessionId"), text_at(&record, "/responseElements/sessionId"));
        let expected = match event.kind {
            EventKind::Started { .. } => response,
            EventKind::Resumed { .. } | EventKind::Terminated { .. } => request.or(response),
            EventKind::Attempted { .. } => return Ok(()),
        };
        prop_assert_eq!(event.session().map(|session| session.as_str()), expected);
    }

    #[test]
    fn a_target_is_written_as_it_was_read(text in text()) {
        prop_assert_eq!(TargetId::parse(&text).to_string(), text);
    }

    /// An id that a caller made up cannot name something else in an ARN.
    #[test]
    fn the_arn_of_a_target_holds_one_resource(text in text()) {
        let Some(arn) = TargetId::parse(&text).arn("eu-west-1", "111122223333") else { return Ok(()) };
        prop_assert!(!arn.contains(['*', '?', ' ']) && arn.split(':').count() == 6, "{}", arn);
        prop_assert!(arn.split('/').count() <= 3);
    }

    /// No record makes a shipped policy fail: Cedar would leave it out, and nobody would be told what it forbids.
    #[test]
    fn no_record_makes_a_policy_fail(record in mutated(real_shapes()), tags in tags()) {
        let Some(session) = session(&record, tags) else { return Ok(()) };
        let decision = POLICIES.decide(&session);
        prop_assert!(decision.errors.is_empty(), "{:?}", decision.errors);
    }

    #[test]
    fn observe_never_ends_a_session_and_enforce_only_what_a_policy_asks(
        record in mutated(real_shapes()),
        tags in tags(),
    ) {
        let Some(session) = session(&record, tags) else { return Ok(()) };
        let decision = POLICIES.decide(&session);
        prop_assert_eq!(respond(&decision, &session, Mode::Observe).terminate, None);
        if let Some(ended) = respond(&decision, &session, Mode::Enforce).terminate {
            prop_assert_eq!(decision.respond(), Some(Respond::Terminate));
            prop_assert_eq!(Some(&ended), session.id());
        }
    }

    /// A look-up that failed is no violation, whatever else is true of the session.
    #[test]
    fn unknown_tags_violate_nothing_that_reads_tags(record in mutated(real_shapes())) {
        let Some(session) = session(&record, Tags::Unknown("AccessDenied".to_owned())) else { return Ok(()) };
        let decision = POLICIES.decide(&session);
        prop_assert_eq!(READ_TAGS.len(), 4);
        for policy in decision.violations {
            prop_assert!(!READ_TAGS.contains(&policy.id), "{}", policy.id);
        }
    }

    #[test]
    fn any_text_is_a_case_or_is_not(text in text(), record in mutated(real_shapes()), rest in any_json()) {
        let mut case = json!({"record": record});
        for text in [text, case.to_string(), rest.to_string()] {
            let _ = run(&POLICIES, "root-user", Expected::Allow, &text);
        }
        for field in ["started", "target", "principal", "parameters"] {
            case.as_object_mut().unwrap().insert(field.to_owned(), rest.clone());
            let _ = run(&POLICIES, "root-user", Expected::Deny, &case.to_string());
        }
    }

    /// What is read can be asked, at the ends of time too.
    #[test]
    fn any_text_is_parameters_or_is_not(
        text in text(),
        document in mutated(vec![serde_json::from_str(&PARAMETERS).unwrap()]),
        seconds in any::<i64>(),
    ) {
        prop_assert!(Parameters::from_json(&text).is_err());
        let Ok(mut parameters) = Parameters::from_json(&document.to_string()) else { return Ok(()) };
        for time in [Timestamp::MIN, Timestamp::MAX].into_iter().chain(Timestamp::from_second(seconds)) {
            parameters.business_hours.contain(time);
        }
        parameters.override_required_tags(&text);
        let _ = parameters.override_networks(&text);
        prop_assert!(parameters.networks_of("203.0.113.7".parse().unwrap()).count() <= parameters.networks.len());
    }

}

proptest! {
    // Every case parses the schema.
    #![proptest_config(cases(24))]

    /// Policies load or say where they do not.
    #[test]
    fn any_text_is_a_policy_or_has_an_error_with_a_place(
        policy in select(SOURCES.clone()),
        cut in any::<Index>(),
        inserted in prop_oneof![any::<String>(), "[(){}\\[\\];:.\"@&|!=<> a-z]{1,6}"],
        removed in 0_usize..12,
    ) {
        let characters: Vec<_> = policy.text.chars().collect();
        let (before, after) = characters.split_at(cut.index(characters.len()));
        let text = before.iter().copied().chain(inserted.chars()).chain(after.iter().skip(removed).copied()).collect();
        for text in [text, inserted] {
            let source = source(&policy.folder, text);
            let Err(errors) = Policies::load(std::slice::from_ref(&source), POLICIES.parameters().clone()) else {
                continue;
            };
            prop_assert!(!errors.is_empty());
            for error in errors {
                let lines = source.text.split('\n').count();
                prop_assert!(error.position.is_none_or(|(line, column)| line <= lines && column > 0), "{}", error);
            }
        }
    }
}
