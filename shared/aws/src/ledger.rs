//! The ledger: one DynamoDB table with an item per session and an item per event.
//!
//! The item of an event (`event#<CloudTrail's eventID>`, or `event#<the log's address and version>`) says who works on it, how far it came and what the verdict
//! is; the item of a session joins what every event said of it. A verdict reaches both in one transaction, so
//! a run that is killed leaves either none or both. What the items mean is in [`session::ledger`]; this module only
//! reads and writes them.

mod item;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::{SignedDuration, Timestamp};
use session::event::{Session, SessionId};
use session::ledger::{Claim, Claimed, SessionRecord, Verdict, session_key};
use session::object::LogObject;
use session::response::Outcome;
use session::transcript::Transcript;

use crate::error::AwsError;

type Item = HashMap<String, AttributeValue>;

/// How often a session's record is read and joined again, when another event of the session came in between.
const JOINS: u32 = 8;
const JOIN_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Another delivery took the event over.
    #[error("event `{event}` was taken over by another delivery")]
    Lost {
        /// The event.
        event: String,
    },
    /// Other events of the session kept coming in between.
    #[error("record `{key}` changed {JOINS} times while it was joined")]
    Contended {
        /// The record's key.
        key: String,
    },
    /// An item that this version does not understand.
    #[error("item `{key}` cannot be read: {source}")]
    Item {
        /// The item's key.
        key: String,
        /// Why.
        source: serde_dynamo::Error,
    },
}

/// The ledger's table.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The client.
    pub client: Client,
    /// The table.
    pub table: String,
    /// How long items are kept.
    pub keep: SignedDuration,
}

/// One event, held by one delivery.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// CloudTrail's `eventID`, or the id of a log's object.
    pub event: &'a str,
    /// The delivery: Lambda's request id, or SQS's message id.
    pub owner: &'a str,
    /// How long the delivery may hold it.
    pub lease: SignedDuration,
}

impl Held<'_> {
    fn key(&self) -> AttributeValue {
        text(&format!("event#{}", self.event))
    }

    fn lost(&self) -> LedgerError {
        LedgerError::Lost { event: self.event.to_owned() }
    }
}

impl Ledger {
    /// Asks the table for an item that it cannot have: opens the connection and shows that the table is there.
    pub async fn greet(&self) -> Result<(), AwsError> {
        self.get("greeting").await.map(|_| ())
    }

    /// Claims an event for a delivery.
    pub async fn claim(&self, held: Held<'_>, now: Timestamp) -> Result<Claim, LedgerError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", held.key())
            .update_expression("SET #owner = :owner, #until = :until, #expires = :expires")
            .condition_expression(
                "attribute_not_exists(pk) OR (#done <> :true AND (#owner = :owner OR #until <= :now))",
            )
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#until", "until")
            .expression_attribute_names("#expires", "expires")
            .expression_attribute_names("#done", "done")
            .expression_attribute_values(":owner", text(held.owner))
            .expression_attribute_values(":until", number((now + held.lease).as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":expires", self.expires(now))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let known = match result {
            Ok(answer) => answer.attributes.filter(|item| !item.is_empty()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => refused.item.clone(),
                _ => return Err(AwsError::new("dynamodb:UpdateItem", held.event, error).into()),
            },
        };
        let known = known.map(|item| item::claimed(held.event, item)).transpose()?;
        Ok(Claimed::claim(known, held.owner, now))
    }

    /// Records that the session is going to be ended, before it is.
    pub async fn intend(&self, held: Held<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let values = [(":now", text(&now.to_string()))];
        self.note(held, "SET #intended = :now", &[("#intended", "intended")], &values).await
    }

    /// Records what was told, and whether that leaves nothing to do.
    pub async fn told(&self, held: Held<'_>, told: &str, done: bool) -> Result<(), LedgerError> {
        let names = [("#told", "told"), ("#done", "done")];
        let values = [(":told", text(told)), (":done", AttributeValue::Bool(done))];
        self.note(held, "SET #told = :told, #done = :done", &names, &values).await
    }

    /// Records how far a log was read, so that the next run goes on from there.
    pub async fn checkpoint(&self, held: Held<'_>, checkpoint: &str) -> Result<(), LedgerError> {
        let values = [(":checkpoint", text(checkpoint))];
        self.note(held, "SET #checkpoint = :checkpoint", &[("#checkpoint", "checkpoint")], &values).await
    }

    /// Lets go of an event, so that any delivery may take it over at once.
    pub async fn release(&self, held: Held<'_>) -> Result<(), LedgerError> {
        self.note(held, "SET #until = :never", &[("#until", "until")], &[(":never", number(0))]).await
    }

    /// What is known of a session.
    pub async fn session(&self, key: &str) -> Result<SessionRecord, LedgerError> {
        Ok(self.read(key).await?.record)
    }

    /// Records the verdict on an event, and joins the event to its session's record: both or none.
    pub async fn record(
        &self,
        held: Held<'_>,
        session: &Session,
        verdict: &Verdict,
        outcome: &Outcome,
        state: Joining,
    ) -> Result<(), LedgerError> {
        let known = [("verdict", item::verdict(held.event, verdict)?)];
        let event = self.recorded(held, &known, state.done);
        let Some(id) = session.id() else { return self.write(held, vec![event]).await.map(|_| ()) };
        let owner = Owner { account: &session.event.account, region: &session.event.region, session: id };
        self.join(held, owner, event, |record| {
            if state.joined {
                record.revise(&session.event.id, verdict.clone(), outcome);
            } else {
                record.join(session, verdict.clone(), outcome);
            }
        })
        .await
    }

    /// Records what was read of a log, and joins it to its session's record: both or none.
    pub async fn record_log(
        &self,
        held: Held<'_>,
        object: &LogObject,
        transcript: &Transcript,
        done: bool,
    ) -> Result<(), LedgerError> {
        let event = self.recorded(held, &[], done);
        let owner = Owner { account: &object.account, region: &object.region, session: &object.session };
        self.join(held, owner, event, |record| record.join_transcript(object, transcript.clone())).await
    }

    /// Writes the item of an event together with its session's record, as often as another event of the session comes in
    /// between.
    async fn join(
        &self,
        held: Held<'_>,
        owner: Owner<'_>,
        event: TransactWriteItem,
        join: impl Fn(&mut SessionRecord),
    ) -> Result<(), LedgerError> {
        let (now, key) = (Timestamp::now(), session_key(owner.account, owner.region, owner.session));
        for attempt in 0..JOINS {
            let mut read = self.read(&key).await?;
            join(&mut read.record);
            let put = self.put_record(&key, owner, &read, now)?;
            if self.write(held, vec![event.clone(), put]).await? {
                return Ok(());
            }
            tokio::time::sleep(JOIN_AGAIN_AFTER * (attempt + 1)).await;
        }
        Err(LedgerError::Contended { key })
    }

    /// The write that marks an event as recorded, with what is known of it.
    fn recorded(&self, held: Held<'_>, known: &[(&str, AttributeValue)], done: bool) -> TransactWriteItem {
        let set: String = known.iter().map(|(name, _)| format!("#{name} = :{name}, ")).collect();
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("pk", held.key())
            .update_expression(format!("SET {set}#recorded = :true, #done = :done"))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#recorded", "recorded")
            .expression_attribute_names("#done", "done")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":done", AttributeValue::Bool(done))
            .expression_attribute_values(":owner", text(held.owner));
        for (name, value) in known {
            update = update
                .expression_attribute_names(format!("#{name}"), *name)
                .expression_attribute_values(format!(":{name}"), value.clone());
        }
        TransactWriteItem::builder().set_update(update.build().ok()).build()
    }

    fn put_record(
        &self,
        key: &str,
        owner: Owner<'_>,
        read: &Read,
        now: Timestamp,
    ) -> Result<TransactWriteItem, LedgerError> {
        let mut item = item::session(key, owner, &read.record)?;
        item.insert("pk".to_owned(), text(key));
        item.insert("version".to_owned(), number(read.version + 1));
        item.insert("expires".to_owned(), self.expires(now));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(read.version));
        Ok(TransactWriteItem::builder().set_put(put.build().ok()).build())
    }

    /// Writes all or nothing; `false` when a session's record changed since it was read.
    async fn write(&self, held: Held<'_>, items: Vec<TransactWriteItem>) -> Result<bool, LedgerError> {
        let result = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        let Err(error) = result else { return Ok(true) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
            error.as_service_error()
        {
            let codes: Vec<_> =
                canceled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
            match codes.as_slice() {
                ["ConditionalCheckFailed", ..] => return Err(held.lost()),
                [_, "ConditionalCheckFailed" | "TransactionConflict"] => return Ok(false),
                _ => {}
            }
        }
        Err(AwsError::new("dynamodb:TransactWriteItems", held.event, error).into())
    }

    /// Sets attributes of an event that this delivery holds.
    async fn note(
        &self,
        held: Held<'_>,
        expression: &str,
        names: &[(&str, &str)],
        values: &[(&str, AttributeValue)],
    ) -> Result<(), LedgerError> {
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", held.key())
            .update_expression(expression)
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(held.owner));
        for (placeholder, name) in names {
            request = request.expression_attribute_names(*placeholder, *name);
        }
        for (placeholder, value) in values {
            request = request.expression_attribute_values(*placeholder, value.clone());
        }
        let Err(error) = request.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Err(held.lost()),
            _ => Err(AwsError::new("dynamodb:UpdateItem", held.event, error).into()),
        }
    }

    async fn read(&self, key: &str) -> Result<Read, LedgerError> {
        match self.get(key).await? {
            Some(item) => item::record(key, item),
            None => Ok(Read::default()),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, AwsError> {
        let request =
            self.client.get_item().table_name(&self.table).key("pk", text(key)).consistent_read(true);
        let answer = request.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", key, error))?;
        Ok(answer.item)
    }

    fn expires(&self, now: Timestamp) -> AttributeValue {
        number((now + self.keep).as_second())
    }
}

/// How a verdict is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// An earlier run joined the event to its session's record.
    pub joined: bool,
    /// Nothing is left to do once the verdict is recorded.
    pub done: bool,
}

/// The session that a record is of.
#[derive(Clone, Copy, Debug)]
struct Owner<'a> {
    account: &'a str,
    region: &'a str,
    session: &'a SessionId,
}

/// A session's record as it was read, with the version that a write must find.
#[derive(Debug, Default)]
struct Read {
    record: SessionRecord,
    version: i64,
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
    use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::{ConditionalCheckFailedException, TransactionCanceledException};
    use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
    use session::cloudtrail;
    use session::ledger::{LEASE, Progress};
    use session::policy::{Decision, Severity};
    use session::response::Mode;
    use session::transcript::{Finding, Reading};

    use super::*;

    const HELD: Held<'static> = Held { event: "event-1", owner: "me", lease: LEASE };

    fn ledger(rules: &[&Rule]) -> Ledger {
        let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, rules);
        Ledger { client, table: "ledger".to_owned(), keep: SignedDuration::from_hours(24) }
    }

    fn now() -> Timestamp {
        "2026-11-23T09:30:00Z".parse().unwrap()
    }

    fn claimed(owner: &str, done: bool) -> Item {
        Item::from([
            ("pk".to_owned(), text("event#event-1")),
            ("owner".to_owned(), text(owner)),
            ("until".to_owned(), number(now().as_millisecond() + 1000)),
            ("done".to_owned(), AttributeValue::Bool(done)),
            ("intended".to_owned(), text("2026-11-23T09:29:59Z")),
            ("told".to_owned(), text("violation failed")),
            ("recorded".to_owned(), AttributeValue::Bool(true)),
        ])
    }

    #[tokio::test]
    async fn a_claim_reads_what_an_earlier_run_left() {
        let progress = Progress {
            intended: Some("2026-11-23T09:29:59Z".parse().unwrap()),
            recorded: true,
            told: Some("violation failed".to_owned()),
            checkpoint: None,
        };
        for (old, expected) in [(None, Claim::New), (Some(claimed("me", false)), Claim::Resume(progress))] {
            let rule = mock!(aws_sdk_dynamodb::Client::update_item)
                .match_requests(|request| {
                    request.table_name() == Some("ledger")
                        && request.key().is_some_and(|key| key.get("pk") == Some(&text("event#event-1")))
                })
                .then_output(move || UpdateItemOutput::builder().set_attributes(old.clone()).build());
            assert_eq!(ledger(&[&rule]).claim(HELD, now()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_claim_that_is_refused_tells_why() {
        for (item, expected) in
            [(claimed("other", false), Claim::Busy), (claimed("other", true), Claim::Done)]
        {
            let rule = mock!(aws_sdk_dynamodb::Client::update_item).then_error(move || {
                let refused = ConditionalCheckFailedException::builder().set_item(Some(item.clone())).build();
                UpdateItemError::ConditionalCheckFailedException(refused)
            });
            assert_eq!(ledger(&[&rule]).claim(HELD, now()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn who_lost_an_event_may_not_write_to_it() {
        let rule = mock!(aws_sdk_dynamodb::Client::update_item).then_error(|| {
            UpdateItemError::ConditionalCheckFailedException(
                ConditionalCheckFailedException::builder().build(),
            )
        });
        let error = ledger(&[&rule]).intend(HELD, now()).await.unwrap_err();
        assert_eq!(error.to_string(), "event `event-1` was taken over by another delivery");
    }

    fn session() -> Session {
        let record = serde_json::json!({
            "eventVersion": "1.11", "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
            "eventID": "event-1", "eventTime": "2026-11-23T09:30:00Z", "awsRegion": "eu-west-1",
            "recipientAccountId": "111122223333", "sourceIPAddress": "203.0.113.7",
            "userIdentity": {"type": "IAMUser", "userName": "alice"},
            "requestParameters": {
                "target": "i-0123456789abcdef0", "documentName": "AWS-StartPortForwardingSessionToRemoteHost",
                "parameters": {"host": ["db.internal"], "portNumber": ["5432"]}, "reason": "CHG-1234",
            },
            "responseElements": {"sessionId": "alice-0e34861185201706f"},
        });
        Session::new(cloudtrail::session_event(&record).unwrap().unwrap(), None)
    }

    async fn record(rules: &[&Rule]) -> Result<(), LedgerError> {
        let session = session();
        let outcome = Outcome::Terminated { confirmed: now() };
        let verdict = Verdict::new(&session, &Decision::default(), &outcome, Mode::Enforce);
        ledger(rules).record(HELD, &session, &verdict, &outcome, Joining { joined: false, done: true }).await
    }

    fn cancelled(codes: [&'static str; 2]) -> impl Fn() -> TransactWriteItemsError {
        move || {
            let reasons = codes.map(|code| CancellationReason::builder().code(code).build());
            let cancelled =
                TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons.to_vec()));
            TransactWriteItemsError::TransactionCanceledException(cancelled.build())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_changed_meanwhile_is_read_and_joined_again() {
        let read = mock!(aws_sdk_dynamodb::Client::get_item).then_output(|| GetItemOutput::builder().build());
        let write = mock!(aws_sdk_dynamodb::Client::transact_write_items)
            .sequence()
            .error(cancelled(["None", "ConditionalCheckFailed"]))
            .error(cancelled(["None", "TransactionConflict"]))
            .output(|| TransactWriteItemsOutput::builder().build())
            .build();
        record(&[&read, &write]).await.unwrap();
        assert_eq!((read.num_calls(), write.num_calls()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_of_a_delivery_that_lost_the_event_is_not_recorded() {
        let read = mock!(aws_sdk_dynamodb::Client::get_item).then_output(|| GetItemOutput::builder().build());
        let write = mock!(aws_sdk_dynamodb::Client::transact_write_items)
            .then_error(cancelled(["ConditionalCheckFailed", "None"]));
        assert!(matches!(record(&[&read, &write]).await, Err(LedgerError::Lost { .. })));
        assert_eq!(write.num_calls(), 1);
    }

    /// What is written is read again as it was: an auditor's copy is the guard's memory.
    #[test]
    fn a_record_survives_the_table() {
        let session = session();
        let outcome = Outcome::Terminated { confirmed: now() };
        let mut written = SessionRecord::default();
        written.join(
            &session,
            Verdict::new(&session, &Decision::default(), &outcome, Mode::Enforce),
            &outcome,
        );
        let log = LogObject {
            bucket: "logs".to_owned(),
            key: "linux/alice-0e34861185201706f.log".to_owned(),
            version: Some("v1".to_owned()),
            size: 4182,
            account: session.event.account.clone(),
            region: session.event.region.clone(),
            time: now(),
            session: session.id().unwrap().clone(),
        };
        let finding = Finding {
            rule: "shadow-file-read".to_owned(),
            title: "Password Hashes Are Read".to_owned(),
            severity: Severity::High,
            techniques: Vec::new(),
            tactics: Vec::new(),
            author: None,
            runbook: None,
            count: 2,
            evidence: None,
        };
        let reading = Reading {
            bytes: 4182,
            lines: 61,
            commands: 9,
            limits: vec!["echo off".to_owned()],
            ..Reading::default()
        };
        written.join_transcript(&log, Transcript::new(&log, &reading, &[finding]));
        let owner = Owner { account: &log.account, region: &log.region, session: &log.session };
        let mut item = item::session("key", owner, &written).unwrap();
        item.insert("version".to_owned(), number(3));
        let read = item::record("key", item).unwrap();
        assert_eq!((read.record, read.version), (written, 3));
    }

    #[test]
    fn an_item_of_another_shape_is_named() {
        let item = Item::from([("verdicts".to_owned(), text("none"))]);
        let error = item::record("session#1", item).unwrap_err();
        assert!(error.to_string().starts_with("item `session#1` cannot be read: "), "{error}");
    }
}
