//! What the demo prints: results to standard output, and while a step takes time a spinner to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use super::layout::{Layout, Tone};

/// The width when the output is no terminal.
const WIDTH: usize = 100;
/// How often a step that takes minutes says so when there is no terminal for a spinner.
const STILL_AT_WORK: Duration = Duration::from_secs(30);

/// Where everything is printed.
#[derive(Debug)]
pub(super) struct Screen {
    layout: Layout,
    spinner: Mutex<Option<ProgressBar>>,
}

/// A step that is under way.
pub(super) struct Step<'a> {
    doing: &'a str,
    bar: ProgressBar,
    started: Instant,
    said: Mutex<Instant>,
}

impl Screen {
    /// What this process's standard output can show.
    pub(super) fn of_this_process() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| set(name));
        let locale = locale.and_then(|name| std::env::var(name).ok()).unwrap_or_default().to_uppercase();
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let width = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
        Self {
            layout: Layout {
                width: if is_terminal { width } else { WIDTH },
                colour: is_terminal && !dumb && !set("NO_COLOR"),
                unicode: is_terminal && (locale.contains("UTF-8") || locale.contains("UTF8")),
            },
            spinner: Mutex::new(None),
        }
    }

    /// Does a step of the work, and then says in a line that it is done and how long it took.
    pub(super) fn step<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Step<'_>) -> Result<T, String>,
        done: impl FnOnce(&T) -> String,
    ) -> Result<T, String> {
        let step = self.begin(doing);
        let result = work(&step);
        self.clear();
        let result = result?;
        self.lines(&self.layout.step(&done(&result), step.started.elapsed()));
        Ok(result)
    }

    /// Waits for something, with a spinner.
    pub(super) fn wait<T>(&self, doing: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let _step = self.begin(doing);
        let result = work();
        self.clear();
        result
    }

    fn begin<'a>(&self, doing: &'a str) -> Step<'a> {
        // Hidden by itself when standard error is no terminal.
        let bar = ProgressBar::new_spinner();
        // Its time is where the times of finished steps are.
        let room = self.layout.width.min(84).saturating_sub(18);
        let spinner = if self.layout.unicode { "{spinner} " } else { "" };
        let template = format!("  {spinner}{{msg:{room}!}} {{elapsed}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        if let Ok(mut spinner) = self.spinner.lock() {
            *spinner = Some(bar.clone());
        }
        let started = Instant::now();
        Step { doing, bar, started, said: Mutex::new(started) }
    }

    /// Takes the spinner away.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.spinner.lock().ok().and_then(|mut spinner| spinner.take()) {
            bar.finish_and_clear();
        }
    }

    pub(super) fn lines(&self, lines: &[String]) {
        let mut output = io::stdout().lock();
        for line in lines {
            // Whoever closed the pipe does not want to read on; the work is finished all the same.
            let _ = writeln!(output, "{line}");
        }
        let _ = output.flush();
    }

    pub(super) fn line(&self, tone: Tone, text: &str) {
        self.lines(&[self.layout.paint(tone, text)]);
    }

    pub(super) fn blank(&self) {
        self.lines(&[String::new()]);
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }
}

impl Step<'_> {
    /// Says how far the step is.
    pub(super) fn progress(&self, text: &str) {
        self.bar.set_message(format!("{}: {text}", self.doing));
        let Ok(mut said) = self.said.lock() else { return };
        if self.bar.is_hidden() && said.elapsed() >= STILL_AT_WORK {
            *said = Instant::now();
            eprintln!("  ... {}: {text}", self.doing);
        }
    }
}
