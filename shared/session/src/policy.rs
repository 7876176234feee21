//! Policies in Cedar: loading them, and what they say of a session.
//!
//! A rule is a `forbid`; every satisfied one is a violation, and the strongest response wins. What a
//! policy may use is in `policies/schema.cedarschema`, and a policy that does not fit it is never loaded:
//! Cedar *skips* a policy that fails at run time, forbids included, so only the validator stands between
//! a typing mistake and a rule that silently never fires.
//!
//! Facts that could not be found out (tags whose look-up failed) must not read as facts that are not so.
//! Cedar has no unknown tags, so [`Policies`] notes at load time which policies read which look-up, and
//! [`Policies::decide`] reports those as [`Undecided`] instead of believing them.

mod load;
mod request;

use cedar_policy::{Authorizer, Entities, PolicyId, PolicySet, Request, Schema};

pub use load::{LoadError, PolicySource, SCHEMA};

use crate::event::Session;
use crate::parameters::Parameters;
use crate::principal::Groups;
use crate::target::Tags;

/// How bad a violation is, in the words of OCSF's `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Informational,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// The word in annotations, alerts and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the word of an annotation.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == word)
    }
}

/// What a policy asks for when it is violated; the later, the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Respond {
    /// Tell.
    Alert,
    /// End the session, and tell.
    Terminate,
}

/// What a policy says of itself in its annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `@id`, the folder's name.
    pub id: String,
    /// `@title`: what is wrong, for people.
    pub title: String,
    /// `@severity`.
    pub severity: Severity,
    /// `@respond`.
    pub respond: Respond,
    /// `@runbook`: where to read on.
    pub runbook: Option<String>,
}

/// A fact that has to be looked up, and may not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The target's tags.
    TargetTags,
    /// The principal's IAM tags.
    PrincipalTags,
    /// The principal's IAM groups.
    PrincipalGroups,
}

impl Lookup {
    /// The fact in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TargetTags => "the target's tags",
            Self::PrincipalTags => "the principal's tags",
            Self::PrincipalGroups => "the principal's groups",
        }
    }
}

/// A policy that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The policy.
    pub policy: About,
    /// What it needed.
    pub needs: Lookup,
    /// Why that is not known.
    pub why: String,
}

/// A policy that failed at run time. Cedar left it out, so it may hide a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The policy, or `request` when the request itself could not be built.
    pub policy: String,
    /// Cedar's message.
    pub message: String,
}

/// What the policies say of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Every violated policy, worst first.
    pub violations: Vec<About>,
    /// The policies that permitted it.
    pub permitted_by: Vec<String>,
    /// Policies that could not be judged, worst first.
    pub undecided: Vec<Undecided>,
    /// Policies that failed.
    pub errors: Vec<PolicyError>,
}

impl Decision {
    /// The worst of what was found; a policy that failed counts as high.
    pub fn severity(&self) -> Option<Severity> {
        let violated = self.violations.iter().map(|policy| policy.severity);
        let undecided = self.undecided.iter().map(|undecided| undecided.policy.severity);
        let failed = self.errors.iter().map(|_| Severity::High);
        violated.chain(undecided).chain(failed).max()
    }

    /// The strongest response that a violated policy asks for.
    pub fn respond(&self) -> Option<Respond> {
        self.violations.iter().map(|policy| policy.respond).max()
    }

    /// Whether there is nothing to tell.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.undecided.is_empty() && self.errors.is_empty()
    }
}

/// A validated set of policies and their parameters.
#[derive(Debug)]
pub struct Policies {
    schema: Schema,
    forbids: PolicySet,
    permits: PolicySet,
    rules: Vec<Rule>,
    parameters: Parameters,
    names: request::Names,
}

#[derive(Debug)]
struct Rule {
    id: PolicyId,
    about: About,
    is_forbid: bool,
    reads: Vec<Lookup>,
    actions: load::Actions,
}

impl Policies {
    /// Reads and validates policies; all that is wrong with any of them is reported at once.
    pub fn load(sources: &[PolicySource], parameters: Parameters) -> Result<Self, Vec<LoadError>> {
        load::load(sources, parameters)
    }

    /// Whether any policy reads this look-up; what nobody reads need not be looked up.
    pub fn needs(&self, lookup: Lookup) -> bool {
        self.rules.iter().any(|rule| rule.reads.contains(&lookup))
    }

    /// Whether every policy that asks to end the session read this look-up: without it, nobody would.
    pub fn end_rests_on(&self, decision: &Decision, lookup: Lookup) -> bool {
        let mut ends = decision.violations.iter().filter(|policy| policy.respond == Respond::Terminate);
        ends.all(|policy| {
            self.rules.iter().any(|rule| rule.about.id == policy.id && rule.reads.contains(&lookup))
        })
    }

    /// The loaded policies, in order of their ids.
    pub fn abouts(&self) -> impl Iterator<Item = &About> {
        self.rules.iter().map(|rule| &rule.about)
    }

    /// Whether the policy of this id forbids, rather than permits.
    pub fn is_forbid(&self, id: &str) -> bool {
        self.rules.iter().any(|rule| rule.about.id == id && rule.is_forbid)
    }

    /// What the policies were loaded with.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What the policies say of a session. The guard's own calls are not judged, nor those that end a session.
    pub fn decide(&self, session: &Session) -> Decision {
        self.decide_with(session, &self.parameters)
    }

    /// Whether policies speak of such a call at all.
    pub fn judge(&self, session: &Session) -> bool {
        request::action(session).is_some()
    }

    /// What the policies say of a session under other parameters.
    pub fn decide_with(&self, session: &Session, parameters: &Parameters) -> Decision {
        let Some(action) = request::action(session) else { return Decision::default() };
        match request::build(session, action, &self.names, parameters, &self.schema) {
            Ok((request, entities)) => self.evaluate(session, action, &request, &entities),
            Err(message) => Decision {
                errors: vec![PolicyError { policy: "request".to_owned(), message }],
                ..Decision::default()
            },
        }
    }

    fn evaluate(&self, session: &Session, action: &str, request: &Request, entities: &Entities) -> Decision {
        let authorizer = Authorizer::new();
        let forbidden = authorizer.is_authorized(request, &self.forbids, entities);
        let permitted = authorizer.is_authorized(request, &self.permits, entities);
        let unknown = unknown_lookups(session);
        let blocked_by = |rule: &Rule| unknown.iter().find(|(lookup, _)| rule.reads.contains(lookup));

        let mut decision = Decision::default();
        for rule in self.rules.iter().filter(|rule| rule.is_forbid && rule.actions.include(action)) {
            match blocked_by(rule) {
                Some((needs, why)) => decision.undecided.push(Undecided {
                    policy: rule.about.clone(),
                    needs: *needs,
                    why: why.clone(),
                }),
                None if forbidden.diagnostics().reason().any(|id| *id == rule.id) => {
                    decision.violations.push(rule.about.clone());
                }
                None => {}
            }
        }
        // A permit that read a fact which is not known may hold only because the fact is missing.
        let is_believed =
            |id: &&PolicyId| !self.rules.iter().any(|rule| rule.id == **id && blocked_by(rule).is_some());
        decision.permitted_by =
            permitted.diagnostics().reason().filter(is_believed).map(ToString::to_string).collect();
        if decision.permitted_by.is_empty() {
            let undecided_permit = self
                .rules
                .iter()
                .filter(|rule| !rule.is_forbid && rule.actions.include(action))
                .find_map(blocked_by);
            match undecided_permit {
                Some((needs, why)) => {
                    decision.undecided.push(Undecided {
                        policy: not_permitted(),
                        needs: *needs,
                        why: why.clone(),
                    });
                }
                None => decision.violations.push(not_permitted()),
            }
        }
        for error in forbidden.diagnostics().errors().chain(permitted.diagnostics().errors()) {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            decision.errors.push(PolicyError {
                policy: error.policy_id().to_string(),
                message: error.inner().to_string(),
            });
        }
        decision.permitted_by.sort();
        decision.violations.sort_by(worst_first);
        decision.undecided.sort_by(|a, b| worst_first(&a.policy, &b.policy));
        decision
    }
}

/// The violation of a policy set whose permits do not cover a session.
fn not_permitted() -> About {
    About {
        id: "not-permitted".to_owned(),
        title: "No policy permits this".to_owned(),
        severity: Severity::High,
        respond: Respond::Terminate,
        runbook: None,
    }
}

fn worst_first(a: &About, b: &About) -> std::cmp::Ordering {
    b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id))
}

fn unknown_lookups(session: &Session) -> Vec<(Lookup, String)> {
    let mut unknown = Vec::new();
    match &session.target {
        None => unknown.push((Lookup::TargetTags, "the target is not known".to_owned())),
        Some(target) => {
            if let Tags::Unknown(why) = &target.tags {
                unknown.push((Lookup::TargetTags, why.clone()));
            }
        }
    }
    let principal = &session.event.principal;
    if let Tags::Unknown(why) = &principal.tags {
        unknown.push((Lookup::PrincipalTags, why.clone()));
    }
    if let Groups::Unknown(why) = &principal.groups {
        unknown.push((Lookup::PrincipalGroups, why.clone()));
    }
    unknown
}
