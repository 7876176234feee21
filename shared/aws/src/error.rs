//! What a call to AWS can come to, when it fails.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Codes by which AWS says "not now". They come unmodelled, so only the code tells.
const THROTTLED: [&str; 8] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// A call to AWS that failed, after the SDK's own retries.
#[derive(Debug)]
pub struct AwsError {
    /// The IAM action, such as `ssm:TerminateSession`.
    pub operation: &'static str,
    /// What it was called on.
    pub subject: String,
    /// AWS's error code, or what kept AWS from answering.
    pub code: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl AwsError {
    /// Reads an SDK's error.
    pub fn new<E>(operation: &'static str, subject: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        // Credentials of another account are the answer to a call of their own: then that one failed.
        if let Some(role) = caused_by::<Self>(&error) {
            let (operation, retryable) = (role.operation, role.retryable);
            let (subject, code) = (role.subject.clone(), role.code.clone());
            return Self { operation, subject, code, retryable, source: Box::new(error) };
        }
        let (code, retryable) = match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("UnknownError").to_owned();
                let retryable = THROTTLED.contains(&code.as_str()) || status == 429 || status >= 500;
                (code, retryable)
            }
            _ if caused_by::<CredentialsError>(&error).is_some() => {
                ("no credentials for the account".to_owned(), false)
            }
            SdkError::TimeoutError(_) => ("no answer in time".to_owned(), true),
            SdkError::DispatchFailure(_) => ("no connection".to_owned(), true),
            SdkError::ResponseError(_) => ("an answer that cannot be read".to_owned(), true),
            _ => ("a request that cannot be made".to_owned(), false),
        };
        Self { operation, subject: subject.to_owned(), code, retryable, source: Box::new(error) }
    }

    /// The call and what came of it, without anything that AWS or a caller wrote: fit for an alert.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.operation, self.code)
    }

    /// The whole chain of causes, for the log: an SDK's error alone prints "service error".
    pub fn causes(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(this) = cause {
            text.push_str(": ");
            text.push_str(&this.to_string());
            cause = this.source();
        }
        text
    }
}

/// The first cause of a type.
fn caused_by<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        cause = this.source();
    }
    None
}

impl fmt::Display for AwsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of `{}`: {}", self.operation, self.subject, self.code)
    }
}

impl Error for AwsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ssm::operation::terminate_session::TerminateSessionError;
    use aws_smithy_mocks::{mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[tokio::test]
    async fn errors_name_the_call_and_tell_whether_it_may_succeed_later() {
        for (code, retryable) in [
            ("ThrottlingException", true),
            ("AccessDeniedException", false),
            ("DoesNotExistException", false),
            ("TooManyRequestsException", true),
        ] {
            let rule = mock!(aws_sdk_ssm::Client::terminate_session).then_error(move || {
                TerminateSessionError::generic(
                    ErrorMetadata::builder().code(code).message("secret text").build(),
                )
            });
            let ssm = mock_client!(aws_sdk_ssm, [&rule]);
            let error = ssm.terminate_session().session_id("alice-0abc").send().await.unwrap_err();
            let error = AwsError::new("ssm:TerminateSession", "alice-0abc", error);
            assert_eq!(error.to_string(), format!("ssm:TerminateSession of `alice-0abc`: {code}"));
            assert_eq!(error.reason(), format!("ssm:TerminateSession: {code}"));
            assert_eq!(error.retryable, retryable, "{code}");
            assert!(error.causes().contains("secret text"), "the log has the whole chain");
            assert!(!error.causes().contains("Response {"), "and not the answer itself");
        }
    }
}
