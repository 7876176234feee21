"""Session Manager: the calls, the states of a session, and what its end leaves behind.

StartSession, ResumeSession and TerminateSession answer as the API does and put a CloudTrail record on the bus
(`cloudtrail.py`). A session is Connected, then Terminating, then Terminated with an end date;
DescribeSessions lists the first under Active and the others under History. A shell session (`shells.py`) is
opened for a document that gives one, on a node that was registered with "Shell": true; it also ends when its
shell ends, and then, as on AWS, without a TerminateSession record. Its log goes to the bucket of the session
preferences: of the account's document SSM-SessionManagerRunShell (`documents.py`), or, where it has none, those that
the admin path set. With IAM enforced, a node with a role puts its log only if the role may.

What AWS documents nowhere is a choice here: a session stays Terminating for 20 ms, Terminating counts as
History, TerminateSession of an ended session succeeds and of an unknown one is DoesNotExistException.

It cannot: serve the data channel (a StreamUrl leads nowhere), end sessions by idle time or duration, stream to
CloudWatch Logs, refuse a session because its log has nowhere to go, or read any other session document.
"""

import base64
import functools
import json
import logging
import os
import re
import secrets
import string
import time

from ministack import app
from ministack.core.responses import AccountRegionScopedDict, error_response_json, json_response
from ministack.services import s3, ssm

import cloudtrail
import documents
import nodes
import scope
import shells
from patching import replace

SHELL_DOCUMENT = documents.PREFERENCES
ACTIVE = ("Connected", "Connecting", "Disconnected")
HISTORY = ("Terminating", "Terminated", "Failed")
TERMINATING_MILLISECONDS = 20
ALPHABET = string.digits + string.ascii_lowercase

log = logging.getLogger("localaws.sessions")
sessions = AccountRegionScopedDict()
behaviours = AccountRegionScopedDict()
preferences = AccountRegionScopedDict()
changed = scope.Signal()
state_folder = None


def install(state):
    global state_folder
    state_folder = os.path.join(state, "node")
    scope.install()
    cloudtrail.install()
    nodes.install()

    @replace(ssm, "handle_request")
    async def handle_request(original, method, path, headers, body, query):
        operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if operation in SESSION_OPERATIONS:
            return SESSION_OPERATIONS[operation](json.loads(body or b"{}"), cloudtrail.Caller(headers, query))
        if operation in documents.OPERATIONS:
            return documents.answer(operation, json.loads(body or b"{}"))
        if operation in READ_OPERATIONS:
            return READ_OPERATIONS[operation](json.loads(body or b"{}"))
        if operation == "ListTagsForResource":
            data = json.loads(body or b"{}")
            if data.get("ResourceType") == "ManagedInstance":
                return nodes.list_tags(data.get("ResourceId"))
        return await original(method, path, headers, body, query)


class Session:
    def __init__(self, session_id, target, owner, owner_id, document=None, reason=None, status="Connected"):
        self.id = session_id
        self.target = target
        self.owner = owner
        self.owner_id = owner_id
        self.document = document
        self.reason = reason
        self.status = status
        self.started = time.time()
        self.ended = None
        self.shell = None
        self.output_url = {}

    def described(self):
        """The session as DescribeSessions lists it; what is not known is left out."""
        described = {
            "SessionId": self.id,
            "Target": self.target,
            "Status": self.status,
            "StartDate": round(self.started, 3),
            "EndDate": self.ended and round(self.ended, 3),
            "DocumentName": self.document or SHELL_DOCUMENT,
            "Owner": self.owner,
            "Reason": self.reason,
            "OutputUrl": self.output_url,
            "AccessType": "Standard",
        }
        return {name: value for name, value in described.items() if value is not None}

    def tags(self):
        """The tags that Systems Manager puts on each session, and nobody else can. The first is named for the session and
        has the `aws:userid` of who opened it.
        """
        return {"aws:ssmmessages:session-id": self.owner_id, "aws:ssmmessages:target-id": self.target}

    def become(self, status):
        self.status = status
        if status in ("Terminated", "Failed"):
            self.ended = time.time()
        changed.announce()


# ---- calls that CloudTrail records -------------------------------------------------------------------------


def start_session(data, caller):
    target = data.get("Target", "")
    request = {
        name: data[key]
        for key, name in (
            ("Target", "target"),
            ("DocumentName", "documentName"),
            ("Reason", "reason"),
            ("Parameters", "parameters"),
        )
        if data.get(key)
    }
    if not nodes.is_reachable(target):
        message = f"{target} is not connected."
        cloudtrail.record(caller, "StartSession", request, None, ("TargetNotConnected", message))
        return error_response_json("TargetNotConnected", message, 400)

    session_id = caller.name + "-" + "".join(secrets.choice(ALPHABET) for _ in range(26))
    owner_id = caller.identity["principalId"]
    session = Session(session_id, target, caller.arn, owner_id, data.get("DocumentName"), data.get("Reason"))
    sessions[session_id] = session
    gives_a_shell = session.document in (None, SHELL_DOCUMENT)
    if gives_a_shell and (nodes.nodes.get(target) or {}).get("Shell"):
        open_shell(session)
    answer = {
        "sessionId": session_id,
        "streamUrl": stream_url(session_id),
        "tokenValue": "Value hidden due to security reasons.",
    }
    cloudtrail.record(caller, "StartSession", request, answer)
    return channel(session_id, answer)


def resume_session(data, caller):
    session_id = data.get("SessionId", "")
    session = sessions.get(session_id)
    if not session or session.status not in ACTIVE:
        return does_not_exist("ResumeSession", session_id, caller)
    session.become("Connected")
    answer = {
        "sessionId": session_id,
        "streamUrl": stream_url(session_id),
        "tokenValue": "Value hidden due to security reasons.",
    }
    cloudtrail.record(caller, "ResumeSession", {"sessionId": session_id}, answer)
    return channel(session_id, answer)


def terminate_session(data, caller):
    session_id = data.get("SessionId", "")
    session = sessions.get(session_id)
    if not session:
        return does_not_exist("TerminateSession", session_id, caller)
    if session.status in ACTIVE and not behaviour(session_id).get("ignoreTerminate"):
        end(session)
    cloudtrail.record(caller, "TerminateSession", {"sessionId": session_id}, {"sessionId": session_id})
    return json_response({"SessionId": session_id})


def does_not_exist(event_name, session_id, caller):
    message = f"Session {session_id} does not exist."
    cloudtrail.record(caller, event_name, {"sessionId": session_id}, None, ("DoesNotExistException", message))
    return error_response_json("DoesNotExistException", message, 400)


def record_refusal(operation, headers, body, query, message=None):
    """The record of a call that was refused: the request is not in it, and the target only in the message, which is that of
    IAM where IAM refused.
    """
    caller = cloudtrail.Caller(headers, query)
    message = message or (
        f"User: {caller.arn} is not authorized to perform: ssm:{operation} on resource: "
        f"{resource_of(operation, json.loads(body or b'{}'))} "
        f"because no identity-based policy allows the ssm:{operation} action"
    )
    cloudtrail.record(caller, operation, None, None, ("AccessDenied", message))
    return message


def resource_of(operation, data):
    """What a call is about, as IAM sees it. StartSession is about a document too."""
    if operation == "StartSession":
        return nodes.arn(data.get("Target", ""))
    return f"arn:aws:ssm:{scope.region()}:{scope.account()}:session/{data.get('SessionId', '')}"


def stream_url(session_id):
    cell = base64.b64encode(secrets.token_bytes(48)).decode()
    return (
        f"wss://ssmmessages.{scope.region()}.amazonaws.com/v1/data-channel/{session_id}"
        f"?role=publish_subscribe&cell-number={cell}"
    )


def channel(session_id, answer):
    token = base64.b64encode(secrets.token_bytes(96)).decode()
    return json_response({"SessionId": session_id, "StreamUrl": answer["streamUrl"], "TokenValue": token})


# ---- calls that read ---------------------------------------------------------------------------------------


def describe_sessions(data):
    states = {"Active": ACTIVE, "History": HISTORY}.get(data.get("State"))
    if not states:
        return error_response_json("ValidationException", "State must be Active or History.", 400)
    filters = {each.get("key"): each.get("value") for each in data.get("Filters") or []}
    unknown = set(filters) - set(FILTERS)
    if unknown:
        return error_response_json("InvalidFilterKey", f"{sorted(unknown)[0]} is not a filter key.", 400)

    # A look-up by id must not grow with the number of sessions.
    if "SessionId" in filters:
        named = sessions.get(filters["SessionId"])
        found = [named] if named else []
    else:
        found = sessions.values()
    found = [
        session
        for session in found
        if session.status in states and all(FILTERS[key](session, value) for key, value in filters.items())
    ]
    found.sort(key=lambda session: -session.started)
    first, limit = int(data.get("NextToken") or 0), int(data.get("MaxResults") or 50)
    answer = {"Sessions": [session.described() for session in found[first : first + limit]]}
    if first + limit < len(found):
        answer["NextToken"] = str(first + limit)
    return json_response(answer)


FILTERS = {
    "InvokedAfter": lambda session, value: cloudtrail.iso(session.started) >= value,
    "InvokedBefore": lambda session, value: cloudtrail.iso(session.started) <= value,
    "Target": lambda session, value: session.target == value,
    "Owner": lambda session, value: session.owner == value,
    "Status": lambda session, value: session.status == value,
    "SessionId": lambda session, value: session.id == value,
    "AccessType": lambda session, value: value == "Standard",
}


def get_connection_status(data):
    status = "connected" if nodes.is_reachable(data.get("Target", "")) else "notconnected"
    return json_response({"Target": data.get("Target", ""), "Status": status})


SESSION_OPERATIONS = {
    "StartSession": start_session,
    "ResumeSession": resume_session,
    "TerminateSession": terminate_session,
}
READ_OPERATIONS = {
    "DescribeSessions": describe_sessions,
    "GetConnectionStatus": get_connection_status,
    "DescribeInstanceInformation": nodes.describe_instance_information,
}


# ---- the life of a session ---------------------------------------------------------------------------------


def register(data):
    """A session that is simply there: no record, no shell."""
    session = Session(
        data["SessionId"],
        data["Target"],
        data.get("Owner") or f"arn:aws:iam::{scope.account()}:root",
        data.get("OwnerId") or scope.account(),
        data.get("DocumentName"),
        data.get("Reason"),
        data.get("Status") or "Connected",
    )
    if session.status in ("Terminated", "Failed"):
        session.ended = session.started
    sessions[session.id] = session
    return session


def set_behaviour(data):
    behaviours[data["SessionId"]] = {key: value for key, value in data.items() if key != "SessionId"}


def behaviour(session_id):
    return {**(behaviours.get("*") or {}), **(behaviours.get(session_id) or {})}


def end(session):
    session.become("Terminating")
    if session.shell:
        # The reader of the shell notices, makes the log and ends the session.
        session.shell.kill()
        return
    milliseconds = behaviour(session.id).get("terminatingMilliseconds", TERMINATING_MILLISECONDS)
    scope.call_later(milliseconds / 1000, session.become, "Terminated")


def open_shell(session):
    account, region = scope.account(), scope.region()

    def ended():
        with scope.of(account, region):
            session.become("Terminating")
            try:
                upload_log(session)
            finally:
                session.become("Terminated")

    root = os.path.join(state_folder, account, region)
    session.shell = shells.Shell(root, session.target, session.id, changed.announce, ended)


def upload_log(session):
    """PutObject as the agent does it; a failure is only noted on the node, so it is only noted here."""
    where = documents.preferences() or preferences.get("preferences") or {}
    bucket = where.get("s3BucketName")
    if not bucket:
        return
    content = session.shell.log()
    if content is None:
        log.warning("no log for %s: `script` is missing or failed", session.id)
        return
    prefix = where.get("s3KeyPrefix") or ""
    key = re.sub("/+", "/", f"{prefix}/{session.id.replace(':', '')}.log")
    if not prefix:
        key = key.lstrip("/")
    role = (nodes.nodes.get(session.target) or {}).get("Role")
    if role and not may(role, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}"):
        log.warning("the role %s may not put the log of %s in %s", role, session.id, bucket)
        return
    status, _, body = app.call_service_handler_sync(
        # The agent would sign with the role of its node; whether that one may is looked at above.
        functools.partial(s3.handle_request, internal=True),
        "PUT",
        f"/{bucket}/{key}",
        {
            "content-type": "text/plain",
            "x-amz-acl": "bucket-owner-full-control",
            "content-length": str(len(content)),
        },
        content,
        {},
    )
    if status != 200:
        log.warning("the log of %s could not be put in %s: %s", session.id, bucket, body)
        return
    session.output_url = {"S3OutputUrl": f"https://s3.{scope.region()}.amazonaws.com/{bucket}/{key}"}


def may(_role, _action, _resource):
    """Whether the role of a node may do this; `iam_patches.py` knows, where IAM is enforced."""
    return True
