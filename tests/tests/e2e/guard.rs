//! A deployed guard, and everything that a test asks of it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::account::Account;
use e2e::package::Packages;
use e2e::stack::Stack;
use serde_json::{Map, Value, json};

/// A node without tags.
pub(crate) const UNTAGGED: &str = "i-0aaaaaaaaaaaaaaa1";
/// A node with every tag that the shipped policies ask for.
pub(crate) const TAGGED: &str = "i-0bbbbbbbbbbbbbbb2";

/// The account of the records that tests write; it is replaced by the guard's own when they are delivered.
const ACCOUNT: &str = "111122223333";

/// One stack and one build for all tests.
static SHARED: LazyLock<(Stack, Packages)> = LazyLock::new(|| {
    let packages = e2e::package::build().unwrap();
    (Stack::start(0).unwrap(), packages)
});

/// The same build on a stack that checks every call against the caller's policies.
static ENFORCING: LazyLock<Stack> = LazyLock::new(|| Stack::start_with(0, &["--enforce-iam"]).unwrap());

/// The folder of a function's package.
pub(crate) fn package(function: &str) -> PathBuf {
    SHARED.1.folder(function)
}

/// The packages of all functions.
pub(crate) fn packages() -> &'static Packages {
    &SHARED.1
}

static ACCOUNTS: AtomicU64 = AtomicU64::new(100_000_000_000);

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Start,
    Resume,
    End,
}

/// A CloudTrail record as real ones are: a person with a second factor, on a Monday morning.
pub(crate) fn record(kind: Kind, number: usize, session: &str, target: &str) -> Value {
    let (name, request) = match kind {
        Kind::Start => ("StartSession", json!({"target": target, "reason": "CHG-1234"})),
        Kind::Resume => ("ResumeSession", json!({"sessionId": session})),
        Kind::End => ("TerminateSession", json!({"sessionId": session})),
    };
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLEEXAMPLE123",
            "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": ACCOUNT,
            "accessKeyId": "ASIAEXAMPLEEXAMPLE12",
            "userName": "alice",
            "sessionContext": {
                "sessionIssuer": {},
                "attributes": {"creationDate": "2026-11-23T09:00:00Z", "mfaAuthenticated": "true"},
            },
        },
        "eventTime": "2026-11-23T09:30:00Z",
        "eventSource": "ssm.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31 md/installer",
        "requestParameters": request,
        "responseElements": {
            "sessionId": session,
            "tokenValue": "Value hidden due to security reasons.",
        },
        "requestID": "0a1b2c3d-0000-4000-8000-000000000000",
        "eventID": format!("event-{number}"),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    })
}

/// A call that IAM refused: nothing of the request is in the record.
pub(crate) fn refused(number: usize) -> Value {
    let mut record = record(Kind::Start, number, "", "");
    record["requestParameters"] = Value::Null;
    record["responseElements"] = Value::Null;
    record["errorCode"] = json!("AccessDenied");
    record["errorMessage"] = json!(format!(
        "User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: ssm:StartSession on resource: \
         arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/{UNTAGGED} because no identity-based policy allows the \
         ssm:StartSession action"
    ));
    record
}

/// An account that nobody has used yet.
fn new_account(stack: &Stack) -> Account {
    stack.account(&ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string())
}

/// The same on the stack that enforces IAM.
pub(crate) fn new_enforced_account() -> Account {
    new_account(&ENFORCING)
}

/// Deploys a template of the repository into an account of the stack that enforces IAM.
pub(crate) fn deploy_template(place: &Account, template: &str, parameters: &[(&str, &str)]) -> Value {
    ENFORCING.deploy_template(place, "member", template, &[], parameters).unwrap()
}

/// A guard in an account of its own.
pub(crate) struct Guard {
    pub(crate) account: Account,
    outputs: Value,
    alerts: String,
}

impl Guard {
    pub(crate) fn deploy(mode: &str) -> Self {
        Self::deploy_with(&[("Mode", mode)])
    }

    pub(crate) fn deploy_with(parameters: &[(&str, &str)]) -> Self {
        Self::deploy_into(new_account(&SHARED.0), &SHARED.0, parameters)
    }

    /// A guard whose functions are held to their roles.
    pub(crate) fn deploy_enforced(account: Account, parameters: &[(&str, &str)]) -> Self {
        Self::deploy_into(account, &ENFORCING, parameters)
    }

    fn deploy_into(account: Account, stack: &Stack, parameters: &[(&str, &str)]) -> Self {
        let outputs = stack.deploy(&account.id, &SHARED.1, parameters).unwrap();
        let guard = Self::watch(account, outputs);
        guard.tag(UNTAGGED, json!({}));
        guard.tag(TAGGED, json!({"Owner": "team-a", "Environment": "development", "SessionAccess": "alice"}));
        // The records that tests deliver are of this user, whose tags a policy reads.
        guard.account.query("iam", "CreateUser", &[("UserName", "alice")]).unwrap();
        guard
    }

    /// A guard that is deployed: its alerts are kept from now on.
    pub(crate) fn watch(account: Account, outputs: Value) -> Self {
        // Where IAM is enforced, a queue takes only what its policy lets in.
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
        }]});
        let request = json!({"QueueName": "alerts", "Attributes": {"Policy": policy.to_string()}});
        let queue = account.json("sqs", "AmazonSQS.CreateQueue", &request).unwrap();
        let alerts = queue["QueueUrl"].as_str().unwrap().to_owned();
        let arn = format!("arn:aws:sqs:eu-west-1:{}:alerts", account.id);
        let guard = Self { account, outputs, alerts };
        let subscription = [
            ("TopicArn", guard.output("AlertTopicArn")),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
        ];
        guard.account.query("sns", "Subscribe", &subscription).unwrap();
        guard
    }

    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap_or_else(|| panic!("no output {name} in {}", self.outputs))
    }

    /// Makes a node known, with these tags.
    pub(crate) fn tag(&self, node: &str, tags: Value) {
        let mut node = json!({
            "InstanceId": node, "ComputerName": "web-1", "PlatformName": "Amazon Linux", "PlatformVersion": "2023",
            "IPAddress": "10.0.1.11", "AgentVersion": "3.3.987.0",
        });
        node["Tags"] = tags;
        self.admin("nodes", &node);
    }

    /// A session that Session Manager knows, without the event of its start.
    pub(crate) fn open(&self, session: &str, target: &str) -> String {
        self.admin("sessions", &json!({"SessionId": session, "Target": target}));
        session.to_owned()
    }

    /// Ends a session that [`Self::open`] opened, without an event.
    pub(crate) fn end(&self, session: &str) {
        self.admin("sessions", &json!({"SessionId": session, "Target": UNTAGGED, "Status": "Terminated"}));
    }

    /// Everything that the function on sessions printed.
    pub(crate) fn log(&self) -> String {
        self.printed("LogGroup")
    }

    /// Everything that the function on logs printed.
    pub(crate) fn log_of_logs(&self) -> String {
        self.printed("LogFunctionLogGroup")
    }

    /// Everything that was printed to the log group that an output names.
    pub(crate) fn printed(&self, output: &str) -> String {
        let request = json!({"logGroupName": self.output(output)});
        let answer = self.account.json("logs", "Logs_20140328.FilterLogEvents", &request).unwrap();
        let lines = answer["events"].as_array().unwrap().iter().filter_map(|event| event["message"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The policy of a function's role, by the names that the template has for both.
    pub(crate) fn role_policy(&self, role: &str, policy: &str) -> Value {
        let names = [("RoleName", self.physical(role)), ("PolicyName", policy.to_owned())];
        let names = names.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = self.account.query("iam", "GetRolePolicy", &names).unwrap();
        let document = between(&answer, "<PolicyDocument>", "</PolicyDocument>");
        let document = session::object::decoded(document).unwrap();
        serde_json::from_str(&document).unwrap()
    }

    /// Replaces that policy.
    pub(crate) fn set_role_policy(&self, role: &str, policy: &str, document: &Value) {
        let (role, document) = (self.physical(role), document.to_string());
        let parameters = [("RoleName", role.as_str()), ("PolicyName", policy), ("PolicyDocument", &document)];
        self.account.query("iam", "PutRolePolicy", &parameters).unwrap();
    }

    /// What CloudFormation called a resource.
    fn physical(&self, resource: &str) -> String {
        let names = [("StackName", e2e::stack::STACK), ("LogicalResourceId", resource)];
        let answer = self.account.query("cloudformation", "DescribeStackResource", &names).unwrap();
        between(&answer, "<PhysicalResourceId>", "</PhysicalResourceId>").to_owned()
    }

    /// Deploys the guard of [`Self::deploy_enforced`] again, with one more policy in its package.
    pub(crate) fn add_policy(&self, id: &str, text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("session-event");
        let archive =
            SHARED.1.with_file("session-event", &package, &format!("policies/{id}/policy.cedar"), text);
        let package = format!("session-event={}", archive.unwrap().display());
        let logs = SHARED.1.archives().find(|(function, _)| *function == "log-object").unwrap().1;
        let packages = [package, format!("log-object={}", logs.display())];
        ENFORCING
            .deploy_template(&self.account, e2e::stack::STACK, "infra/guard.yaml", &packages, &[])
            .unwrap();
    }

    /// Somebody with a second factor.
    pub(crate) fn user_with_mfa(&self, name: &str) -> Account {
        let answer = self.account.query("iam", "CreateAccessKey", &[("UserName", name)]).unwrap();
        let user = self.account.with_key(between(&answer, "<AccessKeyId>", "</AccessKeyId>"), None);
        let serial = format!("arn:aws:iam::{}:mfa/{name}", self.account.id);
        let parameters = [("SerialNumber", serial.as_str()), ("TokenCode", "123456")];
        let answer = user.query("sts", "GetSessionToken", &parameters).unwrap();
        let key = between(&answer, "<AccessKeyId>", "</AccessKeyId>");
        let token = between(&answer, "<SessionToken>", "</SessionToken>");
        self.account.with_key(key, Some(token))
    }

    /// Calls an operation of a JSON protocol in the guard's account.
    pub(crate) fn ask(&self, service: &str, operation: &str, body: &Value) -> Value {
        self.account.json(service, operation, body).unwrap()
    }

    pub(crate) fn admin(&self, path: &str, body: &Value) {
        self.account.admin_post(path, body).unwrap();
    }

    pub(crate) fn fault(&self, fault: &Value) {
        self.admin("faults", fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.account.clear_faults().unwrap();
    }

    /// Has an instance of the function ready, so that the calls that follow are those of an event and not of a start.
    pub(crate) fn warm(&self) {
        let mut end = record(Kind::End, 0, "warm-0e34861185201706f", UNTAGGED);
        end["eventID"] = json!("warm");
        self.put(&[end]);
        self.account.wait_until_idle().unwrap();
    }

    pub(crate) fn put(&self, records: &[Value]) {
        // The guard's account is that of the event, as on AWS.
        let text = serde_json::to_string(records).unwrap().replace(ACCOUNT, &self.account.id);
        let records: Vec<Value> = serde_json::from_str(&text).unwrap();
        self.account.put_events(&records).unwrap();
    }

    /// Delivers records, waits until nothing is left to do, and returns what was told meanwhile.
    pub(crate) fn deliver(&self, records: &[Value]) -> Vec<Value> {
        self.put(records);
        self.settle()
    }

    /// Waits until nothing is left to do, and returns what was told meanwhile.
    pub(crate) fn settle(&self) -> Vec<Value> {
        self.account.wait_until_idle().unwrap();
        self.drain(&self.alerts)
    }

    /// Waits for the next alert.
    pub(crate) fn next_alert(&self) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(alert) = self.drain(&self.alerts).pop() {
                return alert;
            }
        }
        panic!("no alert in 60 s: {}\n{}", self.log(), self.log_of_logs());
    }

    /// Puts the log of a session where a node would put it.
    pub(crate) fn put_log(&self, session: &str, log: &[u8]) {
        let key = format!("{session}.log");
        self.account.put_object(self.output("LogBucketName"), &key, log).unwrap();
    }

    /// Has the tagged node open real shells, and Session Manager log them.
    pub(crate) fn log_sessions(&self) {
        let tags = json!({"Owner": "team-a", "Environment": "development", "SessionAccess": "alice"});
        self.admin(
            "nodes",
            &json!({"InstanceId": TAGGED, "ComputerName": "web-1", "Tags": tags, "Shell": true}),
        );
        self.admin("session-preferences", &json!({"s3BucketName": self.output("LogBucketName")}));
    }

    /// Types into the shell of a session.
    pub(crate) fn type_into(&self, session: &str, text: &str) {
        self.admin(&format!("sessions/{session}/input"), &json!({"text": text}));
    }

    /// Waits until a session has a status, or its output a text.
    pub(crate) fn wait_for(&self, session: &str, what: &Value) {
        self.admin(&format!("sessions/{session}/wait"), what);
    }

    /// Has logs that are given back to their queue come again after seconds, and not after six minutes: still longer than a run
    /// takes, since a log that comes again while it is read may be told twice.
    pub(crate) fn look_again_soon(&self) {
        let queue = self.output("LogQueueUrl");
        let soon = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "5"}});
        self.account.json("sqs", "AmazonSQS.SetQueueAttributes", &soon).unwrap();
    }

    /// Gives the function on logs so little time that each run reads one piece of a log and no more.
    pub(crate) fn read_in_pieces(&self) {
        let path = format!("/2015-03-31/functions/{}/configuration", self.output("LogFunctionName"));
        // A run keeps this much of its time to record and tell what it read.
        self.account.put("lambda", &path, &json!({"Timeout": 15})).unwrap();
    }

    /// Puts a message into the queue of logs.
    pub(crate) fn send_to_logs(&self, text: &str) {
        self.send("LogQueueUrl", text);
    }

    fn send(&self, output: &str, text: &str) {
        let message = json!({"QueueUrl": self.output(output), "MessageBody": text});
        self.account.json("sqs", "AmazonSQS.SendMessage", &message).unwrap();
    }

    /// How many messages of the queue of logs wait for their next look.
    pub(crate) fn waiting_logs(&self) -> usize {
        self.queue_attribute("LogQueueUrl", "ApproximateNumberOfMessagesNotVisible").parse().unwrap()
    }

    /// Has the queue of logs give up on a log that is not done at its first delivery.
    pub(crate) fn give_logs_up_soon(&self) {
        let dead_letters = self.queue_attribute("LogDeadLetterQueueUrl", "QueueArn");
        let policy = json!({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 1}).to_string();
        let request =
            json!({"QueueUrl": self.output("LogQueueUrl"), "Attributes": {"RedrivePolicy": policy}});
        self.account.json("sqs", "AmazonSQS.SetQueueAttributes", &request).unwrap();
    }

    /// Waits until so many messages are in the dead-letter queue of logs.
    pub(crate) fn wait_for_unread_logs(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let waiting = || self.queue_attribute("LogDeadLetterQueueUrl", "ApproximateNumberOfMessages");
        while waiting() != count.to_string() {
            assert!(Instant::now() < deadline, "{}", self.log_of_logs());
        }
    }

    /// Puts a message into the dead-letter queue of logs.
    pub(crate) fn send_to_unread_logs(&self, text: &str) {
        self.send("LogDeadLetterQueueUrl", text);
    }

    /// An attribute of the queue whose URL is an output.
    pub(crate) fn queue_attribute(&self, output: &str, name: &str) -> String {
        let request = json!({"QueueUrl": self.output(output), "AttributeNames": [name]});
        let answer = self.account.json("sqs", "AmazonSQS.GetQueueAttributes", &request).unwrap();
        answer["Attributes"][name].as_str().unwrap().to_owned()
    }

    /// What waits in the dead-letter queue of logs; it is taken out.
    pub(crate) fn unread_logs(&self) -> Vec<Value> {
        self.drain(self.output("LogDeadLetterQueueUrl"))
    }

    /// The events of new logs, told again.
    pub(crate) fn tell_of_log(&self, session: &str, version: &str) {
        let detail = json!({
            "version": "0", "bucket": {"name": self.output("LogBucketName")},
            "object": {"key": format!("{session}.log"), "size": 1, "etag": "0", "version-id": version, "sequencer": "0"},
            "request-id": "X", "requester": self.account.id, "reason": "PutObject",
        });
        self.admin(
            "events",
            &json!({"Entries": [{"Source": "aws.s3", "DetailType": "Object Created", "Detail": detail.to_string()}]}),
        );
    }

    /// What waits in the failures queue; it is taken out.
    pub(crate) fn failures(&self) -> Vec<Value> {
        let text = serde_json::to_string(&self.drain(self.output("FailuresQueueUrl"))).unwrap();
        serde_json::from_str(&text.replace(&self.account.id, ACCOUNT)).unwrap()
    }

    pub(crate) fn status(&self, session: &str) -> String {
        status(&self.account, session)
    }

    /// The names of all calls of the guard, oldest first.
    pub(crate) fn all_calls(&self) -> Vec<String> {
        let calls = self.account.admin("calls").unwrap();
        let is_of_guard =
            |call: &&Value| call["caller"].as_str().is_some_and(|arn| arn.contains(":assumed-role/"));
        let calls = calls.as_array().unwrap().iter().filter(is_of_guard);
        calls.map(|call| call["operation"].as_str().unwrap().to_owned()).collect()
    }

    /// Every invocation, oldest first, with what its function told X-Ray.
    pub(crate) fn traces(&self) -> Vec<Value> {
        self.account.admin("traces").unwrap().as_array().unwrap().clone()
    }

    /// How often the guard called an operation.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.all_calls().iter().filter(|call| *call == operation).count()
    }

    /// Waits until the guard has called an operation so often.
    pub(crate) fn wait_for_calls(&self, operation: &str, count: usize) {
        while self.calls(operation) < count {
            std::thread::yield_now();
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let mut items = Vec::new();
        let mut request = json!({"TableName": self.output("LedgerTable"), "ConsistentRead": true});
        loop {
            let page = self.account.json("dynamodb", "DynamoDB_20120810.Scan", &request).unwrap();
            items.extend(page["Items"].as_array().unwrap().iter().map(plain_item));
            match page.get("LastEvaluatedKey") {
                Some(key) if !key.is_null() => request["ExclusiveStartKey"] = key.clone(),
                _ => return Ledger { account: self.account.id.clone(), items },
            }
        }
    }

    pub(crate) fn drain(&self, queue: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let some = self.receive(queue);
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    fn receive(&self, queue: &str) -> Vec<Value> {
        let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
        let answer = self.account.json("sqs", "AmazonSQS.ReceiveMessage", &request).unwrap();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            self.account.json("sqs", "AmazonSQS.DeleteMessage", &delete).unwrap();
        }
        messages
            .iter()
            .map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap())
            .collect()
    }
}

/// What Session Manager of an account and region says of a session.
pub(crate) fn status(place: &Account, session: &str) -> String {
    for state in ["Active", "History"] {
        let filter = json!({"State": state, "Filters": [{"key": "SessionId", "value": session}]});
        let answer = place.json("ssm", "AmazonSSM.DescribeSessions", &filter).unwrap();
        if let Some(status) = answer["Sessions"][0]["Status"].as_str() {
            return status.to_owned();
        }
    }
    panic!("there is no session {session}");
}

/// The ledger as it was read.
pub(crate) struct Ledger {
    account: String,
    items: Vec<Value>,
}

impl Ledger {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn item(&self, key: &str) -> &Value {
        let found = self.items.iter().find(|item| item["pk"] == key);
        found.unwrap_or_else(|| panic!("no item {key} in {:#?}", self.items))
    }

    /// The verdict on an event, for which nothing is left to do.
    pub(crate) fn verdict(&self, event: &str) -> &Value {
        let item = self.item(&format!("event#{event}"));
        assert_eq!(item["done"], true, "{item:#}");
        &item["verdict"]
    }

    /// The verdict on an event for which something is left to do.
    pub(crate) fn open_verdict(&self, event: &str) -> &Value {
        let item = self.item(&format!("event#{event}"));
        assert_eq!(item["done"], false, "{item:#}");
        &item["verdict"]
    }

    /// What is known of a session.
    pub(crate) fn session(&self, session: &str) -> &Value {
        self.session_in(&self.account, "eu-west-1", session)
    }

    /// What is known of a session of an account and a region.
    pub(crate) fn session_in(&self, account: &str, region: &str, session: &str) -> &Value {
        self.item(&format!("session#{account}#{region}#{session}"))
    }
}

fn plain_item(item: &Value) -> Value {
    let fields = item.as_object().unwrap().iter().map(|(name, value)| (name.clone(), plain(value)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// DynamoDB's typed JSON without the types.
fn plain(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "M" => plain_item(value),
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "N" => value.as_str().unwrap().parse::<i64>().map_or_else(|_| value.clone(), Value::from),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    start.split_once(after).unwrap().0
}
