//! A log, read as far as the time allows.

use aws::log::LogStream;
use lambda_runtime::tracing::warn;
use reading::LogReader;
use session::object::LogObject;
use session::transcript::Reading;

use crate::config::App;
use crate::failure::Failure;

/// How far a log was read.
pub(crate) enum Read {
    /// To its end.
    Whole {
        /// What was read.
        reading: Reading,
        /// From where a later run can come to the same end without reading it all.
        checkpoint: Option<String>,
    },
    /// Until the time was up.
    UntilNow {
        /// The byte at which the next run goes on.
        offset: u64,
        /// What was read until then.
        so_far: Reading,
        /// What the next run has to know.
        checkpoint: Option<String>,
    },
}

/// Reads a log from where an earlier run came to.
pub(crate) async fn read(
    app: &App,
    object: &LogObject,
    checkpoint: Option<&str>,
    until: tokio::time::Instant,
) -> Result<Read, Failure> {
    let (mut log, mut offset) = resumed(app, object, checkpoint);
    let mut stream = LogStream::open(&app.clients.s3, object, offset).await?;
    loop {
        let mut length = 0;
        let is_more = stream
            .next(|bytes| {
                length = bytes.len();
                log.push(bytes, &mut |_| {});
            })
            .await?;
        offset += u64::try_from(length).unwrap_or(u64::MAX);
        if !is_more {
            let checkpoint = kept(&log, object);
            return Ok(Read::Whole { reading: log.finish(&mut |_| {}), checkpoint });
        }
        // After the last byte only the end is left, and it takes no time.
        if tokio::time::Instant::now() >= until && offset != object.size {
            let checkpoint = kept(&log, object);
            let mut so_far = log.finish(&mut |_| {});
            so_far.limits.push(format!("what follows byte {offset} of {}: it is read next", object.size));
            return Ok(Read::UntilNow { offset, so_far, checkpoint });
        }
    }
}

/// A checkpoint of other rules or of another version is left: the log is read from its beginning.
fn resumed<'a>(app: &'a App, object: &LogObject, checkpoint: Option<&str>) -> (LogReader<'a>, u64) {
    match checkpoint.map(|checkpoint| LogReader::resume(&app.rules, checkpoint)) {
        None => (LogReader::new(&app.rules), 0),
        Some(Ok(resumed)) => resumed,
        Some(Err(error)) => {
            warn!(log = object.to_string(), "The log is read from its beginning: {error}.");
            (LogReader::new(&app.rules), 0)
        }
    }
}

fn kept(log: &LogReader<'_>, object: &LogObject) -> Option<String> {
    log.checkpoint().unwrap_or_else(|error| {
        warn!(log = object.to_string(), "The next run begins at the beginning: {error}.");
        None
    })
}
