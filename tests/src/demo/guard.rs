//! The account in which the guard is deployed: its people, its nodes, and what the guard left in it.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::package::Packages;
use crate::stack::{REGION, Stack};

pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const MAIL: &str = "security@example.com";
pub(super) const TELEPHONE: &str = "+12025550123";
/// Where Amazon Q Developer in chat applications has its alerts.
const CHAT: &str = "https://global.sns-api.chatbot.amazonaws.com";
const QUEUE: &str = "security-findings";
/// Where the calls of people claim to come from: a network of documentation.
const OFFICE: &str = "203.0.113.7";

/// A node that sessions are opened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) tags: &'static [(&'static str, &'static str)],
    platform: (&'static str, &'static str),
    address: &'static str,
}

pub(super) const WEB: Node = Node {
    id: "i-0a1b2c3d4e5f60718",
    name: "web-1",
    tags: &[("Environment", "production"), ("Owner", "team-web"), ("SessionAccess", "web")],
    platform: ("Amazon Linux", "2023"),
    address: "10.0.1.11",
};
pub(super) const FORGOTTEN: Node = Node {
    id: "i-0f9e8d7c6b5a40312",
    name: "old-box",
    tags: &[],
    platform: ("Ubuntu", "18.04"),
    address: "10.0.9.77",
};

/// Somebody who opens sessions.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) account: Account,
    /// With which credentials.
    pub(super) described: &'static str,
}

/// The people of the demo.
#[derive(Debug)]
pub(super) struct People {
    pub(super) alice: Person,
    /// Alice again, with the access key of her laptop and nothing else.
    pub(super) alice_by_key: Person,
    pub(super) bob: Person,
    pub(super) carol: Person,
    pub(super) root: Person,
}

/// The account and the guard in it.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) root: Account,
    outputs: Value,
    queue: String,
    /// The last delivery that was read.
    read: Cell<u64>,
}

/// One alert, as each subscriber got it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) mail: (String, String),
    pub(super) sms: String,
    pub(super) chat: Value,
    pub(super) finding: Value,
}

/// A session that was opened, and when the API had answered.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) session: String,
    pub(super) at: Instant,
}

impl Guard {
    /// Deploys the template as a first deployment is: no parameter but the mail address.
    pub(super) fn deploy(stack: &Arc<Stack>, packages: &Packages) -> Result<Self, String> {
        let outputs = stack.deploy(ACCOUNT, packages, &[("AlertEmail", MAIL)])?;
        let guard = Self { root: stack.account(ACCOUNT), outputs, queue: String::new(), read: Cell::new(0) };
        guard.subscribe()
    }

    /// Deploys it again, with sessions ended.
    pub(super) fn enforce(&self, stack: &Arc<Stack>, packages: &Packages) -> Result<(), String> {
        stack.deploy(ACCOUNT, packages, &[("Mode", "enforce")]).map(|_| ())
    }

    /// The readers of alerts beside the mail address, which is the template's own: SIEM, chat, telephone.
    fn subscribe(mut self) -> Result<Self, String> {
        let topic = self.output("AlertTopicArn")?.to_owned();
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}");
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }]});
        let queue = json!({"QueueName": QUEUE, "Attributes": {"Policy": policy.to_string()}});
        let answer = self.root.json("sqs", "AmazonSQS.CreateQueue", &queue)?;
        self.queue = text(&answer, "QueueUrl")?.to_owned();
        for (protocol, endpoint) in [("sqs", arn.as_str()), ("https", CHAT), ("sms", TELEPHONE)] {
            let parameters = [("TopicArn", topic.as_str()), ("Protocol", protocol), ("Endpoint", endpoint)];
            self.root.query("sns", "Subscribe", &parameters)?;
        }
        Ok(self)
    }

    /// Nodes with shells that are logged, and people with keys and policies.
    pub(super) fn furnish(&self) -> Result<People, String> {
        let logs = self.output("LogBucketName")?;
        self.root.admin_post("session-preferences", &json!({"s3BucketName": logs}))?;
        self.root.admin_post("source-address", &json!({"address": OFFICE}))?;
        for node in [WEB, FORGOTTEN] {
            let tags: Map<_, _> =
                node.tags.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            self.root.admin_post(
                "nodes",
                &json!({
                    "InstanceId": node.id, "ComputerName": node.name, "Tags": tags, "Shell": true,
                    "PlatformName": node.platform.0, "PlatformVersion": node.platform.1,
                    "IPAddress": node.address, "AgentVersion": "3.3.987.0",
                }),
            )?;
        }
        let anywhere = json!({
            "Effect": "Allow", "Resource": "*",
            "Action": ["ssm:StartSession", "ssm:ResumeSession", "ssm:TerminateSession"],
        });
        let development = json!({
            "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/Environment": "development"}},
        });
        let alice = self.user("alice", "web", &anywhere)?;
        let bob = self.user("bob", "web", &anywhere)?;
        let carol = self.user("carol", "billing", &development)?;
        let with_mfa = "IAM user, second factor";
        Ok(People {
            alice: Person {
                name: "alice",
                account: self.second_factor("alice", &alice)?,
                described: with_mfa,
            },
            alice_by_key: Person { name: "alice", account: alice, described: "IAM user, access key alone" },
            bob: Person { name: "bob", account: self.second_factor("bob", &bob)?, described: with_mfa },
            carol: Person {
                name: "carol",
                account: self.second_factor("carol", &carol)?,
                described: with_mfa,
            },
            root: Person { name: "root", account: self.root.clone(), described: "the account's root user" },
        })
    }

    /// An IAM user with an access key.
    fn user(&self, name: &str, team: &str, statement: &Value) -> Result<Account, String> {
        let tag = [("UserName", name), ("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", team)];
        self.root.query("iam", "CreateUser", &tag)?;
        let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let policy = [("UserName", name), ("PolicyName", "sessions"), ("PolicyDocument", &document)];
        self.root.query("iam", "PutUserPolicy", &policy)?;
        let key = self.root.query("iam", "CreateAccessKey", &[("UserName", name)])?;
        Ok(self.root.with_credentials(element(&key, "AccessKeyId")?, element(&key, "SecretAccessKey")?, None))
    }

    /// The same user, who has given the code of a second factor.
    fn second_factor(&self, name: &str, user: &Account) -> Result<Account, String> {
        let serial = format!("arn:aws:iam::{ACCOUNT}:mfa/{name}");
        let parameters = [("SerialNumber", serial.as_str()), ("TokenCode", "123456")];
        let answer = user.query("sts", "GetSessionToken", &parameters)?;
        let (key, secret) = (element(&answer, "AccessKeyId")?, element(&answer, "SecretAccessKey")?);
        Ok(self.root.with_credentials(key, secret, Some(element(&answer, "SessionToken")?)))
    }

    pub(super) fn output(&self, name: &str) -> Result<&str, String> {
        text(&self.outputs, name)
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// Waits until the guard has nothing left to do.
    pub(super) fn settle(&self) -> Result<(), String> {
        self.root.wait_until_idle()
    }

    /// What was told since this was last asked.
    pub(super) fn told(&self) -> Result<Vec<Told>, String> {
        let deliveries = self.root.admin(&format!("deliveries?after={}", self.read.get()))?;
        let deliveries = deliveries.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(number) = deliveries.last().and_then(|last| at(last, "/number").as_u64()) {
            self.read.set(number);
        }
        let mut told = Vec::new();
        for message in self.receive()? {
            let of = |protocol: &str| {
                let is_it = |each: &&Value| {
                    at(each, "/messageId") == at(&message, "/MessageId") && *at(each, "/protocol") == protocol
                };
                let found = deliveries.iter().find(is_it);
                found.ok_or_else(|| format!("an alert did not reach the subscriber by {protocol}"))
            };
            let finding = parsed(text(&message, "Message")?)?;
            if *at(&finding, "/class_uid") != 2004 {
                // An alarm: the topic carries those too, as CloudWatch writes them.
                continue;
            }
            let mail = of("email")?;
            told.push(Told {
                mail: (text(mail, "subject")?.to_owned(), text(mail, "message")?.to_owned()),
                sms: text(of("sms")?, "message")?.to_owned(),
                chat: parsed(text(of("https")?, "message")?)?,
                finding,
            });
        }
        Ok(told)
    }

    fn receive(&self) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        loop {
            let request = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
            let answer = self.root.json("sqs", "AmazonSQS.ReceiveMessage", &request)?;
            let messages = at(&answer, "/Messages").as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(all);
            }
            for message in &messages {
                let delete = json!({"QueueUrl": self.queue, "ReceiptHandle": at(message, "/ReceiptHandle")});
                self.root.json("sqs", "AmazonSQS.DeleteMessage", &delete)?;
                all.push(parsed(text(message, "Body")?)?);
            }
        }
    }

    /// The session's status, as DescribeSessions has it.
    pub(super) fn status(&self, session: &str) -> Result<String, String> {
        status(&self.root, session)
    }

    /// The object that is a session's log.
    pub(super) fn log(&self, session: &str) -> Result<Option<(String, String)>, String> {
        let described = described(&self.root, session)?;
        if at(&described, "/OutputUrl/S3OutputUrl").as_str().is_none() {
            return Ok(None);
        }
        let key = format!("{session}.log");
        let bucket = self.output("LogBucketName")?;
        let text = self.root.object(bucket, &key)?;
        Ok(Some((format!("s3://{bucket}/{key}"), text)))
    }

    /// Measures from the API's answer to the moment at which DescribeSessions says `Terminated`.
    pub(super) fn watch(&self, opened: &Opened) -> Watch {
        let (root, opened) = (self.root.clone(), opened.clone());
        Watch(thread::spawn(move || {
            let path = format!("sessions/{}/wait", opened.session);
            root.admin_post(&path, &json!({"status": "Terminated", "timeout": 60}))?;
            let status = status(&root, &opened.session)?;
            let took = opened.at.elapsed();
            if status == "Terminated" { Ok(took) } else { Err(format!("DescribeSessions says {status}")) }
        }))
    }

    /// The ledger's record of a session.
    pub(super) fn record(&self, session: &str) -> Result<Value, String> {
        let key = json!({"pk": {"S": format!("session#{ACCOUNT}#{REGION}#{session}")}});
        let request = json!({"TableName": self.output("LedgerTable")?, "Key": key, "ConsistentRead": true});
        let answer = self.root.json("dynamodb", "DynamoDB_20120810.GetItem", &request)?;
        answer.get("Item").map(plain_item).ok_or_else(|| format!("the ledger has no record of {session}"))
    }

    /// How many events have their verdict and nothing left to do, and how many Session Manager calls there were.
    pub(super) fn verdicts_and_calls(&self) -> Result<(usize, usize), String> {
        let (mut verdicts, mut request) = (0, json!({"TableName": self.output("LedgerTable")?}));
        loop {
            let page = self.root.json("dynamodb", "DynamoDB_20120810.Scan", &request)?;
            let items = at(&page, "/Items").as_array().map(Vec::as_slice).unwrap_or_default();
            // Logs have items of the same kind, named for their address.
            let is_call = |key: &str| key.strip_prefix("event#").is_some_and(|id| !id.starts_with("s3://"));
            let is_done = |item: &&Value| {
                at(item, "/pk/S").as_str().is_some_and(is_call) && *at(item, "/done/BOOL") == true
            };
            verdicts += items.iter().filter(is_done).count();
            match page.get("LastEvaluatedKey") {
                Some(key) if !key.is_null() => set(&mut request, "ExclusiveStartKey", key.clone()),
                _ => break,
            }
        }
        let mut calls = 0;
        for operation in ["StartSession", "ResumeSession", "TerminateSession"] {
            let made = self.root.admin(&format!("calls?service=ssm&operation={operation}"))?;
            calls += made.as_array().map(Vec::len).unwrap_or_default();
        }
        Ok((verdicts, calls))
    }
}

impl Person {
    /// StartSession.
    pub(super) fn open(&self, node: Node, more: Value) -> Result<Opened, String> {
        let mut request = json!({"Target": node.id});
        if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
            request.extend(more);
        }
        let answer = self.account.json("ssm", "AmazonSSM.StartSession", &request)?;
        let at = Instant::now();
        Ok(Opened { session: text(&answer, "SessionId")?.to_owned(), at })
    }

    /// ResumeSession.
    pub(super) fn resume(&self, session: &str) -> Result<Opened, String> {
        self.account.json("ssm", "AmazonSSM.ResumeSession", &json!({"SessionId": session}))?;
        Ok(Opened { session: session.to_owned(), at: Instant::now() })
    }
}

/// The shell of a session, as its user sees it.
#[derive(Debug)]
pub(super) struct Shell<'a> {
    root: &'a Account,
    session: &'a str,
}

impl<'a> Shell<'a> {
    /// Waits for the prompt.
    pub(super) fn of(guard: &'a Guard, session: &'a str) -> Result<Self, String> {
        let shell = Self { root: &guard.root, session };
        shell.root.admin_post(&shell.path("wait"), &json!({"for": "$ "}))?;
        Ok(shell)
    }

    /// Types a line, and returns what was printed before the next prompt.
    pub(super) fn type_line(&self, line: &str) -> Result<Vec<String>, String> {
        let typed = self.type_only(line)?;
        // The echo of the line ends with a line break of its own, and so the next prompt begins a line.
        let wait = json!({"for": "\r\n$ ", "from": typed});
        let answer = self.root.admin_post(&self.path("wait"), &wait)?;
        let output = at(&answer, "/output").as_str().unwrap_or_default();
        let printed: String = output.chars().skip(typed).collect();
        let printed = printed.strip_suffix("$ ").unwrap_or(&printed);
        Ok(printed.split("\r\n").skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Types a line after which no prompt comes.
    pub(super) fn type_only(&self, line: &str) -> Result<usize, String> {
        let typed = self.root.admin_post(&self.path("input"), &json!({"text": format!("{line}\n")}))?;
        Ok(at(&typed, "/offset").as_u64().and_then(|offset| usize::try_from(offset).ok()).unwrap_or_default())
    }

    fn path(&self, what: &str) -> String {
        format!("sessions/{}/{what}", self.session)
    }
}

/// A measurement under way.
#[derive(Debug)]
pub(super) struct Watch(JoinHandle<Result<Duration, String>>);

impl Watch {
    pub(super) fn took(self) -> Result<Duration, String> {
        self.0.join().map_err(|_| "the measurement was aborted".to_owned())?
    }
}

fn described(root: &Account, session: &str) -> Result<Value, String> {
    for state in ["Active", "History"] {
        let filter = json!({"State": state, "Filters": [{"key": "SessionId", "value": session}]});
        let answer = root.json("ssm", "AmazonSSM.DescribeSessions", &filter)?;
        if let Some(found) = answer.pointer("/Sessions/0") {
            return Ok(found.clone());
        }
    }
    Err(format!("DescribeSessions does not know {session}"))
}

fn status(root: &Account, session: &str) -> Result<String, String> {
    text(&described(root, session)?, "Status").map(str::to_owned)
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| format!("there is no {name} in {value}"))
}

/// What is at a JSON pointer; null where there is nothing.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

/// The text of the first XML element of that name.
fn element<'a>(xml: &'a str, name: &str) -> Result<&'a str, String> {
    let after = xml.split_once(&format!("<{name}>")).map(|(_, after)| after);
    let element = after.and_then(|after| after.split_once(&format!("</{name}>")));
    element.map(|(text, _)| text).ok_or_else(|| format!("there is no {name} in {xml}"))
}

fn plain_item(item: &Value) -> Value {
    let fields = item.as_object().into_iter().flatten();
    Value::Object(fields.map(|(name, value)| (name.clone(), plain(value))).collect())
}

/// DynamoDB's typed JSON without the types.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "M" => plain_item(value),
        "L" => value.as_array().into_iter().flatten().map(plain).collect(),
        "N" => value.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(Value::Null, Value::from),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}
