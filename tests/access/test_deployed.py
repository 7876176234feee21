"""The templates of the environment on the local stack: `python -m unittest` in this folder, with the requirements
of `tests/stack` installed and `npm ci` done.

- Each template is deployed as it is, alone and within the whole.
- The policies that IAM has afterwards are those that `access.js` evaluates, word for word.
- Users call the API with keys and with sessions, with and without a second factor, and IAM is enforced.

It cannot show what only AWS decides, such as what DNS or a security group lets through.
"""

import io
import json
import pathlib
import subprocess
import sys
import unittest
import urllib.request
import zipfile

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
INFRA = HERE.parent.parent / "infra"
sys.path.insert(0, str(HERE.parent / "stack"))

from deploy import TemplateLoader  # noqa: E402
from test_stack import Launcher  # noqa: E402

ACCOUNT = "111122223333"
REGION = "eu-west-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
PREFERENCES = "SSM-SessionManagerRunShell"
HOSTS = {"alice": "i-0aaaaaaaaaaaaaaaa", "bob": "i-0bbbbbbbbbbbbbbbb"}
PARAMETERS = {
    "access": {
        "UserA": "alice",
        "UserB": "bob",
        "KeyArn": KEY,
        "TrustedAccount": "444455556666",
        "SamlProviderArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/company",
    },
    "instances": {
        "VpcId": "vpc-0123456789abcdef0",
        "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        "EndpointSecurityGroupId": "sg-0123456789abcdef0",
        "S3PrefixListId": "pl-6da54004",
        "LogBucket": "logbucket",
        "LogGroup": "logging-SessionLog",
        "KeyArn": KEY,
    },
    "logging": {},
    "member": {
        "OrganizationId": "o-0123456789",
        "GuardAccount": "444455556666",
        "GuardBusArn": f"arn:aws:events:{REGION}:444455556666:event-bus/guard",
        "GuardRoleArns": ",".join(
            f"arn:aws:iam::444455556666:role/guard-{name}" for name in ("SessionEventRole", "LogObjectRole")
        ),
        "ExternalId": "0123456789abcdef",
        "RoleRegion": REGION,
        "Mode": "enforce",
    },
    "network": {"LogBucket": "logbucket"},
    "trail": {"LogBucket": "logbucket"},
}


def setUpModule():
    global launcher
    launcher = Launcher("--enforce-iam")


def tearDownModule():
    launcher.end()


def client(service, key=ACCOUNT, secret="test", token=None):
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=launcher.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


def template(name):
    return yaml.load((INFRA / f"{name}.yaml").read_text(encoding="utf-8"), TemplateLoader)


def create(body, stack, parameters):
    """Creates a stack and answers its outputs."""
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(body),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.config.delay = 0.1
    waiter.config.max_attempts = 600
    try:
        waiter.wait(StackName=stack)
    except WaiterError as error:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            each.get("ResourceStatusReason") for each in events if each["ResourceStatus"].endswith("FAILED")
        ]
        raise AssertionError(f"stack {stack}: {reasons}") from error
    outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {each["OutputKey"]: each["OutputValue"] for each in outputs}


def deploy(name):
    return create(template(name), name, PARAMETERS[name])


def code():
    """A package for functions that nobody invokes here."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        package.writestr("bootstrap", "")
    return content.getvalue()


def evaluated(name):
    """The policies that access.js evaluates under that name."""
    command = ["node", HERE / "access.js", "--print", name]
    return {each["name"]: each["policy"] for each in json.loads(subprocess.check_output(command))}


class Templates(unittest.TestCase):
    def test_network_has_endpoints_and_no_way_out(self):
        outputs = deploy("network")
        ec2 = client("ec2")
        mine = [{"Name": "vpc-id", "Values": [outputs["VpcId"]]}]
        # The local stack does not filter them.
        endpoints = [
            each for each in ec2.describe_vpc_endpoints()["VpcEndpoints"] if each["VpcId"] == outputs["VpcId"]
        ]
        self.assertEqual(
            sorted(each["ServiceName"].rsplit(".", 1)[-1] for each in endpoints),
            ["kms", "logs", "s3", "ssm", "ssmmessages"],
        )
        attached = [{"Name": "attachment.vpc-id", "Values": [outputs["VpcId"]]}]
        self.assertEqual(ec2.describe_internet_gateways(Filters=attached)["InternetGateways"], [])
        self.assertEqual(ec2.describe_nat_gateways(Filters=mine)["NatGateways"], [])
        self.assertEqual(len(outputs["SubnetIds"].split(",")), 2)
        group = ec2.describe_security_groups(GroupIds=[outputs["EndpointSecurityGroupId"]])["SecurityGroups"][
            0
        ]
        self.assertEqual(
            [
                (each["FromPort"], each["ToPort"], each["IpRanges"][0]["CidrIp"])
                for each in group["IpPermissions"]
            ],
            [(443, 443, "10.83.0.0/24")],
        )

    def test_a_vpc_of_ones_own_needs_its_subnets(self):
        incomplete = {"VpcId": "vpc-0123456789abcdef0", "RouteTableIds": "rtb-0123456789abcdef0"}
        with self.assertRaisesRegex(ClientError, "name its private subnets"):
            create(template("network"), "incomplete", incomplete)
        complete = {**incomplete, "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1"}
        outputs = create(template("network"), "own-vpc", complete)
        self.assertEqual(outputs["VpcId"], "vpc-0123456789abcdef0")
        self.assertEqual(outputs["SubnetIds"], complete["SubnetIds"])

    def test_the_parts_fit_together(self):
        s3 = client("s3")
        s3.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="parts", Key="code.zip", Body=code())
        whole = template("environment")
        for part in whole["Resources"].values():
            name = part["Properties"]["TemplateURL"].removesuffix(".yaml")
            body = template(name)
            for resource in body["Resources"].values():
                if resource["Type"] == "AWS::Serverless::Function":
                    resource["Properties"]["CodeUri"] = "s3://parts/code.zip"
            s3.put_object(Bucket="parts", Key=f"{name}.yaml", Body=json.dumps(body).encode())
            part["Properties"]["TemplateURL"] = f"{launcher.endpoint}/parts/{name}.yaml"
        # `logging` is deployed alone in this account, and the preferences are one for each.
        outputs = create(
            whole,
            "environment",
            {
                "Trail": "create",
                "Preferences": "keep",
                "S3PrefixListId": "pl-6da54004",
                "OwnerA": "erin",
                "OwnerB": "frank",
            },
        )
        self.assertEqual(outputs.keys(), template("environment")["Outputs"].keys())

    def test_logs_have_versions_events_and_a_policy(self):
        outputs = deploy("logging")
        bucket = outputs["LogBucket"]
        s3 = client("s3")
        self.assertEqual(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
        self.assertIn("EventBridgeConfiguration", s3.get_bucket_notification_configuration(Bucket=bucket))
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        self.assertEqual(
            [each["Sid"] for each in policy["Statement"]],
            [each["Sid"] for each in evaluated("logging/LogBucketPolicy")["LogBucketPolicy"]["Statement"]],
        )
        key = outputs["KeyArn"].rsplit("/", 1)[-1]
        self.assertTrue(client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])

    def test_trail_has_a_bucket_that_only_it_writes_to(self):
        bucket = deploy("trail")["TrailBucket"]
        policy = json.loads(client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
        allowed = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
        for each in allowed:
            self.assertEqual(each["Principal"], {"Service": "cloudtrail.amazonaws.com"})
            self.assertTrue(each["Condition"]["StringEquals"]["aws:SourceArn"].endswith(":trail/trail"))

    def test_hosts_have_a_role_whose_policy_is_the_one_evaluated(self):
        deploy("instances")
        iam = client("iam")
        role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "HostRole" in each["RoleName"])
        deployed = iam.get_role_policy(RoleName=role, PolicyName="session-logs")["PolicyDocument"]
        self.assertEqual(plain(deployed), plain(evaluated("instances/HostRole")["session-logs"]))
        attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        self.assertEqual([each["PolicyName"] for each in attached], ["AmazonSSMManagedInstanceCore"])

    def test_a_member_has_a_role_for_the_guard_in_one_region(self):
        body = template("member")
        # The local stack does not know its Region in a condition.
        self.assertEqual(body["Conditions"]["IsRoleRegion"]["Fn::Equals"][0], {"Ref": "AWS::Region"})
        body["Conditions"]["IsRoleRegion"]["Fn::Equals"][0] = REGION
        create(body, "member", PARAMETERS["member"])
        iam = client("iam")
        role = iam.get_role(RoleName="ssm-guard-member")["Role"]
        there = evaluated("member/GuardAccess")
        self.assertEqual(plain(role["AssumeRolePolicyDocument"]), plain(there["GuardAccess"]))
        for name, key in (("look-up", "look-up"), ("end-sessions", "GuardEndsSessions")):
            deployed = iam.get_role_policy(RoleName="ssm-guard-member", PolicyName=name)["PolicyDocument"]
            self.assertEqual(plain(deployed), plain(there[key]))
        # A second Region of the StackSet: a rule and a queue, and no second role.
        create(body, "member-elsewhere", {**PARAMETERS["member"], "RoleRegion": "us-east-1"})
        pattern = json.loads(client("events").list_rules(NamePrefix="member-")["Rules"][0]["EventPattern"])
        self.assertEqual(pattern["source"], ["aws.ssm"])


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        deploy("access")
        cls.iam = client("iam")
        policies = cls.iam.list_policies(Scope="Local")["Policies"]
        cls.arns = {}
        for name in ("UserSessions", "SelfService", "RoleSessions", "Controls"):
            fixed = {"RoleSessions": "role-sessions", "Controls": "controls"}.get(name, name)
            cls.arns[name] = next(each["Arn"] for each in policies if fixed in each["PolicyName"])
        cls.keys = {}
        for user, host in HOSTS.items():
            key = cls.iam.create_access_key(UserName=user)["AccessKey"]
            cls.keys[user] = (key["AccessKeyId"], key["SecretAccessKey"])
            cls.register(host, user)

    @staticmethod
    def register(host, owner):
        request = urllib.request.Request(
            f"{launcher.endpoint}/_localaws/nodes",
            data=json.dumps({"InstanceId": host, "Tags": {"SessionOwner": owner}}).encode(),
            headers={
                "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261124/{REGION}/localaws/aws4_request, "
                "SignedHeaders=host, Signature=none"
            },
        )
        urllib.request.urlopen(request).close()

    def calls(self, user, credentials, service):
        """A client of a user with a long-term key, or with a session of it."""
        key = self.keys[user]
        if credentials == "key":
            return client(service, *key)
        device = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/{user}", "TokenCode": "123456"}
        session = client("sts", *key).get_session_token(**(device if credentials == "mfa" else {}))[
            "Credentials"
        ]
        return client(service, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])

    def test_the_policies_in_iam_are_the_ones_evaluated(self):
        for name, arn in self.arns.items():
            with self.subTest(name):
                version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                deployed = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"][
                    "Document"
                ]
                self.assertEqual(plain(deployed), plain(evaluated(f"access/{name}")[name]))

    def test_the_trust_of_the_session_role_is_the_one_evaluated(self):
        role = next(each for each in self.iam.list_roles()["Roles"] if "SessionRole" in each["RoleName"])
        self.assertEqual(
            plain(role["AssumeRolePolicyDocument"]), plain(evaluated("access/SessionRole")["SessionRole"])
        )

    def test_policies_fit_into_iam(self):
        for name in self.arns:
            text = json.dumps(evaluated(f"access/{name}")[name], separators=(",", ":"))
            self.assertLess(len(text), 6144, name)

    def test_sessions_are_opened_with_mfa_to_the_host_with_the_users_name(self):
        for user, credentials, host, expected in (
            ("alice", "mfa", "alice", "opened"),
            ("bob", "mfa", "bob", "opened"),
            ("alice", "mfa", "bob", "AccessDeniedException"),
            ("bob", "mfa", "alice", "AccessDeniedException"),
            ("alice", "no mfa", "alice", "AccessDeniedException"),
            ("alice", "key", "alice", "AccessDeniedException"),
        ):
            with self.subTest(user=user, credentials=credentials, host=host):
                ssm = self.calls(user, credentials, "ssm")
                start = {"Target": HOSTS[host], "DocumentName": PREFERENCES}
                self.assertEqual(outcome(lambda: ssm.start_session(**start)), expected)

    def test_a_session_names_the_preferences_and_no_other_document(self):
        ssm = self.calls("alice", "mfa", "ssm")
        for document, expected in (
            ({"DocumentName": PREFERENCES}, "opened"),
            ({}, "AccessDeniedException"),
            ({"DocumentName": "AWS-StartPortForwardingSession"}, "AccessDeniedException"),
            ({"DocumentName": "AWS-StartSSHSession"}, "AccessDeniedException"),
            ({"DocumentName": "Quiet"}, "AccessDeniedException"),
        ):
            with self.subTest(document):
                start = {"Target": HOSTS["alice"], **document}
                self.assertEqual(outcome(lambda: ssm.start_session(**start)), expected)

    def test_a_session_is_resumed_and_ended_by_who_opened_it(self):
        bob, alice = self.calls("bob", "mfa", "ssm"), self.calls("alice", "mfa", "ssm")
        session = bob.start_session(Target=HOSTS["bob"], DocumentName=PREFERENCES)["SessionId"]
        for ssm, expected in ((alice, "AccessDeniedException"), (bob, "opened")):
            with self.subTest(expected):
                self.assertEqual(outcome(lambda: ssm.resume_session(SessionId=session)), expected)
                self.assertEqual(outcome(lambda: ssm.terminate_session(SessionId=session)), expected)

    def test_nothing_else_is_allowed(self):
        for user, credentials, service, call, arguments in (
            (
                "alice",
                "mfa",
                "ssm",
                "update_document",
                {"Name": "SSM-SessionManagerRunShell", "Content": "{}"},
            ),
            (
                "alice",
                "mfa",
                "ssm",
                "send_command",
                {"DocumentName": "AWS-RunShellScript", "InstanceIds": [HOSTS["alice"]]},
            ),
            ("alice", "mfa", "s3", "list_buckets", {}),
            ("alice", "key", "s3", "list_buckets", {}),
            ("alice", "mfa", "iam", "create_access_key", {"UserName": "alice"}),
            (
                "alice",
                "mfa",
                "iam",
                "attach_user_policy",
                {"UserName": "alice", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            ),
        ):
            with self.subTest(credentials=credentials, call=call):
                answer = outcome(lambda: getattr(self.calls(user, credentials, service), call)(**arguments))
                self.assertRegex(answer, "AccessDenied|not authorized")

    def test_self_service_works_without_mfa(self):
        iam = self.calls("alice", "no mfa", "iam")
        devices = [
            outcome(lambda: iam.create_virtual_mfa_device(VirtualMFADeviceName=name)) for name in ("alice", "bob")
        ]
        self.assertEqual(devices, ["opened", "AccessDenied"])
        enable = {"UserName": "alice", "AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
        serial = f"arn:aws:iam::{ACCOUNT}:mfa/alice"
        self.assertEqual(outcome(lambda: iam.enable_mfa_device(SerialNumber=serial, **enable)), "opened")
        self.assertEqual(outcome(lambda: iam.get_user(UserName="alice")), "opened")
        self.assertEqual(outcome(lambda: iam.list_mfa_devices(UserName="alice")), "opened")
        self.assertRegex(outcome(lambda: iam.list_mfa_devices(UserName="bob")), "AccessDenied")


def outcome(call):
    """`opened`, or the code with which the call failed."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "opened"


def plain(document):
    """A policy in the one form for what IAM writes in two: one value or a list of it, text or a number."""
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, list):
        return plain(document[0]) if len(document) == 1 else [plain(each) for each in document]
    return str(document).lower() if isinstance(document, bool) else str(document)


if __name__ == "__main__":
    unittest.main()
