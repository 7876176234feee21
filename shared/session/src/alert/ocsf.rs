//! The finding for machines: OCSF 1.8 Detection Finding, class 2004.

use serde_json::{Value, json};

use super::{Alert, AlertKind};
use crate::event::{Session, Source};
use crate::ledger::Started;
use crate::object::LogObject;
use crate::policy::Severity;
use crate::principal::Mfa;
use crate::redact;
use crate::response::Outcome;
use crate::target::{Tags, TargetId};
use crate::transcript::Finding;

pub(super) fn finding(alert: &Alert) -> Value {
    let (action, action_id) = match &alert.outcome {
        Some(Outcome::Terminated { .. }) => ("Denied", 2),
        Some(Outcome::Failed { .. }) => ("Allowed", 1),
        Some(_) => ("Observed", 3),
        None => ("Unknown", 0),
    };
    let policies: Vec<_> = alert
        .policies
        .iter()
        .map(|policy| json!({"id": policy.id, "title": policy.title, "severity": policy.severity.as_str()}))
        .collect();
    let mut finding = json!({
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "severity_id": severity_id(alert.severity),
        "severity": severity_name(alert.severity),
        "status_id": 1,
        "status": "New",
        "time": alert.told.as_millisecond(),
        "message": alert.headline,
        "is_alert": true,
        "action_id": action_id,
        "action": action,
        "metadata": {
            "version": "1.8.0",
            "uid": alert.event,
            "profiles": ["cloud", "security_control"],
            "log_name": log_name(alert.kind),
            "original_time": alert.time.to_string(),
            "product": {"name": "ssm-guard", "vendor_name": "ssm-guard", "version": env!("CARGO_PKG_VERSION")},
        },
        "cloud": {"provider": "AWS", "region": alert.region, "account": {"uid": alert.account}},
        "finding_info": {
            "uid": alert.event,
            "title": alert.headline,
            "created_time": alert.time.as_millisecond(),
            "types": [alert.kind.as_str()],
            "data_sources": [log_name(alert.kind)],
        },
        "evidences": evidences(alert),
        "unmapped": {
            "kind": alert.kind.as_str(),
            "mode": alert.mode.as_str(),
            "policies": policies,
            "not_judged": alert.undecided,
        },
    });
    if let Some(outcome) = &alert.outcome {
        insert(&mut finding, "/unmapped", "outcome", json!(outcome.as_str()));
        if let Outcome::Terminated { confirmed } = outcome {
            let milliseconds = confirmed.as_millisecond() - alert.time.as_millisecond();
            insert(&mut finding, "/unmapped", "ended_after_ms", json!(milliseconds));
        }
        if let Outcome::Failed { reason } = outcome {
            insert(&mut finding, "", "status_detail", json!(redact::shown(reason, 200)));
        }
    }
    if let Some(session) = &alert.session {
        insert(&mut finding, "/unmapped", "session_id", json!(session));
        insert(&mut finding, "/metadata", "correlation_uid", json!(session));
    }
    if let Some(policy) = alert.policies.first() {
        let analytic = json!({"uid": policy.id, "name": policy.title, "type": "Rule", "type_id": 1});
        insert(&mut finding, "/finding_info", "analytic", analytic);
    }
    if let Some(first) = alert.findings.first() {
        let analytic = json!({"uid": first.rule, "name": first.title, "type": "Rule", "type_id": 1});
        insert(&mut finding, "/finding_info", "analytic", analytic);
        insert(&mut finding, "/finding_info", "attacks", attacks(&alert.findings));
        let rules: Vec<_> = alert.findings.iter().map(rule).collect();
        insert(&mut finding, "/unmapped", "findings", json!(rules));
    }
    if let Some(resource) = &alert.resource {
        insert(&mut finding, "", "resources", json!([resource]));
    }
    if !alert.next_steps.is_empty() {
        insert(&mut finding, "", "remediation", json!({"desc": alert.next_steps.join("\n")}));
    }
    finding
}

/// Who called what, from where.
pub(super) fn evidence(session: &Session) -> Value {
    let event = &session.event;
    let principal = &event.principal;
    let mut evidence = json!({
        "actor": {"user": user(&principal.name, principal.arn.as_deref(), principal.mfa)},
        "api": {"operation": event.operation(), "service": {"name": "ssm.amazonaws.com"}},
    });
    if let Some(account) = &principal.account {
        insert(&mut evidence, "/actor/user", "account", json!({"uid": account}));
    }
    match &event.source {
        Source::Ip(ip) => insert(&mut evidence, "", "src_endpoint", json!({"ip": ip.to_string()})),
        Source::Service(name) => {
            insert(&mut evidence, "", "src_endpoint", json!({"svc_name": redact::shown(name, 100)}));
        }
        Source::NotReported => {}
    }
    if let Some(id) = session.id() {
        insert(&mut evidence, "/actor", "session", json!({"uid": id.as_str()}));
    }
    let mut data = json!({});
    if let Some(document) = &session.document {
        insert(&mut data, "", "document", json!(redact::shown(&document.name, 200)));
        insert(&mut data, "", "session_kind", json!(document.kind.as_str()));
        let texts = [("remote_host", &document.remote_host), ("command", &document.command)];
        for (name, text) in texts {
            if let Some(text) = text {
                insert(&mut data, "", name, json!(redact::shown(text, 300)));
            }
        }
        if let Some(port) = document.port {
            insert(&mut data, "", "port", json!(port));
        }
    }
    if let Some(reason) = &session.reason {
        insert(&mut data, "", "reason", json!(redact::shown(reason, 300)));
    }
    insert(&mut evidence, "", "data", data);
    evidence
}

/// Who the session belongs to, and where its log is.
pub(super) fn log_evidence(object: &LogObject, started: Option<&Started>) -> Value {
    let mut evidence = json!({
        "actor": {"session": {"uid": object.session.as_str()}},
        "file": {
            "name": redact::shown(&object.key, 300),
            "path": redact::shown(&object.url(), 500),
            "type_id": 1,
            "size": object.size,
        },
    });
    if let Some(version) = &object.version {
        insert(&mut evidence, "/file", "version", json!(version));
    }
    if let Some(started) = started {
        let user = user(&started.principal_name, started.principal_arn.as_deref(), started.mfa);
        insert(&mut evidence, "/actor", "user", user);
    }
    evidence
}

/// The node that a logged session was opened on, as CloudTrail named it.
pub(super) fn log_resource(object: &LogObject, target: &TargetId) -> Value {
    let uid = target.arn(&object.region, &object.account).unwrap_or_else(|| target.to_string());
    json!({
        "uid": redact::shown(&uid, 300),
        "name": redact::shown(&target.to_string(), 200),
        "type": kind(target),
        "region": object.region,
    })
}

fn log_name(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Transcript => "Session Manager session log",
        _ => "CloudTrail",
    }
}

/// The evidence of the alert, and one for each command that was found.
fn evidences(alert: &Alert) -> Vec<Value> {
    let commands = alert.findings.iter().filter_map(|finding| {
        let evidence = finding.evidence.as_ref()?;
        // The schema wants an id of the process: the line that it was started on has it.
        let uid = format!("{}:{}", alert.session.as_deref().unwrap_or_default(), evidence.line);
        Some(json!({
            "process": {"uid": uid, "cmd_line": evidence.text},
            "data": {"rule": finding.rule, "line": evidence.line, "known": evidence.known},
        }))
    });
    std::iter::once(alert.evidence.clone()).chain(commands).collect()
}

/// ATT&CK's techniques of the findings, each once.
fn attacks(findings: &[Finding]) -> Value {
    let mut attacks = Vec::new();
    for finding in findings {
        let tactics: Vec<_> = finding.tactics.iter().map(|tactic| json!({"name": tactic})).collect();
        for technique in &finding.techniques {
            let mut attack = json!({"version": "19.1", "technique": {"uid": technique}});
            if let Some((parent, _)) = technique.split_once('.') {
                insert(&mut attack, "/technique", "uid", json!(parent));
                insert(&mut attack, "", "sub_technique", json!({"uid": technique}));
            }
            if !tactics.is_empty() {
                insert(&mut attack, "", "tactics", json!(tactics));
            }
            if !attacks.contains(&attack) {
                attacks.push(attack);
            }
        }
    }
    json!(attacks)
}

fn rule(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "title": finding.title,
        "severity": finding.severity.as_str(),
        "techniques": finding.techniques,
        "count": finding.count,
        "author": finding.author,
    })
}

fn user(name: &str, arn: Option<&str>, mfa: Mfa) -> Value {
    let mut user = json!({"name": redact::shown(name, 200)});
    if let Some(arn) = arn {
        insert(&mut user, "", "uid", json!(redact::shown(arn, 300)));
    }
    // What AWS does not report is left out, not called false.
    match mfa {
        Mfa::Present => insert(&mut user, "", "has_mfa", json!(true)),
        Mfa::Absent => insert(&mut user, "", "has_mfa", json!(false)),
        Mfa::NotReported => {}
    }
    user
}

/// What the session was opened on.
pub(super) fn resource(session: &Session) -> Option<Value> {
    let target = session.target.as_ref()?;
    let event = &session.event;
    let uid = target.id.arn(&event.region, &event.account).unwrap_or_else(|| target.id.to_string());
    let mut resource = json!({
        "uid": redact::shown(&uid, 300),
        "name": redact::shown(&target.describe(), 200),
        "type": kind(&target.id),
        "region": event.region,
    });
    if let Tags::Known(tags) = &target.tags {
        let tags: Vec<_> = tags
            .iter()
            .map(
                |(name, value)| json!({"name": redact::shown(name, 128), "value": redact::shown(value, 256)}),
            )
            .collect();
        insert(&mut resource, "", "tags", json!(tags));
    }
    if let Some(ip) = target.facts.as_ref().and_then(|facts| facts.ip.as_ref()) {
        insert(&mut resource, "", "ip", json!(ip));
    }
    Some(resource)
}

fn kind(target: &TargetId) -> &'static str {
    match target {
        TargetId::Instance(_) => "AWS::EC2::Instance",
        TargetId::ManagedNode(_) => "AWS::SSM::ManagedInstance",
        TargetId::EcsTask { .. } => "AWS::ECS::Task",
        TargetId::Other(_) => "Unknown",
    }
}

fn insert(value: &mut Value, pointer: &str, key: &str, what: Value) {
    if let Some(fields) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        fields.insert(key.to_owned(), what);
    }
}

/// OCSF's `severity_id`.
fn severity_id(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}
