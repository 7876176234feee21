//! Tables, and the targets: met or not, and never a reason to fail.

use std::time::Duration;

/// What is measured of something, by name.
pub(crate) type Quantity<T> = (&'static str, fn(&T) -> Duration);

/// The targets that were measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    targets: Vec<(bool, String)>,
}

impl Report {
    /// Notes a target that a time should stay under.
    pub(crate) fn under(&mut self, what: &str, found: Duration, limit: Duration) {
        self.note(
            found < limit,
            format!("{what}: {} ms, target under {} ms", milliseconds(found), milliseconds(limit)),
        );
    }

    /// Notes a target that a ratio should not exceed.
    pub(crate) fn at_most(&mut self, what: &str, found: f64, limit: f64) {
        self.note(found <= limit, format!("{what}: {found:.1}, target at most {limit}"));
    }

    /// Notes a target that a ratio should reach.
    pub(crate) fn at_least(&mut self, what: &str, found: f64, limit: f64) {
        self.note(found >= limit, format!("{what}: {found:.1}, target at least {limit:.0}"));
    }

    /// Notes a target that is met or not.
    pub(crate) fn note(&mut self, met: bool, text: String) {
        self.targets.push((met, text));
    }

    /// Prints the targets.
    pub(crate) fn print_targets(&self) {
        println!("\nTargets");
        for (met, text) in &self.targets {
            println!("  {}  {text}", if *met { "met    " } else { "NOT MET" });
        }
    }
}

/// Prints a table: the first row is its head, the first column is of names.
pub(crate) fn print_table(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}");
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or_default();
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("  {}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}

/// Milliseconds, with as many digits as mean something.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    match milliseconds {
        0.0..1.0 => format!("{milliseconds:.3}"),
        1.0..100.0 => format!("{milliseconds:.2}"),
        _ => format!("{milliseconds:.0}"),
    }
}

/// How many times the one is of the other.
pub(crate) fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64().max(f64::MIN_POSITIVE)
}
