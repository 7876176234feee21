//! The mail: plain text that reads well on a telephone.

use super::Alert;
use crate::transcript::Finding;

pub(super) fn body(alert: &Alert) -> String {
    let mut lines =
        vec![format!("{}: {}", alert.severity.as_str().to_uppercase(), alert.headline), String::new()];
    let width = alert.facts.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    lines.extend(alert.facts.iter().map(|(label, value)| format!("{label:<width$}  {value}")));
    if !alert.findings.is_empty() {
        lines.extend([String::new(), "Found:".to_owned()]);
        lines.extend(alert.findings.iter().flat_map(finding));
    }
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

fn finding(finding: &Finding) -> Vec<String> {
    let times = if finding.count == 1 { String::new() } else { format!(", {} times", finding.count) };
    let techniques = match finding.techniques.as_slice() {
        [] => String::new(),
        techniques => format!(" [{}]", techniques.join(", ")),
    };
    let mut lines = vec![format!("- {} {}{techniques}{times}", finding.severity.as_str(), finding.title)];
    if let Some(evidence) = &finding.evidence {
        lines.push(format!("  line {}: {}", evidence.line, evidence.text));
        lines.push(format!("  {}", evidence.known));
    }
    let author = finding.author.as_deref().unwrap_or("unknown");
    lines.push(format!("  rule {} by {author}", finding.rule));
    lines
}
