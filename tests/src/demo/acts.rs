//! The acts: who opens which session, and what the guard makes of it.
//!
//! Everything shown is read back from the stack: Session Manager, the ledger, and what subscribers got. Policies are
//! shown as they were violated, not as expected, because one of them depends on the hour. An act whose session does
//! not end as the act says fails the demo.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};

use super::guard::{FORGOTTEN, Guard, MAIL, Node, Opened, People, Person, Shell, TELEPHONE, Told, WEB, at};
use super::layout::{Row, Tone, milliseconds};
use super::screen::Screen;
use crate::package::Packages;
use crate::stack::Stack;

/// What the acts are played with.
pub(super) struct Stage<'a> {
    pub(super) screen: &'a Screen,
    pub(super) stack: &'a Arc<Stack>,
    pub(super) packages: &'a Packages,
    pub(super) guard: &'a Guard,
    pub(super) people: &'a People,
}

/// What the acts leave for the end.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) rows: Vec<Row>,
    pub(super) alerts: usize,
    /// A session that the guard ended.
    pub(super) ended: String,
}

/// Plays all acts.
pub(super) fn play(stage: &Stage<'_>) -> Result<Played, String> {
    let mut played = Played::default();
    stage.alice_works(&mut played)?;
    let left_open = stage.bob_is_observed(&mut played)?;
    stage.bob_is_ended(&mut played, &left_open)?;
    stage.nobody_without_a_second_factor(&mut played)?;
    stage.bob_forwards_a_port(&mut played)?;
    stage.carol_is_refused(&mut played)?;
    stage.alice_hides(&mut played)?;
    Ok(played)
}

impl Stage<'_> {
    fn alice_works(&self, played: &mut Played) -> Result<(), String> {
        let alice = &self.people.alice;
        self.title(1, "Alice works on production, and is left alone");
        self.scene(alice, WEB, "a shell, for the reason CHG-1042");
        let opened = alice.open(WEB, json!({"Reason": "CHG-1042 roll out release 42"}))?;
        let told = self.judged(played)?;
        let judged = opened.at.elapsed();
        self.policies(told.first());
        let status = self.guard.status(&opened.session)?;
        if status != "Connected" {
            return Err(format!("act 1: alice's session should be Connected and is {status}"));
        }
        let result = if told.is_empty() { "left alone" } else { "left open, told" };
        self.fact("result", Tone::Good, &format!("{result}; judged in {}", milliseconds(judged)));
        if !told.is_empty() {
            self.paragraph("Told and not ended: no policy that it violates asks for an end.");
        }
        played.rows.push(row(alice.name, WEB, told.first(), (Tone::Good, result), None));

        let shell = Shell::of(self.guard, &opened.session)?;
        let mut seen = Vec::new();
        for line in ["echo 'release 42' > release.txt", "cat release.txt", "uname -s"] {
            let printed = shell.type_line(line)?;
            seen.push(format!("$ {line}"));
            seen.extend(printed);
        }
        shell.type_only("exit")?;
        seen.push("$ exit".to_owned());
        self.transcript("what alice sees", &seen);
        self.guard.watch(&opened).took()?;
        let Some((name, log)) = self.guard.log(&opened.session)? else {
            return self.no_log();
        };
        let lines: Vec<_> = log.split('\n').map(str::to_owned).collect();
        let shown: Vec<_> = lines.iter().take(4).cloned().collect();
        self.transcript(
            &format!("her log in {}, byte for byte as the agent writes it", bucket(&name)),
            &shown,
        );
        Ok(())
    }

    /// Returns the session that is left open.
    fn bob_is_observed(&self, played: &mut Played) -> Result<String, String> {
        let bob = &self.people.bob;
        self.title(2, "Bob opens a node that nobody owns: the guard observes");
        self.paragraph("A first deployment ends nothing. It shows what it would have ended.");
        self.scene(bob, FORGOTTEN, "a shell");
        let opened = bob.open(FORGOTTEN, json!({}))?;
        let told = self.told_of(&opened, "observed", 2, played)?;
        self.policies(Some(&told));
        let status = self.guard.status(&opened.session)?;
        self.fact("result", Tone::Warning, &format!("left open ({status}), told"));
        self.fact("mail", Tone::Plain, &told.mail.0);
        played.rows.push(row(bob.name, FORGOTTEN, Some(&told), (Tone::Warning, "left open, told"), None));
        Ok(opened.session)
    }

    fn bob_is_ended(&self, played: &mut Played, left_open: &str) -> Result<(), String> {
        let bob = &self.people.bob;
        self.title(3, "The same again, with Mode=enforce");
        self.screen.step(
            "deploying with Mode=enforce",
            |_| self.guard.enforce(self.stack, self.packages),
            |()| "infra/guard.yaml updated: Mode=enforce".to_owned(),
        )?;
        self.scene(bob, FORGOTTEN, "a shell");
        let opened = bob.open(FORGOTTEN, json!({"Reason": "just looking"}))?;
        let watch = self.guard.watch(&opened);
        // The guard is at work already; on a busy machine it may be the first.
        let typed = self.leave_a_job(&opened.session).ok();
        let took = self.screen.wait("waiting for the session to end", || watch.took())?;
        let told = self.told_of(&opened, "terminated", 3, played)?;
        self.policies(Some(&told));
        self.ended(took);
        self.paragraph(
            "Half a second of it is deliberate: a node that was just created can look untagged, so its tags are \
             looked up twice before a session is ended for them.",
        );
        if let Some((seen, shell, job)) = typed {
            self.transcript("what bob saw", &seen);
            self.fact("after", Tone::Plain, &format!("his shell, process {shell}: {}", alive(shell)));
            self.fact(
                "",
                Tone::Plain,
                &format!("the job that he left behind, process {job}: {}", alive(job)),
            );
        }
        self.mail(&told);
        played.ended.clone_from(&opened.session);
        played.rows.push(row(bob.name, FORGOTTEN, Some(&told), (Tone::Bad, "ended"), Some(took)));

        self.paragraph(
            "Bob still has the session of act 2. He resumes it, and a resumed session is judged anew:",
        );
        let resumed = bob.resume(left_open)?;
        let watch = self.guard.watch(&resumed);
        let took = self.screen.wait("waiting for the session to end", || watch.took())?;
        let told = self.told_of(&resumed, "terminated", 3, played)?;
        self.ended(took);
        played.rows.push(row("bob, resumed", FORGOTTEN, Some(&told), (Tone::Bad, "ended"), Some(took)));
        Ok(())
    }

    fn nobody_without_a_second_factor(&self, played: &mut Played) -> Result<(), String> {
        self.title(4, "Alice with her access key alone, and the root user");
        self.paragraph(
            "IAM allows both. It is the same Alice, on the same node, for the same reason as in act 1.",
        );
        for person in [&self.people.alice_by_key, &self.people.root] {
            self.scene(person, WEB, "a shell");
            let opened = person.open(WEB, json!({"Reason": "CHG-1042 roll out release 42"}))?;
            let watch = self.guard.watch(&opened);
            let took = self.screen.wait("waiting for the session to end", || watch.took())?;
            let told = self.told_of(&opened, "terminated", 4, played)?;
            self.policies(Some(&told));
            self.ended(took);
            self.fact("sms", Tone::Plain, &format!("to {TELEPHONE}: {}", told.sms));
            played.rows.push(row(person.name, WEB, Some(&told), (Tone::Bad, "ended"), Some(took)));
            if person.name != "root" {
                self.screen.blank();
            }
        }
        Ok(())
    }

    fn bob_forwards_a_port(&self, played: &mut Played) -> Result<(), String> {
        let bob = &self.people.bob;
        self.title(5, "Bob makes the web server his way into a database");
        self.paragraph(
            "Session Manager cannot log port forwarding: nobody would ever see what went through.",
        );
        let what = "port forwarding to orders.db.example:5432 (AWS-StartPortForwardingSessionToRemoteHost)";
        self.scene(bob, WEB, what);
        let opened = bob.open(
            WEB,
            json!({
                "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost", "Reason": "CHG-1043",
                "Parameters": {
                    "host": ["orders.db.example"], "portNumber": ["5432"], "localPortNumber": ["15432"],
                },
            }),
        )?;
        let watch = self.guard.watch(&opened);
        let took = self.screen.wait("waiting for the session to end", || watch.took())?;
        let told = self.told_of(&opened, "terminated", 5, played)?;
        self.policies(Some(&told));
        self.ended(took);
        self.chat(&told);
        played.rows.push(row(bob.name, WEB, Some(&told), (Tone::Bad, "ended"), Some(took)));
        Ok(())
    }

    fn carol_is_refused(&self, played: &mut Played) -> Result<(), String> {
        let carol = &self.people.carol;
        self.title(6, "Carol tries a door that IAM keeps shut");
        self.paragraph("There is no session to end, and still somebody wants to know.");
        self.scene(carol, WEB, "a shell; her IAM policy allows Environment=development only");
        match carol.open(WEB, json!({})) {
            Ok(_) => return Err("act 6: IAM should have refused carol".to_owned()),
            Err(error) if error.contains("AccessDenied") => {}
            Err(error) => return Err(error),
        }
        let told = self.judged(played)?;
        let told = told.first().ok_or("act 6: nobody was told that carol was refused")?;
        self.policies(Some(told));
        self.fact("result", Tone::Warning, "AccessDenied, told");
        self.finding(told);
        played.rows.push(row(carol.name, WEB, Some(told), (Tone::Warning, "refused, told"), None));
        Ok(())
    }

    fn alice_hides(&self, played: &mut Played) -> Result<(), String> {
        let alice = &self.people.alice;
        self.title(7, "Alice is let in, and hides what she runs");
        self.paragraph("No policy keeps her out. When she leaves, Session Manager uploads the log, and the guard reads it.");
        self.scene(alice, WEB, "a shell, for the reason CHG-1044");
        let opened = alice.open(WEB, json!({"Reason": "CHG-1044 look at the web server"}))?;
        let shell = Shell::of(self.guard, &opened.session)?;
        let mut seen = Vec::new();
        // `uname -s`, as somebody writes it who does not want it to be read.
        for line in ["uptime -p", "unset HISTFILE", "echo dW5hbWUgLXM= | base64 -d | sh"] {
            seen.push(format!("$ {line}"));
            seen.extend(shell.type_line(line)?);
        }
        shell.type_only("exit")?;
        seen.push("$ exit".to_owned());
        self.transcript("what alice sees", &seen);
        self.guard.watch(&opened).took()?;
        let ended = Instant::now();
        if self.guard.log(&opened.session)?.is_none() {
            return self.no_log();
        }
        let told = self.judged(played)?;
        let took = ended.elapsed();
        let of_log = told.iter().find(|told| is_of_log(told) && is_of(told, &opened.session));
        let told = of_log.ok_or("act 7: nobody was told what alice ran")?;
        let findings = at(&told.finding, "/unmapped/findings").as_array().map_or(0, Vec::len);
        self.fact(
            "result",
            Tone::Bad,
            &format!("told {} after the session ended: {findings} findings", milliseconds(took)),
        );
        self.mail(told);
        played.rows.push(row(alice.name, WEB, Some(told), (Tone::Bad, "log told"), None));
        Ok(())
    }

    /// What bob types, and the processes of his shell and of the job in its background.
    fn leave_a_job(&self, session: &str) -> Result<(Vec<String>, i32, i32), String> {
        let shell = Shell::of(self.guard, session)?;
        let lines = ["nohup sleep 600 > /dev/null 2>&1 &", "echo shell $$ job $!"];
        let mut seen = Vec::new();
        for line in lines {
            seen.push(format!("$ {line}"));
            seen.extend(shell.type_line(line)?);
        }
        let last = seen.last().cloned().unwrap_or_default();
        let mut numbers = last.split(' ').filter_map(|word| word.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(shell), Some(job)) => Ok((seen, shell, job)),
            _ => Err(format!("the shell answered `{last}`")),
        }
    }

    /// Waits until the guard is done, and returns what it told.
    fn judged(&self, played: &mut Played) -> Result<Vec<Told>, String> {
        self.screen.wait("waiting for the guard's verdict", || self.guard.settle())?;
        let told = self.guard.told()?;
        played.alerts += told.len();
        Ok(told)
    }

    /// The alert on a session, which must tell of this outcome.
    fn told_of(
        &self,
        opened: &Opened,
        outcome: &str,
        act: usize,
        played: &mut Played,
    ) -> Result<Told, String> {
        let told = self.judged(played)?;
        let of_session = told
            .into_iter()
            .find(|told| is_of(told, &opened.session) && !is_of_log(told))
            .ok_or_else(|| format!("act {act}: nobody was told of {}", opened.session))?;
        match at(&of_session.finding, "/unmapped/outcome") {
            Value::String(told) if told == outcome => Ok(of_session),
            other => Err(format!("act {act}: the alert says {other} where it should say {outcome}")),
        }
    }

    fn title(&self, number: usize, title: &str) {
        self.screen.blank();
        self.screen.lines(&self.screen.layout().title(number, title));
    }

    fn scene(&self, person: &Person, node: Node, what: &str) {
        let tags: Vec<_> = node.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let tags = if tags.is_empty() { "no tags".to_owned() } else { tags.join(", ") };
        self.fact("who", Tone::Plain, &format!("{} ({})", person.name, person.described));
        self.fact("target", Tone::Plain, &format!("{} ({tags})", node.name));
        self.fact("what", Tone::Plain, what);
    }

    fn policies(&self, told: Option<&Told>) {
        let policies = violations(told);
        if policies.is_empty() {
            self.fact("policy", Tone::Plain, "none forbids it");
        }
        for (number, policy) in policies.iter().enumerate() {
            let of = |name: &str| policy.get(name).and_then(Value::as_str).unwrap_or_default();
            let text = format!("{} ({}): {}", of("id"), of("severity"), of("title"));
            self.fact(if number == 0 { "policy" } else { "" }, Tone::Plain, &text);
        }
    }

    fn ended(&self, took: Duration) {
        self.fact("result", Tone::Bad, &format!("ended in {}", milliseconds(took)));
    }

    fn mail(&self, told: &Told) {
        let (subject, body) = &told.mail;
        let mut lines = vec![(Tone::Strong, format!("Subject: {subject}")), (Tone::Plain, String::new())];
        lines.extend(body.lines().map(|line| (Tone::Plain, line.to_owned())));
        self.screen.lines(&self.screen.layout().card(&format!("mail to {MAIL}"), &lines));
    }

    /// The card as Slack or Teams draw it: the title in bold, the marks of the text followed.
    fn chat(&self, told: &Told) {
        let content = at(&told.chat, "/content");
        let of = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default();
        let title = of("title").replace(":rotating_light:", "(!)").replace(":warning:", "(!)");
        let mut lines = vec![(Tone::Bad, as_chat_shows(&title))];
        lines.extend(of("description").lines().map(|line| (Tone::Plain, as_chat_shows(line))));
        let steps = at(content, "/nextSteps").as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.push((Tone::Strong, "Next steps".to_owned()));
        lines.extend(steps.map(|step| (Tone::Plain, format!("- {}", as_chat_shows(step)))));
        let thread = at(&told.chat, "/metadata/threadId").as_str().unwrap_or_default();
        self.screen.lines(&self.screen.layout().card(&format!("chat, thread {thread}"), &lines));
    }

    fn finding(&self, told: &Told) {
        let paths = [
            "class_name",
            "severity",
            "message",
            "action",
            "evidences/0/actor/user/name",
            "evidences/0/actor/user/has_mfa",
            "evidences/0/api/operation",
            "unmapped/policies/0/id",
        ];
        let widest = paths.iter().map(|path| path.len()).max().unwrap_or_default() + 2;
        let lines: Vec<_> = paths
            .iter()
            .filter_map(|path| Some((path, told.finding.pointer(&format!("/{path}"))?)))
            .map(|(path, value)| (path, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .map(|(path, value)| (Tone::Plain, format!("{path:widest$}{value}")))
            .collect();
        let title = "finding in the SIEM's queue: OCSF 2004, some of its fields";
        self.screen.lines(&self.screen.layout().card(title, &lines));
    }

    fn transcript(&self, title: &str, lines: &[String]) {
        self.screen.lines(&self.screen.layout().transcript(title, lines));
    }

    fn fact(&self, label: &str, tone: Tone, value: &str) {
        self.screen.lines(&self.screen.layout().fact(label, tone, value));
    }

    fn paragraph(&self, text: &str) {
        self.screen.lines(&self.screen.layout().paragraph(text));
    }

    fn no_log(&self) -> Result<(), String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&path).any(|folder| folder.join("script").exists()) {
            return Err("act 1: alice's log is not in the bucket".to_owned());
        }
        self.paragraph("No log: this machine has no `script`, and without it the agent makes none either.");
        Ok(())
    }
}

fn violations(told: Option<&Told>) -> Vec<Value> {
    let policies = told.map(|told| at(&told.finding, "/unmapped/policies"));
    policies.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn row(
    who: &str,
    node: Node,
    told: Option<&Told>,
    (tone, result): (Tone, &str),
    after: Option<Duration>,
) -> Row {
    let policies = violations(told);
    let ids = policies.iter().filter_map(|policy| at(policy, "/id").as_str().map(str::to_owned));
    // What was told of a log names rules.
    let found = told.map(|told| at(&told.finding, "/unmapped/findings")).and_then(Value::as_array);
    let rules =
        found.into_iter().flatten().filter_map(|found| at(found, "/rule").as_str().map(str::to_owned));
    Row {
        who: who.to_owned(),
        target: node.name.to_owned(),
        policies: ids.chain(rules).collect(),
        result: (tone, result.to_owned()),
        after,
    }
}

/// Whether a process of this machine lives.
fn alive(process: i32) -> &'static str {
    match Pid::from_raw(process).map(test_kill_process) {
        Some(Ok(())) => "still runs",
        _ => "gone",
    }
}

fn bucket(object: &str) -> &str {
    object.rsplit_once('/').map_or(object, |(bucket, _)| bucket)
}

/// Text of a chat notification without the escapes that only the wire needs.
fn as_chat_shows(text: &str) -> String {
    text.replace('\u{200b}', "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn is_of(told: &Told, session: &str) -> bool {
    *at(&told.finding, "/unmapped/session_id") == session
}

/// Whether what was told was found in a log, and not in a call.
fn is_of_log(told: &Told) -> bool {
    *at(&told.finding, "/unmapped/kind") == "transcript"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_shows_no_escapes() {
        assert_eq!(as_chat_shows("*Who:* a &lt;b&gt; &amp; SSM_\u{200b}c"), "*Who:* a <b> & SSM_c");
    }

    #[test]
    fn this_process_lives_and_an_impossible_one_does_not() {
        assert_eq!(alive(i32::try_from(std::process::id()).unwrap()), "still runs");
        assert_eq!(alive(i32::MAX), "gone");
    }
}
