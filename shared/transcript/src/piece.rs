//! What a transcript is read into: commands and output.

/// One thing recovered from a transcript.
///
/// Pieces come in the order in which they were completed: a command waits for the first lines of its output, which
/// are given as [`Piece::Output`] before it. [`Command::line`] and [`Output::line`] put them back into place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A command line, typed and entered, or typed and given up.
    Command(Command),
    /// Text on the screen that is not the echo of a command.
    Output(Output<'a>),
}

/// A command line as the shell was given it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Command {
    /// The text after all edits; the lines of a quote, a heredoc or a loop are joined by `\n`.
    pub text: String,
    /// The line of the transcript, counted from 1, on which the prompt stands.
    pub line: u64,
    /// The byte of the transcript at which that line begins.
    pub offset: u64,
    /// The prompt before the command; empty if it could not be told from the command.
    pub prompt: String,
    /// The first lines of what the command printed.
    pub output: Vec<String>,
    /// How sure it is that this text was run.
    pub confidence: Confidence,
    /// What read the command.
    pub shell: ShellKind,
    /// `false`: typed and cancelled, or not entered before the session ended.
    pub ran: bool,
}

/// Text that was on the screen and is no command echo: whole lines, without colours and cursor movements.
///
/// One piece holds one or many lines. Where a carriage return or a cursor movement started a new row, a line feed
/// stands, so that text which was later painted over is there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// The text; not necessarily UTF-8.
    pub text: &'a [u8],
    /// The line of the transcript, counted from 1, on which the text begins.
    pub line: u64,
    /// The byte of the transcript at which that line begins.
    pub offset: u64,
}

/// What reads commands at a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ShellKind {
    /// sh, bash, dash, zsh, fish.
    Posix,
    /// Windows PowerShell.
    PowerShell,
    /// cmd.exe.
    Cmd,
    /// A prompt of a language or a database: its lines are not shell commands.
    Repl,
    /// The prompt does not tell.
    Unknown,
}

/// How sure it is that a recovered text was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Confidence {
    /// The prompt or the text is a guess.
    Low,
    /// A known prompt stands before it; output can imitate that.
    Medium,
    /// The shell marked where it read the command.
    High,
}
