//! How text is laid out: pure, and the same for every terminal but for its width, colours and characters.

use std::time::Duration;

use console::Style;

/// What a terminal can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) colour: bool,
    /// Whether lines, arrows and marks may be drawn with characters beyond ASCII.
    pub(super) unicode: bool,
}

/// What a piece of text means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Quiet,
    Good,
    Bad,
    Warning,
}

/// A row of the table at the end.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) who: String,
    pub(super) target: String,
    pub(super) policies: Vec<String>,
    pub(super) result: (Tone, String),
    pub(super) after: Option<Duration>,
}

const MARGIN: usize = 4;

impl Layout {
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => Style::new().bold(),
            Tone::Quiet => Style::new().dim(),
            Tone::Good => Style::new().green(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Warning => Style::new().yellow(),
        };
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    /// A step of the work, its time at the right.
    pub(super) fn step(self, text: &str, took: Duration) -> Vec<String> {
        let mark = self.paint(Tone::Good, if self.unicode { "✓" } else { "ok" });
        let indent = if self.unicode { 4 } else { 5 };
        let took = seconds(took);
        // A line is read to its end only when its end is near.
        let width = self.width.min(84);
        let room = width.saturating_sub(indent + took.len() + 2);
        let mut lines = wrap(text, room, 0).into_iter();
        let first = lines.next().unwrap_or_default();
        let gap = room.saturating_sub(length(&first)) + 2;
        let first = format!("  {mark} {first}{}{}", " ".repeat(gap), self.paint(Tone::Quiet, &took));
        let rest = lines.map(|line| format!("{}{line}", " ".repeat(indent)));
        std::iter::once(first).chain(rest).collect()
    }

    /// The title of an act.
    pub(super) fn title(self, number: usize, title: &str) -> Vec<String> {
        let wrapped = wrap(&format!(" {number}  {title}"), self.width, MARGIN);
        wrapped.iter().map(|line| self.paint(Tone::Strong, line)).collect()
    }

    /// A paragraph below an act's title.
    pub(super) fn paragraph(self, text: &str) -> Vec<String> {
        let lines = wrap(text, self.room(), 0);
        lines.iter().map(|line| format!("{:MARGIN$}{}", "", self.paint(Tone::Quiet, line))).collect()
    }

    /// A label and what it stands for.
    pub(super) fn fact(self, label: &str, tone: Tone, value: &str) -> Vec<String> {
        let column = label.len().max(8) + 1;
        let lines = wrap(value, self.room().saturating_sub(column), 0);
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        let lines = lines.iter().zip(labels);
        lines
            .map(|(line, label)| {
                let label = self.paint(Tone::Quiet, &format!("{label:column$}"));
                format!("{:MARGIN$}{label}{}", "", self.paint(tone, line))
            })
            .collect()
    }

    /// A card: something that somebody else reads elsewhere, as they read it.
    pub(super) fn card(self, title: &str, body: &[(Tone, String)]) -> Vec<String> {
        let (corner, side, foot, rule) =
            if self.unicode { ("┌", "│", "└", "─") } else { ("+", "|", "+", "-") };
        let border = |text: &str| format!("{:MARGIN$}{}", "", self.paint(Tone::Quiet, text));
        let room = self.room().saturating_sub(2);
        let title = cut(title, room.saturating_sub(3), self.unicode);
        let ruled = room.saturating_sub(length(&title) + 2);
        let mut lines = vec![border(&format!("{corner}{rule} {title} {}", rule.repeat(ruled)))];
        for (tone, text) in body {
            let (text, label, label_tone) = labelled(text);
            // A label of a paragraph is no column: what follows it hangs a little, as in a list.
            let hang = if label_tone == Tone::Strong { 2 } else { label };
            for (number, line) in wrap(&text, room, hang).into_iter().enumerate() {
                let line = match tone {
                    Tone::Plain if number == 0 && label > 2 => {
                        let at = line.char_indices().nth(label).map_or(line.len(), |(at, _)| at);
                        let (label, value) = line.split_at(at);
                        format!("{}{value}", self.paint(label_tone, label))
                    }
                    _ => self.paint(*tone, &line),
                };
                lines.push(format!("{} {line}", border(side)).trim_end().to_owned());
            }
        }
        lines.push(border(&format!("{foot}{}", rule.repeat(room + 1))));
        lines
    }

    /// What a terminal printed, its lines not wrapped but cut, control characters written out.
    pub(super) fn transcript(self, title: &str, lines: &[String]) -> Vec<String> {
        let room = self.room().saturating_sub(2);
        let body: Vec<_> =
            lines.iter().map(|line| (Tone::Strong, cut(&visible(line), room, self.unicode))).collect();
        self.card(title, &body)
    }

    /// All sessions at a glance; on a narrow terminal each takes several lines.
    pub(super) fn table(self, rows: &[Row]) -> Vec<String> {
        if self.width < 76 { self.narrow_table(rows) } else { self.wide_table(rows) }
    }

    fn wide_table(self, rows: &[Row]) -> Vec<String> {
        let widest = |heading: &str, of: &dyn Fn(&Row) -> usize| {
            rows.iter().map(of).chain([heading.len()]).max().unwrap_or_default()
        };
        let who = widest("who", &|row| length(&row.who));
        let target = widest("target", &|row| length(&row.target));
        let result = widest("result", &|row| length(&row.result.1));
        let policy =
            widest("policy", &|row| row.policies.iter().map(|each| length(each)).max().unwrap_or_default());
        let heading = format!(
            "{:MARGIN$}{:who$}  {:target$}  {:policy$}  {:result$}  {:>8}",
            "", "who", "target", "policy", "result", "after"
        );
        let mut lines = vec![self.paint(Tone::Quiet, &heading)];
        for row in rows {
            let after = row.after.map(milliseconds).unwrap_or_default();
            let (tone, text) = &row.result;
            let text = self.paint(*tone, &format!("{text:result$}"));
            let first = row.policies.first().map_or("-", String::as_str);
            let line = format!(
                "{:MARGIN$}{:who$}  {:target$}  {first:policy$}  {text}  {after:>8}",
                "", row.who, row.target
            );
            lines.push(line.trim_end().to_owned());
            let indent = MARGIN + who + target + 4;
            lines.extend(row.policies.iter().skip(1).map(|each| format!("{:indent$}{each}", "")));
        }
        lines
    }

    fn narrow_table(self, rows: &[Row]) -> Vec<String> {
        let arrow = if self.unicode { "→" } else { "->" };
        let mut lines = Vec::new();
        for row in rows {
            let after = row.after.map(|after| format!(" in {}", milliseconds(after))).unwrap_or_default();
            let (tone, text) = &row.result;
            let result = self.paint(*tone, &format!("{text}{after}"));
            lines.push(format!("{:MARGIN$}{} {arrow} {}: {result}", "", row.who, row.target));
            lines
                .extend(row.policies.iter().map(|each| format!("{:indent$}{each}", "", indent = MARGIN + 2)));
        }
        lines
    }

    fn room(self) -> usize {
        self.width.min(100).saturating_sub(MARGIN)
    }
}

/// Breaks text at spaces; a word that is longer than a line is broken too. Further lines are indented by `hang`.
pub(super) fn wrap(text: &str, width: usize, hang: usize) -> Vec<String> {
    let width = width.max(hang + 8);
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    loop {
        let indent = if lines.is_empty() { 0 } else { hang };
        let room = width - indent;
        if rest.len() <= room {
            lines.push(format!("{:indent$}{}", "", rest.iter().collect::<String>()));
            return lines;
        }
        // A break within the label would tear it from its value.
        let first = if lines.is_empty() { hang } else { 0 };
        let space = rest.iter().take(room + 1).rposition(|character| *character == ' ');
        let end = space.filter(|at| *at > first).unwrap_or(room);
        let tail = rest.split_off(end);
        lines.push(format!("{:indent$}{}", "", rest.iter().collect::<String>()).trim_end().to_owned());
        rest = tail.into_iter().skip_while(|character| *character == ' ').collect();
    }
}

/// A line of a card, the length of the label that it begins with, and how that is shown: `*Label:* value` of a chat's
/// markup is in bold, and the label of a column (`Label   value`) is quieter than its value.
fn labelled(line: &str) -> (String, usize, Tone) {
    match line.strip_prefix('*').and_then(|line| line.split_once(":* ")) {
        Some((label, value)) => (format!("{label}: {value}"), length(label) + 1, Tone::Strong),
        None => (line.to_owned(), hang_of(line), Tone::Quiet),
    }
}

/// Where the further lines of a wrapped line begin: below the value of `Label   value`, or the text of `- text`.
fn hang_of(line: &str) -> usize {
    if line.starts_with("- ") {
        return 2;
    }
    let Some((label, rest)) = line.split_once("  ") else { return 0 };
    let value = rest.trim_start();
    if label.is_empty() || value.is_empty() {
        return 0;
    }
    length(line).saturating_sub(length(value))
}

/// The beginning of a text that is too long for its place.
pub(super) fn cut(text: &str, width: usize, unicode: bool) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let end = if unicode { "…" } else { "..." };
    let kept: String = text.chars().take(width.saturating_sub(length(end))).collect();
    format!("{kept}{end}")
}

/// Control characters as they are written in source, so that a terminal shows them and does not obey them.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn length(text: &str) -> usize {
    text.chars().count()
}

pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

pub(super) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f32()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { width: 40, colour: false, unicode: false };

    #[test]
    fn text_is_broken_at_spaces_and_hangs() {
        for (text, width, hang, expected) in [
            ("short", 20, 0, vec!["short"]),
            ("", 20, 0, vec![""]),
            ("one two three", 9, 0, vec!["one two", "three"]),
            ("one two  three", 9, 0, vec!["one two", "three"]),
            ("exactly9 b", 8, 0, vec!["exactly9", "b"]),
            ("Who   IAM user bob of web", 16, 6, vec!["Who   IAM user", "      bob of web"]),
            ("Id    abcdefghijklmno", 16, 6, vec!["Id    abcdefghij", "      klmno"]),
            // No width is too small to go on.
            ("abcdefghij", 1, 0, vec!["abcdefgh", "ij"]),
        ] {
            assert_eq!(wrap(text, width, hang), expected, "{text} in {width}");
        }
    }

    #[test]
    fn the_value_of_a_label_hangs_below_itself() {
        for (line, expected) in [
            ("Who            IAM user bob", 15),
            ("- Look for them.", 2),
            ("A sentence without a label.", 0),
            ("  indented", 0),
            ("trailing  ", 0),
            ("", 0),
        ] {
            assert_eq!(hang_of(line), expected, "{line}");
        }
    }

    #[test]
    fn a_label_of_chat_loses_its_marks() {
        let bold = ("Who: IAM user bob".to_owned(), 4, Tone::Strong);
        assert_eq!(labelled("*Who:* IAM user bob"), bold);
        for line in ["*not a label*", "a *b:* c"] {
            assert_eq!(labelled(line), (line.to_owned(), 0, Tone::Quiet));
        }
    }

    #[test]
    fn a_card_keeps_its_width() {
        let body = [
            (Tone::Plain, "HIGH: a long headline of an alert".to_owned()),
            (Tone::Plain, String::new()),
            (Tone::Plain, "Who     IAM user bob with a name".to_owned()),
        ];
        let expected = "    +- mail ----------------------------\n    \
                        | HIGH: a long headline of an alert\n    \
                        |\n    \
                        | Who     IAM user bob with a name\n    \
                        +-----------------------------------";
        assert_eq!(PLAIN.card("mail", &body).join("\n"), expected);
        let narrow = Layout { width: 30, ..PLAIN };
        let lines = narrow.card("mail to security@example.com of all", &body);
        assert!(lines.iter().all(|line| line.len() <= 30), "{lines:#?}");
        assert_eq!(lines[0], "    +- mail to security@e... -");
        assert_eq!(lines[4], "    | Who     IAM user bob");
        assert_eq!(lines[5], "    |         with a name");
    }

    #[test]
    fn a_step_has_its_time_at_the_right() {
        let took = Duration::from_millis(420);
        assert_eq!(PLAIN.step("local AWS", took), ["  ok local AWS                     0.4 s"]);
        let lines = PLAIN.step("local AWS at http://127.0.0.1:4599, IAM enforced", took);
        assert_eq!(
            lines,
            ["  ok local AWS at                  0.4 s", "     http://127.0.0.1:4599, IAM", "     enforced"]
        );
    }

    #[test]
    fn a_table_fits_narrow_and_wide() {
        let row = |who: &str, policies: &[&str], result: (Tone, &str), after: Option<u64>| Row {
            who: who.to_owned(),
            target: "web-1".to_owned(),
            policies: policies.iter().map(|policy| (*policy).to_owned()).collect(),
            result: (result.0, result.1.to_owned()),
            after: after.map(Duration::from_millis),
        };
        let rows = [
            row("alice", &[], (Tone::Good, "left alone"), None),
            row("bob", &["root-user", "no-second-factor"], (Tone::Bad, "ended"), Some(1042)),
        ];
        let wide = Layout { width: 80, ..PLAIN };
        assert_eq!(
            wide.table(&rows).join("\n"),
            "    who    target  policy            result         after\n    \
             alice  web-1   -                 left alone\n    \
             bob    web-1   root-user         ended        1042 ms\n                   \
             no-second-factor"
        );
        assert_eq!(
            PLAIN.table(&rows).join("\n"),
            "    alice -> web-1: left alone\n    bob -> web-1: ended in 1042 ms\n      \
             root-user\n      no-second-factor"
        );
    }

    #[test]
    fn a_transcript_shows_control_characters_and_obeys_none() {
        let lines = PLAIN.transcript("log", &["$ ls\r\r".to_owned(), "\u{1b}[31mred".to_owned()]);
        assert_eq!(lines[1], "    | $ ls\\r\\r");
        assert_eq!(lines[2], "    | \\u{1b}[31mred");
    }

    #[test]
    fn colour_is_there_only_when_asked_for() {
        let coloured = Layout { colour: true, ..PLAIN };
        assert_eq!(PLAIN.paint(Tone::Bad, "ended"), "ended");
        assert_eq!(coloured.paint(Tone::Bad, "ended"), "\u{1b}[31m\u{1b}[1mended\u{1b}[0m");
        assert_eq!(coloured.paint(Tone::Plain, "ended"), "ended");
    }

    #[test]
    fn times_read_as_people_say_them() {
        for (millis, expected) in [(42, "0.0 s"), (1640, "1.6 s"), (12_400, "12 s"), (372_000, "6 min 12 s")]
        {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
