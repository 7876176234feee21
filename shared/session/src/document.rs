//! The session document: what kind of session it opens, and what was asked of it.

use std::collections::BTreeMap;

/// The document that `StartSession` uses when the caller names none.
pub const DEFAULT_DOCUMENT: &str = "SSM-SessionManagerRunShell";

/// The kind of session, in the words of the session document's `sessionType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A shell. Logged.
    StandardStream,
    /// One command on a terminal. Logged at its end.
    InteractiveCommands,
    /// One command without a terminal. Logged at its end.
    NonInteractiveCommands,
    /// Port forwarding or SSH. Session Manager cannot log these.
    Port,
    /// A custom document: its type is not in the event.
    Unknown,
}

impl SessionKind {
    /// The word that policies compare.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardStream => "Standard_Stream",
            Self::InteractiveCommands => "InteractiveCommands",
            Self::NonInteractiveCommands => "NonInteractiveCommands",
            Self::Port => "Port",
            Self::Unknown => "Unknown",
        }
    }
}

/// The document of a session and the parameters it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The document's name, without the ARN around it; `not reported` when the request was left out.
    pub name: String,
    /// The account in the document's ARN, when the caller gave an ARN. AWS's own documents have none.
    pub account: Option<String>,
    /// What kind of session it opens.
    pub kind: SessionKind,
    /// `host` of a port forwarding session to a remote host.
    pub remote_host: Option<String>,
    /// `portNumber` on the node or on the remote host.
    pub port: Option<u16>,
    /// `command` of an interactive or non-interactive command session.
    pub command: Option<String>,
}

impl Document {
    /// Reads `documentName` and `parameters` of a `StartSession` request in `account`.
    pub fn new(name_or_arn: Option<&str>, parameters: &BTreeMap<String, Vec<String>>, account: &str) -> Self {
        let name_or_arn = name_or_arn.unwrap_or(DEFAULT_DOCUMENT);
        let (name, owner) = document_arn(name_or_arn).unwrap_or((name_or_arn, None));
        let first = |key: &str| parameters.get(key)?.first().filter(|value| !value.is_empty()).cloned();
        Self {
            kind: kind(name, owner, account),
            name: name.to_owned(),
            account: owner.map(str::to_owned),
            remote_host: first("host"),
            port: first("portNumber").and_then(|port| port.parse().ok()),
            command: parameters.get("command").map(|words| words.join(" ")),
        }
    }

    /// The document of a session whose request CloudTrail left out. No allow-list holds it: whoever can
    /// make a request too long to be recorded must not gain by it.
    pub(crate) fn not_reported() -> Self {
        Self {
            name: "not reported".to_owned(),
            account: None,
            kind: SessionKind::Unknown,
            remote_host: None,
            port: None,
            command: None,
        }
    }

    /// The session in a few words.
    pub fn describe(&self) -> String {
        match (&self.kind, &self.remote_host, self.port) {
            (SessionKind::Port, Some(host), Some(port)) => format!("port forwarding to {host}:{port}"),
            (SessionKind::Port, Some(host), None) => format!("port forwarding to {host}"),
            (SessionKind::Port, None, _) if self.name == "AWS-StartSSHSession" => "SSH".to_owned(),
            (SessionKind::Port, None, Some(port)) => format!("port forwarding to port {port}"),
            (SessionKind::Port, None, None) => "port forwarding".to_owned(),
            (SessionKind::StandardStream, ..) => "shell".to_owned(),
            (SessionKind::InteractiveCommands, ..) => "interactive command".to_owned(),
            (SessionKind::NonInteractiveCommands, ..) => "non-interactive command".to_owned(),
            (SessionKind::Unknown, ..) => format!("custom document {}", self.name),
        }
    }
}

/// The name and the owner in `arn:<partition>:ssm:<region>:<owner>:document/<name>`; AWS's own documents
/// and ARNs that leave the account out have no owner. Anything less than an ARN is a name like any other.
fn document_arn(text: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = text.splitn(6, ':');
    let (arn, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, owner, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let name = resource.strip_prefix("document/").filter(|_| arn == "arn" && service == "ssm")?;
    Some((name, Some(owner).filter(|owner| !owner.is_empty())))
}

/// What a name proves. AWS reserves `AWS-…` for its own documents, which have no owner; the default one
/// belongs to the account, and another account may call any document of its own so.
fn kind(name: &str, owner: Option<&str>, account: &str) -> SessionKind {
    match (name, owner) {
        (DEFAULT_DOCUMENT, owner) if owner.is_none_or(|owner| owner == account) => {
            SessionKind::StandardStream
        }
        ("AWS-StartInteractiveCommand", None) => SessionKind::InteractiveCommands,
        ("AWS-StartNonInteractiveCommand", None) => SessionKind::NonInteractiveCommands,
        ("AWS-StartSSHSession", None) => SessionKind::Port,
        (name, None) if name.starts_with("AWS-StartPortForwardingSession") => SessionKind::Port,
        _ => SessionKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111122223333";

    fn document(name: Option<&str>, parameters: &[(&str, &[&str])]) -> Document {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let parameters = parameters.iter().map(|(key, values)| ((*key).to_owned(), texts(values))).collect();
        Document::new(name, &parameters, ACCOUNT)
    }

    #[test]
    fn documents_are_told_apart() {
        for (name, given, expected) in [
            (None, vec![], "shell"),
            (Some("SSM-SessionManagerRunShell"), vec![], "shell"),
            (Some("AWS-StartSSHSession"), vec![("portNumber", "22")], "SSH"),
            (Some("AWS-StartPortForwardingSession"), vec![], "port forwarding"),
            (
                Some("AWS-StartPortForwardingSession"),
                vec![("portNumber", "3389")],
                "port forwarding to port 3389",
            ),
            (
                Some("AWS-StartPortForwardingSessionToRemoteHost"),
                vec![("host", "db.internal")],
                "port forwarding to db.internal",
            ),
            (
                Some("AWS-StartPortForwardingSessionToRemoteHost"),
                vec![("host", "db.internal"), ("portNumber", "5432")],
                "port forwarding to db.internal:5432",
            ),
            (Some("AWS-StartInteractiveCommand"), vec![("command", "top")], "interactive command"),
            (Some("AWS-StartNonInteractiveCommand"), vec![("command", "id")], "non-interactive command"),
            (Some("Team-Shell"), vec![], "custom document Team-Shell"),
        ] {
            let given: Vec<_> =
                given.iter().map(|(key, value)| (*key, std::slice::from_ref(value))).collect();
            assert_eq!(document(name, &given).describe(), expected, "{name:?}");
        }
    }

    #[test]
    fn an_arn_tells_who_owns_the_document() {
        for (arn, name, account, kind) in [
            (
                "arn:aws:ssm:us-east-1:111122223333:document/SSM-SessionManagerRunShell",
                DEFAULT_DOCUMENT,
                Some(ACCOUNT),
                SessionKind::StandardStream,
            ),
            // Another account may call any document of its own like the default one.
            (
                "arn:aws:ssm:us-east-1:444455556666:document/SSM-SessionManagerRunShell",
                DEFAULT_DOCUMENT,
                Some("444455556666"),
                SessionKind::Unknown,
            ),
            (
                "arn:aws:ssm:us-east-1:444455556666:document/AWS-StartInteractiveCommand",
                "AWS-StartInteractiveCommand",
                Some("444455556666"),
                SessionKind::Unknown,
            ),
            (
                "arn:aws-cn:ssm:cn-north-1::document/AWS-StartSSHSession",
                "AWS-StartSSHSession",
                None,
                SessionKind::Port,
            ),
        ] {
            let document = document(Some(arn), &[]);
            let expected = (name, account, kind);
            assert_eq!((document.name.as_str(), document.account.as_deref(), document.kind), expected);
        }
    }

    /// A part of an ARN could otherwise pass for a document that is allowed.
    #[test]
    fn less_than_an_arn_is_a_name_like_any_other() {
        for text in [
            ":document/AWS-StartSSHSession",
            "document/SSM-SessionManagerRunShell",
            "111122223333:document/SSM-SessionManagerRunShell",
            "arn:aws:s3:us-east-1::document/SSM-SessionManagerRunShell",
            "aws:aws:ssm:us-east-1::document/SSM-SessionManagerRunShell",
            "arn:aws:ssm:us-east-1::automation-definition/SSM-SessionManagerRunShell",
        ] {
            let document = document(Some(text), &[]);
            let read = (document.name.as_str(), document.account, document.kind);
            assert_eq!(read, (text, None, SessionKind::Unknown));
        }
    }

    #[test]
    fn the_command_and_the_port_are_kept() {
        let command = document(Some("AWS-StartInteractiveCommand"), &[("command", &["sudo", "su -"])]);
        assert_eq!(command.command.as_deref(), Some("sudo su -"));
        for (port, expected) in
            [("22", Some(22)), ("65535", Some(65_535)), ("65536", None), ("-1", None), ("port", None)]
        {
            let odd = document(Some("AWS-StartPortForwardingSession"), &[("portNumber", &[port])]);
            assert_eq!((odd.port, odd.kind), (expected, SessionKind::Port), "portNumber {port}");
        }
    }
}
