//! One account of the local stack, asked over HTTP as any AWS client would.
//!
//! Requests are signed here, so that no SDK is needed and the tests build in seconds. The stack looks at signatures
//! only when it enforces IAM.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http;

use crate::signature::{Request, Signer, hash};

/// What CloudTrail has as the client.
const USER_AGENT: &str = concat!("ssm-guard-demo/", env!("CARGO_PKG_VERSION"));

/// An account, or a principal in one.
#[derive(Clone, Debug)]
pub struct Account {
    agent: Agent,
    endpoint: String,
    /// The account's id.
    pub id: String,
    /// The region.
    pub region: String,
    key: String,
    secret: String,
    token: Option<String>,
}

impl Account {
    /// The root of an account.
    pub fn new(endpoint: &str, id: &str, region: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(90)))
            .user_agent(USER_AGENT);
        Self {
            agent: config.build().into(),
            endpoint: endpoint.to_owned(),
            id: id.to_owned(),
            region: region.to_owned(),
            key: id.to_owned(),
            // What the stack has as the secret of an account's root.
            secret: "test".to_owned(),
            token: None,
        }
    }

    /// The same in another region.
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self.clone() }
    }

    /// Somebody else in the same account, by access key and session token.
    pub fn with_key(&self, key: &str, token: Option<&str>) -> Self {
        Self { key: key.to_owned(), token: token.map(str::to_owned), ..self.clone() }
    }

    /// Somebody else in the same account, with all that a stack needs which enforces IAM.
    pub fn with_credentials(&self, key: &str, secret: &str, token: Option<&str>) -> Self {
        Self { secret: secret.to_owned(), ..self.with_key(key, token) }
    }

    /// Calls an operation of a JSON protocol, such as `("ssm", "AmazonSSM.StartSession")`.
    pub fn json(&self, service: &str, operation: &str, body: &Value) -> Result<Value, String> {
        let version = if service == "dynamodb" { "1.0" } else { "1.1" };
        let content = format!("application/x-amz-json-{version}");
        let headers = [("content-type", content.as_str()), ("x-amz-target", operation)];
        let call = Call { what: operation, service, path: "/", headers: &headers };
        let text = self.send("POST", call, Some(body.to_string().into_bytes()))?;
        if text.is_empty() { Ok(Value::Null) } else { parse(operation, &text) }
    }

    /// Calls an operation of the query protocol; the answer is XML.
    pub fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        let version = match service {
            "sns" => "2010-03-31",
            "sts" => "2011-06-15",
            "ec2" => "2016-11-15",
            _ => "2010-05-08",
        };
        let fixed = [("Action", action), ("Version", version)];
        let pairs = fixed.iter().chain(parameters).map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(
            "POST",
            Call { what: action, service, path: "/", headers: &headers },
            Some(body.into_bytes()),
        )
    }

    /// Changes something by the REST protocol, such as `("lambda", "/2015-03-31/functions/guard/configuration")`.
    pub fn put(&self, service: &str, path: &str, body: &Value) -> Result<(), String> {
        let call = Call { what: path, service, path, headers: &[("content-type", "application/json")] };
        self.send("PUT", call, Some(body.to_string().into_bytes())).map(|_| ())
    }

    /// Reads an object.
    pub fn object(&self, bucket: &str, key: &str) -> Result<String, String> {
        let path = format!("/{bucket}/{key}");
        self.send("GET", Call { what: key, service: "s3", path: &path, headers: &[] }, None)
    }

    /// Makes a bucket that tells EventBridge of its objects.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), String> {
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region
        );
        let events = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
        let path = format!("/{bucket}");
        let call = Call { what: bucket, service: "s3", path: &path, headers: &[] };
        self.send("PUT", call, Some(place.into_bytes()))?;
        let path = format!("/{bucket}?notification=");
        self.send("PUT", Call { path: &path, ..call }, Some(events.as_bytes().to_vec())).map(|_| ())
    }

    /// Writes an object.
    pub fn put_object(&self, bucket: &str, key: &str, content: &[u8]) -> Result<(), String> {
        let path = format!("/{bucket}/{}", encoded(key).replace("%2F", "/"));
        let call = Call { what: key, service: "s3", path: &path, headers: &[("content-type", "text/plain")] };
        self.send("PUT", call, Some(content.to_vec())).map(|_| ())
    }

    /// Asks one of the stack's own paths.
    pub fn admin(&self, path: &str) -> Result<Value, String> {
        self.send_admin("GET", path, None)
    }

    /// Tells one of the stack's own paths.
    pub fn admin_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.send_admin("POST", path, Some(body.to_string()))
    }

    /// Removes all faults.
    pub fn clear_faults(&self) -> Result<(), String> {
        self.send_admin("DELETE", "faults", None).map(|_| ())
    }

    /// Puts CloudTrail records on the account's event bus.
    pub fn put_events<'a>(&self, details: impl IntoIterator<Item = &'a Value>) -> Result<(), String> {
        let entries: Vec<_> = details
            .into_iter()
            .map(|detail| {
                json!({
                    "Source": "aws.ssm",
                    "DetailType": "AWS API Call via CloudTrail",
                    "Detail": detail.to_string(),
                })
            })
            .collect();
        self.admin_post("events", &json!({"Entries": entries})).map(|_| ())
    }

    /// Waits until no invocation waits, runs or is going to be retried.
    pub fn wait_until_idle(&self) -> Result<(), String> {
        self.admin("idle?timeout=60").map(|_| ())
    }

    fn send_admin(&self, method: &str, path: &str, body: Option<String>) -> Result<Value, String> {
        let full = format!("/_localaws/{path}");
        let call = Call { what: path, service: "localaws", path: &full, headers: &[] };
        parse(path, &self.send(method, call, body.map(String::into_bytes))?)
    }

    fn send(&self, method: &str, call: Call<'_>, body: Option<Vec<u8>>) -> Result<String, String> {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let body_hash = hash(body.as_deref().unwrap_or_default());
        let host = self.endpoint.split_once("//").map_or(self.endpoint.as_str(), |(_, host)| host);
        let mut headers = vec![("host", host), ("x-amz-content-sha256", &body_hash), ("x-amz-date", &time)];
        headers.extend(self.token.as_deref().map(|token| ("x-amz-security-token", token)));
        headers.extend_from_slice(call.headers);
        headers.sort_unstable();
        let signer =
            Signer { key: &self.key, secret: &self.secret, region: &self.region, service: call.service };
        let request = Request { method, path: call.path, headers: &headers, body_hash: &body_hash };
        let authorization = signer.authorization(request, &time);
        headers.push(("authorization", &authorization));

        let mut request =
            http::Request::builder().method(method).uri(format!("{}{}", self.endpoint, call.path));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let invalid = |error: http::Error| format!("{}: {error}", call.what);
        let response = match body {
            Some(body) => self.agent.run(request.body(body).map_err(invalid)?),
            None => self.agent.run(request.body(()).map_err(invalid)?),
        };
        let mut response = response.map_err(|error| format!("{}: {error}", call.what))?;
        let text = response.body_mut().read_to_string().map_err(|error| format!("{}: {error}", call.what))?;
        if response.status().is_success() {
            Ok(text)
        } else {
            Err(format!("{}: {} {text}", call.what, response.status()))
        }
    }
}

/// One call: what it is called in errors, and where it goes.
#[derive(Clone, Copy)]
struct Call<'a> {
    what: &'a str,
    service: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

/// A value of a form.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn parse(what: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{what}: {error} in {text}"))
}
