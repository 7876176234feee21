"""Tests of what the local stack itself promises: `python -m unittest` in this folder, with its requirements
installed.

One launcher serves all of them; each class has an account of its own, and deploys the real template with
`sample_function.py` in the place of the guard where it needs a function.
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import localaws

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SAMPLES = REPOSITORY.parent / "shared" / "samples"
TEMPLATE = REPOSITORY / "infra" / "guard.yaml"
REGION = "eu-west-1"
NODE = "i-0123456789abcdef0"
MANAGED_NODE = "mi-0123456789abcdef0"
accounts = (f"1111222233{number:02}" for number in itertools.count(10))


class Launcher:
    """A stack on a free port."""

    def __init__(self, *options, **environment):
        self.state = tempfile.mkdtemp(prefix="stack-test-")
        self.process = subprocess.Popen(
            [sys.executable, HERE / "localaws.py", "--port", "0", "--state", self.state, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.endpoint = self.process.stdout.readline().strip()
        assert self.endpoint, pathlib.Path(self.state, "localaws.log").read_text()

    def end(self):
        """Ends it by closing its standard input; a second time this only gives the exit code again."""
        self.process.stdin.close()
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        shutil.rmtree(self.state, ignore_errors=True)
        return code


def setUpModule():
    global launcher, archive
    launcher = Launcher(OF_THE_HOST="must not reach a function")
    archive = pathlib.Path(launcher.state, "session-event.zip")
    with zipfile.ZipFile(archive, "w") as package:
        package.write(HERE / "sample_function.py", "sample_function.py")
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        package.writestr(
            bootstrap, f'#!/bin/sh\nexec {sys.executable} "$LAMBDA_TASK_ROOT/sample_function.py"\n'
        )


def tearDownModule():
    log = pathlib.Path(launcher.state, "localaws.log").read_text()
    launcher.end()
    broken = [line for line in log.splitlines() if "Traceback" in line or "ERROR localaws" in line]
    assert not broken, log


class Account:
    """Clients, admin calls and deployments of one account."""

    def __init__(self, number=None, endpoint=None):
        self.number = number or next(accounts)
        self.endpoint = endpoint or launcher.endpoint

    def client(self, service, key=None, secret="test", token=None, retries=0):
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=key or self.number,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"max_attempts": retries}, s3={"addressing_style": "path"}),
        )

    def admin(self, method, path, data=None):
        request = urllib.request.Request(
            f"{self.endpoint}/_localaws/{path}",
            method=method,
            data=None if data is None else json.dumps(data).encode(),
            headers={
                "Authorization": f"AWS4-HMAC-SHA256 Credential={self.number}/20261124/{REGION}/localaws/"
                "aws4_request, SignedHeaders=host, Signature=none"
            },
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def deploy(self, *arguments, template=TEMPLATE):
        functions = ["session-event", "log-object"] if template == TEMPLATE else ["session-event"]
        finished = subprocess.run(
            [
                sys.executable,
                HERE / "deploy.py",
                "--endpoint",
                self.endpoint,
                "--account",
                self.number,
                "--region",
                REGION,
                "--template",
                template,
                "--stack",
                "guard",
                *(f"--package={function}={archive}" for function in functions),
                *arguments,
            ],
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            raise AssertionError(finished.stderr)
        return json.loads(finished.stdout)

    def send(self, *details):
        for first in range(0, len(details), 10):
            self.admin(
                "POST",
                "events",
                {
                    "Entries": [
                        {
                            "Source": "aws.ssm",
                            "DetailType": "AWS API Call via CloudTrail",
                            "Detail": json.dumps(
                                {"eventSource": "ssm.amazonaws.com", "eventName": "StartSession", **detail}
                            ),
                        }
                        for detail in details[first : first + 10]
                    ]
                },
            )

    def idle(self):
        self.admin("GET", "idle?timeout=20")

    def items(self, table):
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return {
            item["pk"]["S"]: {name: value["S"] for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        }

    def messages(self, queue):
        answer = self.client("sqs").receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def watch_records(self):
        """From now on CloudTrail records are kept; the answer is a function that returns the new ones."""
        sqs, events = self.client("sqs"), self.client("events")
        queue = sqs.create_queue(QueueName="records")["QueueUrl"]
        events.put_rule(Name="records", EventPattern=json.dumps({"source": ["aws.ssm"]}))
        events.put_targets(
            Rule="records", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{self.number}:records"}]
        )

        def records():
            received = []
            while messages := self.messages(queue):
                for message in messages:
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                    received.append(json.loads(message["Body"])["detail"])
            return received

        records()
        return records


def error_of(function, **arguments):
    try:
        function(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


# ---- the launcher ------------------------------------------------------------------------------------------


class LauncherTest(unittest.TestCase):
    def test_a_taken_port_is_one_line_and_exit_code_3(self):
        port = launcher.endpoint.rsplit(":", 1)[1]
        finished = subprocess.run(
            [sys.executable, HERE / "localaws.py", "--state", launcher.state + "-2"],
            env={**os.environ, "GATEWAY_PORT": port},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        shutil.rmtree(launcher.state + "-2")
        self.assertEqual((finished.returncode, finished.stdout), (3, ""))
        self.assertRegex(finished.stderr, rf"\Alocalaws: port {port} on 127.0.0.1 cannot be used: [^\n]+\n\Z")

    def test_its_state_is_removed_when_asked_to(self):
        own = Launcher("--remove-state")
        self.addCleanup(own.end)
        own.process.stdin.close()
        own.process.wait(timeout=10)
        self.assertFalse(os.path.exists(own.state))

    def test_nothing_it_started_outlives_it(self):
        for ask_to_end in ("standard input closes", signal.SIGTERM, signal.SIGINT):
            with self.subTest(ask_to_end):
                own = Launcher()
                self.addCleanup(own.end)
                account = Account(endpoint=own.endpoint)
                account.admin("POST", "nodes", {"InstanceId": NODE, "Shell": True})
                session = account.client("ssm").start_session(Target=NODE)["SessionId"]
                typed = account.admin(
                    "POST",
                    f"sessions/{session}/input",
                    {"text": "(nohup setsid sleep 300 &) && echo detached\n"},
                )
                account.admin("POST", f"sessions/{session}/wait", {"for": "\r\n$ ", "from": typed["offset"]})
                if ask_to_end == signal.SIGTERM:
                    account.deploy()
                    account.send({"do": "print"})
                    account.idle()
                started = localaws.descendants(own.process.pid)
                self.assertGreaterEqual(len(started), 3 if ask_to_end == signal.SIGTERM else 2)
                if isinstance(ask_to_end, signal.Signals):
                    own.process.send_signal(ask_to_end)
                    own.process.wait(timeout=10)
                self.assertEqual(own.end(), 0)
                self.assertFalse([pid for pid in started if is_running(pid)])

    def test_a_patch_without_its_ground_says_so(self):
        from patching import PatchError, replace

        with self.assertRaisesRegex(PatchError, "MiniStack has no `json.never_there`"):
            replace(json, "never_there")

    def test_an_unknown_path_is_named(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            Account().admin("POST", "nothing/there", {})
        self.assertEqual(json.load(caught.exception), {"error": "there is no POST /_localaws/nothing/there"})
        self.assertEqual(caught.exception.code, 404)
        caught.exception.close()


def is_running(pid):
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- deployment --------------------------------------------------------------------------------------------


class DeployTest(unittest.TestCase):
    def test_the_real_template_deploys_and_keeps_what_it_says(self):
        account = Account()
        outputs = account.deploy("--parameter", "ReservedConcurrency=3", "--parameter", "LedgerDays=40")
        for name in (
            "AlertTopicArn",
            "LedgerTable",
            "FailuresQueueUrl",
            "RuleDeadLetterQueueUrl",
            "FunctionName",
        ):
            self.assertTrue(outputs[name], name)
        functions, dynamodb = account.client("lambda"), account.client("dynamodb")
        function, table = outputs["FunctionName"], outputs["LedgerTable"]
        self.assertEqual(
            functions.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"], 3
        )
        self.assertEqual(
            dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"],
            {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"},
        )
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        self.assertEqual(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED")
        encryption = dynamodb.describe_table(TableName=table)["Table"]["SSEDescription"]
        self.assertEqual(encryption["KMSMasterKeyArn"], outputs["KeyArn"])
        topic = account.client("sns").get_topic_attributes(TopicArn=outputs["AlertTopicArn"])["Attributes"]
        self.assertEqual(topic["KmsMasterKeyId"], outputs["KeyArn"])
        definitions = account.client("logs").describe_query_definitions(
            queryDefinitionNamePrefix="guard/slow"
        )["queryDefinitions"]
        self.assertEqual(
            [definition["logGroupNames"] for definition in definitions],
            [[outputs["LogGroup"], outputs["LogFunctionLogGroup"]]],
        )

        self.assertEqual(account.deploy(), outputs, "an update without a change")
        account.deploy("--parameter", "Mode=enforce")
        variables = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        self.assertEqual((variables["MODE"], variables["LEDGER_DAYS"]), ("enforce", "40"))

    def test_a_failure_names_the_resource_and_the_reason(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as template:
            template.write(
                "Transform: AWS::Serverless-2016-10-31\nResources:\n"
                "  Function: {Type: AWS::Serverless::Function, Properties: {CodeUri: ./session-event, "
                "Runtime: provided.al2023, Handler: bootstrap}}\n"
                "  Broken: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: Some}}\n"
            )
            template.flush()
            with self.assertRaisesRegex(
                AssertionError,
                r"\Adeploy: .*Broken \(AWS::CloudWatch::Alarm\) CREATE_FAILED: " r"[^\n]*Namespace[^\n]*\n\Z",
            ):
                Account().deploy(template=template.name)


# ---- functions ---------------------------------------------------------------------------------------------


class FunctionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account = Account()
        cls.outputs = cls.account.deploy("--parameter", "ReservedConcurrency=2")
        cls.account.client("sqs").purge_queue(QueueUrl=cls.outputs["FailuresQueueUrl"])

    def tearDown(self):
        self.account.admin("DELETE", "faults")

    def printed(self):
        group = self.outputs["LogGroup"]
        events = self.account.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]

    def test_an_event_that_fails_is_tried_three_times_under_one_id_and_handed_over(self):
        event = {"do": "fail", "errorType": "LookUp", "id": "failing"}
        self.account.send(event)
        self.account.idle()
        (message,) = self.account.messages(self.outputs["FailuresQueueUrl"])
        body = json.loads(message["Body"])
        request_id = body["requestContext"]["requestId"]
        attempts = [line for line in self.printed() if line == json.dumps({"requestId": request_id})]
        self.assertEqual(len(attempts), 3)
        self.assertEqual(body["requestContext"]["condition"], "RetriesExhausted")
        self.assertEqual(body["requestContext"]["approximateInvokeCount"], 3)
        self.assertEqual(body["requestPayload"]["detail"]["id"], "failing")
        self.assertEqual(
            body["responseContext"],
            {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        )
        self.assertEqual(body["responsePayload"], {"errorType": "LookUp", "errorMessage": "as told"})

    def test_reserved_concurrency_delays_events_and_loses_none(self):
        self.account.send(*({"do": "record", "id": f"burst-{number}"} for number in range(60)))
        self.account.idle()
        items = self.account.items(self.outputs["LedgerTable"])
        self.assertEqual(len([item for item in items if item.startswith("burst-")]), 60)
        self.assertFalse(self.account.messages(self.outputs["FailuresQueueUrl"]))

    def test_killed_before_a_call_the_call_has_no_effect(self):
        self.account.admin(
            "POST", "faults", {"service": "dynamodb", "operation": "PutItem", "kill": "before"}
        )
        self.account.send({"do": "record", "id": "killed-before"})
        self.account.idle()
        item = self.account.items(self.outputs["LedgerTable"])["killed-before"]
        self.assertEqual(set(item), {"pk", "first"})
        self.assertEqual(self.printed().count(json.dumps({"requestId": item["first"]})), 2)

    def test_killed_after_a_call_its_effect_stands_and_the_retry_has_the_same_id(self):
        self.account.admin("POST", "faults", {"service": "dynamodb", "operation": "PutItem", "kill": "after"})
        self.account.send({"do": "record", "id": "killed-after"})
        self.account.idle()
        item = self.account.items(self.outputs["LedgerTable"])["killed-after"]
        self.assertEqual(item["first"], item["again"])

    def test_a_function_killed_every_time_ends_in_the_failures_queue(self):
        self.account.admin(
            "POST", "faults", {"service": "dynamodb", "operation": "PutItem", "kill": "before", "times": -1}
        )
        self.account.send({"do": "record", "id": "killed-for-good"})
        self.account.idle()
        (message,) = self.account.messages(self.outputs["FailuresQueueUrl"])
        body = json.loads(message["Body"])
        self.assertEqual(body["requestPayload"]["detail"]["id"], "killed-for-good")
        self.assertEqual(body["responsePayload"]["errorType"], "Runtime.ExitError")

    def test_a_function_sees_what_lambda_gives_it_and_nothing_of_the_host(self):
        self.account.send({"do": "print"})
        self.account.idle()
        line = next(line for line in reversed(self.printed()) if "AWS_LAMBDA_RUNTIME_API" in line)
        environment = json.loads(line)
        self.assertNotIn("OF_THE_HOST", environment)
        self.assertNotIn("HOME", environment)
        for name, value in {
            "AWS_REGION": REGION,
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "MODE": "observe",
            "AWS_ENDPOINT_URL": launcher.endpoint,
            "TZ": ":UTC",
        }.items():
            self.assertEqual(environment.get(name), value, name)
        self.assertTrue(environment["AWS_ACCESS_KEY_ID"].startswith("ASIA"))

    def test_what_a_function_sends_to_the_daemon_is_kept_with_its_invocation(self):
        account = Account()
        for mode, sampled in (("Active", True), ("PassThrough", False)):
            outputs = account.deploy("--parameter", f"Tracing={mode}")
            account.send({"do": "trace", "text": mode})
            account.idle()
            trace = account.admin("GET", "traces")[-1]
            self.assertEqual((trace["function"], trace["sampled"]), (outputs["FunctionName"], sampled))
            (document,) = trace["documents"]
            self.assertEqual(
                (document["name"], document["trace_id"], document["parent_id"]),
                (mode, trace["traceId"], trace["segmentId"]),
            )
        self.assertEqual(Account().admin("GET", "traces"), [], "another account's")

    def test_a_rule_without_its_function_uses_its_dead_letter_queue(self):
        account = Account()
        outputs = account.deploy()
        account.client("lambda").delete_function(FunctionName=outputs["FunctionName"])
        account.send({"do": "print", "id": "undelivered"})
        (message,) = account.messages(outputs["RuleDeadLetterQueueUrl"])
        self.assertEqual(json.loads(message["Body"])["detail"]["id"], "undelivered")
        self.assertEqual(message["MessageAttributes"]["ERROR_CODE"]["StringValue"], "RESOURCE_NOT_FOUND")

    def test_metrics_come_from_emf_lines_and_from_metric_filters(self):
        self.account.client("logs").put_metric_filter(
            logGroupName=self.outputs["LogGroup"],
            filterName="busy",
            filterPattern='{ $.level = "ERR*" && ($.attempt > 1 || $.again IS TRUE) }',
            metricTransformations=[{"metricNamespace": "Own", "metricName": "Busy", "metricValue": "1"}],
        )
        self.account.send(
            {
                "do": "print",
                "text": {
                    "_aws": {
                        "Timestamp": 0,
                        "CloudWatchMetrics": [
                            {
                                "Namespace": "SsmGuard",
                                "Dimensions": [["policy"]],
                                "Metrics": [{"Name": "Violations", "Unit": "Count"}],
                            }
                        ],
                    },
                    "policy": "no-root",
                    "Violations": 2,
                },
            },
            {"do": "print", "text": {"level": "ERROR", "attempt": 2}},
            {"do": "print", "text": {"level": "ERROR", "attempt": 1}},
            {"do": "print", "text": {"level": "INFO", "attempt": 2}},
        )
        self.account.idle()
        cloudwatch = self.account.client("cloudwatch")
        for namespace, metric, dimensions, expected in (
            ("SsmGuard", "Violations", [{"Name": "policy", "Value": "no-root"}], 2),
            ("Own", "Busy", [], 1),
        ):
            points = cloudwatch.get_metric_statistics(
                Namespace=namespace,
                MetricName=metric,
                Dimensions=dimensions,
                Period=3600,
                Statistics=["Sum"],
                StartTime="2026-01-01T00:00:00Z",
                EndTime="2100-01-01T00:00:00Z",
            )["Datapoints"]
            self.assertEqual([point["Sum"] for point in points], [expected], metric)


class IsolationTest(unittest.TestCase):
    def test_two_accounts_with_the_same_template_do_not_meet(self):
        first, second = Account(), Account()
        outputs, same = first.deploy(), second.deploy()
        self.assertEqual(outputs["LedgerTable"], same["LedgerTable"], "only the account tells them apart")
        for account in (first, second):
            account.admin("POST", "nodes", {"InstanceId": NODE, "Tags": {"Owner": account.number}})
            account.admin("POST", "sessions", {"SessionId": f"of-{account.number}", "Target": NODE})
        first.admin("POST", "faults", {"service": "ssm", "operation": "DescribeSessions", "error": "Boom"})
        first.send({"do": "record", "id": "of-first"}, {"do": "terminate", "sessionId": f"of-{first.number}"})
        first.idle()
        second.idle()

        self.assertEqual(set(first.items(outputs["LedgerTable"])), {"of-first"})
        self.assertEqual(
            first.items(outputs["LedgerTable"]).keys() & second.items(same["LedgerTable"]).keys(), set()
        )
        self.assertFalse(
            [call for call in second.admin("GET", "calls") if ":assumed-role/" in call["caller"]]
        )
        by_function = [call for call in first.admin("GET", "calls") if ":assumed-role/" in call["caller"]]
        self.assertEqual({call["operation"] for call in by_function}, {"PutItem", "TerminateSession"})
        self.assertEqual({call["caller"].split(":")[4] for call in by_function}, {first.number})

        ssm = second.client("ssm")
        self.assertEqual(
            [session["SessionId"] for session in ssm.describe_sessions(State="Active")["Sessions"]],
            [f"of-{second.number}"],
        )
        tags = second.client("resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["ec2:instance"])
        self.assertEqual(
            tags["ResourceTagMappingList"],
            [
                {
                    "ResourceARN": f"arn:aws:ec2:{REGION}:{second.number}:instance/{NODE}",
                    "Tags": [{"Key": "Owner", "Value": second.number}],
                }
            ],
        )
        for queue in (same["FailuresQueueUrl"], outputs["FailuresQueueUrl"]):
            self.assertFalse(second.messages(queue.replace(first.number, second.number)))
        self.assertEqual(error_of(first.client("ssm").describe_sessions, State="Active"), "Boom")


# ---- faults ------------------------------------------------------------------------------------------------


class FaultTest(unittest.TestCase):
    def setUp(self):
        self.account = Account()

    def test_an_error_is_understood_in_every_protocol(self):
        account = self.account
        for service, operation, call, arguments in (
            ("ssm", "TerminateSession", account.client("ssm").terminate_session, {"SessionId": "a-b"}),
            (
                "dynamodb",
                "GetItem",
                account.client("dynamodb").get_item,
                {"TableName": "table", "Key": {"pk": {"S": "a"}}},
            ),
            ("tagging", "GetResources", account.client("resourcegroupstaggingapi").get_resources, {}),
            ("sns", "Publish", account.client("sns").publish, {"TopicArn": "arn", "Message": "text"}),
            ("iam", "ListUserTags", account.client("iam").list_user_tags, {"UserName": "alice"}),
            ("sqs", "ListQueues", account.client("sqs").list_queues, {}),
            ("lambda", "ListFunctions", account.client("lambda").list_functions, {}),
            ("s3", "ListBuckets", account.client("s3").list_buckets, {}),
        ):
            with self.subTest(service):
                account.admin(
                    "POST",
                    "faults",
                    {"service": service, "operation": operation, "error": "SlowDownPlease", "status": 503},
                )
                self.assertEqual(error_of(call, **arguments), "SlowDownPlease")
                self.assertNotEqual(error_of(call, **arguments), "SlowDownPlease")

    def test_skip_times_and_delete(self):
        describe = self.account.client("ssm").describe_instance_information
        self.account.admin(
            "POST",
            "faults",
            {
                "service": "ssm",
                "operation": "DescribeInstanceInformation",
                "error": "ThrottlingException",
                "times": 2,
                "skip": 1,
            },
        )
        self.assertEqual(
            [error_of(describe) for _ in range(4)], [None, "ThrottlingException", "ThrottlingException", None]
        )
        self.account.admin(
            "POST",
            "faults",
            {
                "service": "ssm",
                "operation": "DescribeInstanceInformation",
                "error": "ThrottlingException",
                "times": -1,
            },
        )
        self.assertEqual([error_of(describe) for _ in range(3)], ["ThrottlingException"] * 3)
        self.account.admin("DELETE", "faults")
        self.assertIsNone(error_of(describe))
        logged = self.account.admin("GET", "calls?service=ssm&operation=DescribeInstanceInformation")
        self.assertEqual(
            [call.get("error") for call in logged],
            [None] + ["ThrottlingException"] * 2 + [None] + ["ThrottlingException"] * 3 + [None],
        )

    def test_fields_of_an_error_reach_the_caller(self):
        self.account.admin(
            "POST",
            "faults",
            {
                "service": "dynamodb",
                "operation": "TransactWriteItems",
                "error": "TransactionCanceledException",
                "fields": {"CancellationReasons": [{"Code": "TransactionConflict"}]},
            },
        )
        dynamodb = self.account.client("dynamodb")
        with self.assertRaises(dynamodb.exceptions.TransactionCanceledException) as caught:
            dynamodb.transact_write_items(
                TransactItems=[{"Put": {"TableName": "table", "Item": {"pk": {"S": "a"}}}}]
            )
        self.assertEqual(caught.exception.response["CancellationReasons"], [{"Code": "TransactionConflict"}])

    def test_a_fault_that_makes_no_sense_is_refused(self):
        for fault in (
            {"service": "ssm", "operation": "StartSession"},
            {"service": "ssm", "operation": "StartSession", "kill": "sometimes"},
            {"operation": "StartSession", "error": "Boom"},
        ):
            with self.subTest(fault), self.assertRaises(urllib.error.HTTPError) as caught:
                self.account.admin("POST", "faults", fault)
            self.assertEqual(caught.exception.code, 400)
            caught.exception.close()


class DeliveryTest(unittest.TestCase):
    def test_what_would_leave_this_machine_is_kept_as_its_protocol_has_it(self):
        account = Account()
        sns = account.client("sns")
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="security@example.com")
        only_high = json.dumps({"severity": ["high"]})
        for protocol, endpoint in (("sms", "+12025550123"), ("https", "https://chat.example.com/hook")):
            sns.subscribe(
                TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes={"FilterPolicy": only_high}
            )
        bodies = {"default": "for machines", "email": "Dear reader", "https": "{}"}
        for severity in ("low", "high"):
            sns.publish(
                TopicArn=topic,
                Subject=severity,
                Message=json.dumps(bodies),
                MessageStructure="json",
                MessageAttributes={"severity": {"DataType": "String", "StringValue": severity}},
            )
        made = account.admin("GET", "deliveries")
        self.assertEqual(
            [(each["protocol"], each["endpoint"], each["subject"], each["message"]) for each in made],
            [
                ("email", "security@example.com", "low", "Dear reader"),
                ("email", "security@example.com", "high", "Dear reader"),
                ("sms", "+12025550123", "high", "for machines"),
                ("https", "https://chat.example.com/hook", "high", "{}"),
            ],
        )
        self.assertEqual(account.admin("GET", f"deliveries?after={made[2]['number']}"), made[3:])
        self.assertEqual(account.admin("GET", "deliveries?protocol=sms"), made[2:3])
        self.assertEqual(Account().admin("GET", "deliveries"), [])


def create(account, stack, template):
    """Creates a stack, or updates it, and answers its outputs."""
    cloudformation = account.client("cloudformation")
    existing = [each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]]
    change, waiter = (
        (cloudformation.update_stack, "stack_update_complete")
        if stack in existing
        else (cloudformation.create_stack, "stack_create_complete")
    )
    change(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter(waiter).wait(StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {each["OutputKey"]: each["OutputValue"] for each in outputs}


def instance_template(logs, **tags):
    """A host whose role may put what is below `logs`."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": logs}
    return {
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "Policies": [
                        {"PolicyName": "logs", "PolicyDocument": {"Version": "2012-10-17", "Statement": [put]}}
                    ],
                },
            },
            "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
            "Template": {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {
                    "LaunchTemplateData": {
                        "ImageId": "ami-0123456789abcdef0",
                        "InstanceType": "t4g.nano",
                        "IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["Profile", "Arn"]}},
                    }
                },
            },
            "Host": {
                "Type": "AWS::EC2::Instance",
                "Properties": {
                    "LaunchTemplate": {
                        "LaunchTemplateId": {"Ref": "Template"},
                        "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                    },
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                },
            },
        },
        "Outputs": {"Host": {"Value": {"Ref": "Host"}}},
    }


class ResourceTypeTest(unittest.TestCase):
    """The resource types that MiniStack does not know."""

    def test_an_instance_is_a_managed_node_with_a_shell_and_the_tags_of_ec2(self):
        account = Account()
        ssm, tagging = account.client("ssm"), account.client("resourcegroupstaggingapi")

        def tags():
            (found,) = tagging.get_resources(ResourceTypeFilters=["ec2:instance"])["ResourceTagMappingList"]
            return {each["Key"]: each["Value"] for each in found["Tags"] if not each["Key"].startswith("aws:")}

        host = create(account, "hosts", instance_template("*", Owner="alice"))["Host"]
        (node,) = ssm.describe_instance_information()["InstanceInformationList"]
        self.assertEqual((node["InstanceId"], node["PingStatus"]), (host, "Online"))
        (reservation,) = account.client("ec2").describe_instances(InstanceIds=[host])["Reservations"]
        self.assertEqual(reservation["Instances"][0]["InstanceType"], "t4g.nano")
        self.assertEqual(tags(), {"Owner": "alice"})
        session = ssm.start_session(Target=host)["SessionId"]
        account.admin("POST", f"sessions/{session}/wait", {"for": "$ "})

        self.assertEqual(create(account, "hosts", instance_template("*", Owner="bob"))["Host"], host)
        self.assertEqual(tags(), {"Owner": "bob"})
        account.client("ec2").create_tags(Resources=[host], Tags=[{"Key": "Environment", "Value": "test"}])
        self.assertEqual(tags(), {"Owner": "bob", "Environment": "test"})

        account.client("cloudformation").delete_stack(StackName="hosts")
        account.client("cloudformation").get_waiter("stack_delete_complete").wait(
            StackName="hosts", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
        )
        self.assertEqual(error_of(ssm.start_session, Target=host), "TargetNotConnected")

    def test_a_group_has_its_policies_and_its_users(self):
        account = Account()
        iam = account.client("iam")
        allow = {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*"}
        policy = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [allow]}},
        }

        def template(*names):
            return {
                "Resources": {
                    "First": policy,
                    "Second": policy,
                    "Group": {
                        "Type": "AWS::IAM::Group",
                        "Properties": {"ManagedPolicyArns": [{"Ref": name} for name in names]},
                    },
                    "User": {
                        "Type": "AWS::IAM::User",
                        "Properties": {"UserName": "alice", "Groups": [{"Ref": "Group"}]},
                    },
                },
                "Outputs": {"Group": {"Value": {"Ref": "Group"}}},
            }

        for names in (["First"], ["Second"], ["First", "Second"], []):
            group = create(account, "groups", template(*names))["Group"]
            attached = iam.list_attached_group_policies(GroupName=group)["AttachedPolicies"]
            self.assertEqual(sorted(each["PolicyName"].split("-")[1] for each in attached), names)
        self.assertEqual(iam.get_group(GroupName=group)["Users"][0]["UserName"], "alice")

    def test_preferences_say_where_a_log_goes_once_their_version_is_the_default(self):
        account = Account()
        ssm, s3 = account.client("ssm"), account.client("s3")
        bucket = f"preferences-{account.number}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        account.admin("POST", "nodes", {"InstanceId": NODE, "Shell": True})

        def template(prefix):
            content = {
                "schemaVersion": "1.0",
                "sessionType": "Standard_Stream",
                "inputs": {"s3BucketName": bucket, "s3KeyPrefix": prefix},
            }
            properties = {
                "Name": "SSM-SessionManagerRunShell",
                "DocumentType": "Session",
                "UpdateMethod": "NewVersion",
                "Content": content,
            }
            return {"Resources": {"Preferences": {"Type": "AWS::SSM::Document", "Properties": properties}}}

        def log_of_a_session():
            session = ssm.start_session(Target=NODE)["SessionId"]
            ssm.terminate_session(SessionId=session)
            account.admin("POST", f"sessions/{session}/wait", {"status": "Terminated"})
            (log,) = (
                each["Key"]
                for each in s3.list_objects_v2(Bucket=bucket)["Contents"]
                if session in each["Key"]
            )
            return log.split("/")[0]

        create(account, "preferences", template("first"))
        self.assertEqual(log_of_a_session(), "first")
        create(account, "preferences", template("second"))
        self.assertEqual(log_of_a_session(), "first")
        ssm.update_document_default_version(Name="SSM-SessionManagerRunShell", DocumentVersion="2")
        self.assertEqual(log_of_a_session(), "second")

    def test_a_document_answers_as_the_api_does(self):
        ssm = Account().client("ssm")
        name = "SSM-SessionManagerRunShell"
        content = '{"schemaVersion": "1.0", "sessionType": "Standard_Stream"}'
        self.assertEqual(error_of(ssm.get_document, Name=name), "InvalidDocument")
        ssm.create_document(Name=name, Content=content, DocumentType="Session")
        self.assertEqual(error_of(ssm.create_document, Name=name, Content=content), "DocumentAlreadyExists")
        self.assertEqual(
            error_of(ssm.update_document, Name=name, Content=content), "DuplicateDocumentContent"
        )
        ssm.update_document(Name=name, Content="{}", DocumentVersion="$LATEST")
        described = ssm.describe_document(Name=name)["Document"]
        self.assertEqual((described["DefaultVersion"], described["LatestVersion"]), ("1", "2"))
        self.assertEqual(ssm.get_document(Name=name)["Content"], content)
        self.assertEqual(ssm.get_document(Name=name, DocumentVersion="2")["Content"], "{}")
        self.assertEqual(
            error_of(ssm.get_document, Name=name, DocumentVersion="3"), "InvalidDocumentVersion"
        )
        ssm.delete_document(Name=name)
        self.assertEqual(error_of(ssm.describe_document, Name=name), "InvalidDocument")

    def test_a_trail_logs_what_its_template_says(self):
        account = Account()
        trails = account.client("cloudtrail")

        def template(is_logging):
            properties = {
                "TrailName": "trail",
                "IsLogging": is_logging,
                "IsMultiRegionTrail": True,
                "S3BucketName": "records",
                "EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}],
            }
            return {"Resources": {"Trail": {"Type": "AWS::CloudTrail::Trail", "Properties": properties}}}

        for is_logging in (True, False):
            create(account, "trail", template(is_logging))
            self.assertEqual(trails.get_trail_status(Name="trail")["IsLogging"], is_logging)
        self.assertTrue(trails.get_trail(Name="trail")["Trail"]["IsMultiRegionTrail"])
        (selector,) = trails.get_event_selectors(TrailName="trail")["EventSelectors"]
        self.assertEqual(selector["ReadWriteType"], "WriteOnly")

    def test_a_nested_stack_is_transformed_updated_and_keeps_what_it_must(self):
        account = Account()
        s3 = account.client("s3")
        bucket = f"nested-{account.number}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.upload_file(archive, bucket, "code.zip")
        function = {
            "CodeUri": f"s3://{bucket}/code.zip",
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
        }
        nested = {
            "Transform": "AWS::Serverless-2016-10-31",
            "Parameters": {"Memory": {"Type": "Number"}},
            "Resources": {
                "Function": {
                    "Type": "AWS::Serverless::Function",
                    "Properties": {**function, "MemorySize": {"Ref": "Memory"}},
                },
                "Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain", "Properties": {"KeyPolicy": {}}},
                "Log": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"},
                "Gone": {"Type": "AWS::Logs::LogGroup"},
            },
            "Outputs": {
                "Function": {"Value": {"Ref": "Function"}},
                "Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
            },
        }
        s3.put_object(Bucket=bucket, Key="nested.json", Body=json.dumps(nested).encode())

        def whole(memory):
            url = f"{account.endpoint}/{bucket}/nested.json"
            part = {"TemplateURL": url, "Parameters": {"Memory": memory}}
            outputs = {name: {"Value": {"Fn::GetAtt": ["Part", f"Outputs.{name}"]}} for name in nested["Outputs"]}
            return {
                "Resources": {"Part": {"Type": "AWS::CloudFormation::Stack", "Properties": part}},
                "Outputs": outputs,
            }

        first = create(account, "whole", whole(128))
        self.assertEqual(create(account, "whole", whole(256)), first)
        configuration = account.client("lambda").get_function_configuration(FunctionName=first["Function"])
        self.assertEqual((configuration["Runtime"], configuration["MemorySize"]), ("provided.al2023", 256))
        account.client("cloudformation").delete_stack(StackName="whole")
        account.client("cloudformation").get_waiter("stack_delete_complete").wait(
            StackName="whole", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
        )
        groups = account.client("logs").describe_log_groups()["logGroups"]
        kept = [each["logGroupName"].rsplit("/", 1)[-1] for each in groups]
        self.assertEqual([name for name in kept if name in ("Log", "Gone")], ["Log"])


class ObjectTest(unittest.TestCase):
    """What S3 tells of an object, and the queue that it is put into."""

    def test_an_event_of_a_versioned_bucket_has_the_version(self):
        account = Account("111122220030")
        s3, events, sqs = account.client("s3"), account.client("events"), account.client("sqs")
        s3.create_bucket(Bucket="logs-30", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_notification_configuration(
            Bucket="logs-30", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        queue = sqs.create_queue(QueueName="objects")["QueueUrl"]
        events.put_rule(Name="objects", EventPattern=json.dumps({"source": ["aws.s3"]}))
        events.put_targets(
            Rule="objects", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{account.number}:objects"}]
        )

        def told():
            while True:
                for message in account.messages(queue):
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                    return json.loads(message["Body"])["detail"]["object"]

        s3.put_object(Bucket="logs-30", Key="a.log", Body=b"x")
        self.assertNotIn("version-id", told())
        s3.put_bucket_versioning(Bucket="logs-30", VersioningConfiguration={"Status": "Enabled"})
        for _ in range(2):
            version = s3.put_object(Bucket="logs-30", Key="a.log", Body=b"x")["VersionId"]
            self.assertEqual(told()["version-id"], version)

    def test_a_version_is_read_in_parts(self):
        s3 = Account("111122220033").client("s3")
        s3.create_bucket(Bucket="logs-33", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="logs-33", VersioningConfiguration={"Status": "Enabled"})
        version = s3.put_object(Bucket="logs-33", Key="a.log", Body=b"abcdef")["VersionId"]
        asked = {"Bucket": "logs-33", "Key": "a.log", "VersionId": version}
        answer = s3.get_object(**asked, Range="bytes=4-")
        self.assertEqual((answer["ContentRange"], answer["Body"].read()), ("bytes 4-5/6", b"ef"))
        self.assertEqual(s3.get_object(**asked)["Body"].read(), b"abcdef")
        self.assertEqual(error_of(s3.get_object, **asked, Range="bytes=6-"), "InvalidRange")


class RedriveTest(unittest.TestCase):
    """What a dead-letter queue gives back, and what it cannot."""

    def setUp(self):
        self.account = Account()
        self.sqs = self.account.client("sqs")
        self.dead = self.queue("dead")
        policy = json.dumps({"deadLetterTargetArn": self.arn("dead"), "maxReceiveCount": 1})
        self.live = self.queue("live", RedrivePolicy=policy, VisibilityTimeout="0")

    def queue(self, name, **attributes):
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def arn(self, name):
        return f"arn:aws:sqs:{REGION}:{self.account.number}:{name}"

    def fail(self, body):
        """A message on which its queue gives up. Its id."""
        message = self.sqs.send_message(QueueUrl=self.live, MessageBody=body)["MessageId"]
        # The second look finds that the first was one too many.
        self.assertEqual([self.account.messages(self.live) != [] for _ in range(2)], [True, False])
        return message

    def last_task(self):
        (task,) = self.sqs.list_message_move_tasks(SourceArn=self.arn("dead"))["Results"]
        return task["Status"], task.get("FailureReason"), task["ApproximateNumberOfMessagesMoved"]

    def test_a_failed_message_is_a_new_one_in_its_queue(self):
        failed = self.fail("event")
        self.assertIn("TaskHandle", self.sqs.start_message_move_task(SourceArn=self.arn("dead")))
        self.assertEqual(self.last_task(), ("COMPLETED", None, 1))
        answer = self.sqs.receive_message(QueueUrl=self.live, AttributeNames=["All"])
        (message,) = answer["Messages"]
        self.assertEqual((message["Body"], message["Attributes"]["ApproximateReceiveCount"]), ("event", "1"))
        self.assertNotEqual(message["MessageId"], failed)
        self.assertFalse(self.account.messages(self.dead))

    def test_a_message_from_nowhere_needs_a_destination(self):
        self.sqs.send_message(QueueUrl=self.dead, MessageBody="undelivered")
        self.sqs.start_message_move_task(SourceArn=self.arn("dead"))
        self.assertEqual(self.last_task(), ("FAILED", "CouldNotDetermineMessageSource", 0))
        self.sqs.start_message_move_task(SourceArn=self.arn("dead"), DestinationArn=self.arn("live"))
        self.assertEqual(self.last_task(), ("COMPLETED", None, 1))
        self.assertEqual([message["Body"] for message in self.account.messages(self.live)], ["undelivered"])

    def test_only_a_dead_letter_queue_gives_back(self):
        start = self.sqs.start_message_move_task
        self.assertEqual(error_of(start, SourceArn=self.arn("live")), "InvalidParameterValue")
        for arguments in (
            {"SourceArn": self.arn("none")},
            {"SourceArn": self.arn("dead"), "DestinationArn": self.arn("none")},
        ):
            self.assertEqual(error_of(start, **arguments), "ResourceNotFoundException")


class OrganizationTest(unittest.TestCase):
    """Events from the bus of one account to that of another."""

    def test_a_bus_takes_events_of_its_organisation_only(self):
        central, member = Account("111122220031"), Account("111122220032")
        bus = f"arn:aws:events:{REGION}:{central.number}:event-bus/members"
        events = central.client("events")
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "events:PutEvents",
            "Resource": bus,
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}},
        }
        properties = {"Name": "members", "Policy": {"Version": "2012-10-17", "Statement": [statement]}}
        template = {"Resources": {"Bus": {"Type": "AWS::Events::EventBus", "Properties": properties}}}
        cloudformation = central.client("cloudformation")
        cloudformation.create_stack(StackName="bus", TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName="bus", WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
        taken = central.client("sqs").create_queue(QueueName="taken")["QueueUrl"]
        events.put_rule(
            Name="members", EventBusName="members", EventPattern=json.dumps({"source": ["aws.ssm"]})
        )
        target = {"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{central.number}:taken"}
        events.put_targets(Rule="members", EventBusName="members", Targets=[target])

        kept = member.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
        member.client("events").put_rule(Name="forward", EventPattern=json.dumps({"source": ["aws.ssm"]}))
        target = {
            "Id": "guard",
            "Arn": bus,
            "RoleArn": f"arn:aws:iam::{member.number}:role/forward",
            "DeadLetterConfig": {"Arn": f"arn:aws:sqs:{REGION}:{member.number}:kept"},
        }
        member.client("events").put_targets(Rule="forward", Targets=[target])

        member.send({"eventID": "stranger"})
        self.assertEqual(central.messages(taken), [])
        (message,) = member.messages(kept)
        self.assertEqual(json.loads(message["Body"])["detail"]["eventID"], "stranger")

        member.admin("POST", "organization", {"Id": "o-0123456789"})
        member.send({"eventID": "member"})
        (message,) = central.messages(taken)
        envelope = json.loads(message["Body"])
        self.assertEqual((envelope["account"], envelope["region"]), (member.number, REGION))


class EnforcedIamTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.own = Launcher("--enforce-iam")
        cls.addClassCleanup(cls.own.end)
        cls.account = Account(endpoint=cls.own.endpoint)
        cls.account.admin("POST", "nodes", {"InstanceId": NODE, "Tags": {"Owner": "alice"}})
        cls.account.admin("POST", "nodes", {"InstanceId": MANAGED_NODE, "Tags": {"Owner": "bob"}})

    def role(self, name, policy):
        """A role that anybody may assume; its ARN."""
        iam = self.account.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        arn = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]["Arn"]
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return arn

    def client_of(self, user, policy):
        iam = self.account.client("iam")
        iam.create_user(UserName=user)
        iam.put_user_policy(
            UserName=user,
            PolicyName="own",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": policy}),
        )
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return lambda service, key=key: self.account.client(
            service, key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken")
        )

    def test_a_function_may_do_what_its_role_allows_and_no_more(self):
        outputs = self.account.deploy()
        session = self.account.client("ssm").start_session(Target=NODE)["SessionId"]
        self.account.send({"do": "record", "id": "allowed"}, {"do": "terminate", "sessionId": session})
        self.account.idle()
        self.assertEqual(set(self.account.items(outputs["LedgerTable"])), {"allowed"})
        self.assertFalse(self.account.messages(outputs["FailuresQueueUrl"]))

        iam = self.account.client("iam")
        role = (
            self.account.client("lambda")
            .get_function_configuration(FunctionName=outputs["FunctionName"])["Role"]
            .rsplit("/", 1)[-1]
        )
        iam.put_role_policy(
            RoleName=role,
            PolicyName="denied",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Deny", "Action": "dynamodb:PutItem", "Resource": "*"}],
                }
            ),
        )
        self.account.send({"do": "record", "id": "denied"})
        self.account.idle()
        self.assertEqual(len(self.account.messages(outputs["FailuresQueueUrl"])), 1)
        denied = self.account.admin("GET", "calls?service=dynamodb&operation=PutItem")[-1]
        self.assertTrue(denied["error"].startswith("AccessDenied"), denied)

    def test_tags_of_the_node_the_users_name_and_the_second_factor_decide(self):
        records = self.account.watch_records()
        client = self.client_of(
            "alice",
            [
                {
                    "Effect": "Allow",
                    "Action": "ssm:StartSession",
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {"ssm:resourceTag/Owner": "${aws:username}"},
                        "Bool": {"aws:MultiFactorAuthPresent": "true"},
                    },
                },
                {
                    "Effect": "Allow",
                    "Action": "ssm:TerminateSession",
                    "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*",
                },
            ],
        )
        self.assertEqual(error_of(client("ssm").start_session, Target=NODE), "AccessDeniedException")
        (refused,) = records()
        self.assertEqual((refused["errorCode"], refused["requestParameters"]), ("AccessDenied", None))
        self.assertIn(f"instance/{NODE} because no identity-based policy", refused["errorMessage"])

        session = client("sts").get_session_token(SerialNumber="arn:aws:iam::1:mfa/alice", TokenCode="123456")
        ssm = client("ssm", session["Credentials"])
        own = ssm.start_session(Target=NODE)["SessionId"]
        self.assertEqual(error_of(ssm.start_session, Target=MANAGED_NODE), "AccessDeniedException")
        self.assertIsNone(error_of(ssm.terminate_session, SessionId=own))
        self.assertEqual(error_of(ssm.terminate_session, SessionId="bob-1"), "AccessDeniedException")

    def with_second_factor(self, client):
        device = {"SerialNumber": "arn:aws:iam::1:mfa/device", "TokenCode": "123456"}
        return client("ssm", client("sts").get_session_token(**device)["Credentials"])

    def test_a_start_is_checked_on_the_document_that_it_names(self):
        node = {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": f"arn:aws:ec2:*:*:instance/{NODE}"}
        check = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}
        document = {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": "arn:aws:ssm:*:*:document/Own"}
        preferences = {**document, "Resource": "arn:aws:ssm:*:*:document/SSM-SessionManagerRunShell"}
        shell = "SSM-SessionManagerRunShell"
        for user, policy, allowed, refused in (
            ("carol", [node], [None, shell], ["Own", "AWS-StartSSHSession"]),
            ("dave", [node, document], [None, shell, "Own"], ["AWS-StartSSHSession"]),
            ("erin", [{**node, "Condition": check}], [], [None, shell, "Own"]),
            ("frank", [{**node, "Condition": check}, preferences], [shell], [None, "Own"]),
        ):
            ssm = self.client_of(user, policy)("ssm")
            for name in allowed + refused:
                with self.subTest(user=user, document=name):
                    named = {"DocumentName": name} if name else {}
                    expected = None if name in allowed else "AccessDeniedException"
                    self.assertEqual(error_of(ssm.start_session, Target=NODE, **named), expected)

    def test_a_refusal_names_the_document_it_is_about(self):
        records = self.account.watch_records()
        node = {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": f"arn:aws:ec2:*:*:instance/{NODE}"}
        ssm = self.client_of("grace", [node])("ssm")
        error_of(ssm.start_session, Target=NODE, DocumentName="AWS-StartSSHSession")
        (record,) = records()
        self.assertIn(
            f"on resource: arn:aws:ssm:{REGION}::document/AWS-StartSSHSession because", record["errorMessage"]
        )

    def test_a_session_has_a_tag_that_says_whose_it_is(self):
        own = {"StringEquals": {"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"}}
        policy = [
            {"Effect": "Allow", "Action": ["ssm:StartSession", "sts:AssumeRole"], "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": ["ssm:ResumeSession", "ssm:TerminateSession"],
                "Resource": "*",
                "Condition": own,
            },
        ]
        heidi, ivan = self.client_of("heidi", policy), self.client_of("heidi-2", policy)
        arn = self.role("heidi-role", policy)

        def assumed(name):
            role = heidi("sts").assume_role(RoleArn=arn, RoleSessionName=name)
            return heidi("ssm", role["Credentials"])

        clients = [heidi("ssm"), ivan("ssm"), assumed("heidi"), assumed("ivan")]
        for owner in clients:
            session = owner.start_session(Target=NODE)["SessionId"]
            for other in clients:
                expected = None if other is owner else "AccessDeniedException"
                self.assertEqual(error_of(other.resume_session, SessionId=session), expected)

    def test_a_session_has_a_tag_that_says_on_which_node_it_is(self):
        on_node = {"StringEquals": {"ssm:resourceTag/aws:ssmmessages:target-id": NODE}}
        ssm = self.client_of(
            "judy",
            [
                {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*"},
                {"Effect": "Allow", "Action": "ssm:TerminateSession", "Resource": "*", "Condition": on_node},
            ],
        )("ssm")
        for target, expected in ((NODE, None), (MANAGED_NODE, "AccessDeniedException")):
            session = ssm.start_session(Target=target)["SessionId"]
            self.assertEqual(error_of(ssm.terminate_session, SessionId=session), expected)

    def test_a_second_factor_has_an_age_and_ends_where_a_role_begins(self):
        def policy(operator, key, value):
            return [
                {
                    "Effect": "Allow",
                    "Action": "ssm:StartSession",
                    "Resource": "*",
                    "Condition": {operator: {key: value}},
                },
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
            ]

        fresh = self.client_of("kim", policy("NumericLessThan", "aws:MultiFactorAuthAge", "3600"))
        self.assertIsNone(error_of(self.with_second_factor(fresh).start_session, Target=NODE))
        self.assertEqual(error_of(fresh("ssm").start_session, Target=NODE), "AccessDeniedException")
        old = self.client_of("leo", policy("NumericGreaterThan", "aws:MultiFactorAuthAge", "3600"))
        self.assertEqual(
            error_of(self.with_second_factor(old).start_session, Target=NODE), "AccessDeniedException"
        )

        present = policy("Bool", "aws:MultiFactorAuthPresent", "true")
        arn = self.role("with-mfa", present)
        mia = self.client_of("mia", present)
        role = mia("sts").assume_role(
            RoleArn=arn, RoleSessionName="mia", SerialNumber="arn:aws:iam::1:mfa/mia", TokenCode="123456"
        )
        ssm = mia("ssm", role["Credentials"])
        self.assertEqual(error_of(ssm.start_session, Target=NODE), "AccessDeniedException")

    def test_a_node_with_a_role_puts_its_log_only_if_the_role_may(self):
        account = Account(endpoint=self.own.endpoint)
        s3 = account.client("s3")
        s3.create_bucket(Bucket="role-logs", CreateBucketConfiguration={"LocationConstraint": REGION})
        account.admin("POST", "session-preferences", {"s3BucketName": "role-logs", "s3KeyPrefix": "sessions"})
        for stack, prefix, expected in (("may", "sessions", 1), ("may-not", "elsewhere", 0)):
            outputs = create(account, stack, instance_template(f"arn:aws:s3:::role-logs/{prefix}/*"))
            session = account.client("ssm").start_session(Target=outputs["Host"])["SessionId"]
            account.client("ssm").terminate_session(SessionId=session)
            account.admin("POST", f"sessions/{session}/wait", {"status": "Terminated"})
            logs = s3.list_objects_v2(Bucket="role-logs", Prefix=f"sessions/{session}")["KeyCount"]
            self.assertEqual(logs, expected, stack)

    def test_a_node_may_put_its_logs_in_the_bucket(self):
        self.account.client("s3").create_bucket(
            Bucket="enforced-logs", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.account.admin("POST", "session-preferences", {"s3BucketName": "enforced-logs"})
        self.account.admin("POST", "nodes", {"InstanceId": NODE, "Tags": {"Owner": "alice"}, "Shell": True})
        session = self.account.client("ssm").start_session(Target=NODE)["SessionId"]
        self.account.admin("POST", f"sessions/{session}/wait", {"for": "$ "})
        self.account.admin("POST", f"sessions/{session}/input", {"text": "exit\n"})
        self.account.admin("POST", f"sessions/{session}/wait", {"status": "Terminated"})
        log = self.account.client("s3").get_object(Bucket="enforced-logs", Key=f"{session}.log")
        self.assertIn(b"$ exit\r\r\n", log["Body"].read())

    def test_an_unknown_key_is_refused(self):
        ssm = self.account.client("ssm", "AKIAIOSFODNN7EXAMPLE")
        self.assertEqual(error_of(ssm.describe_sessions, State="Active"), "UnrecognizedClientException")


# ---- Session Manager ---------------------------------------------------------------------------------------


class RecordTest(unittest.TestCase):
    """The CloudTrail record of each call, and above all its `userIdentity`."""

    @classmethod
    def setUpClass(cls):
        cls.account = Account()
        cls.records = staticmethod(cls.account.watch_records())
        iam = cls.account.client("iam")
        cls.user = iam.create_user(UserName="alice")["User"]
        cls.key = iam.create_access_key(UserName="alice")["AccessKey"]
        cls.role = iam.create_role(
            RoleName="AWSReservedSSO_Admin_0123456789abcdef",
            Path=f"/aws-reserved/sso.amazonaws.com/{REGION}/",
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": cls.account.number},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
        )["Role"]
        cls.account.admin("POST", "nodes", {"InstanceId": NODE})

    def client(self, service, credentials):
        return self.account.client(
            service,
            credentials["AccessKeyId"],
            credentials["SecretAccessKey"],
            credentials.get("SessionToken"),
        )

    def record_of_a_start(self, credentials, **arguments):
        answer = self.client("ssm", credentials).start_session(Target=NODE, **arguments)
        (record,) = self.records()
        self.assertEqual(record["responseElements"]["sessionId"], answer["SessionId"])
        return record

    def test_a_start_has_the_fields_of_a_real_record(self):
        record = self.record_of_a_start(self.key)
        expected = {
            "awsRegion",
            "eventCategory",
            "eventID",
            "eventName",
            "eventSource",
            "eventTime",
            "eventType",
            "eventVersion",
            "managementEvent",
            "readOnly",
            "recipientAccountId",
            "requestID",
            "requestParameters",
            "responseElements",
            "sourceIPAddress",
            "tlsDetails",
            "userAgent",
            "userIdentity",
        }
        sample = SAMPLES / "cloudtrail-stratus-start-terminate-session-iamuser.json"
        if sample.exists():
            real = next(
                each for each in json.loads(sample.read_text()) if each["eventName"] == "StartSession"
            )
            self.assertEqual(set(real), expected, "the list in this test")
            for name in ("responseElements", "tlsDetails", "userIdentity"):
                self.assertEqual(set(record[name]), set(real[name]), name)
        self.assertEqual(set(record), expected)
        self.assertEqual(record["requestParameters"], {"target": NODE})
        self.assertEqual(record["responseElements"]["tokenValue"], "Value hidden due to security reasons.")
        self.assertRegex(record["responseElements"]["sessionId"], r"\Aalice-[0-9a-z]{26}\Z")
        self.assertRegex(record["eventTime"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

    def test_only_what_the_caller_sent_is_in_the_request(self):
        record = self.record_of_a_start(
            self.key,
            DocumentName="AWS-StartPortForwardingSession",
            Reason="because",
            Parameters={"portNumber": ["5432"], "localPortNumber": ["15432"]},
        )
        self.assertEqual(
            record["requestParameters"],
            {
                "target": NODE,
                "documentName": "AWS-StartPortForwardingSession",
                "reason": "because",
                "parameters": {"portNumber": ["5432"], "localPortNumber": ["15432"]},
            },
        )

    def test_a_user_with_a_long_term_key_has_no_session_context(self):
        self.assertTrue(self.key["AccessKeyId"].startswith("AKIA"))
        self.assertEqual(
            self.record_of_a_start(self.key)["userIdentity"],
            {
                "type": "IAMUser",
                "principalId": self.user["UserId"],
                "arn": self.user["Arn"],
                "accountId": self.account.number,
                "accessKeyId": self.key["AccessKeyId"],
                "userName": "alice",
            },
        )

    def test_a_user_with_session_credentials_tells_of_the_second_factor(self):
        sts = self.client("sts", self.key)
        for factor, told in (
            ({"SerialNumber": "arn:aws:iam::1:mfa/alice", "TokenCode": "123456"}, "true"),
            ({}, "false"),
        ):
            credentials = sts.get_session_token(**factor)["Credentials"]
            identity = self.record_of_a_start(credentials)["userIdentity"]
            self.assertEqual(identity["type"], "IAMUser")
            self.assertEqual(identity["userName"], "alice")
            self.assertEqual(identity["sessionContext"]["sessionIssuer"], {})
            self.assertEqual(identity["sessionContext"]["attributes"]["mfaAuthenticated"], told)

    def test_a_role_names_its_issuer_with_its_path(self):
        credentials = self.client("sts", self.key).assume_role(
            RoleArn=self.role["Arn"], RoleSessionName="jane@example.com"
        )["Credentials"]
        record = self.record_of_a_start(credentials)
        identity = record["userIdentity"]
        name = self.role["RoleName"]
        self.assertEqual(identity["type"], "AssumedRole")
        self.assertEqual(identity["principalId"], f"{self.role['RoleId']}:jane@example.com")
        self.assertEqual(
            identity["arn"], f"arn:aws:sts::{self.account.number}:assumed-role/{name}/jane@example.com"
        )
        self.assertEqual(
            identity["sessionContext"]["sessionIssuer"],
            {
                "type": "Role",
                "principalId": self.role["RoleId"],
                "arn": self.role["Arn"],
                "accountId": self.account.number,
                "userName": name,
            },
        )
        self.assertIn("/aws-reserved/", identity["sessionContext"]["sessionIssuer"]["arn"])
        self.assertEqual(identity["sessionContext"]["attributes"]["mfaAuthenticated"], "false")
        self.assertRegex(record["responseElements"]["sessionId"], r"\Ajane@example.com-[0-9a-z]{26}\Z")

    def test_a_federated_user_names_the_user_behind_it(self):
        credentials = self.client("sts", self.key).get_federation_token(Name="partner")["Credentials"]
        identity = self.record_of_a_start(credentials)["userIdentity"]
        self.assertEqual(identity["type"], "FederatedUser")
        self.assertEqual(identity["arn"], f"arn:aws:sts::{self.account.number}:federated-user/partner")
        self.assertEqual(identity["sessionContext"]["sessionIssuer"]["userName"], "alice")

    def test_root_is_root(self):
        record = self.record_of_a_start({"AccessKeyId": self.account.number, "SecretAccessKey": "test"})
        self.assertEqual(
            record["userIdentity"],
            {
                "type": "Root",
                "principalId": self.account.number,
                "arn": f"arn:aws:iam::{self.account.number}:root",
                "accountId": self.account.number,
                "accessKeyId": f"AKIAROOT{self.account.number}",
            },
        )
        self.assertRegex(record["responseElements"]["sessionId"], r"\Aroot-[0-9a-z]{26}\Z")

    def test_a_refused_start_keeps_nothing_but_the_message(self):
        self.account.admin(
            "POST",
            "faults",
            {"service": "ssm", "operation": "StartSession", "error": "AccessDeniedException"},
        )
        start = self.client("ssm", self.key).start_session
        self.assertEqual(error_of(start, Target=NODE), "AccessDeniedException")
        (record,) = self.records()
        self.assertEqual(
            (record["errorCode"], record["requestParameters"], record["responseElements"]),
            ("AccessDenied", None, None),
        )
        self.assertEqual(
            record["errorMessage"],
            (
                f"User: {self.user['Arn']} is not authorized to perform: ssm:StartSession on resource: "
                f"arn:aws:ec2:{REGION}:{self.account.number}:instance/{NODE} "
                "because no identity-based policy allows the ssm:StartSession action"
            ),
        )
        sample = SAMPLES / "cloudtrail-traildiscover-StartSession-accessdenied.json"
        if sample.exists():
            self.assertEqual(set(record), set(json.loads(sample.read_text())[0]))

    def test_a_node_that_is_not_there_is_not_connected(self):
        start = self.client("ssm", self.key).start_session
        self.assertEqual(error_of(start, Target="i-0fedcba9876543210"), "TargetNotConnected")
        (record,) = self.records()
        self.assertEqual(record["errorCode"], "TargetNotConnected")
        self.assertEqual(record["errorMessage"], "i-0fedcba9876543210 is not connected.")
        self.assertEqual(record["requestParameters"], {"target": "i-0fedcba9876543210"})
        self.assertIsNone(record["responseElements"])

    def test_resume_and_terminate_name_the_session(self):
        ssm = self.client("ssm", self.key)
        session = ssm.start_session(Target=NODE)["SessionId"]
        ssm.resume_session(SessionId=session)
        ssm.terminate_session(SessionId=session)
        _, resumed, terminated = self.records()
        self.assertEqual(
            (resumed["eventName"], resumed["requestParameters"]), ("ResumeSession", {"sessionId": session})
        )
        self.assertEqual(set(resumed["responseElements"]), {"sessionId", "streamUrl", "tokenValue"})
        self.assertEqual(terminated["eventName"], "TerminateSession")
        self.assertEqual(
            (terminated["requestParameters"], terminated["responseElements"]),
            ({"sessionId": session}, {"sessionId": session}),
        )

    def test_the_source_address_is_the_one_that_was_set(self):
        self.account.admin("POST", "source-address", {"address": "203.0.113.7"})
        self.assertEqual(self.record_of_a_start(self.key)["sourceIPAddress"], "203.0.113.7")


class SessionTest(unittest.TestCase):
    def setUp(self):
        self.account = Account()
        self.ssm = self.account.client("ssm")

    def ids(self, state, **filters):
        found = self.ssm.describe_sessions(
            State=state,
            Filters=[{"key": key, "value": value} for key, value in filters.items()]
            or [{"key": "AccessType", "value": "Standard"}],
        )
        return [session["SessionId"] for session in found["Sessions"]]

    def register(self, session_id, **data):
        return self.account.admin("POST", "sessions", {"SessionId": session_id, "Target": NODE, **data})

    def await_status(self, session_id, status):
        return self.account.admin("POST", f"sessions/{session_id}/wait", {"status": status})

    def test_a_session_goes_from_connected_over_terminating_to_terminated(self):
        self.register("alice-1")
        self.account.admin(
            "POST", "session-behaviour", {"SessionId": "alice-1", "terminatingMilliseconds": 500}
        )
        self.assertEqual((self.ids("Active"), self.ids("History")), (["alice-1"], []))
        self.ssm.terminate_session(SessionId="alice-1")
        (ending,) = self.ssm.describe_sessions(State="History")["Sessions"]
        self.assertEqual(ending["Status"], "Terminating")
        self.assertNotIn("EndDate", ending)
        self.await_status("alice-1", "Terminated")
        (ended,) = self.ssm.describe_sessions(State="History")["Sessions"]
        self.assertGreater(ended["EndDate"], ended["StartDate"])
        self.assertEqual(self.ids("Active"), [])
        self.assertEqual(error_of(self.ssm.resume_session, SessionId="alice-1"), "DoesNotExistException")
        self.assertIsNone(error_of(self.ssm.terminate_session, SessionId="alice-1"))
        self.assertEqual(error_of(self.ssm.terminate_session, SessionId="bob-1"), "DoesNotExistException")

    def test_filters_pages_and_their_errors(self):
        owner = "arn:aws:sts::111122223333:assumed-role/Admin/jane"
        for number in range(5):
            self.register(
                f"alice-{number}",
                Owner=owner if number == 3 else None,
                Target=MANAGED_NODE if number == 4 else NODE,
            )
        self.assertEqual(self.ids("Active", SessionId="alice-2"), ["alice-2"])
        self.assertEqual(self.ids("History", SessionId="alice-2"), [])
        self.assertEqual(self.ids("Active", Owner=owner), ["alice-3"])
        self.assertEqual(self.ids("Active", Target=MANAGED_NODE), ["alice-4"])
        self.assertEqual(self.ids("Active", Target=NODE, SessionId="alice-4"), [])
        self.assertEqual(self.ids("Active", InvokedAfter="2100-01-01T00:00:00Z"), [])
        pages = self.ssm.get_paginator("describe_sessions").paginate(
            State="Active", PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([len(page["Sessions"]) for page in pages], [2, 2, 1])

    def test_a_session_can_ignore_its_termination(self):
        for subject in ("alice-1", "*"):
            self.register("alice-1")
            self.account.admin("POST", "session-behaviour", {"SessionId": subject, "ignoreTerminate": True})
            self.ssm.terminate_session(SessionId="alice-1")
            self.assertEqual(self.ids("Active"), ["alice-1"])
            self.account.admin("POST", "session-behaviour", {"SessionId": subject})

    def test_nodes_and_their_tags(self):
        for node, tags in ((NODE, {"Owner": "web", "Environment": "production"}), (MANAGED_NODE, {})):
            self.account.admin(
                "POST",
                "nodes",
                {
                    "InstanceId": node,
                    "ComputerName": f"{node}.internal",
                    "PlatformName": "Amazon Linux",
                    "PlatformVersion": "2023",
                    "IPAddress": "10.0.1.11",
                    "AgentVersion": "3.3.987.0",
                    "Tags": tags,
                },
            )
        (found,) = self.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [NODE]}])[
            "InstanceInformationList"
        ]
        self.assertEqual(
            {
                name: found[name]
                for name in (
                    "InstanceId",
                    "ComputerName",
                    "PlatformName",
                    "IPAddress",
                    "AgentVersion",
                    "PingStatus",
                    "ResourceType",
                )
            },
            {
                "InstanceId": NODE,
                "ComputerName": f"{NODE}.internal",
                "PlatformName": "Amazon Linux",
                "IPAddress": "10.0.1.11",
                "AgentVersion": "3.3.987.0",
                "PingStatus": "Online",
                "ResourceType": "EC2Instance",
            },
        )
        unknown = self.ssm.describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": ["i-0fedcba9876543210"]}]
        )
        self.assertEqual(unknown["InstanceInformationList"], [])

        arns = [
            f"arn:aws:ec2:{REGION}:{self.account.number}:instance/{NODE}",
            f"arn:aws:ssm:{REGION}:{self.account.number}:managed-instance/{MANAGED_NODE}",
        ]
        tagging = self.account.client("resourcegroupstaggingapi")

        def tagged():
            return {
                each["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
                for each in tagging.get_resources(ResourceARNList=arns)["ResourceTagMappingList"]
            }

        self.assertEqual(tagged(), {arns[0]: {"Owner": "web", "Environment": "production"}})
        self.account.admin("POST", "nodes", {"InstanceId": MANAGED_NODE, "Tags": {"Owner": "db"}})
        self.account.admin("POST", "nodes", {"InstanceId": NODE, "Tags": {}, "PingStatus": "ConnectionLost"})
        self.assertEqual(tagged(), {arns[1]: {"Owner": "db"}})
        status = self.ssm.get_connection_status
        self.assertEqual(
            [status(Target=node)["Status"] for node in (NODE, MANAGED_NODE)], ["notconnected", "connected"]
        )


class ShellTest(unittest.TestCase):
    def setUp(self):
        self.account = Account()
        self.records = self.account.watch_records()
        self.ssm, self.s3 = self.account.client("ssm"), self.account.client("s3")
        self.account.admin("POST", "nodes", {"InstanceId": NODE, "Shell": True})
        self.bucket = f"session-logs-{self.account.number}"
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.account.admin(
            "POST", "session-preferences", {"s3BucketName": self.bucket, "s3KeyPrefix": "linux/"}
        )
        self.session = self.ssm.start_session(Target=NODE)["SessionId"]

    def type(self, text):
        return self.account.admin("POST", f"sessions/{self.session}/input", {"text": text})["offset"]

    def wait(self, **what):
        return self.account.admin("POST", f"sessions/{self.session}/wait", what)

    def log(self):
        return self.s3.get_object(Bucket=self.bucket, Key=f"linux/{self.session}.log")["Body"].read()

    def check_log(self, log):
        """The structure of a real one: script's own first and last line, and CR CR LF after each line
        between.
        """
        path = (
            f"/var/lib/amazon/ssm/{NODE}/session/orchestration/{self.session}/Standard_Stream/ipcTempFile.log"
        )
        time = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"
        whole = re.compile(
            rb"\AScript started on "
            + time
            + rb" \[COMMAND=\"cat "
            + re.escape(path.encode())
            + rb"\" <not executed on terminal>\]\n(?P<body>.*)\nScript done on "
            + time
            + rb" \[COMMAND_EXIT_CODE=\"0\"\]\n\Z",
            re.DOTALL,
        )
        body = whole.match(log)["body"]
        self.assertFalse(re.search(rb"(?<!\r\r)\n", body), body)
        return body

    def test_the_sample_log_passes_the_check_of_logs(self):
        sample = SAMPLES / "linux-s3-log-util-linux-2.38.1.log"
        if not sample.exists():
            self.skipTest(f"{sample} is not here")
        path = (
            f"/var/lib/amazon/ssm/{NODE}/session/orchestration/{self.session}/Standard_Stream/ipcTempFile.log"
        )
        self.check_log(sample.read_bytes().replace(b"cat ipcTempFile.log", f"cat {path}".encode()))

    def test_a_terminated_shell_leaves_the_log_and_its_background_children(self):
        self.wait(**{"for": "$ "})
        self.type("echo TERM is $TERM; printf 'caf\\303\\251 \\377\\n'; sleep 300 & echo child=$!\n")
        output = self.wait(**{"for": "\r\n$ "})["output"]
        child = re.search(r"\r\nchild=(\d+)", output)[1]
        self.ssm.terminate_session(SessionId=self.session)
        self.wait(status="Terminated")
        body = self.check_log(self.log())
        self.assertIn(b"\r\r\nTERM is xterm-256color\r\r\n", body)
        self.assertIn(b"\r\r\ncaf\xc3\xa9 \xff\r\r\n", body)
        self.assertTrue(is_running(child), "only the shell is killed")
        os.kill(int(child), signal.SIGKILL)
        (described,) = self.ssm.describe_sessions(State="History")["Sessions"]
        self.assertTrue(
            described["OutputUrl"]["S3OutputUrl"].endswith(f"/{self.bucket}/linux/{self.session}.log")
        )
        self.assertEqual(
            [record["eventName"] for record in self.records()], ["StartSession", "TerminateSession"]
        )

    def test_a_shell_that_exits_ends_its_session_without_a_record(self):
        self.wait(**{"for": "$ "})
        self.type("exit\n")
        self.wait(status="Terminated")
        self.assertTrue(self.check_log(self.log()).rstrip().endswith(b"exit"))
        self.assertEqual([record["eventName"] for record in self.records()], ["StartSession"])
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.type("ls\n")
        self.assertEqual(caught.exception.code, 409)
        caught.exception.close()

    def test_without_a_bucket_there_is_no_log(self):
        self.account.admin("POST", "session-preferences", {})
        self.ssm.terminate_session(SessionId=self.session)
        self.wait(status="Terminated")
        self.assertNotIn("Contents", self.s3.list_objects_v2(Bucket=self.bucket))

    def test_only_a_shell_document_on_a_node_with_shells_opens_one(self):
        port = self.ssm.start_session(Target=NODE, DocumentName="AWS-StartPortForwardingSession")["SessionId"]
        self.account.admin("POST", "nodes", {"InstanceId": MANAGED_NODE})
        plain = self.ssm.start_session(Target=MANAGED_NODE)["SessionId"]
        for session in (port, plain):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.account.admin("GET", f"sessions/{session}/output")
            self.assertEqual(caught.exception.code, 409)
            caught.exception.close()


if __name__ == "__main__":
    unittest.main()
