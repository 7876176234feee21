//! Who made a call, as far as CloudTrail's `userIdentity` proves it.
//!
//! Two names must not be mixed up. [`Principal::name`] is one that the caller could not choose: it
//! is what policies compare. The *session name* of an assumed role is chosen by whoever assumes it,
//! so it is shown to people and never used for identity. IAM Identity Center is the exception: its
//! roles can be assumed through Identity Center only, which sets the session name to the user's.

use crate::target::Tags;

/// The path that only IAM Identity Center can create roles under.
const IDENTITY_CENTER_PATH: &str = "role/aws-reserved/sso.amazonaws.com/";
const IDENTITY_CENTER_PREFIX: &str = "AWSReservedSSO_";

/// What kind of identity `userIdentity.type` and its session context describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// An IAM user, with a long-term key or a session of its own.
    IamUser,
    /// A role assumed by a user, a service or another role.
    AssumedRole,
    /// A role of IAM Identity Center; the permission set is recovered from the role's name.
    IdentityCenter {
        /// The permission set's name.
        permission_set: String,
    },
    /// A role assumed with an OpenID Connect token.
    WebIdentity {
        /// The provider that issued the token, such as `token.actions.githubusercontent.com`.
        provider: String,
    },
    /// `GetFederationToken`: its name is chosen by the caller, its issuer is not.
    FederatedUser,
    /// The account's root user.
    Root,
    /// A user that Identity Center reports without a role (`IdentityCenterUser`).
    IdentityCenterUser,
    /// An AWS service.
    Service,
    /// A type this version does not know, or one that AWS did not report.
    Other(String),
}

/// Whether the caller proved a second factor, as far as CloudTrail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mfa {
    /// CloudTrail says that the credentials were issued with a second factor.
    Present,
    /// CloudTrail, or the kind of credential, says that there was none.
    Absent,
    /// CloudTrail does not say.
    NotReported,
}

impl Mfa {
    /// CloudTrail leaves the attribute out for several credential types.
    pub fn from_attribute(attribute: Option<&str>) -> Self {
        match attribute {
            Some("true") => Self::Present,
            Some("false") => Self::Absent,
            _ => Self::NotReported,
        }
    }

    /// The word that policies compare: `present`, `absent` or `notReported`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::NotReported => "notReported",
        }
    }
}

/// The groups of an IAM user; [`Groups::Unknown`] says why they could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// Read from IAM.
    Known(Vec<String>),
    /// Not read, and why.
    Unknown(String),
}

/// Who made a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What kind of identity this is.
    pub kind: PrincipalKind,
    /// The name that the caller could not choose.
    pub name: String,
    /// `userIdentity.arn`.
    pub arn: Option<String>,
    /// The account that the credentials belong to.
    pub account: Option<String>,
    /// The ARN of the user or role that issued the credentials.
    pub issuer_arn: Option<String>,
    /// The role session name. Chosen by whoever assumed the role: shown, never trusted.
    pub session_name: Option<String>,
    /// `sourceIdentity`, which sticks across role chaining.
    pub source_identity: Option<String>,
    /// The second factor.
    pub mfa: Mfa,
    /// The service that made the call for the principal.
    pub invoked_by: Option<String>,
    /// IAM tags of the user or role.
    pub tags: Tags,
    /// IAM groups of the user.
    pub groups: Groups,
}

/// The fields of `userIdentity` that [`Principal::new`] reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// `type`, which AWS sometimes leaves out.
    pub kind: Option<&'a str>,
    /// `arn`.
    pub arn: Option<&'a str>,
    /// `accountId`.
    pub account: Option<&'a str>,
    /// `accessKeyId`; may be missing or empty.
    pub access_key_id: Option<&'a str>,
    /// `userName`.
    pub user_name: Option<&'a str>,
    /// `invokedBy`.
    pub invoked_by: Option<&'a str>,
    /// `sessionContext.attributes.mfaAuthenticated`.
    pub mfa_authenticated: Option<&'a str>,
    /// `sessionContext.sessionIssuer.arn`.
    pub issuer_arn: Option<&'a str>,
    /// `sessionContext.sessionIssuer.userName`.
    pub issuer_name: Option<&'a str>,
    /// `sessionContext.sourceIdentity`.
    pub source_identity: Option<&'a str>,
    /// `sessionContext.webIdFederationData.federatedProvider`.
    pub web_identity_provider: Option<&'a str>,
    /// `onBehalfOf.userId`.
    pub on_behalf_of: Option<&'a str>,
}

impl Principal {
    /// Reads what the identity proves.
    pub fn new(identity: &Identity<'_>) -> Self {
        let kind = kind(identity);
        let session_name = match kind {
            PrincipalKind::AssumedRole
            | PrincipalKind::IdentityCenter { .. }
            | PrincipalKind::WebIdentity { .. }
            | PrincipalKind::FederatedUser => identity.arn.map(last_part),
            _ => None,
        };
        Self {
            name: trusted_name(&kind, identity, session_name).to_owned(),
            mfa: mfa(&kind, identity),
            kind,
            arn: identity.arn.map(str::to_owned),
            account: identity.account.map(str::to_owned),
            issuer_arn: identity.issuer_arn.map(str::to_owned),
            session_name: session_name.map(str::to_owned),
            source_identity: identity.source_identity.map(str::to_owned),
            invoked_by: identity.invoked_by.map(str::to_owned),
            tags: Tags::Unknown("not looked up".to_owned()),
            groups: Groups::Unknown("not looked up".to_owned()),
        }
    }

    /// One phrase for people: the trusted name first, the chosen one in quotes.
    pub fn describe(&self) -> String {
        match (&self.kind, self.session_name.as_deref()) {
            (PrincipalKind::IamUser, _) => format!("IAM user {}", self.name),
            (PrincipalKind::IdentityCenter { permission_set }, _) => {
                format!("{} (Identity Center, {permission_set})", self.name)
            }
            (PrincipalKind::WebIdentity { provider }, Some(session)) => {
                format!("role {} (web identity of {provider}, session \"{session}\")", self.name)
            }
            (PrincipalKind::FederatedUser, Some(session)) => {
                format!("federated user \"{session}\" of {}", self.name)
            }
            (PrincipalKind::AssumedRole, Some(session)) => {
                format!("role {} (session \"{session}\")", self.name)
            }
            (PrincipalKind::Root, _) => "root user".to_owned(),
            (PrincipalKind::Service, _) => format!("AWS service {}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether the call was made with a session of the role `role_arn`.
    pub fn is_session_of(&self, role_arn: &str) -> bool {
        self.issuer_arn.as_deref() == Some(role_arn)
    }
}

fn kind(identity: &Identity<'_>) -> PrincipalKind {
    match identity.kind {
        Some("IAMUser") => PrincipalKind::IamUser,
        Some("Root") => PrincipalKind::Root,
        Some("FederatedUser") => PrincipalKind::FederatedUser,
        Some("IdentityCenterUser") => PrincipalKind::IdentityCenterUser,
        Some("AWSService") => PrincipalKind::Service,
        Some("AssumedRole") => role_kind(identity),
        Some(other) => PrincipalKind::Other(other.to_owned()),
        None => kind_by_arn(identity),
    }
}

fn role_kind(identity: &Identity<'_>) -> PrincipalKind {
    if let Some(permission_set) = permission_set(identity) {
        return PrincipalKind::IdentityCenter { permission_set };
    }
    match identity.web_identity_provider {
        Some(provider) => {
            let provider = provider.split_once(":oidc-provider/").map_or(provider, |(_, name)| name);
            PrincipalKind::WebIdentity { provider: provider.to_owned() }
        }
        None => PrincipalKind::AssumedRole,
    }
}

/// What the ARN proves where AWS left the type out: a policy on root or users must not lose them for that.
fn kind_by_arn(identity: &Identity<'_>) -> PrincipalKind {
    let resource = identity.arn.and_then(resource).unwrap_or_default();
    match resource.split('/').next() {
        Some("root") => PrincipalKind::Root,
        Some("user") => PrincipalKind::IamUser,
        Some("federated-user") => PrincipalKind::FederatedUser,
        Some("assumed-role") => role_kind(identity),
        _ if identity.invoked_by.is_some() => PrincipalKind::Service,
        _ => PrincipalKind::Other("NotReported".to_owned()),
    }
}

/// The permission set in `AWSReservedSSO_<set>_<16 hex>`.
///
/// The role's *path* proves it: anybody may name a role of their own `AWSReservedSSO_…`, but only
/// Identity Center can create one below `aws-reserved/sso.amazonaws.com`. The path has to begin the
/// resource, because a path of one's own may hold any characters, colons included.
fn permission_set(identity: &Identity<'_>) -> Option<String> {
    let role = resource(identity.issuer_arn?)?.strip_prefix(IDENTITY_CENTER_PATH)?;
    let (set, suffix) = last_part(role).strip_prefix(IDENTITY_CENTER_PREFIX)?.rsplit_once('_')?;
    let is_suffix = suffix.len() == 16 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_suffix.then(|| set.to_owned())
}

fn trusted_name<'a>(kind: &PrincipalKind, identity: &Identity<'a>, session_name: Option<&'a str>) -> &'a str {
    let role = || identity.arn.and_then(assumed_role);
    let issuer = || identity.issuer_name.or_else(|| identity.issuer_arn.map(last_part));
    let name = match kind {
        PrincipalKind::IamUser => identity.user_name.or_else(|| identity.arn.map(last_part)),
        PrincipalKind::IdentityCenter { .. } => session_name,
        PrincipalKind::AssumedRole | PrincipalKind::WebIdentity { .. } => issuer().or_else(role),
        PrincipalKind::FederatedUser => issuer(),
        PrincipalKind::Root => Some("root"),
        PrincipalKind::IdentityCenterUser => identity.on_behalf_of,
        PrincipalKind::Service => identity.invoked_by,
        // The ARN of an assumed role ends with a name that the caller chose.
        PrincipalKind::Other(_) => role().or(identity.arn).or(identity.account),
    };
    name.unwrap_or("unknown")
}

fn mfa(kind: &PrincipalKind, identity: &Identity<'_>) -> Mfa {
    let reported = Mfa::from_attribute(identity.mfa_authenticated);
    // A long-term key cannot carry a second factor: only a session can.
    let is_long_term = identity.access_key_id.is_some_and(|key| key.starts_with("AKIA"));
    match (kind, reported) {
        (PrincipalKind::IamUser | PrincipalKind::Root, Mfa::NotReported) if is_long_term => Mfa::Absent,
        (PrincipalKind::IamUser | PrincipalKind::Root | PrincipalKind::AssumedRole, _) => reported,
        // AWS reports `false` for federated people whatever their identity provider asked of them.
        (_, Mfa::Present) => Mfa::Present,
        _ => Mfa::NotReported,
    }
}

/// What an ARN names, after its account.
fn resource(arn: &str) -> Option<&str> {
    arn.splitn(6, ':').nth(5)
}

fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

/// The role in `arn:…:assumed-role/<role>/<session>`.
fn assumed_role(arn: &str) -> Option<&str> {
    resource(arn)?.strip_prefix("assumed-role/")?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreported_second_factor_is_not_an_absent_one() {
        for (attribute, expected) in [
            (Some("true"), Mfa::Present),
            (Some("false"), Mfa::Absent),
            (Some(""), Mfa::NotReported),
            (None, Mfa::NotReported),
        ] {
            assert_eq!(Mfa::from_attribute(attribute), expected, "mfaAuthenticated = {attribute:?}");
        }
    }

    #[test]
    fn a_long_term_key_has_no_second_factor_and_a_missing_key_proves_nothing() {
        for (key, expected) in [
            (Some("AKIAIOSFODNN7EXAMPLE"), Mfa::Absent),
            (Some(""), Mfa::NotReported),
            (None, Mfa::NotReported),
        ] {
            let identity = Identity { kind: Some("IAMUser"), access_key_id: key, ..Identity::default() };
            assert_eq!(Principal::new(&identity).mfa, expected, "accessKeyId = {key:?}");
        }
    }

    const SESSION: &str =
        "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_Team_0123456789abcdef/jane@example.com";

    fn identity_center(issuer_arn: &str) -> Principal {
        Principal::new(&Identity {
            kind: Some("AssumedRole"),
            arn: Some(SESSION),
            issuer_arn: Some(issuer_arn),
            issuer_name: Some("AWSReservedSSO_Ops_Team_0123456789abcdef"),
            mfa_authenticated: Some("false"),
            ..Identity::default()
        })
    }

    #[test]
    fn the_permission_set_is_recovered_and_the_person_is_named() {
        for region in ["", "eu-west-1/"] {
            let principal = identity_center(&format!(
                "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/{region}AWSReservedSSO_Ops_Team_0123456789abcdef",
            ));
            assert_eq!(principal.kind, PrincipalKind::IdentityCenter { permission_set: "Ops_Team".into() });
            assert_eq!(principal.name, "jane@example.com");
            assert_eq!(principal.mfa, Mfa::NotReported);
            assert_eq!(principal.describe(), "jane@example.com (Identity Center, Ops_Team)");
        }
    }

    /// The session name of a role is chosen by whoever assumes it, so it never becomes the name that
    /// policies compare, not even when the role is called like one of Identity Center's.
    #[test]
    fn a_role_that_only_looks_like_identity_center_is_a_plain_role() {
        for resource in [
            "role/AWSReservedSSO_Ops_Team_0123456789abcdef",
            "role/aws-reserved/sso.amazonaws.com.example/AWSReservedSSO_Ops_Team_0123456789abcdef",
            "role/mine/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_Team_0123456789abcdef",
            // A path may hold a colon.
            "role/x:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_Team_0123456789abcdef",
            "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_Team",
        ] {
            let principal = identity_center(&format!("arn:aws:iam::111122223333:{resource}"));
            assert_eq!(principal.kind, PrincipalKind::AssumedRole, "{resource}");
            assert_eq!(principal.name, "AWSReservedSSO_Ops_Team_0123456789abcdef");
            assert_eq!(principal.session_name.as_deref(), Some("jane@example.com"));
        }
    }

    #[test]
    fn only_sessions_of_the_role_are_its_sessions() {
        let role = "arn:aws:iam::111122223333:role/ssm-guard";
        let of = |issuer_arn| Principal::new(&Identity { issuer_arn, ..Identity::default() });
        assert!(of(Some(role)).is_session_of(role));
        for other in [None, Some("arn:aws:iam::444455556666:role/ssm-guard"), Some("ssm-guard")] {
            assert!(!of(other).is_session_of(role), "{other:?}");
        }
    }
}
