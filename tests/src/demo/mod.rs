//! `cargo demo`: the whole product on one machine, from nothing to a session that is ended and told.

mod acts;
mod ending;
mod guard;
mod layout;
mod options;
mod screen;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::acts::{Played, Stage};
use self::ending::Ending;
use self::guard::{ACCOUNT, Guard, People, at};
use self::layout::{Tone, milliseconds, seconds};
use self::options::{HELP, Wish};
use self::screen::Screen;
use crate::package::{self, Packages};
use crate::stack::{REGION, Stack};
use crate::tools;

const REQUIREMENTS: &str = "tests/stack/requirements.txt";

/// Runs the demo with the arguments after the program's name.
pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let (port, keep) = match Wish::read(arguments) {
        Ok(Wish::Run { port, keep }) => (port, keep),
        Ok(Wish::Help) => {
            Screen::of_this_process().line(Tone::Plain, HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::from(2);
        }
    };
    let screen = Arc::new(Screen::of_this_process());
    let ending = match Ending::on_signals(Arc::clone(&screen)) {
        Ok(ending) => ending,
        Err(error) => {
            eprintln!("demo: signals cannot be handled: {error}");
            return ExitCode::FAILURE;
        }
    };
    let shown = show(&screen, &ending, port, keep);
    ending.unless_begun();
    ending.stop_stack();
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn show(screen: &Screen, ending: &Ending, port: u16, keep: bool) -> Result<(), String> {
    let started = Instant::now();
    let title = "ssm-guard: every Session Manager session is judged by policy, and ended if policy says so";
    for line in layout::wrap(title, screen.layout().width, 0) {
        screen.line(Tone::Strong, &line);
    }
    screen.blank();
    // A port that is taken is known now, and not after a build of minutes.
    free(port)?;
    let (stack, packages, guard, people) = set_up(screen, ending, port)?;
    let stage = Stage { screen, stack: &stack, packages: &packages, guard: &guard, people: &people };
    let played = acts::play(&stage)?;
    sum_up(screen, &guard, &played)?;
    if keep {
        say_how_to_talk(screen, &stack, &guard)?;
        ending.wait();
    }
    ending.stop_stack();
    say_what_next(screen, started.elapsed());
    Ok(())
}

type Set = (Arc<Stack>, Packages, Guard, People);

fn set_up(screen: &Screen, ending: &Ending, port: u16) -> Result<Set, String> {
    screen.step(
        "Python environment",
        |step| tools::python_with(REQUIREMENTS, &|| step.progress("installing, once, below target/tools")),
        |_| "Python environment of the local stack, pinned, below target/tools".to_owned(),
    )?;
    let packages = screen.step(
        "building the functions for release",
        |step| package::build_with(&|built, all| step.progress(&format!("{built} of {all} crates"))),
        |packages| {
            let size = |archive| fs::metadata(archive).map(|file| file.len() / 1_000_000).unwrap_or_default();
            let sizes =
                packages.archives().map(|(function, archive)| format!("{function} ({} MB)", size(archive)));
            format!(
                "{} built for release, packed with policies and rules",
                sizes.collect::<Vec<_>>().join(" and ")
            )
        },
    )?;
    let stack = screen.step(
        "starting the local AWS stack",
        |_| Stack::start_with(port, &["--enforce-iam", "--remove-state"]).map(Arc::new),
        |stack| format!("local AWS stack at {}, IAM enforced", stack.endpoint()),
    )?;
    ending.takes(&stack);
    let guard = screen.step(
        "deploying infra/guard.yaml",
        |_| Guard::deploy(&stack, &packages),
        |_| format!("infra/guard.yaml deployed to account {ACCOUNT} in {REGION}"),
    )?;
    let people = screen.step(
        "adding people and nodes",
        |_| guard.furnish(),
        |_| "nodes with real shells that are logged, people with keys".to_owned(),
    )?;
    Ok((stack, packages, guard, people))
}

fn free(port: u16) -> Result<(), String> {
    let problem = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => format!("port {port} is taken"),
        Err(error) => format!("port {port} cannot be used: {error}"),
    };
    Err(format!("{problem}; `cargo demo -- --port 0` takes a free one"))
}

fn sum_up(screen: &Screen, guard: &Guard, played: &Played) -> Result<(), String> {
    let layout = screen.layout();
    screen.blank();
    screen.line(Tone::Strong, " All of it");
    screen.lines(&layout.table(&played.rows));
    screen.blank();
    let mut times: Vec<_> = played.rows.iter().filter_map(|row| row.after).collect();
    times.sort_unstable();
    let (verdicts, calls) = guard.verdicts_and_calls()?;
    if verdicts != calls {
        return Err(format!("{calls} Session Manager calls have {verdicts} verdicts in the ledger"));
    }
    let fact = |label: &str, text: &str| screen.lines(&layout.fact(label, Tone::Plain, text));
    let time = |time: Option<&Duration>| time.copied().map(milliseconds).unwrap_or_default();
    let refused = played.rows.iter().filter(|row| row.result.1.starts_with("refused")).count();
    fact(
        "sessions",
        &format!("{} opened or resumed, {refused} refused by IAM", played.rows.len().saturating_sub(refused)),
    );
    fact(
        "ended",
        &format!(
            "{}, the fastest in {}, the slowest in {}",
            times.len(),
            time(times.first()),
            time(times.last())
        ),
    );
    fact("alerts", &format!("{}, each to mail, SMS, chat and a queue", played.alerts));
    fact("verdicts", &format!("{verdicts}, one for each Session Manager call, the guard's own included"));
    screen.lines(&layout.paragraph(
        "Times run from the API's answer until DescribeSessions says Terminated, on this machine. On AWS the event \
         takes seconds to come from CloudTrail, and they come on top.",
    ));
    screen.blank();
    screen.line(Tone::Strong, " The ledger's record of the session that was ended first");
    for (label, text) in ledger_rows(&guard.record(&played.ended)?) {
        fact(&label, &text);
    }
    Ok(())
}

/// A record of the ledger, a row for each field, the fields of an object one after the other.
fn ledger_rows(record: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for name in ["pk", "started", "ended"] {
        if let Some(value) = record.get(name) {
            rows.push((name.to_owned(), flat(value, "")));
        }
    }
    let verdicts = at(record, "/verdicts").as_object().into_iter().flatten();
    // Each begins with its time and its operation, so this is the order in which they were given.
    let mut verdicts: Vec<_> = verdicts.map(|(_, verdict)| flat(verdict, "")).collect();
    verdicts.sort_unstable();
    rows.extend(verdicts.into_iter().map(|verdict| ("verdict".to_owned(), verdict)));
    rows
}

fn flat(value: &Value, name: &str) -> String {
    match value {
        Value::Object(fields) => {
            let join =
                |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
            let rank = |field: &str| (field != "time", field != "operation", field != "outcome");
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(field, _)| (rank(field), *field));
            let fields = fields.into_iter().map(|(field, value)| flat(value, &join(field)));
            fields.collect::<Vec<_>>().join("  ")
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| flat(item, "")).collect();
            format!("{name}={}", items.join(","))
        }
        Value::String(text) if name.is_empty() => text.clone(),
        Value::String(text) if text.contains(' ') => format!("{name}={text:?}"),
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    }
}

fn say_how_to_talk(screen: &Screen, stack: &Stack, guard: &Guard) -> Result<(), String> {
    let endpoint = stack.endpoint();
    let (ledger, log) = (guard.output("LedgerTable")?, guard.output("LogGroup")?);
    let queue = guard.queue();
    let node = guard::FORGOTTEN.id;
    let state = fs::canonicalize(stack.state()).unwrap_or_else(|_| stack.state().to_owned());
    screen.blank();
    screen.line(
        Tone::Strong,
        &format!(" The stack stays up at {endpoint}. Ctrl-C ends it and removes everything."),
    );
    // Commands are copied, so they are neither indented nor wrapped.
    let text = format!(
        "
# Once, in another terminal: the account's root user, for any AWS client
export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={REGION} AWS_PAGER=
export AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=test
unset AWS_PROFILE AWS_SESSION_TOKEN

# Open a session on the node without tags, and see it end
curl -s --aws-sigv4 aws:amz:{REGION}:ssm --user {ACCOUNT}:test {endpoint} \\
  -H 'content-type: application/x-amz-json-1.1' -H 'x-amz-target: AmazonSSM.StartSession' \\
  -d '{{\"Target\": \"{node}\"}}'
aws ssm describe-sessions --state History --max-items 1

# What was told: mail, SMS, chat; and the findings that wait in the queue
curl -s --aws-sigv4 aws:amz:{REGION}:localaws --user {ACCOUNT}:test {endpoint}/_localaws/deliveries \\
  | python3 -m json.tool
aws sqs receive-message --endpoint-url {endpoint} --queue-url {queue}

# The ledger, and the function's log
aws dynamodb scan --table-name {ledger}
aws logs filter-log-events --log-group-name {log} --query 'events[].message' --output text \\
  | tr '\\t' '\\n'

# The stack's own log: {state}/localaws.log
# All paths of the stack: tests/stack/README.md",
        state = state.display()
    );
    screen.line(Tone::Plain, &text);
    Ok(())
}

fn say_what_next(screen: &Screen, took: Duration) {
    screen.blank();
    screen.line(Tone::Strong, &format!(" Done in {}; nothing is left running. Next:", seconds(took)));
    let layout = screen.layout();
    for (command, what) in [
        ("cargo demo -- --keep", "leaves the stack up, and says how to talk to it"),
        ("cargo demo", "after you changed something in policies/ or rules/: nothing is built for that"),
        ("cargo run -p ssm-guard -- replay FILE", "what your own CloudTrail would have ended"),
        (
            "cargo run -p ssm-guard -- scan FILE",
            "what was run in a session, and what of it is dangerous, from its log",
        ),
    ] {
        screen.line(Tone::Plain, &format!("    {command}"));
        let lines = layout::wrap(&format!("      {what}"), layout.width, 6);
        lines.iter().for_each(|line| screen.line(Tone::Quiet, line));
    }
}

/// What went wrong, in one line: the first of a longer text, and of its lines the one that says the reason.
fn one_line(error: &str) -> String {
    let mut lines = error.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let rest: Vec<_> = lines.collect();
    let reason = rest.iter().find(|line| line.to_lowercase().starts_with("error")).or(rest.last());
    match reason {
        Some(reason) => format!("{first} {reason}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_one_line_that_names_the_reason() {
        for (error, expected) in [
            ("port 4599 is taken", "port 4599 is taken"),
            (
                "x does not build:\n   Compiling x\nerror[E0425]: no `y`\n --> src\n",
                "x does not build: error[E0425]: no `y`",
            ),
            (
                "pip failed:\nERROR: No matching distribution\nhint\n",
                "pip failed: ERROR: No matching distribution",
            ),
            ("venv failed:\nensurepip is not\navailable", "venv failed: available"),
            ("", ""),
        ] {
            assert_eq!(one_line(error), expected);
        }
    }

    #[test]
    fn a_record_is_a_row_for_each_field() {
        let record = json!({
            "pk": "session#1", "expires": 1, "ended": {"by": "ssm-guard"},
            "started": {"document": {"name": "Shell"}, "principal": "IAM user bob"},
            "verdicts": {
                "event-1": {"outcome": "not_needed", "operation": "TerminateSession", "mode": "enforce", "time": 1},
                "event-2": {"violations": ["a", "b"], "operation": "StartSession", "time": 1},
            },
        });
        let rows = ledger_rows(&record);
        let rows: Vec<_> = rows.iter().map(|(label, text)| (label.as_str(), text.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("pk", "session#1"),
                ("started", "document.name=Shell  principal=\"IAM user bob\""),
                ("ended", "by=ssm-guard"),
                ("verdict", "time=1  operation=StartSession  violations=a,b"),
                ("verdict", "time=1  operation=TerminateSession  outcome=not_needed  mode=enforce"),
            ]
        );
    }
}
