//! The log of a session, read from S3 piece by piece.
//!
//! A log can be larger than any memory, and a connection does not live as long as it takes to read it. So a broken
//! stream is taken up where it broke, as long as it gets on.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use session::object::{LogObject, decoded};

use crate::error::AwsError;

/// How often a stream may break without a byte in between.
const BREAKS: u32 = 4;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// There is no such object any more.
    #[error("`{object}` is gone")]
    Gone {
        /// The object.
        object: String,
    },
    /// The stream broke again and again.
    #[error("`{object}` broke off at byte {offset}: {reason}")]
    Broken {
        /// The object.
        object: String,
        /// How far it came.
        offset: u64,
        /// Why it broke the last time.
        reason: String,
    },
}

/// An object that is being read.
#[derive(Debug)]
pub struct LogStream<'a> {
    s3: &'a aws_sdk_s3::Client,
    object: &'a LogObject,
    key: String,
    offset: u64,
    body: Option<ByteStream>,
    breaks: u32,
}

type Refused = SdkError<GetObjectError, HttpResponse>;

impl<'a> LogStream<'a> {
    /// Opens an object at an offset. Its key is taken as it is, and read as an encoded one only when there is no such object.
    pub async fn open(
        s3: &'a aws_sdk_s3::Client,
        object: &'a LogObject,
        offset: u64,
    ) -> Result<Self, LogError> {
        let mut stream = Self { s3, object, key: object.key.clone(), offset, body: None, breaks: 0 };
        match stream.get().await {
            Err(error) if is_gone(&error) => {
                let gone = || LogError::Gone { object: object.to_string() };
                stream.key = decoded(&object.key).ok_or_else(gone)?;
                match stream.get().await {
                    Err(error) if is_gone(&error) => return Err(gone()),
                    result => result.map_err(|error| failed(object, error))?,
                }
            }
            result => result.map_err(|error| failed(object, error))?,
        }
        Ok(stream)
    }

    /// Shows the next piece; `false` when there is none.
    pub async fn next(&mut self, see: impl FnOnce(&[u8])) -> Result<bool, LogError> {
        loop {
            let Some(body) = &mut self.body else {
                self.get().await.map_err(|error| failed(self.object, error))?;
                if self.body.is_none() {
                    return Ok(false);
                }
                continue;
            };
            match body.next().await {
                Some(Ok(bytes)) => {
                    self.breaks = 0;
                    self.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    see(&bytes);
                    return Ok(true);
                }
                None => return Ok(false),
                Some(Err(error)) => {
                    self.breaks += 1;
                    self.body = None;
                    if self.breaks > BREAKS {
                        let (object, reason) = (self.object.to_string(), error.to_string());
                        return Err(LogError::Broken { object, offset: self.offset, reason });
                    }
                }
            }
        }
    }

    /// Asks for the object from the offset on. There is no body when the offset is its end.
    async fn get(&mut self) -> Result<(), Refused> {
        let mut request = self
            .s3
            .get_object()
            .bucket(&self.object.bucket)
            .key(&self.key)
            .set_version_id(self.object.version.clone());
        if self.offset > 0 {
            request = request.range(format!("bytes={}-", self.offset));
        }
        self.body = match request.send().await {
            Ok(answer) => Some(answer.body),
            Err(error) if code(&error) == Some("InvalidRange") => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

fn failed(object: &LogObject, error: Refused) -> LogError {
    AwsError::new("s3:GetObject", &object.url(), error).into()
}

fn is_gone(error: &Refused) -> bool {
    matches!(code(error), Some("NoSuchKey" | "NoSuchVersion"))
}

fn code(error: &Refused) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use aws_sdk_s3::operation::get_object::GetObjectOutput;
    use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use hyper::body::{Body, Bytes, Frame};
    use session::event::SessionId;

    use super::*;

    /// A body that sends its pieces and then breaks or ends.
    struct Pieces(VecDeque<Result<&'static str, &'static str>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|piece| match piece {
                Ok(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
                Err(reason) => Err(std::io::Error::other(reason)),
            }))
        }
    }

    fn object(key: &str) -> LogObject {
        LogObject {
            bucket: "logs".to_owned(),
            key: key.to_owned(),
            version: Some("v1".to_owned()),
            size: 10,
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            time: "2026-11-23T09:30:00Z".parse().unwrap(),
            session: SessionId::new("alice-0e34861185201706f").unwrap(),
        }
    }

    fn answers(range: Option<&'static str>, pieces: &'static [Result<&'static str, &'static str>]) -> Rule {
        mock!(aws_sdk_s3::Client::get_object)
            .match_requests(move |request| {
                request.range() == range
                    && request.version_id() == Some("v1")
                    && request.bucket() == Some("logs")
            })
            .then_output(move || {
                let body = Pieces(pieces.iter().copied().collect());
                let body = ByteStream::new(SdkBody::from_body_1_x(body));
                GetObjectOutput::builder().body(body).build()
            })
    }

    async fn read(rules: &[&Rule], offset: u64) -> Result<String, LogError> {
        let s3 = mock_client!(aws_sdk_s3, RuleMode::MatchAny, rules);
        let object = object("a.log");
        let mut stream = LogStream::open(&s3, &object, offset).await?;
        let mut all = Vec::new();
        while stream.next(|bytes| all.extend_from_slice(bytes)).await? {}
        Ok(String::from_utf8(all).unwrap())
    }

    #[tokio::test]
    async fn a_stream_that_breaks_is_taken_up_where_it_broke() {
        let first = answers(None, &[Ok("whoami\n"), Err("reset")]);
        let rest = answers(Some("bytes=7-"), &[Ok("exit\n")]);
        assert_eq!(read(&[&first, &rest], 0).await.unwrap(), "whoami\nexit\n");
    }

    #[tokio::test]
    async fn a_stream_that_gets_nowhere_is_given_up() {
        let broken = answers(Some("bytes=7-"), &[Err("reset")]);
        let error = read(&[&broken], 7).await.unwrap_err();
        assert!(
            error.to_string().starts_with("`s3://logs/a.log (version v1)` broke off at byte 7:"),
            "{error}"
        );
        assert_eq!(broken.num_calls(), 5);
    }

    #[tokio::test]
    async fn the_end_of_an_object_has_no_more_bytes() {
        let end = mock!(aws_sdk_s3::Client::get_object)
            .then_error(|| GetObjectError::generic(ErrorMetadata::builder().code("InvalidRange").build()));
        assert_eq!(read(&[&end], 10).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_key_is_decoded_only_when_there_is_no_such_object() {
        let encoded = mock!(aws_sdk_s3::Client::get_object)
            .match_requests(|request| request.key() == Some("a%2Bb.log"))
            .then_error(|| GetObjectError::generic(ErrorMetadata::builder().code("NoSuchKey").build()));
        let literal = mock!(aws_sdk_s3::Client::get_object)
            .match_requests(|request| request.key() == Some("a+b.log"))
            .then_output(|| GetObjectOutput::builder().body(ByteStream::from_static(b"id\n")).build());
        let s3 = mock_client!(aws_sdk_s3, RuleMode::MatchAny, [&encoded, &literal]);
        let object = object("a%2Bb.log");
        let mut stream = LogStream::open(&s3, &object, 0).await.unwrap();
        assert!(stream.next(|bytes| assert_eq!(bytes, b"id\n")).await.unwrap());
    }

    #[tokio::test]
    async fn an_object_that_is_gone_is_named() {
        let gone = mock!(aws_sdk_s3::Client::get_object)
            .then_error(|| GetObjectError::generic(ErrorMetadata::builder().code("NoSuchVersion").build()));
        let error = read(&[&gone], 0).await.unwrap_err();
        assert_eq!(error.to_string(), "`s3://logs/a.log (version v1)` is gone");
    }
}
