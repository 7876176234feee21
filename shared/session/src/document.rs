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
    /// The document's name, without the ARN around it.
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
    /// Reads `documentName` and `parameters` of a `StartSession` request.
    pub fn new(name_or_arn: Option<&str>, parameters: &BTreeMap<String, Vec<String>>) -> Self {
        let name_or_arn = name_or_arn.unwrap_or(DEFAULT_DOCUMENT);
        let (name, account) = match name_or_arn.split_once(":document/") {
            Some((prefix, name)) => (name, prefix.rsplit(':').next()),
            None => (name_or_arn, None),
        };
        let account = account.filter(|account| !account.is_empty()).map(str::to_owned);
        let first = |key: &str| parameters.get(key).and_then(|values| values.first()).cloned();
        Self {
            kind: kind(name, account.is_some()),
            name: name.to_owned(),
            account,
            remote_host: first("host"),
            port: first("portNumber").and_then(|port| port.parse().ok()),
            command: parameters.get("command").map(|words| words.join(" ")),
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

/// AWS reserves the `AWS-` names for its own documents, but not in other accounts' ARNs.
fn kind(name: &str, of_an_account: bool) -> SessionKind {
    if name == DEFAULT_DOCUMENT {
        return SessionKind::StandardStream;
    }
    if of_an_account {
        return SessionKind::Unknown;
    }
    match name {
        "AWS-StartInteractiveCommand" => SessionKind::InteractiveCommands,
        "AWS-StartNonInteractiveCommand" => SessionKind::NonInteractiveCommands,
        "AWS-StartSSHSession" => SessionKind::Port,
        _ if name.starts_with("AWS-StartPortForwardingSession") => SessionKind::Port,
        _ => SessionKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect()
    }

    #[test]
    fn documents_are_told_apart() {
        for (name, given, expected) in [
            (None, vec![], "shell"),
            (Some("AWS-StartSSHSession"), vec![("portNumber", "22")], "SSH"),
            (
                Some("AWS-StartPortForwardingSession"),
                vec![("portNumber", "3389")],
                "port forwarding to port 3389",
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
            assert_eq!(Document::new(name, &parameters(&given)).describe(), expected, "{name:?}");
        }
    }

    #[test]
    fn an_arn_tells_who_owns_the_document() {
        let of = |arn: &str| Document::new(Some(arn), &BTreeMap::new());
        let foreign = of("arn:aws:ssm:us-east-1:444455556666:document/SSM-SessionManagerRunShell");
        assert_eq!(
            (foreign.name.as_str(), foreign.account.as_deref()),
            (DEFAULT_DOCUMENT, Some("444455556666"))
        );
        let posing = of("arn:aws:ssm:us-east-1:444455556666:document/AWS-StartInteractiveCommand");
        assert_eq!(posing.kind, SessionKind::Unknown);
        let aws = of("arn:aws:ssm:us-east-1::document/AWS-StartSSHSession");
        assert_eq!((aws.kind, aws.account), (SessionKind::Port, None));
    }

    #[test]
    fn the_command_and_the_port_are_kept() {
        let command =
            Document::new(Some("AWS-StartInteractiveCommand"), &parameters(&[("command", "sudo su")]));
        assert_eq!(command.command.as_deref(), Some("sudo su"));
        let odd =
            Document::new(Some("AWS-StartPortForwardingSession"), &parameters(&[("portNumber", "port")]));
        assert_eq!((odd.port, odd.kind), (None, SessionKind::Port));
    }
}
