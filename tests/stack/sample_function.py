"""The function that `test_stack.py` deploys in the place of the guard: it does what the event tells it to.

`detail.do` is one of
- "record"     writes an item under the event's id, once: a second attempt notes that the item was there;
- "fail"       reports an error, of the type in `detail.errorType`;
- "terminate"  ends the session `detail.sessionId`;
- "trace"      sends `detail.text` to the X-Ray daemon, as a subsegment of the invocation's segment;
- "print"      prints `detail.text`, or its environment when there is none.
An event without it is taken and forgotten. The function speaks the Lambda Runtime API itself and needs boto3.
"""

import http.client
import json
import os
import socket

import boto3


def handle(event, request_id, trace):
    detail = event["detail"]
    match detail.get("do"):
        case "record":
            record(detail["id"], request_id)
        case "terminate":
            boto3.client("ssm").terminate_session(SessionId=detail["sessionId"])
        case "trace":
            send_subsegment(dict(field.split("=") for field in trace.split(";")), detail["text"])
        case "print":
            print(json.dumps(detail["text"] if "text" in detail else dict(os.environ)), flush=True)
        case "fail":
            raise ValueError(detail["errorType"])


def record(item, request_id):
    table = boto3.client("dynamodb")
    key = {"pk": {"S": item}}
    try:
        table.put_item(
            TableName=os.environ["LEDGER_TABLE"],
            ConditionExpression="attribute_not_exists(pk)",
            Item={**key, "first": {"S": request_id}},
        )
    except table.exceptions.ConditionalCheckFailedException:
        table.update_item(
            TableName=os.environ["LEDGER_TABLE"],
            Key=key,
            UpdateExpression="SET again = :id",
            ExpressionAttributeValues={":id": {"S": request_id}},
        )


def send_subsegment(trace, name):
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    document = {"type": "subsegment", "trace_id": trace["Root"], "parent_id": trace["Parent"], "name": name}
    text = '{"format": "json", "version": 1}\n' + json.dumps(document)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.sendto(text.encode(), (host, int(port)))


def main():
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = runtime.getresponse()
        event, request_id = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        print(json.dumps({"requestId": request_id}), flush=True)
        try:
            handle(event, request_id, answer.headers["Lambda-Runtime-Trace-Id"])
            outcome, content = "response", None
        except Exception as error:
            outcome, content = "error", {"errorType": str(error), "errorMessage": "as told"}
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/{outcome}", json.dumps(content))
        runtime.getresponse().read()


if __name__ == "__main__":
    main()
