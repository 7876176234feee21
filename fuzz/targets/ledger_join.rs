//! What happened to one session, in two orders: the ledger's record is the same.
//!
//! The first byte tells how far the second order is turned; each of the others is one event.
#![no_main]

use jiff::SignedDuration;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use session::cloudtrail;
use session::event::Session;
use session::ledger::{SessionRecord, VERDICTS_KEPT, Verdict};
use session::policy::{Decision, PolicyError};
use session::response::{Mode, Outcome};

/// More events than a record keeps verdicts.
const MOST: usize = VERDICTS_KEPT + 28;

/// One event and what came of it, out of one byte.
struct Step {
    session: Session,
    decision: Decision,
    outcome: Outcome,
}

impl Step {
    fn new(number: usize, byte: u8) -> Self {
        let name =
            ["StartSession", "ResumeSession", "TerminateSession", "ResumeSession"][usize::from(byte & 3)];
        // A session is started once, whatever else happens; its second is as good as any.
        let second = if name == "StartSession" { 0 } else { (byte >> 2) & 7 };
        let record = json!({
            "eventSource": "ssm.amazonaws.com", "eventName": name, "eventID": format!("event-{number}"),
            "eventTime": format!("2026-11-23T09:30:0{second}Z"), "awsRegion": "eu-west-1",
            "recipientAccountId": "111122223333",
            "requestParameters": {"target": "i-0123456789abcdef0", "sessionId": "alice-0e34861185201706f"},
            "responseElements": {"sessionId": "alice-0e34861185201706f"},
        });
        let event = cloudtrail::session_event(&record).unwrap().unwrap();
        let outcome = match byte >> 6 {
            0 => Outcome::Terminated { confirmed: event.time + SignedDuration::from_secs(1) },
            1 => Outcome::Failed { reason: "Throttling".into() },
            _ => Outcome::NotNeeded,
        };
        let failed = (byte >> 5 & 1 == 1).then(|| PolicyError { policy: "x".into(), message: "y".into() });
        let decision = Decision { errors: failed.into_iter().collect(), ..Decision::default() };
        Self { session: Session::new(event, None), decision, outcome }
    }

    fn verdict(&self) -> Verdict {
        Verdict::new(&self.session, &self.decision, &self.outcome, Mode::Enforce)
    }
}

fn joined(steps: &[Step]) -> SessionRecord {
    let mut record = SessionRecord::default();
    for step in steps {
        record.join(&step.session, step.verdict(), &step.outcome);
    }
    record
}

/// A later run on each event, which finds what the first one found.
fn revised(mut record: SessionRecord, steps: &[Step]) -> SessionRecord {
    for step in steps {
        record.revise(&step.session.event.id, step.verdict(), &step.outcome);
    }
    record
}

fuzz_target!(|bytes: &[u8]| {
    let Some((turn, bytes)) = bytes.split_first() else { return };
    let mut steps: Vec<_> =
        bytes.iter().take(MOST).enumerate().map(|(number, byte)| Step::new(number, *byte)).collect();
    let record = joined(&steps);
    assert_eq!(record.verdicts.len(), steps.len().min(VERDICTS_KEPT));
    assert_eq!(revised(record.clone(), &steps), record);
    if !steps.is_empty() {
        let turn = usize::from(*turn) % steps.len();
        steps.rotate_left(turn);
        steps[turn / 2..].reverse();
    }
    assert_eq!(joined(&steps), record);
});
