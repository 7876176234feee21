//! One event, from EventBridge's envelope to a verdict that was recorded and told.
//!
//! The order is the promise: decide, record the intent, act, confirm, record the verdict, tell. Whatever step a run is
//! killed at, the retry finds in the ledger how far it came and goes on from there.

use std::time::Duration;

use aws::accounts::AccountClients;
use aws::alert::publish;
use aws::ledger::{Held, Joining};
use aws::metrics::emit;
use aws::ssm::{self, Before};
use aws::trace;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use lambda_runtime::tracing::{error, info, warn};
use serde::Deserialize;
use serde_json::Value;
use session::alert::Alert;
use session::cloudtrail::{self, RecordError};
use session::event::{Session, SessionEvent};
use session::ledger::{Claim, LEASE, Progress, SessionRecord, Verdict, session_key};
use session::policy::{Decision, Lookup};
use session::response::{Outcome, Response, respond};

use crate::config::App;
use crate::failure::Failure;
use crate::look_up::{self, Found};
use crate::metrics;

/// How long after the first look the tags are looked up again, before a session is ended for them.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(500);

/// How long a delivery waits for another one that is at work on the same event, before it fails and Lambda tries it
/// again: longer than a run takes that waits for a session to end.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(20);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// One invocation.
struct Run<'a> {
    app: &'a App,
    held: Held<'a>,
    invoked: Timestamp,
}

/// Handles one delivery of one event.
pub(crate) async fn handle(app: &App, delivery: LambdaEvent<Value>) -> Result<(), Failure> {
    let invoked = Timestamp::now();
    let owner = delivery.context.request_id.as_str();
    let envelope = EventBridgeEvent::<Value>::deserialize(&delivery.payload);
    let record = envelope.map_err(|_| RecordError::Missing { record: "?".to_owned(), field: "detail" });
    let event =
        record.and_then(|envelope| cloudtrail::delivered(envelope.account.as_deref(), &envelope.detail));
    let result = match event {
        Ok(Some(event)) => {
            trace::annotate("event_id", &event.id);
            if let Some(session) = event.session() {
                trace::annotate_session(session);
            }
            let run = Run { app, held: Held { event: &event.id, owner, lease: LEASE }, invoked };
            run.released(run.judge(&event).await).await
        }
        Ok(None) => {
            warn!("The event is not of a Session Manager call: the rule lets too much through.");
            Ok(())
        }
        Err(error) => {
            let id = delivered_id(&delivery.payload).unwrap_or(owner);
            trace::annotate("event_id", id);
            let run = Run { app, held: Held { event: id, owner, lease: LEASE }, invoked };
            run.released(run.tell_unreadable(&delivery.payload, error).await).await
        }
    };
    result.inspect_err(|failure| error!(causes = failure.causes(), "The event is not done: {failure}."))
}

impl Run<'_> {
    async fn judge(&self, event: &SessionEvent) -> Result<(), Failure> {
        // Whom to ask about the event: its own account, in its own Region.
        let there = self.app.clients.accounts.clients(&event.account, &event.region);
        let (progress, found) = tokio::join!(self.claim(), self.find_out(&there, event));
        let Some(progress) = progress? else { return Ok(()) };
        let Found { value: mut session, mut failed } = found?;

        let (decision, response) = self.decide(&there, &mut session, &mut failed).await;
        if response.terminate.is_some() && progress.intended.is_none() {
            self.app.ledger.intend(self.held, Timestamp::now()).await?;
        }
        let before = match (progress.intended, session.ended) {
            (Some(_), _) => Before::Intended,
            (None, Some(_)) => Before::Ended,
            (None, None) => Before::Open,
        };
        let outcome = ssm::carry_out(&there.ssm, &response, before).await;
        trace::annotate("outcome", outcome.as_str());
        let unfinished = unfinished(&session, &decision, &outcome, failed);
        self.record_and_tell(&session, &decision, &response, &outcome, &progress, unfinished.is_some())
            .await?;
        info!(
            event_id = event.id,
            session_id = session.id().map(|id| id.as_str()),
            operation = event.operation(),
            outcome = outcome.as_str(),
            violations = decision.violations.len(),
            "The event is judged."
        );
        unfinished.map_or(Ok(()), Err)
    }

    /// How far an earlier run came; `None` when nothing is left to do.
    async fn claim(&self) -> Result<Option<Progress>, Failure> {
        let give_up = tokio::time::Instant::now() + WAIT_FOR_OTHERS;
        loop {
            match self.app.ledger.claim(self.held, Timestamp::now()).await? {
                Claim::New => return Ok(Some(Progress::default())),
                Claim::Resume(progress) => {
                    info!(event_id = self.held.event, "An earlier run left the event unfinished.");
                    return Ok(Some(progress));
                }
                Claim::Done => {
                    info!(event_id = self.held.event, "The event has its verdict already.");
                    return Ok(None);
                }
                Claim::Busy if tokio::time::Instant::now() < give_up => {
                    tokio::time::sleep(ASK_AGAIN_AFTER).await
                }
                Claim::Busy => return Err(Failure::Busy { event: self.held.event.to_owned() }),
            }
        }
    }

    /// Lets go of an event that is not done, so that a replay need not wait for the lease to end.
    async fn released(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        if result.is_err() && !matches!(result, Err(Failure::Busy { .. })) {
            // What cannot be released is free when its lease is over.
            if let Err(error) = self.app.ledger.release(self.held).await {
                warn!(event_id = self.held.event, "The event is held until its lease is over: {error}.");
            }
        }
        result
    }

    /// Asks the ledger and AWS everything at once that can be asked at once.
    async fn find_out(
        &self,
        there: &AccountClients,
        event: &SessionEvent,
    ) -> Result<Found<Session>, Failure> {
        let mut session = Session::new(event.clone(), None);
        let elsewhere = self.app.clients.accounts.role_in(&event.account);
        let roles = [Some(self.app.role.as_str()), elsewhere.as_deref()];
        session.is_own = roles.into_iter().flatten().any(|role| event.principal.is_session_of(role));
        if !self.app.policies.judge(&session) {
            return Ok(Found { value: session, failed: 0 });
        }
        let ((record, target), principal) = tokio::try_join!(self.record_and_target(there, event), async {
            Ok(look_up::principal(there, &self.app.policies, event).await)
        })?;
        let facts = &mut session.event.principal;
        (facts.tags, facts.groups) = principal.value;
        session.target = target.value;
        record.complete(&mut session);
        Ok(Found { value: session, failed: target.failed + principal.failed })
    }

    async fn record_and_target(
        &self,
        there: &AccountClients,
        event: &SessionEvent,
    ) -> Result<(SessionRecord, Found<Option<session::target::Target>>), Failure> {
        let record = async {
            match event.session() {
                Some(id) => {
                    let key = session_key(&event.account, &event.region, id);
                    self.app.ledger.session(&key).await.map_err(Failure::from)
                }
                None => Ok(SessionRecord::default()),
            }
        };
        if let Some(id) = event.target() {
            let target = look_up::target(there, event, id.clone());
            let (record, target) = tokio::join!(record, target);
            return Ok((record?, Found { value: Some(target.value), failed: target.failed }));
        }
        let record = record.await?;
        let id = look_up::target_of_session(there, event, &record).await;
        let target = match id.value {
            Some(id) => {
                let target = look_up::target(there, event, id).await;
                Found { value: Some(target.value), failed: target.failed }
            }
            None => Found { value: None, failed: id.failed },
        };
        Ok((record, target))
    }

    /// Judges, and looks a second time before a session is ended for nothing but its target's tags.
    async fn decide(
        &self,
        there: &AccountClients,
        session: &mut Session,
        failed: &mut usize,
    ) -> (Decision, Response) {
        let judge = |session: &Session| {
            let decision = self.app.policies.decide(session);
            let response = respond(&decision, session, self.app.mode);
            (decision, response)
        };
        let (decision, response) = judge(session);
        let rests_on_tags = self.app.policies.end_rests_on(&decision, Lookup::TargetTags);
        let (Some(target), true, true) = (&mut session.target, response.terminate.is_some(), rests_on_tags)
        else {
            return (decision, response);
        };
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
        let tags = look_up::tags(there, &session.event, &target.id).await;
        *failed += tags.failed;
        target.tags = tags.value;
        target.looked_twice = true;
        judge(session)
    }

    async fn record_and_tell(
        &self,
        session: &Session,
        decision: &Decision,
        response: &Response,
        outcome: &Outcome,
        progress: &Progress,
        is_unfinished: bool,
    ) -> Result<(), Failure> {
        let (app, now) = (self.app, Timestamp::now());
        let alert = Alert::new(session, decision, outcome, app.mode, now);
        let is_news = response.alert && progress.told.as_deref() != Some(alert.told().as_str());
        let verdict = Verdict::new(session, decision, outcome, app.mode);
        let joining = Joining { joined: progress.recorded, done: !is_news && !is_unfinished };
        app.ledger.record(self.held, session, &verdict, outcome, joining).await?;
        if !progress.recorded || progress.told.is_some() && is_news {
            emit(metrics::judged(session, decision, outcome, self.invoked, now));
        }
        if is_news {
            publish(&app.clients.sns, &app.topic, &alert.render()).await.map_err(Failure::Publish)?;
            app.ledger.told(self.held, &alert.told(), !is_unfinished).await?;
        }
        Ok(())
    }

    /// Tells once that an event cannot be read, and fails, so that the failures queue keeps the event.
    async fn tell_unreadable(&self, envelope: &Value, error: RecordError) -> Result<(), Failure> {
        let Some(progress) = self.claim().await? else { return Err(error.into()) };
        let of = |path| envelope.pointer(path).and_then(Value::as_str).unwrap_or("unknown");
        let alert = Alert::unreadable(self.held.event, of("/account"), of("/region"), &error, self.invoked);
        if progress.told.is_none() {
            emit([metrics::unreadable(self.invoked)]);
            publish(&self.app.clients.sns, &self.app.topic, &alert.render())
                .await
                .map_err(Failure::Publish)?;
            self.app.ledger.told(self.held, &alert.told(), false).await?;
        }
        Err(error.into())
    }
}

/// The id that stays the same when an event that cannot be read is delivered again.
fn delivered_id(envelope: &Value) -> Option<&str> {
    let id =
        |path| envelope.pointer(path).and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= 128);
    id("/detail/eventID").or_else(|| id("/id"))
}

/// What a retry may still mend.
fn unfinished(session: &Session, decision: &Decision, outcome: &Outcome, failed: usize) -> Option<Failure> {
    if let Outcome::Failed { reason } = outcome {
        let session = session.id().map(ToString::to_string).unwrap_or_default();
        return Some(Failure::NotEnded { session, reason: reason.clone() });
    }
    let is_over = matches!(outcome, Outcome::Terminated { .. } | Outcome::AlreadyEnded);
    if failed > 0 && !decision.undecided.is_empty() && !is_over {
        let policies = decision.undecided.iter().map(|undecided| undecided.policy.id.clone());
        return Some(Failure::LookUp { policies: policies.collect() });
    }
    None
}
