//! What could not be recovered, counted.

/// How much of a transcript the recovered commands stand for. Every count but the first two is a reason for doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Prompts at which a command was recovered with the shell's own marks.
    pub marked: u64,
    /// Prompts at which a command was recovered by the prompt's look alone.
    pub unmarked: u64,
    /// Prompts with nothing typed and output after them: echo may have been off.
    pub silent: u64,
    /// Commands that turn the echo off.
    pub echo_off: u64,
    /// Control strings without an end: a terminal would have hidden what follows.
    pub unterminated: u64,
    /// Times the alternate screen was entered: what a full-screen program does is not a command line.
    pub alternate_screens: u64,
    /// Commands or prompts inside the alternate screen: it was used to hide them.
    pub hidden_by_alternate_screen: u64,
    /// Times another prompt took over from those known.
    pub prompt_changes: u64,
    /// Prompts whose text was too long or too tangled to render.
    pub abandoned: u64,
    /// Lines longer than the reader holds, cut into parts.
    pub cut_lines: u64,
    /// Known prompts outside the marks of a shell that marks: output repeats them, or a mark is forged.
    pub outside_marks: u64,
    /// Prompts that were drawn over a command.
    pub overdrawn: u64,
    /// Commands that leave the shell without a prompt by which what is typed can be known.
    pub promptless: u64,
}

impl Coverage {
    /// Whether something was seen that may have hidden a command.
    pub fn is_doubtful(&self) -> bool {
        let hidden = self.silent + self.echo_off + self.unterminated + self.hidden_by_alternate_screen;
        let lost = self.abandoned + self.cut_lines + self.outside_marks + self.overdrawn + self.promptless;
        hidden + lost > 0
    }
}
