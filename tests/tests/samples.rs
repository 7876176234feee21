//! Every real record parses to the right facts. The records are beside the repository, not in it.

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

#[test]
fn real_starts_and_ends_are_read() {
    let Some(folder) = samples() else { return };
    let events = events(&folder, "cloudtrail-stratus-start-terminate-session-iamuser.json");
    let starts = events.iter().filter(|event| matches!(event.kind, EventKind::Started { .. })).count();
    let ends = events.iter().filter(|event| matches!(event.kind, EventKind::Terminated { .. })).count();
    assert_eq!((starts, ends), (3, 3));
    for event in &events {
        assert_eq!((event.principal.name.as_str(), event.principal.mfa), ("christophe", Mfa::Absent));
        assert_eq!((event.account.as_str(), event.region.as_str()), ("294599468799", "me-northwest-3r"));
        assert!(event.session().unwrap().as_str().starts_with("christophe-"));
        assert!(matches!(event.source, Source::Ip(_)));
    }
}

#[test]
fn a_real_refusal_is_an_attempt_without_a_target() {
    let Some(folder) = samples() else { return };
    let events = events(&folder, "cloudtrail-traildiscover-StartSession-accessdenied.json");
    let EventKind::Attempted { denied, target, session, .. } = &events[0].kind else { panic!("{events:?}") };
    assert_eq!((*denied, target, session), (true, &None, &None));
}

/// The records of other services are not ours; read as if they were, their identities are told apart.
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
            assert_eq!(cloudtrail::session_event(&record), Ok(None), "{file}");
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
