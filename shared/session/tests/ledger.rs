//! The ledger's promises, under any order, duplication and crash.
//!
//! A small world stands in for AWS: sessions that can be ended, a table whose writes either happen or do not, and
//! a topic. [`World::deliver`] does the steps of one run in the function's order and may be killed after any of them. The
//! decisions that matter, who may take an event over and what is joined, are the crate's own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use session::cloudtrail;
use session::event::{EventKind, Session, SessionEvent, SessionId};
use session::ledger::{Claim, Claimed, LEASE, Progress, SessionRecord, VERDICTS_KEPT, Verdict};
use session::policy::{About, Decision, Respond, Severity};
use session::response::{Mode, Outcome, respond};

const START: &str = "2026-11-23T09:30:00Z";

fn event(number: usize, name: &str) -> SessionEvent {
    let record = json!({
        "eventVersion": "1.11", "eventSource": "ssm.amazonaws.com", "eventName": name,
        "eventID": format!("event-{number}"), "eventTime": START,
        "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
        "userIdentity": {"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::111122223333:user/alice"},
        "requestParameters": {"target": "i-0123456789abcdef0", "sessionId": "alice-0e34861185201706f"},
        "responseElements": {"sessionId": "alice-0e34861185201706f"},
    });
    cloudtrail::session_event(&record).unwrap().unwrap()
}

fn violated() -> Decision {
    let policy = About {
        id: "target-without-tags".into(),
        title: "Target without the required tags".into(),
        severity: Severity::High,
        respond: Respond::Terminate,
        runbook: None,
    };
    Decision { violations: vec![policy], ..Decision::default() }
}

/// The step after which a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Claimed,
    Intended,
    Acted,
    Recorded,
    Told,
    Never,
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Happened {
    Intended(String),
    Terminated(String),
    Told(String),
}

struct World {
    mode: Mode,
    now: Timestamp,
    is_open: bool,
    events: BTreeMap<String, Claimed>,
    verdicts: BTreeMap<String, Verdict>,
    record: SessionRecord,
    history: Vec<Happened>,
}

impl World {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            now: START.parse().unwrap(),
            is_open: true,
            events: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            record: SessionRecord::default(),
            history: Vec::new(),
        }
    }

    /// One run on one delivery, killed after `killed_after`.
    fn deliver(&mut self, event: &SessionEvent, owner: &str, killed_after: Step) {
        self.now += SignedDuration::from_secs(1);
        let Some(progress) = self.claim(event, owner) else { return };
        if killed_after == Step::Claimed {
            return;
        }
        let mut session = Session::new(event.clone(), None);
        self.record.complete(&mut session);
        let is_judged = session.is_opened();
        let decision = if is_judged { violated() } else { Decision::default() };
        let response = respond(&decision, &session, self.mode);
        if response.terminate.is_some() {
            self.progress(event).intended = Some(self.now);
            self.history.push(Happened::Intended(event.id.clone()));
        }
        if killed_after == Step::Intended {
            return;
        }
        let outcome = self.act(&response.terminate, response.otherwise.clone(), &event.id);
        if killed_after == Step::Acted {
            return;
        }
        let is_news = response.alert && progress.told.is_none();
        let verdict = Verdict::new(&session, &decision, &outcome, self.mode);
        if progress.recorded {
            self.record.revise(&event.id, verdict.clone(), &outcome);
        } else {
            self.record.join(&session, verdict.clone(), &outcome);
        }
        self.verdicts.insert(event.id.clone(), verdict);
        self.progress(event).recorded = true;
        self.known(event).done = !is_news;
        if killed_after == Step::Recorded || !is_news {
            return;
        }
        self.history.push(Happened::Told(event.id.clone()));
        if killed_after == Step::Told {
            return;
        }
        self.progress(event).told = Some("violation".into());
        self.known(event).done = true;
    }

    fn claim(&mut self, event: &SessionEvent, owner: &str) -> Option<Progress> {
        let known = self.events.get(&event.id).cloned();
        let progress = match Claimed::claim(known, owner, self.now) {
            Claim::New => Progress::default(),
            Claim::Resume(progress) => progress,
            Claim::Busy | Claim::Done => return None,
        };
        let claimed = Claimed {
            owner: owner.to_owned(),
            until: self.now + LEASE,
            done: false,
            progress: progress.clone(),
        };
        self.events.insert(event.id.clone(), claimed);
        Some(progress)
    }

    fn act(&mut self, terminate: &Option<SessionId>, otherwise: Outcome, event: &str) -> Outcome {
        if terminate.is_none() {
            return otherwise;
        }
        self.is_open = false;
        self.history.push(Happened::Terminated(event.to_owned()));
        Outcome::Terminated { confirmed: self.now }
    }

    fn known(&mut self, event: &SessionEvent) -> &mut Claimed {
        self.events.get_mut(&event.id).expect("the event is claimed")
    }

    fn progress(&mut self, event: &SessionEvent) -> &mut Progress {
        &mut self.known(event).progress
    }

    fn count(&self, what: &Happened) -> usize {
        self.history.iter().filter(|happened| *happened == what).count()
    }
}

fn steps() -> impl Strategy<Value = Step> {
    proptest::sample::select(vec![
        Step::Claimed,
        Step::Intended,
        Step::Acted,
        Step::Recorded,
        Step::Told,
        Step::Never,
        Step::Never,
    ])
}

proptest! {
    /// Every session event that is delivered ends in exactly one ledger verdict, whatever order, duplication or
    /// crash happens.
    #[test]
    fn every_event_ends_in_one_verdict(
        names in proptest::collection::vec(
            proptest::sample::select(vec!["ResumeSession", "TerminateSession"]), 0..5),
        deliveries in proptest::collection::vec((any::<Index>(), 0..3_u8, steps()), 0..30),
        enforce in any::<bool>(),
    ) {
        let mut events = vec![event(0, "StartSession")];
        events.extend(names.iter().enumerate().map(|(number, name)| event(number + 1, name)));
        let mut world = World::new(if enforce { Mode::Enforce } else { Mode::Observe });
        for (which, owner, killed_after) in &deliveries {
            world.deliver(&events[which.index(events.len())], &format!("delivery-{owner}"), *killed_after);
        }
        // Lambda and EventBridge go on until a delivery succeeds.
        world.now += LEASE;
        for event in &events {
            world.deliver(event, "last delivery", Step::Never);
        }

        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        prop_assert!(world.events.values().all(|known| known.done));
        prop_assert_eq!(world.verdicts.keys().cloned().collect::<Vec<_>>(), ids.clone());
        prop_assert_eq!(world.record.verdicts.keys().cloned().collect::<Vec<_>>(), ids);
        let resumed = names.iter().filter(|name| **name == "ResumeSession").count();
        prop_assert_eq!(world.record.resumed, u64::try_from(resumed).unwrap());
        prop_assert!(world.record.started.is_some());
        let is_ended = !world.is_open || names.contains(&"TerminateSession");
        prop_assert_eq!(world.record.ended.is_some(), is_ended);

        for event in &events {
            let is_judged = !matches!(event.kind, EventKind::Terminated { .. });
            prop_assert_eq!(world.count(&Happened::Told(event.id.clone())) > 0, is_judged);
            let intended = world.history.iter().position(|happened| *happened == Happened::Intended(event.id.clone()));
            let acted = world.history.iter().position(|happened| *happened == Happened::Terminated(event.id.clone()));
            prop_assert!(acted.is_none() || intended.is_some() && intended < acted, "the intent comes first");
        }
    }

    /// `observe` mode never terminates anything.
    #[test]
    fn observe_never_terminates(deliveries in proptest::collection::vec((0..3_u8, steps()), 1..10)) {
        let start = event(0, "StartSession");
        let mut world = World::new(Mode::Observe);
        for (owner, killed_after) in deliveries {
            world.deliver(&start, &format!("delivery-{owner}"), killed_after);
        }
        prop_assert!(world.is_open);
        prop_assert!(!world.history.iter().any(|happened| matches!(happened, Happened::Intended(_))));
    }

    /// Alerts are at least once; a redelivered event does not alert twice while its ledger record lives.
    #[test]
    fn a_redelivery_of_a_finished_event_tells_nothing(again in 1..5_usize) {
        let start = event(0, "StartSession");
        let mut world = World::new(Mode::Enforce);
        world.deliver(&start, "first", Step::Never);
        for number in 0..again {
            world.deliver(&start, &format!("again-{number}"), Step::Never);
        }
        prop_assert_eq!(world.count(&Happened::Told(start.id)), 1);
    }

    /// The join gives the same facts for every order in which events arrive.
    #[test]
    fn facts_are_the_same_in_every_order(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let names =
            ["StartSession", "ResumeSession", "TerminateSession", "ResumeSession", "TerminateSession", "StartSession"];
        let join = |order: &[usize]| {
            let mut record = SessionRecord::default();
            for number in order {
                let session = Session::new(event(*number, names[*number]), None);
                let verdict = Verdict::new(&session, &Decision::default(), &Outcome::NotNeeded, Mode::Observe);
                record.join(&session, verdict, &Outcome::NotNeeded);
            }
            record
        };
        prop_assert_eq!(join(&order), join(&[0, 1, 2, 3, 4, 5]));
    }
}

#[test]
fn a_run_that_is_alive_is_left_alone_and_one_that_is_over_is_taken_over() {
    let now: Timestamp = START.parse().unwrap();
    let held = |owner: &str, until: Timestamp, done: bool| {
        Some(Claimed { owner: owner.to_owned(), until, done, progress: Progress::default() })
    };
    let later = now + LEASE;
    for (known, expected) in [
        (None, Claim::New),
        (held("other", later, false), Claim::Busy),
        (held("other", now, false), Claim::Resume(Progress::default())),
        // Lambda retries under the same request id, and only when the former run is over.
        (held("me", later, false), Claim::Resume(Progress::default())),
        (held("other", now, true), Claim::Done),
        (held("me", later, true), Claim::Done),
    ] {
        assert_eq!(Claimed::claim(known.clone(), "me", now), expected, "{known:?}");
    }
}

#[test]
fn a_record_keeps_the_worst_verdicts_and_stays_small() {
    let mut record = SessionRecord::default();
    for number in 0..VERDICTS_KEPT + 50 {
        let session = Session::new(event(number, "ResumeSession"), None);
        let decision = if number == 3 { violated() } else { Decision::default() };
        let verdict = Verdict::new(&session, &decision, &Outcome::NotNeeded, Mode::Observe);
        record.join(&session, verdict, &Outcome::NotNeeded);
    }
    assert_eq!(record.verdicts.len(), VERDICTS_KEPT);
    assert_eq!(record.resumed, 150);
    assert_eq!(record.verdicts["event-3"].violations, ["target-without-tags"]);
}
