//! The guide of `docs/environment.md`, walked from its start to its end.
//!
//! Every template of `infra/` is deployed as it is, each alone, on a local stack that enforces IAM: its users, hosts and
//! policies are the ones that the test has, and nothing else is registered. What a local stack cannot show is what only AWS
//! decides: security groups, endpoints, encryption, the second factor's code, and the streamed log.

use e2e::account::Account;
use e2e::stack::Stack;
use serde_json::{Value, json};

use crate::guard::{Guard, between, packages};

const ACCOUNT: &str = "111122223333";
const PREFERENCES: &str = "SSM-SessionManagerRunShell";

/// An output of a deployment.
fn output<'a>(outputs: &'a Value, name: &str) -> &'a str {
    outputs[name].as_str().unwrap_or_else(|| panic!("no output {name} in {outputs}"))
}

/// What the guide asks for before anything is deployed.
fn look_around(root: &Account) -> String {
    let trails = "CloudTrail_20131101.DescribeTrails";
    assert_eq!(root.json("cloudtrail", trails, &json!({})).unwrap()["trailList"], json!([]));
    let preferences = root.json("ssm", "AmazonSSM.GetDocument", &json!({"Name": PREFERENCES}));
    assert!(preferences.unwrap_err().contains("InvalidDocument"));
    let filter = [("Filter.1.Name", "prefix-list-name"), ("Filter.1.Value.1", "com.amazonaws.eu-west-1.s3")];
    let lists = root.query("ec2", "DescribeManagedPrefixLists", &filter).unwrap();
    between(&lists, "<prefixListId>", "</prefixListId>").to_owned()
}

/// The parts, in the order of the guide, and the guard before the hosts.
struct Environment {
    logging: Value,
    hosts: Value,
    guard: Guard,
}

impl Environment {
    fn deploy(stack: &Stack, root: &Account, prefix_list: &str) -> Self {
        let part =
            |name: &str, parameters: &[(&str, &str)]| stack.deploy_part(ACCOUNT, name, parameters).unwrap();
        let logging = part("logging", &[]);
        let (bucket, key) = (output(&logging, "LogBucket"), output(&logging, "KeyArn"));
        let network = part("network", &[("LogBucket", bucket)]);
        part("access", &[("UserA", "alice"), ("UserB", "bob"), ("KeyArn", key)]);
        part("trail", &[("LogBucket", bucket)]);
        let prefix = format!("{}/", output(&logging, "LogPrefix"));
        let parameters =
            [("Mode", "enforce"), ("LogBucketName", bucket), ("LogKeyArn", key), ("LogPrefix", &prefix)];
        let outputs = stack.deploy(ACCOUNT, packages(), &parameters).unwrap();
        let guard = Guard::watch(root.clone(), outputs);
        let parameters = [
            ("OwnerA", "alice"),
            ("OwnerB", "bob"),
            ("S3PrefixListId", prefix_list),
            ("VpcId", output(&network, "VpcId")),
            ("SubnetIds", output(&network, "SubnetIds")),
            ("EndpointSecurityGroupId", output(&network, "EndpointSecurityGroupId")),
            ("LogBucket", bucket),
            ("LogGroup", output(&logging, "LogGroup")),
            ("KeyArn", key),
        ];
        let hosts = part("instances", &parameters);
        Self { logging, hosts, guard }
    }
}

/// A user, and what the user holds after each step of the guide.
struct User {
    name: &'static str,
    /// The long-term key that an administrator made.
    key: Account,
    /// A session without a second factor.
    session: Account,
    /// A session with one.
    with_mfa: Account,
}

impl User {
    /// The user gets a key, enrols a device with it and takes sessions.
    fn enrol(root: &Account, name: &'static str) -> Self {
        let answer = root.query("iam", "CreateAccessKey", &[("UserName", name)]).unwrap();
        let secret = between(&answer, "<SecretAccessKey>", "</SecretAccessKey>");
        let key = root.with_credentials(between(&answer, "<AccessKeyId>", "</AccessKeyId>"), secret, None);
        let device = key.query("iam", "CreateVirtualMFADevice", &[("VirtualMFADeviceName", name)]).unwrap();
        let serial = between(&device, "<SerialNumber>", "</SerialNumber>");
        let codes = [("AuthenticationCode1", "123456"), ("AuthenticationCode2", "654321")];
        let enable = [&[("UserName", name), ("SerialNumber", serial)], codes.as_slice()].concat();
        key.query("iam", "EnableMFADevice", &enable).unwrap();
        let with_mfa = session(&key, &[("SerialNumber", serial), ("TokenCode", "123456")]);
        Self { name, session: session(&key, &[]), key, with_mfa }
    }
}

fn session(user: &Account, factor: &[(&str, &str)]) -> Account {
    let answer = user.query("sts", "GetSessionToken", factor).unwrap();
    let field = |name: &str| between(&answer, &format!("<{name}>"), &format!("</{name}>")).to_owned();
    user.with_credentials(
        &field("AccessKeyId"),
        &field("SecretAccessKey"),
        Some(field("SessionToken").as_str()),
    )
}

fn start(user: &Account, host: &str, document: Option<&str>) -> Result<String, String> {
    let mut request = json!({"Target": host, "Reason": "CHG-1234"});
    if let Some(document) = document {
        request["DocumentName"] = json!(document);
    }
    let answer = user.json("ssm", "AmazonSSM.StartSession", &request)?;
    Ok(answer["SessionId"].as_str().unwrap().to_owned())
}

fn on_session(user: &Account, operation: &str, session: &str) -> Result<(), String> {
    user.json("ssm", &format!("AmazonSSM.{operation}"), &json!({"SessionId": session})).map(|_| ())
}

/// Types a command as a person does, who waits for the next prompt.
fn run(root: &Account, session: &str, command: &str) {
    let typed = json!({"text": format!("{command}\n")});
    let before = root.admin_post(&format!("sessions/{session}/input"), &typed).unwrap();
    let prompt = json!({"for": "\n$ ", "from": before["offset"], "timeout": 30});
    root.admin_post(&format!("sessions/{session}/wait"), &prompt).unwrap();
}

/// The policies that alerts are about.
fn policies(alerts: &[Value]) -> Vec<&str> {
    let policies =
        alerts.iter().flat_map(|alert| alert["unmapped"]["policies"].as_array().into_iter().flatten());
    policies.map(|policy| policy["id"].as_str().unwrap()).collect()
}

/// A call that the policies refuse, and the alert that it becomes.
fn refused(guard: &Guard, user: &User, what: &str, call: Result<(), String>) {
    let Err(error) = call else { panic!("{what} was let through") };
    assert!(error.contains("AccessDeniedException"), "{what}: {error}");
    let alerts = guard.settle();
    assert_eq!(policies(&alerts), ["refused-attempt"], "{what}: {alerts:#?}");
    let actor = &alerts[0]["evidences"][0]["actor"]["user"]["name"];
    assert_eq!(actor, user.name, "{what}");
}

/// The guide leads from an empty account to a session that is seen: everybody opens sessions to the hosts that carry their
/// name, with a second factor, through the session preferences, and in no other way; who tries is told of. The log of a
/// session is in the bucket when it has ended, what was typed is read, and what is dangerous in it is told with whose it was.
#[test]
fn the_guide_leads_from_an_empty_account_to_a_session_that_is_seen() {
    let stack = Stack::start_with(0, &["--enforce-iam", "--remove-state"]).unwrap();
    let root = stack.account(ACCOUNT);
    let prefix_list = look_around(&root);
    let environment = Environment::deploy(&stack, &root, &prefix_list);
    let guard = &environment.guard;
    let (host_a, host_b) = (output(&environment.hosts, "HostA"), output(&environment.hosts, "HostB"));
    let (alice, bob) = (User::enrol(&root, "alice"), User::enrol(&root, "bob"));

    // Who may open what.
    for (what, user, credentials, host, document) in [
        ("the host of another", &alice, &alice.with_mfa, host_b, Some(PREFERENCES)),
        ("the host of another, the other way", &bob, &bob.with_mfa, host_a, Some(PREFERENCES)),
        ("a long-term key", &alice, &alice.key, host_a, Some(PREFERENCES)),
        ("no second factor", &alice, &alice.session, host_a, Some(PREFERENCES)),
        ("no document", &alice, &alice.with_mfa, host_a, None),
        ("port forwarding", &alice, &alice.with_mfa, host_a, Some("AWS-StartPortForwardingSession")),
        ("SSH", &alice, &alice.with_mfa, host_a, Some("AWS-StartSSHSession")),
        ("a document of her own", &alice, &alice.with_mfa, host_a, Some("Quiet")),
    ] {
        refused(guard, user, what, start(credentials, host, document).map(|_| ()));
    }
    let session = start(&alice.with_mfa, host_a, Some(PREFERENCES)).unwrap();
    let others = start(&bob.with_mfa, host_b, Some(PREFERENCES)).unwrap();
    // At night and on weekends these starts are told, at low severity, and left alone.
    for alert in guard.settle() {
        assert_eq!(policies(&[alert]), ["outside-business-hours"]);
    }
    assert_eq!((guard.status(&session).as_str(), guard.status(&others).as_str()), ("Connected", "Connected"));
    for operation in ["ResumeSession", "TerminateSession"] {
        let call = on_session(&bob.with_mfa, operation, &session);
        refused(guard, &bob, &format!("{operation} of another's session"), call);
    }

    // A session that is seen. What the file holds is nobody's business here.
    guard.wait_for(&session, &json!({"for": "$ "}));
    for command in ["whoami", "cat /etc/shadow > /dev/null"] {
        run(&root, &session, command);
    }
    on_session(&alice.with_mfa, "TerminateSession", &session).unwrap();
    guard.wait_for(&session, &json!({"status": "Terminated", "timeout": 30}));
    let alert = guard.next_alert();
    assert_eq!(alert["unmapped"]["kind"], "transcript", "{alert:#}");
    assert_eq!(alert["evidences"][0]["actor"]["user"]["name"], "alice");
    assert_eq!(alert["evidences"][0]["actor"]["session"]["uid"], session.as_str());
    assert_eq!(alert["evidences"][1]["process"]["cmd_line"], "cat /etc/shadow > /dev/null");
    assert_eq!(guard.settle(), Vec::<Value>::new());
    assert_eq!(guard.status(&others), "Connected", "a session of somebody else goes on");

    // Its log, which the host put there with its role, and what the guard keeps of it.
    let key = format!("sessions/{session}.log");
    let log = root.object(output(&environment.logging, "LogBucket"), &key).unwrap();
    assert!(log.contains("$ whoami\r\r\n"), "{log}");
    let ledger = guard.ledger();
    let transcripts = ledger.session(&session)["transcripts"].as_object().unwrap();
    let read: Vec<_> = transcripts.values().map(|log| (&log["key"], &log["commands"])).collect();
    assert_eq!(read, [(&json!(key), &json!(2))]);
}
