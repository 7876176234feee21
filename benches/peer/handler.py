"""The function that a team would write in an afternoon: the guard's calls in boto3, one after the other.

It does what the guard does to a session of an IAM user without a second factor, with the same calls. It is given every
advantage: it judges by one comparison instead of by policies, its alert is one line instead of a body per protocol,
and it speaks the Lambda Runtime API over one connection instead of through a runtime.
"""

import http.client
import json
import os
import time

import boto3

TABLE = os.environ["LEDGER_TABLE"]
TOPIC = os.environ["ALERT_TOPIC_ARN"]

dynamodb = boto3.client("dynamodb")
iam = boto3.client("iam")
sns = boto3.client("sns")
ssm = boto3.client("ssm")
tagging = boto3.client("resourcegroupstaggingapi")


def handle(event, request_id):
    detail = event["detail"]
    key = {"pk": {"S": "event#" + detail["eventID"]}}
    now = int(time.time() * 1000)
    dynamodb.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression="SET #owner = :owner, #until = :until",
        ConditionExpression="attribute_not_exists(pk) OR #owner = :owner OR #until <= :now",
        ExpressionAttributeNames={"#owner": "owner", "#until": "until"},
        ExpressionAttributeValues={
            ":owner": {"S": request_id},
            ":until": {"N": str(now + 90_000)},
            ":now": {"N": str(now)},
        },
        ReturnValues="ALL_OLD",
    )

    account, region = detail["recipientAccountId"], detail["awsRegion"]
    session, target = detail["responseElements"]["sessionId"], detail["requestParameters"]["target"]
    user = detail["userIdentity"]["userName"]
    session_key = {"pk": {"S": f"session#{account}#{region}#{session}"}}
    dynamodb.get_item(TableName=TABLE, Key=session_key, ConsistentRead=True)
    arn = f"arn:aws:ec2:{region}:{account}:instance/{target}"
    resources = tagging.get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]
    tags = {tag["Key"]: tag["Value"] for resource in resources for tag in resource["Tags"]}
    nodes = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [target]}])
    iam.list_user_tags(UserName=user)

    attributes = detail["userIdentity"].get("sessionContext", {}).get("attributes", {})
    if attributes.get("mfaAuthenticated") != "false":
        return
    note(key, "SET intended = :value", str(now))
    ssm.terminate_session(SessionId=session)
    ended = ssm.describe_sessions(State="History", Filters=[{"key": "SessionId", "value": session}])["Sessions"]
    outcome = "terminated" if ended and ended[0]["Status"] == "Terminated" else "failed"

    version = dynamodb.get_item(TableName=TABLE, Key=session_key, ConsistentRead=True).get("Item", {}).get("version")
    dynamodb.transact_write_items(
        TransactItems=[
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": key,
                    "UpdateExpression": "SET verdict = :verdict",
                    "ExpressionAttributeValues": {":verdict": {"S": outcome}},
                }
            },
            {
                "Put": {
                    "TableName": TABLE,
                    "Item": {**session_key, "verdict": {"S": outcome}, "version": version or {"N": "1"}},
                }
            },
        ]
    )
    name = nodes["InstanceInformationList"][0]["ComputerName"]
    owner = tags.get("Owner", "nobody")
    sns.publish(TopicArn=TOPIC, Message=f"{outcome} {session} of {user} on {name} (owner {owner}): no second factor")
    note(key, "SET told = :value", outcome)


def note(key, expression, value):
    dynamodb.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression=expression,
        ExpressionAttributeValues={":value": {"S": value}},
    )


def main():
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = runtime.getresponse()
        event, request_id = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        handle(event, request_id)
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", "null")
        runtime.getresponse().read()


if __name__ == "__main__":
    main()
