//! Cold starts: from starting the process to the end of its first invocation.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::aws::Aws;
use crate::event::{Wrong, delivery};
use crate::function::{self, Function, Functions, Process, Trust};
use crate::report::{Quantity, Report, milliseconds, print_table, ratio};
use crate::statistics::{covered, median, percentile};

/// How many times each function is started; the first time is not counted.
const ROUNDS: usize = 31;

/// One cold start.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// Until it asked for its first invocation.
    init: Duration,
    /// The first invocation.
    first: Duration,
    /// The first invocation without the time in which a call was with AWS.
    own: Duration,
    /// Until the end of the first invocation.
    total: Duration,
    /// Connections to AWS that were opened before the first invocation, and during it.
    connections: (usize, usize),
}

pub(crate) async fn measure(functions: &Functions, report: &mut Report) -> Result<(), String> {
    let (aws, plain) = (Aws::start().await?, Aws::start_without_tls().await?);
    let roots = function::roots(&aws)?;
    let (roots, system) = (Trust::File(&roots), Path::new("/etc/ssl/certs/ca-certificates.crt"));
    let Functions { guard, hello, python, .. } = functions;
    let mut variants = vec![
        (guard, &aws, roots),
        (hello, &aws, roots),
        (python, &aws, roots),
        // What certificate authorities cost to read shows without TLS, where none of them is asked.
        (guard, &plain, Trust::BuiltIn),
        (guard, &plain, roots),
    ];
    if system.exists() {
        variants.push((guard, &plain, Trust::File(system)));
    }
    let mut starts = vec![Vec::new(); variants.len()];
    for round in 0..ROUNDS {
        for ((function, aws, trust), starts) in variants.iter().zip(&mut starts) {
            let start = start(function, aws, *trust, round).await?;
            if round > 0 {
                starts.push(start);
            }
        }
    }
    print_starts(&starts, report);
    Ok(())
}

async fn start(function: &Function, aws: &Aws, trust: Trust<'_>, number: usize) -> Result<Start, String> {
    let event = delivery(number, Wrong::NoSecondFactor);
    aws.take_connections();
    let mut process = Process::start(function, aws, trust).await?;
    let next = process.next().await?;
    let (asked, before) = (next.asked, aws.take_connections());
    aws.take_calls();
    let (delivered, done) = process.invoke(next, &event).await?;
    let calls = aws.take_calls();
    let with_aws = covered(calls.iter().map(|call| (call.asked, call.answered)), delivered, done);
    Ok(Start {
        init: since(asked, process.spawned),
        first: since(done, delivered),
        own: since(done, delivered) - with_aws,
        total: since(done, process.spawned),
        connections: (before, aws.take_connections()),
    })
}

fn since(later: Instant, earlier: Instant) -> Duration {
    later.saturating_duration_since(earlier)
}

fn print_starts(starts: &[Vec<Start>], report: &mut Report) {
    let [guard, hello, python, authorities @ ..] = starts else { return };
    let of = |starts: &[Start], quantity: fn(&Start) -> Duration| median(starts.iter().map(quantity));
    let quantities: [Quantity<Start>; 4] = [
        ("spawn to first GET /next", |start| start.init),
        ("first invocation", |start| start.first),
        ("first invocation, own time", |start| start.own),
        ("spawn to end of first invocation", |start| start.total),
    ];
    let head = ["ms, median", "ssm-guard", "p90", "hello world", "Python", "x hello world", "Python x"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, quantity) in quantities {
        let (own, hello, python) = (of(guard, quantity), of(hello, quantity), of(python, quantity));
        rows.push(vec![
            name.to_owned(),
            milliseconds(own),
            milliseconds(percentile(guard.iter().map(quantity), 90)),
            milliseconds(hello),
            milliseconds(python),
            format!("{:.1}", ratio(own, hello)),
            format!("{:.0}", ratio(python, own)),
        ]);
    }
    print_table(&format!("Cold start, {} starts of each, in turn", guard.len()), &rows);
    if let Some(Start { connections: (init, first), .. }) = guard.first() {
        println!(
            "  connections to AWS that ssm-guard opened: {init} during init, {first} during the first invocation"
        );
    }

    let mut rows = vec![["ms, median, without TLS", "spawn to first GET /next"].map(str::to_owned).to_vec()];
    let names = ["Amazon's, built in", "Amazon's and one more, from a file", "the system's, from a file"];
    for (name, starts) in names.iter().zip(authorities) {
        rows.push(vec![(*name).to_owned(), milliseconds(of(starts, |start| start.init))]);
    }
    print_table("What the certificate authorities cost at start", &rows);

    let own = of(guard, |start| start.own);
    report.under("first invocation after init, own time", own, Duration::from_micros(1500));
    let [guard, hello, python] = [guard, hello, python].map(|starts| of(starts, |start| start.total));
    report.at_most("spawn to end of first invocation, times hello world", ratio(guard, hello), 5.0);
    report.at_least("spawn to end of first invocation, times faster than Python", ratio(python, guard), 30.0);
}
