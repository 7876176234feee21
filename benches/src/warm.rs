//! Warm invocations: from an event to the call of TerminateSession, and what of it is our own.

use std::time::{Duration, Instant};

use crate::aws::{Aws, Call};
use crate::event::{Wrong, delivery};
use crate::function::{self, Functions, Process, Trust};
use crate::report::{Quantity, Report, milliseconds, print_table, ratio};
use crate::statistics::{covered, median, percentile};

/// Events of each function without a delay, in blocks that take turns.
const EVENTS: usize = 1000;
const BLOCK: usize = 100;
/// Events of each function with an AWS that takes its time.
const SLOW_EVENTS: usize = 100;
/// What AWS takes for a call within a region, roughly.
const SLOW: Duration = Duration::from_millis(5);
/// Events on targets without tags: each waits for the second look.
const SECOND_LOOKS: usize = 10;
/// Events that are not counted: caches fill, connections open.
const WARM_UP: usize = 20;

/// What is asked of AWS before a session is judged, by nobody's answer but CloudTrail's.
const INDEPENDENT: [&str; 5] =
    ["UpdateItem", "GetItem", "GetResources", "DescribeInstanceInformation", "ListUserTags"];

/// One invocation.
#[derive(Clone, Debug)]
struct Invocation {
    delivered: Instant,
    done: Instant,
    calls: Vec<Call>,
}

impl Invocation {
    /// When TerminateSession was called.
    fn terminated(&self) -> Instant {
        let call = self.calls.iter().find(|call| call.operation == "TerminateSession");
        call.map_or(self.done, |call| call.asked)
    }

    fn until_terminate(&self) -> Duration {
        self.terminated().saturating_duration_since(self.delivered)
    }

    /// Until TerminateSession, without the time in which a call was with AWS.
    fn own_until_terminate(&self) -> Duration {
        self.until_terminate() - self.with_aws(self.terminated())
    }

    fn whole(&self) -> Duration {
        self.done.saturating_duration_since(self.delivered)
    }

    fn own(&self) -> Duration {
        self.whole() - self.with_aws(self.done)
    }

    fn with_aws(&self, until: Instant) -> Duration {
        covered(self.calls.iter().map(|call| (call.asked, call.answered)), self.delivered, until)
    }

    /// Whether all independent calls were with AWS at one moment.
    fn is_side_by_side(&self) -> bool {
        let first = |operation: &&str| self.calls.iter().find(|call| call.operation == **operation);
        let calls: Vec<_> = INDEPENDENT.iter().filter_map(first).collect();
        let (asked, answered) =
            (calls.iter().map(|call| call.asked).max(), calls.iter().map(|call| call.answered).min());
        calls.len() == INDEPENDENT.len() && asked < answered
    }
}

/// A function that is being measured.
struct Subject<'a> {
    process: Process,
    aws: &'a Aws,
    /// The number of the next event.
    number: usize,
}

impl<'a> Subject<'a> {
    async fn start(function: &function::Function, aws: &'a Aws, trust: Trust<'_>) -> Result<Self, String> {
        let mut subject = Self { process: Process::start(function, aws, trust).await?, aws, number: 0 };
        subject.invoke(WARM_UP, Wrong::NoSecondFactor).await?;
        Ok(subject)
    }

    async fn invoke(&mut self, events: usize, wrong: Wrong) -> Result<Vec<Invocation>, String> {
        let mut invocations = Vec::with_capacity(events);
        for _ in 0..events {
            let event = delivery(self.number, wrong);
            self.number += 1;
            let next = self.process.next().await?;
            self.aws.take_calls();
            let (delivered, done) = self.process.invoke(next, &event).await?;
            invocations.push(Invocation { delivered, done, calls: self.aws.take_calls() });
        }
        Ok(invocations)
    }
}

pub(crate) async fn measure(functions: &Functions, report: &mut Report) -> Result<(), String> {
    let aws = Aws::start().await?;
    let roots = function::roots(&aws)?;
    let trust = Trust::File(&roots);
    let mut guard = Subject::start(&functions.guard, &aws, trust).await?;
    let mut python = Subject::start(&functions.python, &aws, trust).await?;

    let (mut guards, mut pythons) = (Vec::new(), Vec::new());
    while guards.len() < EVENTS {
        guards.extend(guard.invoke(BLOCK, Wrong::NoSecondFactor).await?);
        pythons.extend(python.invoke(BLOCK, Wrong::NoSecondFactor).await?);
    }
    let peaks = [guard.process.peak_memory()?, python.process.peak_memory()?];
    print_quick(&guards, &pythons, peaks);
    let own = percentile(guards.iter().map(Invocation::own_until_terminate), 99);
    report.under("event to TerminateSession, own time, p99", own, Duration::from_millis(1));

    aws.answer_after(SLOW);
    let guards = guard.invoke(SLOW_EVENTS, Wrong::NoSecondFactor).await?;
    let pythons = python.invoke(SLOW_EVENTS, Wrong::NoSecondFactor).await?;
    print_slow(&guards, &pythons, report);
    aws.answer_after(Duration::ZERO);
    let looks = guard.invoke(SECOND_LOOKS, Wrong::NoTags).await?;
    let look = median(looks.iter().map(Invocation::until_terminate));
    println!("  a target without tags, looked at twice: event to TerminateSession {} ms", milliseconds(look));
    Ok(())
}

fn print_quick(guards: &[Invocation], pythons: &[Invocation], [peak, python_peak]: [u64; 2]) {
    let quantities: [Quantity<Invocation>; 4] = [
        ("event to TerminateSession", Invocation::until_terminate),
        ("event to TerminateSession, own time", Invocation::own_until_terminate),
        ("whole invocation", Invocation::whole),
        ("whole invocation, own time", Invocation::own),
    ];
    let head = ["ms", "ssm-guard p50", "p99", "Python p50", "p99", "Python x p50", "p99"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, quantity) in quantities {
        let of = |invocations: &[Invocation], percent| percentile(invocations.iter().map(quantity), percent);
        let [own, python] =
            [guards, pythons].map(|invocations| [50, 99].map(|percent| of(invocations, percent)));
        let mut row = vec![name.to_owned()];
        row.extend(own.iter().chain(&python).map(|duration| milliseconds(*duration)));
        row.extend(python.iter().zip(own).map(|(python, own)| format!("{:.1}", ratio(*python, own))));
        rows.push(row);
    }
    print_table(&format!("Warm, {} events each, AWS answers at once", guards.len()), &rows);
    let megabytes = |kibibytes: u64| kibibytes as f64 * 1024.0 / 1e6;
    println!("  peak resident memory: {:.1} MB, Python {:.1} MB", megabytes(peak), megabytes(python_peak));
}

fn print_slow(guards: &[Invocation], pythons: &[Invocation], report: &mut Report) {
    let mut rows = vec![["ms, median", "ssm-guard", "Python", "Python x"].map(str::to_owned).to_vec()];
    let quantities: [Quantity<Invocation>; 2] =
        [("event to TerminateSession", Invocation::until_terminate), ("whole invocation", Invocation::whole)];
    for (name, quantity) in quantities {
        let [own, python] = [guards, pythons].map(|invocations| median(invocations.iter().map(quantity)));
        rows.push(vec![
            name.to_owned(),
            milliseconds(own),
            milliseconds(python),
            format!("{:.1}", ratio(python, own)),
        ]);
    }
    print_table(
        &format!("Warm, {} events each, AWS takes {} ms a call", guards.len(), SLOW.as_millis()),
        &rows,
    );

    if let Some(example) = guards.last() {
        print_calls(example);
    }
    let together = guards.iter().filter(|invocation| invocation.is_side_by_side()).count();
    report.note(
        together == guards.len(),
        format!("{} side by side: in {together} of {} events", INDEPENDENT.join(", "), guards.len()),
    );
}

/// The calls of one invocation in the order in which they were asked.
fn print_calls(invocation: &Invocation) {
    let mut calls: Vec<_> = invocation.calls.iter().collect();
    calls.sort_by_key(|call| call.asked);
    let mut rows = vec![["ms from the event", "asked", "answered"].map(str::to_owned).to_vec()];
    let from = |at: Instant| {
        format!("{:.1}", at.saturating_duration_since(invocation.delivered).as_secs_f64() * 1000.0)
    };
    rows.extend(calls.iter().map(|call| vec![call.operation.clone(), from(call.asked), from(call.answered)]));
    print_table("The calls of the last of these events", &rows);
}
