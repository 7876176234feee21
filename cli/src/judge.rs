//! What the policies would have done about recorded events.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use session::event::{EventKind, Session, SessionEvent};
use session::ledger::{self, SessionRecord};
use session::policy::{About, Decision, Policies, Respond, Severity};
use session::principal::{Groups, Principal, PrincipalKind};
use session::redact;
use session::response::{Mode, respond};
use session::target::{Tags, Target, TargetId};

/// How much of a name or ARN is shown.
const LONGEST: usize = 200;

/// What look-ups would have found.
#[derive(Default)]
pub(crate) struct Facts {
    /// Tags by target.
    pub(crate) targets: BTreeMap<String, BTreeMap<String, String>>,
    /// IAM tags and groups by the ARN of the user or role.
    pub(crate) principals: BTreeMap<String, Known>,
}

/// What IAM knows of a principal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// What would have happened, as the JSON form has it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Judged {
    /// Sessions that were started.
    pub(crate) sessions: usize,
    /// Calls that failed or were refused.
    pub(crate) attempts: usize,
    /// Sessions that would have been ended.
    pub(crate) would_end: usize,
    /// Calls that would have been alerted, those that end a session included.
    pub(crate) would_alert: usize,
    /// What each policy would have done, in order of their ids.
    pub(crate) policies: Vec<ByPolicy>,
    /// Every call that violates a policy, in order of time.
    pub(crate) verdicts: Vec<Verdict>,
}

/// What one policy would have done. Numbers are sessions; a failed or refused call counts as one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ByPolicy {
    pub(crate) policy: String,
    pub(crate) severity: &'static str,
    pub(crate) would_end: usize,
    pub(crate) would_alert: usize,
    pub(crate) not_judged: usize,
    pub(crate) failed: usize,
}

/// What would have happened after one call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    pub(crate) event: String,
    pub(crate) time: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) operation: String,
    pub(crate) session: Option<String>,
    pub(crate) principal: String,
    pub(crate) target: Option<String>,
    pub(crate) would: Would,
    pub(crate) violations: Vec<Violated>,
    pub(crate) not_judged: Vec<NotJudged>,
    pub(crate) failed: Vec<Failed>,
}

/// The strongest thing that would have been done.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Would {
    End,
    Alert,
}

/// A violated policy.
#[derive(Serialize)]
pub(crate) struct Violated {
    pub(crate) policy: String,
    pub(crate) severity: &'static str,
    pub(crate) title: String,
}

/// A policy that needs a fact that was not given.
#[derive(Serialize)]
pub(crate) struct NotJudged {
    pub(crate) policy: String,
    pub(crate) needs: &'static str,
    pub(crate) why: String,
}

/// A policy that failed to evaluate.
#[derive(Serialize)]
pub(crate) struct Failed {
    pub(crate) policy: String,
    pub(crate) message: String,
}

/// Judges the calls that are wanted, knowing the start of every session, wanted or not.
pub(crate) fn judge(
    policies: &Policies,
    facts: &Facts,
    mut events: Vec<SessionEvent>,
    is_wanted: impl Fn(&SessionEvent) -> bool,
) -> Judged {
    // CloudTrail's files are not in order, and a call may be in more than one of them.
    events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    events.dedup_by(|a, b| a.id == b.id);
    let starts = starts_of_resumed(&events);
    let mut tally = Tally::default();
    for event in events.into_iter().filter(is_wanted) {
        let start = session_key(&event).and_then(|key| starts.get(&key));
        tally.add(policies, completed(event, start, facts));
    }
    tally.finish()
}

/// A resumed session is judged by what it was started with.
fn starts_of_resumed(events: &[SessionEvent]) -> BTreeMap<String, Session> {
    let is_resumed = |event: &&SessionEvent| matches!(event.kind, EventKind::Resumed { .. });
    let is_started = |event: &&SessionEvent| matches!(event.kind, EventKind::Started { .. });
    let resumed: BTreeSet<_> = events.iter().filter(is_resumed).filter_map(session_key).collect();
    events
        .iter()
        .filter(is_started)
        .filter_map(|event| Some((session_key(event)?, event)))
        .filter(|(key, _)| resumed.contains(key))
        .map(|(key, event)| (key, Session::new(event.clone(), None)))
        .collect()
}

fn session_key(event: &SessionEvent) -> Option<String> {
    Some(ledger::session_key(&event.account, &event.region, event.session()?))
}

/// The session of a call, as the Lambda would have found it out.
fn completed(mut event: SessionEvent, start: Option<&Session>, facts: &Facts) -> Session {
    (event.principal.tags, event.principal.groups) = facts.of_principal(&event.principal);
    let target = event.target().or_else(|| start?.event.target()).cloned();
    let mut session = Session::new(event, target.map(|target| facts.of_target(target)));
    if let Some(start) = start {
        SessionRecord::of_start(start).complete(&mut session);
    }
    session
}

impl Facts {
    fn of_target(&self, id: TargetId) -> Target {
        let tags = match self.targets.get(&id.to_string()) {
            Some(tags) => Tags::Known(tags.clone()),
            None => Tags::Unknown("not in --targets".to_owned()),
        };
        Target::new(id, tags, None)
    }

    fn of_principal(&self, principal: &Principal) -> (Tags, Groups) {
        let arn = match principal.kind {
            PrincipalKind::IamUser => principal.arn.as_ref(),
            PrincipalKind::AssumedRole
            | PrincipalKind::IdentityCenter { .. }
            | PrincipalKind::WebIdentity { .. } => principal.issuer_arn.as_ref(),
            // Nobody else has tags or groups in IAM.
            _ => return (Tags::Known(BTreeMap::new()), Groups::Known(Vec::new())),
        };
        match arn.and_then(|arn| self.principals.get(arn)) {
            Some(known) => (Tags::Known(known.tags.clone()), Groups::Known(known.groups.clone())),
            None => {
                let why = "not in --principals";
                (Tags::Unknown(why.to_owned()), Groups::Unknown(why.to_owned()))
            }
        }
    }
}

/// What was judged so far. A session that several calls are of counts once.
#[derive(Default)]
struct Tally {
    judged: Judged,
    ended: BTreeSet<String>,
    policies: BTreeMap<String, Subjects>,
}

/// The sessions and attempts that a policy says something of.
#[derive(Default)]
struct Subjects {
    severity: &'static str,
    ended: BTreeSet<String>,
    alerted: BTreeSet<String>,
    not_judged: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, policies: &Policies, session: Session) {
        match session.event.kind {
            EventKind::Started { .. } => self.judged.sessions += 1,
            EventKind::Attempted { .. } => self.judged.attempts += 1,
            EventKind::Resumed { .. } | EventKind::Terminated { .. } => {}
        }
        let decision = policies.decide(&session);
        let ends = respond(&decision, &session, Mode::Enforce).terminate.is_some();
        let subject = session_key(&session.event).unwrap_or_else(|| session.event.id.clone());
        for policy in &decision.violations {
            let subjects = self.subjects(&policy.id, policy.severity.as_str());
            let is_ended = ends && policy.respond == Respond::Terminate;
            (if is_ended { &mut subjects.ended } else { &mut subjects.alerted }).insert(subject.clone());
        }
        for About { id, severity, .. } in decision.undecided.iter().map(|undecided| &undecided.policy) {
            self.subjects(id, severity.as_str()).not_judged.insert(subject.clone());
        }
        for error in &decision.errors {
            self.subjects(&error.policy, Severity::High.as_str()).failed.insert(subject.clone());
        }
        // In production the fact would have been looked up: that it is not known here is no verdict.
        if decision.violations.is_empty() && decision.errors.is_empty() {
            return;
        }
        self.judged.would_alert += 1;
        if ends {
            self.ended.insert(subject);
        }
        self.judged.verdicts.push(verdict(&session, decision, ends));
    }

    fn subjects(&mut self, policy: &str, severity: &'static str) -> &mut Subjects {
        let subjects = self.policies.entry(policy.to_owned()).or_default();
        subjects.severity = severity;
        subjects
    }

    fn finish(self) -> Judged {
        let policies = self.policies.into_iter().map(|(policy, subjects)| ByPolicy {
            policy,
            severity: subjects.severity,
            would_end: subjects.ended.len(),
            would_alert: subjects.alerted.len(),
            not_judged: subjects.not_judged.len(),
            failed: subjects.failed.len(),
        });
        Judged { would_end: self.ended.len(), policies: policies.collect(), ..self.judged }
    }
}

fn verdict(session: &Session, decision: Decision, ends: bool) -> Verdict {
    let event = &session.event;
    let shown = |text: &str| redact::shown(text, LONGEST);
    let violations = decision.violations.into_iter().map(|policy| Violated {
        policy: policy.id,
        severity: policy.severity.as_str(),
        title: policy.title,
    });
    let not_judged = decision.undecided.into_iter().map(|undecided| NotJudged {
        policy: undecided.policy.id,
        needs: undecided.needs.as_str(),
        why: undecided.why,
    });
    let failed = decision.errors.into_iter();
    Verdict {
        event: shown(&event.id),
        time: event.time.to_string(),
        account: event.account.clone(),
        region: event.region.clone(),
        operation: event.operation().to_owned(),
        session: session.id().map(|id| shown(id.as_str())),
        principal: shown(&event.principal.describe()),
        target: session.target.as_ref().map(|target| shown(&target.describe())),
        would: if ends { Would::End } else { Would::Alert },
        violations: violations.collect(),
        not_judged: not_judged.collect(),
        failed: failed.map(|error| Failed { policy: error.policy, message: error.message }).collect(),
    }
}
