"""API calls that go wrong on demand, and the log of every API call.

A fault belongs to an account and names a service and an operation. It lets `skip` calls pass and then strikes
`times` calls (-1: every further one) in one of these ways:
- "error" (with "status", "message", "fields"): the call is not carried out and answers this error, in the
  wire format of the request: JSON with __type, query XML, or S3's XML;
- "kill": "before" or "after": the account's function processes are killed with SIGKILL, and only then the
  call is dropped, or has already been carried out. Nobody gets the answer;
- "delayMilliseconds": the answer comes late; alone or with one of the above.
Faults of one operation strike in the order they were set; each call meets one fault at most.

A Session Manager call that is refused, by such an error or by IAM, is recorded as CloudTrail records a
refused call.

It cannot reach calls that MiniStack answers off its main path: presigned and virtual-hosted S3 requests.
"""

import asyncio
import collections
import datetime
import json
import threading

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import AccountScopedDict, error_response_json, error_response_xml
from ministack.core.router import detect_service, extract_access_key_id

import lambda_patches
import scope
import session_manager
from patching import replace

CALLS_KEPT = 50_000
# The names people know services by, and MiniStack's.
SERVICES = {
    "resourcegroupstaggingapi": "tagging",
    "tag": "tagging",
    "cloudwatch": "monitoring",
    "eventbridge": "events",
}
QUERY_NAMESPACES = {
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}

faults = AccountScopedDict()
calls = AccountScopedDict()
lock = threading.Lock()


def install():
    @replace(app, "_dispatch_service_request")
    async def dispatch(original, method, path, headers, body, query, request_id):
        service, operation = named(method, path, headers, body, query)
        call = note(service, operation, headers, query)
        fault = next_fault(service, operation)
        if fault:
            if fault.get("delayMilliseconds"):
                await asyncio.sleep(fault["delayMilliseconds"] / 1000)
            if fault.get("kill") == "before":
                return await killed(call)
            if fault.get("error"):
                call["error"] = fault["error"]
                return erroneous(fault, service, operation, headers, body, query)
        answer = await original(method, path, headers, body, query, request_id)
        if answer[0] >= 400:
            call["error"] = error_code(answer)
            if was_refused(service, operation, call["error"]):
                message = json.loads(answer[2]).get("Message")
                session_manager.record_refusal(operation, headers, body, query, message)
        if fault and fault.get("kill") == "after":
            return await killed(call)
        return answer


def named(method, path, headers, body, query):
    """The service and the operation, as a person would name them."""
    parameters = app._routing_params(method, path, headers, body, query)
    service = detect_service(method, path, headers, parameters)
    if "/operation/" in path:
        # Smithy's RPC protocol has both in the path.
        return service, path.rsplit("/", 1)[-1]
    return service, app._ct_event_name(service, method, path, headers, parameters)


# ---- faults ------------------------------------------------------------------------------------------------


def add(data):
    kinds = [kind for kind in ("error", "kill") if data.get(kind)]
    if len(kinds) > 1 or not (kinds or data.get("delayMilliseconds")):
        raise ValueError("a fault has one of `error` and `kill`, or `delayMilliseconds`")
    if data.get("kill") not in (None, "before", "after"):
        raise ValueError("`kill` is `before` or `after`")
    fault = {"times": 1, "skip": 0, **data, "service": SERVICES.get(data["service"], data["service"])}
    with lock:
        faults.setdefault("all", []).append(fault)
    return fault


def clear():
    with lock:
        faults.pop("all", None)


def next_fault(service, operation):
    """The fault this call meets, if any; its counters move on."""
    with lock:
        for fault in faults.get("all") or ():
            if (fault["service"], fault["operation"]) != (service, operation) or not fault["times"]:
                continue
            if fault["skip"] > 0:
                fault["skip"] -= 1
                return None
            if fault["times"] > 0:
                fault["times"] -= 1
            return fault
    return None


def erroneous(fault, service, operation, headers, body, query):
    code, status = fault["error"], fault.get("status", 400)
    message = fault.get("message") or f"{code} on demand."
    if was_refused(service, operation, code):
        message = session_manager.record_refusal(operation, headers, body, query)
    if headers.get("x-amz-target"):
        content_type = headers.get("content-type", "application/x-amz-json-1.0")
        return error_response_json(code, message, status, fault.get("fields"), content_type=content_type)
    if service == "s3":
        text = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        return status, {"Content-Type": "application/xml"}, text.encode()
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        return error_response_xml(
            code, message, status, QUERY_NAMESPACES.get(service, "http://amazonaws.com/")
        )
    return error_response_json(code, message, status, fault.get("fields"), content_type="application/json")


def was_refused(service, operation, code):
    """Whether this is a refusal that CloudTrail keeps for us: the call was never carried out, so nothing else
    did.
    """
    return (
        service == "ssm"
        and operation in session_manager.SESSION_OPERATIONS
        and code.startswith("AccessDenied")
    )


async def killed(call):
    """What a call answers whose caller is dead: nobody reads it, unless the caller was no function."""
    account = scope.account()
    call["error"] = "killed"
    await asyncio.to_thread(lambda_patches.kill_function_processes, account)
    return error_response_json("InternalServerError", "The caller was killed on demand.", 500)


# ---- the log of calls --------------------------------------------------------------------------------------


def note(service, operation, headers, query):
    now = (
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
    call = {
        "service": service,
        "operation": operation,
        "at": now,
        "key": extract_access_key_id(headers, query),
    }
    kept = calls.get("all")
    if kept is None:
        kept = calls.setdefault("all", collections.deque(maxlen=CALLS_KEPT))
    kept.append(call)
    return call


def logged(service=None, operation=None):
    """The account's calls, oldest first, each with the ARN of who made it."""
    service = SERVICES.get(service, service)
    callers = {}
    answer = []
    for call in list(calls.get("all") or ()):
        if service not in (None, call["service"]) or operation not in (None, call["operation"]):
            continue
        shown = {name: value for name, value in call.items() if name != "key"}
        key = call["key"]
        if key not in callers:
            credential = iam_evaluator.resolve_credential(key, scope.account())
            callers[key] = getattr(credential, "principal_arn", "")
        answer.append({**shown, "caller": callers[key]})
    return answer


def error_code(answer):
    _, headers, body = answer
    kind = {name.lower(): value for name, value in headers.items()}.get("x-amzn-errortype")
    if kind:
        return kind.split(":")[0]
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    if text.startswith("{"):
        try:
            return str(json.loads(text).get("__type", "")).rsplit("#", 1)[-1] or "Unknown"
        except ValueError:
            return "Unknown"
    return text.partition("<Code>")[2].partition("</Code>")[0] or "Unknown"
