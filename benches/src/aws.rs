//! The AWS that the functions see: what each call answers when all is well, and when it was asked and answered.
//!
//! S3 has a log of any size: its key says how many bytes it has, and they are made while they are read.
//!
//! Each service has a port, and so connections, of its own. A session is ended as soon as it is terminated and the
//! ledger is empty for every event, so that each event takes the whole way.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::event::UNTAGGED;

/// The services by the names that the variables of their endpoints end with.
const SERVICES: [&str; 6] = ["DYNAMODB", "IAM", "RESOURCE_GROUPS_TAGGING_API", "S3", "SNS", "SSM"];

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The operation.
    pub(crate) operation: String,
    /// When its request was there.
    pub(crate) asked: Instant,
    /// When its answer was given out of hand.
    pub(crate) answered: Instant,
}

/// The local services.
#[derive(Debug)]
pub(crate) struct Aws {
    endpoints: Vec<(String, String)>,
    /// The authority that signed their certificate, as PEM; empty without TLS.
    authority: String,
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: RefCell<Vec<Call>>,
    connections: Cell<usize>,
    delay: Cell<Duration>,
    /// What every log consists of, again and again.
    log: RefCell<Bytes>,
}

/// The body of an answer: a part, again and again, until so many bytes are left.
#[derive(Debug)]
struct Answer {
    part: Bytes,
    left: u64,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.part.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.part.slice(..length)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Aws {
    /// Starts the services with TLS, as AWS has it.
    pub(crate) async fn start() -> Result<Self, String> {
        let (acceptor, authority) =
            tls().map_err(|error| format!("the local services have no certificate: {error}"))?;
        Self::listen(Some(acceptor), authority).await
    }

    /// Starts the services without TLS, to tell what reading certificate authorities costs.
    pub(crate) async fn start_without_tls() -> Result<Self, String> {
        Self::listen(None, String::new()).await
    }

    async fn listen(acceptor: Option<TlsAcceptor>, authority: String) -> Result<Self, String> {
        let state = Rc::new(State::default());
        let mut endpoints = Vec::new();
        for service in SERVICES {
            let failed = |error| format!("the local {service} cannot listen: {error}");
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            let port = listener.local_addr().map_err(failed)?.port();
            let scheme = if acceptor.is_some() { "https" } else { "http" };
            endpoints.push((format!("AWS_ENDPOINT_URL_{service}"), format!("{scheme}://localhost:{port}")));
            spawn_local(accept(listener, acceptor.clone(), Rc::clone(&state)));
        }
        Ok(Self { endpoints, authority, state })
    }

    /// The variables that lead a function here.
    pub(crate) fn endpoints(&self) -> &[(String, String)] {
        &self.endpoints
    }

    /// The authority that a function has to trust, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Answers each call so much later from now on.
    pub(crate) fn answer_after(&self, delay: Duration) {
        self.state.delay.set(delay);
    }

    /// Lets logs consist of this from now on.
    pub(crate) fn serve_log(&self, part: Vec<u8>) {
        self.state.log.replace(Bytes::from(part));
    }

    /// Takes the calls that were answered since they were last taken.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        self.state.calls.take()
    }

    /// Takes the number of connections that were opened since it was last taken.
    pub(crate) fn take_connections(&self) -> usize {
        self.state.connections.take()
    }
}

fn tls() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "ssm-guard bench");
    // Python's OpenSSL takes no authority that does not say what its key is for.
    parameters.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate()?)?;
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    parameters.use_authority_key_identifier_extension = true;
    let certificate = parameters.signed_by(&key, &authority)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Rc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        // An answer goes out when it is written, as it does from AWS.
        let _ = stream.set_nodelay(true);
        let (acceptor, state) = (acceptor.clone(), Rc::clone(&state));
        state.connections.set(state.connections.get() + 1);
        spawn_local(async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, state).await;
                    }
                }
                None => converse(stream, state).await,
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, state: Rc<State>) {
    let service = service_fn(|request| answer(request, &state));
    // A function that is stopped drops its connections.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Answer>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Instant::now();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let whole = |content: String| Answer { left: content.len() as u64, part: Bytes::from(content) };
    let (operation, content, kind) = match target.and_then(|target| target.rsplit_once('.')) {
        Some((_, operation)) => {
            (operation.to_owned(), whole(json_answer(operation, &body)), "application/x-amz-json-1.1")
        }
        None if head.method == Method::GET => {
            let name = head.uri.path().rsplit('-').next().and_then(|name| name.strip_suffix(".log"));
            let left = name.and_then(|size| size.parse().ok()).unwrap_or_default();
            let log = Answer { part: state.log.borrow().clone(), left };
            ("GetObject".to_owned(), log, "text/plain")
        }
        None => {
            let form = String::from_utf8_lossy(&body).into_owned();
            let operation =
                form.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap_or_default();
            (operation.to_owned(), whole(xml_answer(operation)), "text/xml")
        }
    };
    if !state.delay.get().is_zero() {
        tokio::time::sleep(state.delay.get()).await;
    }
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    state.calls.borrow_mut().push(Call { operation, asked, answered: Instant::now() });
    Ok(response)
}

fn json_answer(operation: &str, body: &[u8]) -> String {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let answer = match operation {
        "GetResources" => {
            let arn = request.pointer("/ResourceARNList/0").and_then(Value::as_str);
            let tagged = arn.filter(|arn| !arn.ends_with(UNTAGGED)).map(|arn| {
                let tags = [("Owner", "payments"), ("Environment", "development"), ("Name", "web-1")];
                json!({"ResourceARN": arn, "Tags": tags.map(|(key, value)| json!({"Key": key, "Value": value}))})
            });
            json!({"PaginationToken": "", "ResourceTagMappingList": tagged.as_slice()})
        }
        "DescribeInstanceInformation" => {
            let node = request.pointer("/Filters/0/Values/0").map(|node| {
                json!({
                    "InstanceId": node, "PingStatus": "Online", "ComputerName": "web-1.internal",
                    "PlatformType": "Linux", "PlatformName": "Amazon Linux", "PlatformVersion": "2023",
                    "IPAddress": "10.0.0.17", "AgentVersion": "3.3.987.0", "ResourceType": "EC2Instance",
                })
            });
            json!({"InstanceInformationList": node.as_slice()})
        }
        "TerminateSession" => json!({"SessionId": request.get("SessionId")}),
        "DescribeSessions" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let session = request.pointer("/Filters/0/value");
            json!({"Sessions": [{"SessionId": session, "Status": "Terminated", "EndDate": now.as_secs_f64()}]})
        }
        // DynamoDB: there was nothing, and what is written is taken.
        _ => json!({}),
    };
    answer.to_string()
}

fn xml_answer(operation: &str) -> String {
    let result = match operation {
        "ListUserTags" => {
            "<IsTruncated>false</IsTruncated>\
             <Tags><member><Key>Team</Key><Value>payments</Value></member></Tags>"
        }
        "Publish" => "<MessageId>00000000-0000-4000-8000-000000000001</MessageId>",
        // GetTopicAttributes.
        _ => "<Attributes></Attributes>",
    };
    format!(
        "<{operation}Response><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000002</RequestId></ResponseMetadata>\
         </{operation}Response>"
    )
}
