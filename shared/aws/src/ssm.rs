//! Session Manager: finding a session, ending it, and proving that it ended.
//!
//! AWS answers TerminateSession before the session is over, and models hardly any of its errors. So a session
//! counts as ended only once DescribeSessions lists it among the ended ones.

use std::time::Duration;

use aws_sdk_ssm::types::{
    Session as Described, SessionFilter, SessionFilterKey, SessionState, SessionStatus,
};
use jiff::{SignedDuration, Timestamp};
use session::event::SessionId;
use session::response::{Outcome, Response};
use tracing::{error, info};

use crate::error::AwsError;

/// How long DescribeSessions is asked for an end before that is called a failure.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(15);

/// The wait before DescribeSessions is asked for the second time; it doubles from then on.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// AWS's clock and ours may differ by this much, when it is told whether a session ended before the act.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What DescribeSessions says of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its target, as StartSession named it.
    pub target: Option<String>,
    /// Its document's name or ARN.
    pub document: Option<String>,
    /// The reason that was given for it.
    pub reason: Option<String>,
}

/// Finds an open session. The ledger knows most; this is for sessions that were started before the guard was
/// deployed, and for starts whose event is late.
pub async fn find(ssm: &aws_sdk_ssm::Client, session: &SessionId) -> Result<Option<Found>, AwsError> {
    let described = describe(ssm, session, SessionState::Active).await?;
    Ok(described.map(|session| Found {
        target: session.target,
        document: session.document_name,
        reason: session.reason,
    }))
}

/// What was known of a session's end before the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Open,
    /// Somebody had called TerminateSession.
    Ended,
    /// An earlier run on the same event meant to end it, so an end that is found now is the guard's doing.
    Intended,
}

/// Does what a response says, and tells what came of it.
pub async fn carry_out(ssm: &aws_sdk_ssm::Client, response: &Response, before: Before) -> Outcome {
    let Some(session) = &response.terminate else { return response.otherwise.clone() };
    let began = Timestamp::now();
    match end(ssm, session).await {
        Ok(Some(ended)) => {
            let was_over = before == Before::Ended || ended < began - CLOCK_SKEW;
            if was_over && before != Before::Intended {
                return Outcome::AlreadyEnded;
            }
            Outcome::Terminated { confirmed: Timestamp::now() }
        }
        Ok(None) => {
            error!(%session, operation = "ssm:DescribeSessions", "The session did not end.");
            let waited = CONFIRM_WITHIN.as_secs();
            Outcome::Failed { reason: format!("still open {waited} s after ssm:TerminateSession") }
        }
        Err(failure) => {
            error!(%session, operation = failure.operation, causes = failure.causes(), "The session was not ended.");
            Outcome::Failed { reason: failure.reason() }
        }
    }
}

/// Ends a session for good and waits for DescribeSessions to say so; `None` when it did not in time.
async fn end(ssm: &aws_sdk_ssm::Client, session: &SessionId) -> Result<Option<Timestamp>, AwsError> {
    terminate(ssm, session).await?;
    let deadline = tokio::time::Instant::now() + CONFIRM_WITHIN;
    let mut wait = FIRST_WAIT;
    loop {
        if let Some(ended) = ended(ssm, session).await? {
            info!(%session, "The session ended.");
            return Ok(Some(ended));
        }
        if tokio::time::Instant::now() + wait > deadline {
            return Ok(None);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Ends a session for good: a terminated session cannot be resumed.
async fn terminate(ssm: &aws_sdk_ssm::Client, session: &SessionId) -> Result<(), AwsError> {
    let answer = ssm.terminate_session().session_id(session.as_str()).send().await;
    match answer.map_err(|error| AwsError::new("ssm:TerminateSession", session.as_str(), error)) {
        // It is gone already: whether it ended is for DescribeSessions to say.
        Err(error) if error.code == "DoesNotExistException" => Ok(()),
        result => result.map(|_| ()),
    }
}

/// When a session ended, if DescribeSessions says that it did.
async fn ended(ssm: &aws_sdk_ssm::Client, session: &SessionId) -> Result<Option<Timestamp>, AwsError> {
    let described = describe(ssm, session, SessionState::History).await?;
    let over = described.filter(|session| {
        matches!(session.status(), Some(SessionStatus::Terminated | SessionStatus::Failed))
    });
    Ok(over.map(|session| {
        let end = session.end_date().and_then(|date| Timestamp::new(date.secs(), 0).ok());
        end.unwrap_or_else(Timestamp::now)
    }))
}

async fn describe(
    ssm: &aws_sdk_ssm::Client,
    session: &SessionId,
    state: SessionState,
) -> Result<Option<Described>, AwsError> {
    let failed = |error| AwsError::new("ssm:DescribeSessions", session.as_str(), error);
    let filter = SessionFilter::builder().key(SessionFilterKey::SessionId).value(session.as_str()).build();
    // The builder fails for a missing key or value only, and both are given.
    let Ok(filter) = filter else { return Ok(None) };
    let answer = ssm.describe_sessions().state(state).filters(filter).send().await.map_err(failed)?;
    Ok(answer
        .sessions
        .unwrap_or_default()
        .into_iter()
        .find(|known| known.session_id() == Some(session.as_str())))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ssm::operation::describe_sessions::DescribeSessionsOutput;
    use aws_sdk_ssm::operation::terminate_session::{TerminateSessionError, TerminateSessionOutput};
    use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
    use aws_smithy_types::DateTime;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn id() -> SessionId {
        SessionId::new("alice-0abc").unwrap()
    }

    fn response() -> Response {
        Response { terminate: Some(id()), otherwise: Outcome::Observed, alert: true }
    }

    fn terminates() -> Rule {
        mock!(aws_sdk_ssm::Client::terminate_session)
            .match_requests(|request| request.session_id() == Some("alice-0abc"))
            .then_output(|| TerminateSessionOutput::builder().build())
    }

    fn history(status: SessionStatus, end: Option<i64>) -> DescribeSessionsOutput {
        let session = Described::builder()
            .session_id("alice-0abc")
            .status(status)
            .set_end_date(end.map(DateTime::from_secs))
            .build();
        DescribeSessionsOutput::builder().sessions(session).build()
    }

    fn describes(status: SessionStatus, end: Option<i64>) -> Rule {
        mock!(aws_sdk_ssm::Client::describe_sessions)
            .match_requests(|request| {
                request.state() == Some(&SessionState::History)
                    && request.filters().iter().any(|filter| filter.value() == "alice-0abc")
            })
            .then_output(move || history(status.clone(), end))
    }

    async fn outcome(rules: &[&Rule], before: Before) -> Outcome {
        let ssm = mock_client!(aws_sdk_ssm, RuleMode::MatchAny, rules);
        carry_out(&ssm, &response(), before).await
    }

    #[tokio::test]
    async fn terminate_names_the_session_it_was_given() {
        let rule = terminates();
        let now = Timestamp::now().as_second();
        let outcome = outcome(&[&rule, &describes(SessionStatus::Terminated, Some(now))], Before::Open).await;
        assert!(matches!(outcome, Outcome::Terminated { .. }), "{outcome:?}");
        assert_eq!(rule.num_calls(), 1);
    }

    /// A session counts as ended only once DescribeSessions says so.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_does_not_end_is_a_failure() {
        let describes = describes(SessionStatus::Terminating, None);
        let outcome = outcome(&[&terminates(), &describes], Before::Open).await;
        let reason = "still open 15 s after ssm:TerminateSession".to_owned();
        assert_eq!(outcome, Outcome::Failed { reason });
        assert!(describes.num_calls() > 5, "asked {} times", describes.num_calls());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_waited_for() {
        let late = mock!(aws_sdk_ssm::Client::describe_sessions)
            .sequence()
            .output(|| DescribeSessionsOutput::builder().build())
            .times(3)
            .output(|| history(SessionStatus::Terminated, None))
            .build();
        let outcome = outcome(&[&terminates(), &late], Before::Open).await;
        assert!(matches!(outcome, Outcome::Terminated { .. }), "{outcome:?}");
    }

    #[tokio::test]
    async fn an_end_before_the_act_is_not_the_guards_unless_an_earlier_run_meant_it() {
        let now = Timestamp::now().as_second();
        for (end, before, is_the_guards) in [
            (now, Before::Open, true),
            (now - 60, Before::Open, false),
            (now, Before::Ended, false),
            (now - 60, Before::Intended, true),
        ] {
            let rules = [&terminates(), &describes(SessionStatus::Terminated, Some(end))];
            let outcome = outcome(&rules, before).await;
            assert_eq!(matches!(outcome, Outcome::Terminated { .. }), is_the_guards, "{end} {before:?}");
            assert_eq!(outcome == Outcome::AlreadyEnded, !is_the_guards, "{end} {before:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_termination_is_a_failure_and_a_vanished_session_is_looked_for() {
        let fails = |code: &'static str| {
            mock!(aws_sdk_ssm::Client::terminate_session).then_error(move || {
                TerminateSessionError::generic(ErrorMetadata::builder().code(code).build())
            })
        };
        let reason = "ssm:TerminateSession: AccessDeniedException".to_owned();
        assert_eq!(
            outcome(&[&fails("AccessDeniedException")], Before::Open).await,
            Outcome::Failed { reason }
        );
        let rules = [&fails("DoesNotExistException"), &describes(SessionStatus::Terminated, Some(0))];
        assert_eq!(outcome(&rules, Before::Open).await, Outcome::AlreadyEnded);
    }

    #[tokio::test]
    async fn nothing_is_called_when_nothing_is_to_be_ended() {
        let response = Response { terminate: None, otherwise: Outcome::Observed, alert: true };
        let rule = terminates();
        let ssm = mock_client!(aws_sdk_ssm, [&rule]);
        assert_eq!(carry_out(&ssm, &response, Before::Open).await, Outcome::Observed);
        assert_eq!(rule.num_calls(), 0);
    }
}
