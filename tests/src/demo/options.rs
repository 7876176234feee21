//! What the command line of the demo says.

/// Where the demo listens unless told otherwise, so that what `--keep` prints stays true from run to run.
const PORT: u16 = 4599;

pub(super) const HELP: &str = "\
The whole product on this machine, without an AWS account: sessions are opened, judged, ended and told.

Usage: cargo demo [-- OPTIONS]

Options:
  --keep      Leave the stack up at the end, and say how to talk to it, until Ctrl-C
  --port N    Listen on this port of 127.0.0.1; 0 takes a free one [default: 4599]
  -h, --help  Print this

It needs Rust, Python 3.11 or newer and a C compiler, and installs the rest below target/.
The first run builds the function for release, which takes minutes; a later one takes seconds.
Colours are left out when NO_COLOR is set or the output is no terminal.
Exit codes: 0 all went as it should, 1 it did not, 2 wrong usage, 130 interrupted.";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Help,
    Run { port: u16, keep: bool },
}

impl Wish {
    /// Reads the arguments after the program's name.
    pub(super) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut port, mut keep) = (PORT, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            match (name, value) {
                ("--help" | "-h", None) => return Ok(Self::Help),
                // The alias `cargo demo` ends with a `--` of its own, so that a second one comes through.
                ("--", None) => {}
                ("--keep", None) => keep = true,
                ("--port", value) => {
                    let value = value.or_else(|| arguments.next()).ok_or("`--port` needs a number")?;
                    port = value.parse().map_err(|_| format!("`{value}` is not a port: 0 to 65535"))?;
                }
                _ => return Err(format!("`{argument}` is not an option; --help lists them")),
            }
        }
        Ok(Self::Run { port, keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_or_named() {
        let run = |port, keep| Ok(Wish::Run { port, keep });
        for (arguments, expected) in [
            ("", run(4599, false)),
            ("--keep", run(4599, true)),
            ("--port 0 --keep", run(0, true)),
            ("--port=8080", run(8080, false)),
            ("-- --keep", run(4599, true)),
            ("--keep --help", Ok(Wish::Help)),
            ("-h", Ok(Wish::Help)),
            ("--port", Err("`--port` needs a number")),
            ("--port x", Err("`x` is not a port: 0 to 65535")),
            ("--port 65536", Err("`65536` is not a port: 0 to 65535")),
            ("--keep=yes", Err("`--keep=yes` is not an option; --help lists them")),
            ("8080", Err("`8080` is not an option; --help lists them")),
        ] {
            let read = Wish::read(arguments.split_whitespace().map(str::to_owned));
            assert_eq!(read, expected.map_err(str::to_owned), "{arguments}");
        }
    }

    #[test]
    fn the_help_names_the_port_that_is_taken() {
        assert!(HELP.contains(&format!("[default: {PORT}]")));
    }
}
