//! The first and the last line, which the agent's `script` wrote around the session.
//!
//! Only those two lines count: a session can print the same words. The time in the header is when the log was made,
//! which is when the session ended.
//!
//! Known limit, with a test: a session that ends without a newline and prints a footer as its last words is not told
//! from one that ended there (`the_last_line_may_be_forged_when_the_real_footer_is_missing`).

use serde::{Deserialize, Serialize};

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the log was made, that is when the session ended, in the words of the header.
    pub ended: String,
    /// The instance id in the path of the agent's working file.
    pub instance_id: Option<String>,
    /// The session id in that path. Absent in what macOS and old versions of `script` write.
    pub session_id: Option<String>,
    /// The kind of session in that path.
    pub session_type: Option<String>,
}

/// What the footer says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// When the log was finished, in the words of the footer.
    pub ended: String,
    /// The exit code of `cat`, not of the session.
    pub exit_code: Option<i32>,
}

pub(crate) const HEADER: &[u8] = b"Script started on ";
pub(crate) const FOOTER: &[u8] = b"Script done on ";

impl Header {
    /// Reads the first line of a transcript.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line.strip_prefix(HEADER)?);
        let text = text.trim_end();
        let (ended, details) = text.split_once(" [").unwrap_or((text, ""));
        let mut header = Self { ended: ended.trim().to_owned(), ..Self::default() };
        let command =
            details.split("COMMAND=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        header.read_path(command);
        Some(header)
    }

    /// Takes the ids out of the path of the agent's working file:
    /// `.../<instance>/session/orchestration/<session>/<type>/ipcTempFile.log`, with `\\` on Windows.
    pub(crate) fn read_path(&mut self, path: &str) {
        let parts: Vec<&str> = path.split(['/', '\\']).collect();
        if let Some(at) = parts.windows(2).position(|pair| pair == ["session", "orchestration"]) {
            let part = |index: usize| {
                parts.get(index).filter(|part| !part.is_empty()).map(|part| (*part).to_owned())
            };
            self.instance_id = at.checked_sub(1).and_then(part);
            self.session_id = part(at + 2);
            self.session_type = part(at + 3);
        }
    }

    /// Whether the session ran one command without a terminal: everything in it is output.
    pub(crate) fn is_non_interactive(&self) -> bool {
        self.session_type.as_deref() == Some("NonInteractiveCommands")
    }
}

impl Footer {
    /// Reads the last line of a transcript.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line.strip_prefix(FOOTER)?);
        let text = text.trim_end();
        let (ended, details) = text.split_once(" [").unwrap_or((text, ""));
        let code = details.split("COMMAND_EXIT_CODE=\"").nth(1).and_then(|rest| rest.split('"').next());
        Some(Self { ended: ended.trim().to_owned(), exit_code: code.and_then(|code| code.parse().ok()) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Footer, Header};

    #[test]
    fn the_header_tells_the_end_and_the_session() {
        let some = |text: &str| Some(text.to_owned());
        let path =
            "/var/lib/amazon/ssm/i-0abc/session/orchestration/alice-0def/Standard_Stream/ipcTempFile.log";
        let new = format!(
            "Script started on 2026-11-23 12:40:40+00:00 [COMMAND=\"cat {path}\" <not executed on terminal>]\n"
        );
        for (line, expected) in [
            (
                new.as_str(),
                Some(Header {
                    ended: "2026-11-23 12:40:40+00:00".to_owned(),
                    instance_id: some("i-0abc"),
                    session_id: some("alice-0def"),
                    session_type: some("Standard_Stream"),
                }),
            ),
            (
                "Script started on 2020-05-27 23:00:48+0000\n",
                Some(Header { ended: "2020-05-27 23:00:48+0000".to_owned(), ..Header::default() }),
            ),
            (
                "Script started on Mon Nov 23 12:40:40 2026\r\n",
                Some(Header { ended: "Mon Nov 23 12:40:40 2026".to_owned(), ..Header::default() }),
            ),
            ("$ Script started on 2020\n", None),
        ] {
            assert_eq!(Header::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn the_footer_tells_the_end() {
        for (line, code) in [
            ("Script done on 2026-11-23 12:40:40+00:00 [COMMAND_EXIT_CODE=\"0\"]\n", Some(0)),
            ("Script done on 2026-11-23 12:40:40+00:00\n", None),
        ] {
            let expected = Footer { ended: "2026-11-23 12:40:40+00:00".to_owned(), exit_code: code };
            assert_eq!(Footer::parse(line.as_bytes()), Some(expected), "{line}");
        }
    }
}
