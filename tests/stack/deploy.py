#!/usr/bin/env python3
"""Deploys a SAM template to the local AWS stack, as `aws cloudformation package` and `deploy` would.

    python deploy.py --endpoint http://127.0.0.1:4701 --account 111122223333 --region eu-west-1 \\
        --template infra/guard.yaml --stack guard --package session-event=session-event.zip \\
        --parameter Mode=enforce

Each package is uploaded, and the function whose CodeUri ends with the package's name gets it as its code. The
stack is created or updated; parameters that are not given keep their value. The outputs are printed as one
JSON object. Exit codes: 0 done, 1 the deployment failed (one line on standard error says which resource, and
why), 2 wrong usage.

It cannot: nested templates, layers, or any artifact other than a function's CodeUri. It is not for a real
account.
"""

import argparse
import hashlib
import json
import pathlib
import sys
import time

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

POLL_SECONDS = 0.05
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class Failed(Exception):
    """Why the deployment did not succeed, in one line."""


def main():
    parser = argparse.ArgumentParser(description="Deploys a SAM template to the local AWS stack.")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--account", required=True, help="12 digits")
    parser.add_argument("--region", required=True)
    parser.add_argument("--template", required=True, type=pathlib.Path)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--package", action="append", default=[], type=pair, metavar="NAME=ZIP")
    parser.add_argument("--parameter", action="append", default=[], type=pair, metavar="NAME=VALUE")
    options = parser.parse_args()
    if not (options.account.isdigit() and len(options.account) == 12):
        parser.error(f"the account `{options.account}` does not have twelve digits")
    try:
        print(json.dumps(deploy(options)))
    except Failed as failure:
        print(f"deploy: {failure}", file=sys.stderr)
        sys.exit(1)
    except ClientError as error:
        detail = error.response["Error"]
        print(
            f"deploy: {error.operation_name}: {one_line(detail.get('Message') or detail['Code'])}",
            file=sys.stderr,
        )
        sys.exit(1)
    except (BotoCoreError, OSError, yaml.YAMLError) as error:
        print(f"deploy: {one_line(error)}", file=sys.stderr)
        sys.exit(1)


def pair(text):
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form NAME=VALUE")
    return name, value


def one_line(text):
    return " ".join(str(text).split())


def deploy(options):
    session = boto3.Session(options.account, "test", region_name=options.region)
    settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})

    def client(service):
        return session.client(service, endpoint_url=options.endpoint, config=settings)

    template = yaml.load(options.template.read_text(encoding="utf-8"), TemplateLoader)
    for name, archive in options.package:
        package(client("s3"), template, name, pathlib.Path(archive), options)
    cloudformation = client("cloudformation")
    # A template in a request may have 51,200 bytes, one in a bucket has room to grow.
    bucket, key = bucket_of(client("s3"), options), f"{options.stack}.template"
    client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(template, default=str))
    url = f"{options.endpoint}/{bucket}/{key}"
    apply(cloudformation, options.stack, template, url, dict(options.parameter))
    stack = wait(cloudformation, options.stack)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


# ---- package -----------------------------------------------------------------------------------------------


def package(s3, template, name, archive, options):
    functions = [
        resource
        for resource in template.get("Resources", {}).values()
        if resource["Type"] == "AWS::Serverless::Function"
        and str(resource.get("Properties", {}).get("CodeUri", "")).rstrip("/").endswith(name)
    ]
    if not functions:
        raise Failed(f"no function in {options.template} has a CodeUri that ends with `{name}`")
    content = archive.read_bytes()
    bucket = bucket_of(s3, options)
    # The name follows the content, so that an update without a new package leaves the function alone.
    key = f"{name}-{hashlib.sha256(content).hexdigest()}.zip"
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    for function in functions:
        function["Properties"]["CodeUri"] = f"s3://{bucket}/{key}"


def bucket_of(s3, options):
    bucket = f"packages-{options.account}-{options.region}"
    # The first Region is the default, and must not be named.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": options.region}}
    try:
        s3.create_bucket(Bucket=bucket, **({} if options.region == "us-east-1" else elsewhere))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    return bucket


class TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML with CloudFormation's short tags, read into their long form."""


def long_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", long_form)
# A date such as a policy's Version stays the text it is in the template.
TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


# ---- deploy ------------------------------------------------------------------------------------------------


def apply(cloudformation, name, template, url, parameters):
    stack = described(cloudformation, name)
    if stack and stack["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"):
        # A stack whose creation failed can only be deleted.
        cloudformation.delete_stack(StackName=name)
        while described(cloudformation, name):
            time.sleep(POLL_SECONDS)
        stack = None
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    common = {"StackName": name, "TemplateURL": url, "Capabilities": CAPABILITIES}
    if not stack:
        cloudformation.create_stack(**common, Parameters=given)
        return
    declared = template.get("Parameters", {})
    kept = [
        {"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": True}
        for parameter in stack.get("Parameters", [])
        if parameter["ParameterKey"] in declared and parameter["ParameterKey"] not in parameters
    ]
    try:
        cloudformation.update_stack(**common, Parameters=given + kept)
    except ClientError as error:
        if "No updates are to be performed" not in error.response["Error"].get("Message", ""):
            raise


def described(cloudformation, name):
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def wait(cloudformation, name):
    """CloudFormation announces nothing, so its answer is asked for until it is final."""
    while True:
        stack = described(cloudformation, name)
        if stack is None:
            raise Failed(f"stack {name} is gone{reason_of_failure(cloudformation, name)}")
        status = stack["StackStatus"]
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return stack
        if not status.endswith("_IN_PROGRESS"):
            raise Failed(f"stack {name} is {status}{reason_of_failure(cloudformation, name)}")
        time.sleep(POLL_SECONDS)


def reason_of_failure(cloudformation, name):
    """The first resource that failed by itself: others are cancelled because of it."""
    try:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    except ClientError:
        return ""
    failures = [
        event
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "").lower()
        and event.get("LogicalResourceId") != name
    ]
    if not failures:
        return ""
    first = min(failures, key=lambda event: event["Timestamp"])
    return (
        f": {first['LogicalResourceId']} ({first['ResourceType']}) {first['ResourceStatus']}: "
        f"{one_line(first.get('ResourceStatusReason', 'no reason given'))}"
    )


if __name__ == "__main__":
    main()
