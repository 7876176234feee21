//! Every real record parses to the right facts. The records are beside the repository, not in it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use session::cloudtrail;
use session::event::{EventKind, SessionEvent, Source};
use session::principal::{Mfa, PrincipalKind};

fn samples() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no folder of real records beside the repository");
    None
}

fn records(folder: &Path, file: &str) -> Vec<Value> {
    match serde_json::from_str(&fs::read_to_string(folder.join(file)).unwrap()).unwrap() {
        Value::Array(records) => records,
        record => vec![record],
    }
}

fn events(folder: &Path, file: &str) -> Vec<SessionEvent> {
    records(folder, file).iter().map(|record| cloudtrail::session_event(record).unwrap().unwrap()).collect()
}

const STARTS_AND_ENDS: &str = "cloudtrail-stratus-start-terminate-session-iamuser.json";
const REFUSAL: &str = "cloudtrail-traildiscover-StartSession-accessdenied.json";
const OTHERS: [&str; 5] = [
    "cloudtrail-awsdocs-deletedocument.json",
    "cloudtrail-invictus-useridentity-variants.json",
    "cloudtrail-rustruntime-assumedrole-sso-console.json",
    "cloudtrail-stratus-federateduser-identity.json",
    "eventbridge-custodian-api-call-via-cloudtrail-envelope.json",
];

/// A sample that no test reads would prove nothing.
#[test]
fn every_sample_of_cloudtrail_is_read_below() {
    let Some(folder) = samples() else { return };
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<_> = names.filter(|name| name.contains("cloudtrail")).collect();
    let read: BTreeSet<_> =
        OTHERS.iter().chain(&[STARTS_AND_ENDS, REFUSAL]).map(|name| (*name).to_owned()).collect();
    assert_eq!(found, read);
}

#[test]
fn real_starts_and_ends_are_read() {
    let Some(folder) = samples() else { return };
    let events = events(&folder, STARTS_AND_ENDS);
    let facts: Vec<_> = events
        .iter()
        .map(|event| {
            let target = event.target().map(ToString::to_string).unwrap_or_default();
            let session = event.session().unwrap().as_str();
            format!("{} {} {session} {target}", event.time, event.operation())
        })
        .collect();
    assert_eq!(
        facts,
        [
            "2024-08-01T12:19:18Z TerminateSession christophe-wzleysigzmbd6fmkefjqvt5w4u ",
            "2024-08-01T12:19:17Z StartSession christophe-wzleysigzmbd6fmkefjqvt5w4u i-eA1d1296c1dE3Aa1f",
            "2024-08-01T12:19:16Z TerminateSession christophe-bkqs75qpcrtlxk5paaytrydm2e ",
            "2024-08-01T12:19:17Z StartSession christophe-s7uathgenk3m4qa2s33wio5gpu i-d0b6DCBA8984dE148",
            "2024-08-01T12:19:17Z TerminateSession christophe-s7uathgenk3m4qa2s33wio5gpu ",
            "2024-08-01T12:19:16Z StartSession christophe-bkqs75qpcrtlxk5paaytrydm2e i-d3720C7af6fCfF2B2",
        ]
    );
    for event in &events {
        assert_eq!(event.principal.describe(), "IAM user christophe");
        assert_eq!((event.principal.mfa, event.principal.session_name.as_deref()), (Mfa::Absent, None));
        assert_eq!((event.account.as_str(), event.region.as_str()), ("294599468799", "me-northwest-3r"));
        assert_eq!(event.source, Source::Ip("254.222.242.236".parse().unwrap()));
        if let EventKind::Started { document, reason, .. } = &event.kind {
            assert_eq!((document.describe().as_str(), reason), ("shell", &None));
        }
    }
}

#[test]
fn a_real_refusal_is_an_attempt_without_a_target() {
    let Some(folder) = samples() else { return };
    let events = events(&folder, REFUSAL);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.principal.describe(), "IAM user TrailDiscover");
    assert_eq!((event.principal.mfa, event.operation()), (Mfa::Absent, "StartSession"));
    let EventKind::Attempted { error_code, denied, target, session, .. } = &event.kind else {
        panic!("{event:?}")
    };
    assert_eq!((error_code.as_str(), *denied, target, session), ("AccessDenied", true, &None, &None));
}

#[test]
fn real_records_of_other_calls_are_not_ours() {
    let Some(folder) = samples() else { return };
    for file in OTHERS {
        for record in records(&folder, file) {
            let record = record.get("detail").unwrap_or(&record);
            assert_eq!(cloudtrail::session_event(record), Ok(None), "{file}");
        }
    }
}

/// The records of other services, read as if they were ours: their identities are told apart.
#[test]
fn real_identities_are_told_apart() {
    let Some(folder) = samples() else { return };
    let mut seen = Vec::new();
    for file in [
        "cloudtrail-invictus-useridentity-variants.json",
        "cloudtrail-rustruntime-assumedrole-sso-console.json",
        "cloudtrail-stratus-federateduser-identity.json",
        "cloudtrail-awsdocs-deletedocument.json",
    ] {
        for mut record in records(&folder, file) {
            record["eventSource"] = "ssm.amazonaws.com".into();
            record["eventName"] = "ResumeSession".into();
            record["requestParameters"] = serde_json::json!({"sessionId": "someone-0e34861185201706f"});
            record.as_object_mut().unwrap().remove("errorCode");
            let principal = cloudtrail::session_event(&record).unwrap().unwrap().principal;
            seen.push((principal.describe(), principal.mfa));
            if file.contains("sso") {
                let expected =
                    PrincipalKind::IdentityCenter { permission_set: "AWSAdministratorAccess".into() };
                assert_eq!(principal.kind, expected);
            }
        }
    }
    let seen: Vec<_> = seen.iter().map(|(who, mfa)| (who.as_str(), *mfa)).collect();
    assert_eq!(
        seen,
        [
            ("IAM user benjamin", Mfa::Present),
            ("IAM user benjamin", Mfa::Absent),
            ("IAM user benjamin", Mfa::Present),
            (
                "role stratus-red-team-ec2-get-password-data-role (session \"aws-go-sdk-1688990082523310002\")",
                Mfa::Absent
            ),
            ("AWS service inspector2.amazonaws.com", Mfa::NotReported),
            ("AWS service ec2.amazonaws.com", Mfa::NotReported),
            ("IAM user bert-jan", Mfa::Absent),
            ("me@dev.com (Identity Center, AWSAdministratorAccess)", Mfa::NotReported),
            (
                "federated user \"stratus_red_team\" of stratus-red-team-user-federation-user",
                Mfa::NotReported
            ),
            ("role example-role (session \"203.0.113.11\")", Mfa::Absent),
        ]
    );
}
