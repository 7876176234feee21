//! A batch of deliveries, each from SQS's message to a log that was read, recorded and told.
//!
//! Small logs go first, so that a huge one delays nobody, and a log for which the time does not suffice is read on by
//! the next delivery from where this one came to. What is not done goes back to the queue alone
//! (`batchItemFailures`). A log may be there before CloudTrail tells of its session: then it is read and told at once,
//! and goes back to the queue until the session is known, or has to be called unknown.

use std::time::Duration;

use aws::alert::publish;
use aws::ledger::Held;
use aws::metrics::emit;
use aws::trace;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::tracing::{error, info, warn};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use session::alert::{Alert, Log};
use session::ledger::{Claim, LOG_LEASE, Progress, session_key};
use session::object::{self, LogObject, ObjectError};
use session::transcript::{self, Finding, Joined, Reading, Transcript};

use crate::config::App;
use crate::failure::Failure;
use crate::metrics;
use crate::reading::{self, Read};

/// What is kept of an invocation's time to record and tell what was read.
const TO_FINISH: Duration = Duration::from_secs(15);

/// One delivery of one log.
struct Delivery {
    /// SQS's id of the message: the same on every delivery of it.
    message: String,
    /// The log's id in the ledger.
    id: String,
    object: LogObject,
}

/// One log in one invocation.
struct Run<'a> {
    app: &'a App,
    held: Held<'a>,
    object: &'a LogObject,
    /// When reading has to stop.
    until: tokio::time::Instant,
}

/// Handles a batch of deliveries, and tells which ones are not done.
pub(crate) async fn handle(app: &App, batch: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let until = deadline(&batch.context);
    let mut not_done = SqsBatchResponse::default();
    let mut fail = |message: String| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message;
        not_done.batch_item_failures.push(failure);
    };
    let mut deliveries = Vec::new();
    for message in batch.payload.records {
        let id = message.message_id.clone().unwrap_or_default();
        match log_object(&message) {
            Ok(Some(object)) => deliveries.push(Delivery { message: id, id: object.id(), object }),
            Ok(None) => emit([metrics::ignored(Timestamp::now())]),
            Err(failure) => {
                emit([metrics::unreadable(Timestamp::now())]);
                error!(message_id = id, kind = failure.kind(), "The delivery cannot be read: {failure}.");
                fail(id);
            }
        }
    }
    deliveries.sort_by_key(|delivery| delivery.object.size);
    for delivery in deliveries {
        let held = Held { event: &delivery.id, owner: &delivery.message, lease: LOG_LEASE };
        let run = Run { app, held, object: &delivery.object, until };
        let work = async {
            trace::annotate_session(&delivery.object.session);
            let result = run.released(run.read_and_tell().await).await;
            result.inspect_err(|failure| trace::annotate("outcome", failure.kind()))
        };
        if let Err(failure) = trace::within("log", |failure: &Failure| !failure.is_expected(), work).await {
            let (log, causes) = (delivery.object.to_string(), failure.causes());
            match failure.is_expected() {
                true => info!(log, kind = failure.kind(), "The log comes again: {failure}."),
                false => error!(log, kind = failure.kind(), causes, "The log is not done: {failure}."),
            }
            fail(delivery.message);
        }
    }
    not_done
}

fn deadline(context: &Context) -> tokio::time::Instant {
    let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
    tokio::time::Instant::now() + left.saturating_sub(TO_FINISH)
}

fn log_object(message: &SqsMessage) -> Result<Option<LogObject>, Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    let envelope: Value = serde_json::from_str(body)
        .map_err(|error| ObjectError { event: "?".to_owned(), problem: error.to_string() })?;
    Ok(object::log_object(&envelope)?)
}

/// What is to be said of a log, or of as much of it as was read.
struct Verdict {
    joined: Joined,
    /// Everything that was found.
    findings: Vec<Finding>,
    alert: Alert,
    /// Whether there is something to tell that was not told yet.
    is_news: bool,
}

impl Run<'_> {
    async fn read_and_tell(&self) -> Result<(), Failure> {
        let Some(progress) = self.claim().await? else { return Ok(()) };
        let (app, object) = (self.app, self.object);
        let (reading, checkpoint) =
            match reading::read(app, object, progress.checkpoint.as_deref(), self.until).await? {
                Read::Whole { reading, checkpoint } => (reading, checkpoint),
                Read::UntilNow { offset, so_far, checkpoint } => {
                    self.keep(checkpoint).await?;
                    // Who makes a log that is read for hours, or never to its end, delays nothing by it.
                    let verdict = self.judge(&so_far, &progress).await?;
                    self.tell(&verdict, false).await?;
                    return Err(Failure::Unfinished { offset, size: object.size });
                }
            };
        let verdict = self.judge(&reading, &progress).await?;
        let is_joined = verdict.joined != Joined::Waiting;

        let transcript = Transcript::new(object, &reading, &verdict.findings);
        app.ledger.record_log(self.held, object, &transcript, is_joined && !verdict.is_news).await?;
        if !progress.recorded {
            emit(metrics::read(object, &reading, &verdict.findings, Timestamp::now()));
        }
        self.tell(&verdict, is_joined).await?;
        info!(
            log = object.to_string(),
            session_id = object.session.as_str(),
            bytes = reading.bytes,
            commands = reading.commands,
            findings = verdict.findings.len(),
            "The log is read."
        );
        if is_joined {
            return Ok(());
        }
        // The next look, for a session that is not known yet, need not read the log again.
        self.keep(checkpoint.filter(|kept| progress.checkpoint.as_ref() != Some(kept))).await?;
        Err(Failure::Waiting)
    }

    /// Holds what was read against what is known of the session.
    async fn judge(&self, reading: &Reading, progress: &Progress) -> Result<Verdict, Failure> {
        let (app, object) = (self.app, self.object);
        let key = session_key(&object.account, &object.region, &object.session);
        let record = app.ledger.session(&key).await?;
        let now = Timestamp::now();
        let joined = Joined::of(&record, object, app.patience, now);
        let findings = transcript::findings(&record, object, reading, joined);
        // The ledger keeps them all; people are told of what they asked for.
        let worth_telling: Vec<_> =
            findings.iter().filter(|finding| finding.severity >= app.alert_from).cloned().collect();
        let log = Log { object, reading, findings: &worth_telling, record: &record, joined };
        let alert = Alert::transcript(&log, app.mode, now);
        let is_news = !worth_telling.is_empty() && progress.told.as_deref() != Some(alert.told().as_str());
        Ok(Verdict { joined, findings, alert, is_news })
    }

    /// Tells what is news, and whether that leaves nothing to do.
    async fn tell(&self, verdict: &Verdict, done: bool) -> Result<(), Failure> {
        if !verdict.is_news {
            return Ok(());
        }
        let app = self.app;
        publish(&app.clients.sns, &app.topic, &verdict.alert.render()).await.map_err(Failure::Publish)?;
        Ok(app.ledger.told(self.held, &verdict.alert.told(), done).await?)
    }

    async fn keep(&self, checkpoint: Option<String>) -> Result<(), Failure> {
        match checkpoint {
            Some(checkpoint) => Ok(self.app.ledger.checkpoint(self.held, &checkpoint).await?),
            None => Ok(()),
        }
    }

    /// How far an earlier run came; `None` when nothing is left to do.
    async fn claim(&self) -> Result<Option<Progress>, Failure> {
        match self.app.ledger.claim(self.held, Timestamp::now()).await? {
            Claim::New => Ok(Some(Progress::default())),
            Claim::Resume(progress) => Ok(Some(progress)),
            Claim::Busy => Err(Failure::Busy),
            Claim::Done => {
                info!(log = self.object.to_string(), "The log is told already.");
                Ok(None)
            }
        }
    }

    /// Lets go of a log that is not done, so that another delivery need not wait for the lease to end.
    async fn released(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        if result.is_err() && !matches!(result, Err(Failure::Busy)) {
            // What cannot be released is free when its lease is over.
            if let Err(error) = self.app.ledger.release(self.held).await {
                warn!(log = self.object.to_string(), "The log is held until its lease is over: {error}.");
            }
        }
        result
    }
}
