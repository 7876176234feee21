//! Lambda's Runtime API for one process: it asks for an invocation, is given one, and tells what came of it.

use std::net::SocketAddr;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

/// What the process says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It asks for an invocation.
    Next(Next),
    /// It is done with one.
    Done(Instant),
    /// It reports an error: of its start, or of an invocation.
    Failed(String),
}

/// A process that waits for an invocation.
#[derive(Debug)]
pub(crate) struct Next {
    /// When it asked.
    pub(crate) asked: Instant,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

/// The Runtime API of one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    said: mpsc::UnboundedReceiver<Said>,
}

impl RuntimeApi {
    /// Starts to listen.
    pub(crate) async fn start() -> Result<Self, String> {
        let failed = |error| format!("the runtime API cannot listen: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (say, said) = mpsc::unbounded_channel();
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let say = say.clone();
                spawn_local(async move {
                    let service = service_fn(|request| hear(request, &say));
                    // A process that is stopped drops its connection.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, said })
    }

    /// Waits for what the process says next.
    pub(crate) async fn hear(&mut self) -> Option<Said> {
        self.said.recv().await
    }
}

impl Next {
    /// Gives the process an invocation, and tells when.
    pub(crate) fn deliver(self, request_id: &str, event: &Value) -> Result<Instant, String> {
        let response = Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", request_id)
            .header("Lambda-Runtime-Deadline-Ms", "4102444800000")
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:eu-west-1:111122223333:function:bench",
            )
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(event.to_string())))
            .map_err(|error| error.to_string())?;
        let delivered = Instant::now();
        self.answer
            .send(response)
            .map_err(|_| "the function no longer waits for an invocation".to_owned())?;
        Ok(delivered)
    }
}

async fn hear(
    request: Request<Incoming>,
    say: &mpsc::UnboundedSender<Said>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let heard = Instant::now();
    if request.method() == Method::GET {
        let (answer, answered) = oneshot::channel();
        let _ = say.send(Said::Next(Next { asked: heard, answer }));
        // Nobody answers once the measurement is over, and then nobody listens either.
        return Ok(answered.await.unwrap_or_default());
    }
    let is_response = request.uri().path().ends_with("/response");
    let body = request.into_body().collect().await?.to_bytes();
    let said = match is_response {
        true => Said::Done(Instant::now()),
        false => Said::Failed(String::from_utf8_lossy(&body).into_owned()),
    };
    let _ = say.send(said);
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
