//! The mail: plain text that reads well on a telephone.

use super::Alert;

pub(super) fn body(alert: &Alert) -> String {
    let mut lines =
        vec![format!("{}: {}", alert.severity.as_str().to_uppercase(), alert.headline), String::new()];
    let width = alert.facts.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    lines.extend(alert.facts.iter().map(|(label, value)| format!("{label:<width$}  {value}")));
    if !alert.undecided.is_empty() {
        lines.extend([String::new(), "Not judged:".to_owned()]);
        lines.extend(alert.undecided.iter().map(|policy| format!("- {policy}")));
    }
    if !alert.next_steps.is_empty() {
        lines.extend([String::new(), "Next:".to_owned()]);
        lines.extend(alert.next_steps.iter().map(|step| format!("- {step}")));
    }
    lines.extend([String::new(), format!("ssm-guard, {} mode, event {}", alert.mode.as_str(), alert.event)]);
    lines.join("\n")
}
