"""What AWS does with a function's role besides the function's own calls. Installed with --enforce-iam only.

- Lambda writes the log (logs:CreateLogStream, logs:PutLogEvents), sends failed events to their destination
  (sqs:SendMessage) and reads the queue that feeds a function (sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes);
  without the right there is no log, the event is lost and the queue is not read. It sends traces on (xray:PutTraceSegments,
  xray:PutTelemetryRecords), and without the right there is none.
- A table, topic or bucket that is encrypted with a customer key needs the caller's right to use the key, through that service:
  kms:Decrypt for a table and to read an object, and kms:GenerateDataKey too to publish.

It is our reading of AWS's documentation. Nothing is encrypted, and the key's own policy is not looked at.
"""

import re

from ministack.core import iam_evaluator
from ministack.services import dynamodb, lambda_svc, s3, sns

import lambda_patches
import scope
import traces
from iam_patches import role_may
from patching import current, replace

WRITES_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
READS_QUEUES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
SENDS_TRACES = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
KEY_IN_XML = re.compile(r"<KMSMasterKeyID>([^<]+)</KMSMasterKeyID>")


def install():
    for owner, name in ((dynamodb, "_tables"), (sns, "_topics"), (s3, "_bucket_encryption")):
        current(owner, name)

    @replace(lambda_svc, "_emit_lambda_logs")
    def emit_lambda_logs(original, function, *arguments, **keywords):
        config = function.get("config") or function
        name = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        group = f"arn:aws:logs:{scope.region()}:{scope.account()}:log-group:{name}:*"
        if may(config, WRITES_LOGS, group):
            original(function, *arguments, **keywords)

    @replace(lambda_patches, "hand_over_failure")
    def hand_over_failure(original, settings, config, *arguments):
        destination = settings["on_failure"]
        if destination and not may(config, ("sqs:SendMessage",), destination):
            settings = {**settings, "on_failure": None}
        original(settings, config, *arguments)

    @replace(lambda_svc, "_iter_all_esms")
    def iter_all_esms(original):
        for account, region, mapping in original():
            with scope.of(account, region):
                function, config = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], None)
                reads = function and may(config, READS_QUEUES, mapping.get("EventSourceArn", ""))
            if reads:
                yield account, region, mapping

    @replace(traces.Daemon, "begin")
    def begin(original, daemon, config):
        header = original(daemon, config)
        if not may(config, SENDS_TRACES, "*"):
            daemon.forget(header)
        return header

    @replace(iam_evaluator, "enforce")
    def enforce(original, key, action, service, region, resource_arn="*", service_context=None):
        denied = original(key, action, service, region, resource_arn=resource_arn, service_context=service_context)
        if denied:
            return denied
        master = master_key(action, resource_arn)
        through = {"kms:ViaService": f"{service}.{region}.amazonaws.com"}
        for needed in ("kms:Decrypt", "kms:GenerateDataKey") if action == "sns:Publish" else ("kms:Decrypt",):
            if master and not denied:
                denied = original(key, needed, "kms", region, resource_arn=master, service_context=through)
        return denied


def may(config, actions, resource):
    """Whether the role of a function allows all of these actions."""
    role = config.get("Role", "").rsplit("/", 1)[-1]
    return all(role_may(role, action, resource) for action in actions)


def master_key(action, resource_arn):
    """The customer key that a call needs, if any."""
    if action.startswith("dynamodb:") and ":table/" in resource_arn:
        table = dynamodb._tables.get(resource_arn.split(":table/")[1].split("/")[0]) or {}
        return (table.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    if action == "sns:Publish":
        return ((sns._topics.get(resource_arn) or {}).get("attributes") or {}).get("KmsMasterKeyId")
    if action in ("s3:GetObject", "s3:GetObjectVersion"):
        found = KEY_IN_XML.search(str(s3._bucket_encryption.get(resource_arn.split(":::")[-1].split("/")[0])))
        return found[1] if found else None
    return None
