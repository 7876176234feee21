//! The card for chat: Amazon Q Developer's custom notification, threaded by session.
//!
//! Its shape: <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>.

use serde_json::{Value, json};

use super::{Alert, AlertKind};
use crate::policy::Severity;

pub(super) fn notification(alert: &Alert) -> Value {
    let facts = alert.facts.iter().map(|(label, value)| format!("*{label}:* {}", escaped(value)));
    let undecided = alert.undecided.iter().map(|policy| format!("_Not judged:_ {}", escaped(policy)));
    let findings = alert.findings.iter().map(|finding| {
        let evidence = finding.evidence.as_ref().map(|evidence| format!(": {}", escaped(&evidence.text)));
        let (severity, title) = (finding.severity.as_str(), escaped(&finding.title));
        format!("• *{severity}* {title}{}", evidence.unwrap_or_default())
    });
    let mark = match (alert.kind, alert.severity) {
        (AlertKind::Unreadable, _) => ":grey_question:",
        (_, Severity::Critical | Severity::High) => ":rotating_light:",
        _ => ":warning:",
    };
    json!({
        "version": "1.0",
        "source": "custom",
        "id": alert.event,
        "content": {
            "textType": "client-markdown",
            "title": format!("{mark} {}: {}", alert.severity.as_str().to_uppercase(), escaped(&alert.headline)),
            "description": facts.chain(findings).chain(undecided).collect::<Vec<_>>().join("\n"),
            "nextSteps": alert.next_steps.iter().map(|step| escaped(step)).collect::<Vec<_>>(),
            "keywords": [alert.severity.as_str(), alert.kind.as_str(), alert.region],
        },
        "metadata": {
            // Every alert on a session lands in one thread.
            "threadId": alert.session.as_deref().unwrap_or(&alert.event),
            "summary": alert.headline,
            "eventType": format!("ssm-guard.{}", alert.kind.as_str()),
            "relatedResources": alert.resource.iter().filter_map(|resource| resource.get("uid")).collect::<Vec<_>>(),
        },
    })
}

/// Text that a caller wrote must not become a mention, a link or a format.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A zero-width space breaks a mention and a format without changing what is read.
            '@' | '*' | '_' | '~' | '`' | '[' => escaped.extend([character, '\u{200b}']),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_caller_is_neither_mention_nor_link() {
        assert_eq!(escaped("<!channel> @here [x](y)"), "&lt;!channel&gt; @\u{200b}here [\u{200b}x](y)");
    }
}
