"""Lambda as EventBridge and SNS use it: asynchronous, retried, never losing an event.

MiniStack calls a function once for an event and forgets it when it fails or is throttled. Here each event
becomes an `Invocation` in the queue of its function, and what AWS promises for the asynchronous path holds:
- a failed attempt (an error, a timeout, a killed process) is repeated, by default twice, with the SAME aws
  request id;
- the first pause is LAMBDA_ASYNC_RETRY_BASE_SECONDS (0.2), doubled each time; MaximumRetryAttempts and
  MaximumEventAgeInSeconds of the function's event invoke configuration are honoured;
- after the last attempt the event goes to the OnFailure destination, or as it is to the dead-letter queue;
- an event that finds the reserved concurrency used up waits in the queue and spends no attempt.

A function process gets what Lambda gives it and no more: a session of the function's own role (so that its
calls are that role's, in CloudTrail too), the log format of its LoggingConfig, a trace header for every
invocation with the address of an X-Ray daemon (`traces.py`), and none of this machine's environment.

It cannot: OnSuccess destinations, EventBridge as a destination, more than UNRESERVED concurrent environments
for a function without reserved concurrency (two cores do not run a thousand).
"""

import asyncio
import collections
import contextvars
import datetime
import hashlib
import json
import logging
import os
import signal
import threading
import time

from ministack.core import lambda_runtime
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, iam, lambda_svc, sns, sqs, sts

import scope
import traces
from patching import current, replace

RETRY_BASE_SECONDS = float(os.environ.get("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.2"))
UNRESERVED = int(os.environ.get("LOCALAWS_UNRESERVED_CONCURRENCY", "10"))
# What a function process may see of this machine's environment.
INHERITED = ("PATH", "TMPDIR", "AWS_ENDPOINT_URL", "RUST_BACKTRACE", "LLVM_PROFILE_FILE")

log = logging.getLogger("localaws.lambda")


def install():
    for name in (
        "_get_func_record_for_ref",
        "_execution_record_for_config",
        "_reserved_concurrency",
        "_inflight_key",
        "_inflight",
        "_emit_lambda_metrics",
        "_account_region_from_function_config",
    ):
        current(lambda_svc, name)
    current(lambda_runtime, "_workers")
    current(eventbridge, "_dispatch_to_sqs")

    @replace(lambda_svc, "invoke_async_with_retry")
    def invoke_async_with_retry(_original, function, event):
        config = function.get("config") or function
        account, region = lambda_svc._account_region_from_function_config(config)
        with scope.of(account, region):
            submit(qualified_arn(config), event)

    @replace(eventbridge, "_dispatch_to_lambda")
    def dispatch_to_lambda(_original, arn, payload):
        submit(arn, json.loads(payload))

    @replace(sns, "_deliver_to_lambda")
    def deliver_to_lambda(_original, endpoint, envelope, _topic_arn, subscription_arn, *_rest):
        submit(
            endpoint,
            {
                "Records": [
                    {
                        "EventVersion": "1.0",
                        "EventSubscriptionArn": subscription_arn,
                        "EventSource": "aws:sns",
                        "Sns": json.loads(envelope),
                    }
                ]
            },
        )

    # A rule whose function is gone cannot deliver; AWS then uses the dead-letter queue of the target.
    @replace(eventbridge, "_invoke_target")
    def invoke_target(original, target, event, rule, view=None):
        arn = target.get("Arn", "")
        if ":lambda:" not in arn or lambda_svc._get_func_record_for_ref(arn)[0]:
            return original(target, event, rule, view)
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        if dead_letters:
            view = view or eventbridge._pattern_event_view(event)
            send_to_queue(
                dead_letters,
                json.dumps(view.event_with_detail()),
                {
                    "RULE_ARN": rule.get("Arn", ""),
                    "TARGET_ARN": arn,
                    "ERROR_CODE": "RESOURCE_NOT_FOUND",
                    "ERROR_MESSAGE": f"No function was found with ARN: {arn}",
                },
            )

    # Each attempt draws a new id in MiniStack; the attempts of one event share theirs.
    @replace(lambda_svc, "_execute_function_dispatch")
    def execute_function_dispatch(original, function, config, event, request_id, started):
        return original(function, config, event, attempt_request_id.get() or request_id, started)

    @replace(lambda_svc, "_xray_trace_id_for_invocation")
    def trace_header(_original, config, _inbound=None):
        return traces.daemon.begin(config)

    @replace(lambda_svc, "_release_execution_slot")
    def release_execution_slot(original, key):
        traces.daemon.read()
        original(key)
        if key in queues:
            queues[key].slot_was_released()

    for name in ("_put_function_concurrency", "_delete_function_concurrency"):

        @replace(lambda_svc, name)
        def change_function_concurrency(original, name, *arguments):
            answer = original(name, *arguments)
            function = lambda_svc._functions.get(name)
            queue = queues.get(lambda_svc._inflight_key(function["config"])) if function else None
            if queue:
                queue.pump()
            return answer

    # Headers and body leave in two writes: Nagle and a delayed acknowledgement would cost 40 ms per
    # invocation.
    @replace(lambda_runtime.ProvidedWorker, "_build_handler_class")
    def build_handler_class(original, worker, generation, pending):
        handler = original(worker, generation, pending)
        handler.disable_nagle_algorithm = True
        return handler

    # CloudFormation names the function and no account: its namesakes in other accounts would be killed too.
    @replace(lambda_svc, "invalidate_worker")
    def invalidate_worker(original, name, qualifier=None, account=None, region=None):
        original(name, qualifier, account or scope.account(), region or scope.region())

    @replace(lambda_svc, "execution_credentials")
    def credentials_for_pooled_runtimes(_original, config):
        return execution_credentials(config)

    @replace(lambda_runtime, "execution_credentials")
    def credentials_for_workers(_original, config):
        return execution_credentials(config)

    @replace(lambda_svc, "_provided_worker_env")
    def provided_worker_env(original, config, code_folder, port):
        return worker_environment(original(config, code_folder, port), config)


# ---- the asynchronous path ---------------------------------------------------------------------------------

attempt_request_id = contextvars.ContextVar("localaws_request_id", default=None)
queues = {}
queues_lock = threading.Lock()


class Invocation:
    """One event on its way through a function."""

    def __init__(self, function_arn, event):
        self.function_arn = function_arn
        self.event = event
        self.account = scope.account()
        self.region = scope.region()
        self.request_id = new_uuid()
        self.accepted = time.time()
        self.attempts = 0


class Pending:
    """How many invocations an account has waiting, pausing or running."""

    def __init__(self):
        self._count = collections.Counter()
        self._lock = threading.Lock()
        self._changed = scope.Signal()

    def add(self, account):
        with self._lock:
            self._count[account] += 1

    def remove(self, account):
        with self._lock:
            self._count[account] -= 1
            idle = not self._count[account]
        if idle:
            self._changed.announce()

    def count(self, account):
        return self._count[account]

    async def until_idle(self, account, timeout):
        return await self._changed.until(lambda: not self._count[account], timeout)


pending = Pending()


async def until_queues_are_read(account, timeout):
    """Until no queue that feeds a function has a message to give, and none that was given is being worked on.

    A message that a function gave back is not waited for: it comes again when its visibility timeout is over.
    """
    give_up = time.monotonic() + timeout
    while any(feeds(mapping) for owner, _, mapping in lambda_svc._iter_all_esms() if owner == account):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


def feeds(mapping):
    if lambda_svc._esm_inflight.get(mapping["UUID"]):
        return True
    queue = sqs._queue_by_arn(mapping.get("EventSourceArn", ""))
    now = time.time()
    return any(message.get("visible_at", 0) <= now for message in (queue or {}).get("messages", []))


def qualified_arn(config):
    """The ARN that leads back to this very version; `$LATEST` is what the plain ARN means."""
    version = config.get("Version", "$LATEST")
    arn = config["FunctionArn"]
    return arn if version == "$LATEST" or arn.endswith(f":{version}") else f"{arn}:{version}"


def submit(function_arn, event):
    function, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if not function:
        log.warning("no function %s for an event", function_arn)
        return
    key = lambda_svc._inflight_key(config)
    with queues_lock:
        queue = queues.setdefault(key, FunctionQueue(key))
    pending.add(scope.account())
    queue.add(Invocation(function_arn, event))


class FunctionQueue:
    """The events of one function, and the threads that take them to it: as many as may run at once."""

    def __init__(self, key):
        self.key = key
        self._ready = collections.deque()
        self._threads = 0
        self._limit = UNRESERVED
        self._lock = threading.Lock()
        self._slot = threading.Condition()

    def add(self, invocation):
        with self._lock:
            self._ready.append(invocation)
        self.pump()

    def slot_was_released(self):
        with self._slot:
            self._slot.notify()

    def pump(self):
        """Starts threads for the events that have none, as many as the concurrency allows."""
        with self._lock:
            if not self._ready:
                return
            self._limit = self._concurrency(self._ready[0])
            starting = max(0, min(len(self._ready), self._limit - self._threads))
            self._threads += starting
        for _ in range(starting):
            threading.Thread(target=self._work, name=f"async {self.key}", daemon=True).start()

    def _concurrency(self, invocation):
        with scope.of(invocation.account, invocation.region):
            function, config, _ = lambda_svc._get_func_record_for_ref(invocation.function_arn)
            reserved = lambda_svc._reserved_concurrency(function, config) if function else None
        return UNRESERVED if reserved is None else reserved

    def _work(self):
        while True:
            with self._lock:
                if not self._ready or self._threads > self._limit:
                    self._threads -= 1
                    return
                invocation = self._ready.popleft()
            comes_back = False
            try:
                with scope.of(invocation.account, invocation.region):
                    comes_back = self._attempt(invocation)
            except Exception:
                log.exception("invocation %s of %s broke the stack", invocation.request_id, self.key)
            finally:
                if not comes_back:
                    pending.remove(invocation.account)

    def _attempt(self, invocation):
        """Runs the function once; true when the invocation comes back for another attempt."""
        function, config, name = lambda_svc._get_func_record_for_ref(invocation.function_arn)
        if not function:
            log.warning("function %s was deleted with an event on its way", invocation.function_arn)
            return False
        record = lambda_svc._execution_record_for_config(function, config)
        settings = event_invoke_config(function, config)

        token = attempt_request_id.set(invocation.request_id)
        try:
            started = time.time()
            result = lambda_svc._execute_function(record, invocation.event)
            # Synchronous calls share the concurrency and may have taken the last slot.
            while result.get("throttle"):
                self._await_slot(function, config)
                started = time.time()
                result = lambda_svc._execute_function(record, invocation.event)
        finally:
            attempt_request_id.reset(token)

        invocation.attempts += 1
        failed = bool(result.get("error"))
        lambda_svc._emit_lambda_metrics(name, (time.time() - started) * 1000, error=failed, throttle=False)
        if not failed:
            return False

        pause = RETRY_BASE_SECONDS * 2 ** (invocation.attempts - 1)
        too_old = time.time() + pause - invocation.accepted > settings["age"]
        if invocation.attempts <= settings["retries"] and not too_old:
            scope.call_later(pause, self.add, invocation)
            return True
        hand_over_failure(settings, config, invocation, result)
        return False

    def _await_slot(self, function, config):
        def free():
            limit = lambda_svc._reserved_concurrency(function, config)
            return limit is None or lambda_svc._inflight.get(self.key, 0) < limit

        with self._slot:
            self._slot.wait_for(free)


def event_invoke_config(function, config):
    settings = (
        (function.get("event_invoke_configs") or {}).get("$LATEST")
        or function.get("event_invoke_config")
        or {}
    )
    retries = settings.get("MaximumRetryAttempts")
    return {
        "retries": 2 if retries is None else int(retries),
        "age": int(settings.get("MaximumEventAgeInSeconds") or 21600),
        "on_failure": ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination"),
        "dead_letters": (config.get("DeadLetterConfig") or {}).get("TargetArn"),
    }


def hand_over_failure(settings, config, invocation, result):
    """Both, when both are configured: a destination gets a report about the event, a dead-letter queue the
    event.
    """
    body = result.get("body") if isinstance(result.get("body"), dict) else {}
    if settings["on_failure"]:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        exhausted = invocation.attempts > settings["retries"]
        deliver(
            settings["on_failure"],
            json.dumps(
                {
                    "version": "1.0",
                    "timestamp": now.replace("+00:00", "Z"),
                    "requestContext": {
                        "requestId": invocation.request_id,
                        "functionArn": f"{config['FunctionArn']}:{config.get('Version', '$LATEST')}",
                        "condition": "RetriesExhausted" if exhausted else "EventAgeExceeded",
                        "approximateInvokeCount": invocation.attempts,
                    },
                    "requestPayload": invocation.event,
                    "responseContext": {
                        "statusCode": 200,
                        "executedVersion": config.get("Version", "$LATEST"),
                        "functionError": result.get("function_error") or "Unhandled",
                    },
                    "responsePayload": body,
                }
            ),
            {},
        )
    if settings["dead_letters"]:
        deliver(
            settings["dead_letters"],
            json.dumps(invocation.event),
            {
                "RequestID": invocation.request_id,
                "ErrorCode": "200",
                "ErrorMessage": str(body.get("errorMessage", "")),
            },
        )


def deliver(arn, text, attributes):
    service = parse_arn(arn).service
    if service == "sqs":
        send_to_queue(arn, text, attributes)
    elif service == "sns":
        sns.publish_internal(arn, text, "AWS Lambda asynchronous invocation failure")
    elif service == "lambda":
        submit(arn, json.loads(text))
    else:
        log.error("a failed event was lost: %s is no destination this stack can reach", arn)


def send_to_queue(arn, text, attributes):
    try:
        queue = sqs._queue_by_arn(arn)
    except ArnParseError:
        queue = None
    if not queue:
        log.error("a failed event was lost: there is no queue %s", arn)
        return
    eventbridge._dispatch_to_sqs(parse_arn(arn), text)
    queue["messages"][-1]["message_attributes"] = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
    }


# ---- function processes ------------------------------------------------------------------------------------


def execution_credentials(config):
    """A session of the function's role: one for each function and role, as long as the stack lives."""
    account, _ = lambda_svc._account_region_from_function_config(config)
    role_name = config.get("Role", "").rsplit("/", 1)[-1]
    session_name = config["FunctionName"][:64]
    role_id = (iam._roles.get_scoped(account, None, role_name) or {}).get("RoleId", "AROAEXAMPLE")
    digest = hashlib.sha256(f"{config['FunctionArn']} {role_name} {role_id}".encode()).hexdigest()
    access_key_id = "ASIA" + digest[:16].upper()
    secret, token = digest[16:56], digest[24:]
    if access_key_id not in sts._sessions:
        sts.register_session(
            access_key_id,
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
                "UserId": f"{role_id}:{session_name}",
                "AccountId": account,
                "PrincipalType": "AssumedRole",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
    return {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def worker_environment(environment, config):
    own = (config.get("Environment") or {}).get("Variables") or {}
    kept = {
        name: value
        for name, value in environment.items()
        if name in own or name in INHERITED or os.environ.get(name) != value
    }
    kept.update(
        {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', '')}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": traces.daemon.address,
            "AWS_LAMBDA_LOG_GROUP_NAME": (config.get("LoggingConfig") or {}).get("LogGroup")
            or f"/aws/lambda/{config['FunctionName']}",
        }
    )
    logging_config = config.get("LoggingConfig") or {}
    if logging_config.get("LogFormat") == "JSON":
        kept["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        kept["AWS_LAMBDA_LOG_LEVEL"] = logging_config.get("ApplicationLogLevel", "INFO")
    return kept


def kill_function_processes(account):
    """kill -9 for every function process of the account; true when there was one, and then it is dead."""
    with lambda_runtime._lock:
        processes = [
            worker._proc
            for key, workers in lambda_runtime._workers.items()
            if key.startswith(f"{account}:")
            for worker in workers
            if worker._proc is not None
        ]
    living = [process for process in processes if process.poll() is None]
    for process in living:
        process.send_signal(signal.SIGKILL)
    for process in living:
        process.wait()
    return bool(living)
