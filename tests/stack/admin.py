"""The paths under /_localaws/: how tests and the demo steer the stack.

JSON in, JSON out. The account and the region are those of the request's Authorization header, as in any AWS
call; the signature itself is not looked at. `README.md` has every path with an example.
"""

import asyncio
import json
from urllib.parse import parse_qs, unquote

from ministack import app

import cloudtrail
import deliveries
import event_patches
import faults
import lambda_patches
import nodes
import scope
import session_manager
import traces


class Refused(Exception):
    """A request that cannot be done, with its status and its reason in a sentence."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


def application():
    return Application(app.app)


class Application:
    """MiniStack's ASGI application, with the admin paths in front. `started` is set when it serves."""

    def __init__(self, inner):
        self.inner = inner
        self.started = asyncio.Event()

    async def __call__(self, received_scope, receive, send):
        if received_scope["type"] == "lifespan":
            return await self.inner(received_scope, receive, self._telling_when_started(send))
        if received_scope["type"] == "http" and received_scope["path"].startswith("/_localaws/"):
            return await answer_admin(received_scope, receive, send)
        return await self.inner(received_scope, receive, send)

    def _telling_when_started(self, send):
        async def forward(message):
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self.started.set()

        return forward


async def answer_admin(received_scope, receive, send):
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in received_scope["headers"]
    }
    scope.enter(headers)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    query = {
        name: values[0] for name, values in parse_qs(received_scope.get("query_string", b"").decode()).items()
    }
    parts = [unquote(part) for part in received_scope["path"].split("/")[2:]]
    try:
        status, answer = 200, await route(
            received_scope["method"], parts, query, json.loads(body) if body else {}
        )
    except Refused as refusal:
        status, answer = refusal.status, {"error": str(refusal)}
    except (KeyError, ValueError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        status, answer = 400, {"error": reason}
    content = json.dumps(answer).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(content)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def route(method, parts, query, data):
    match method, *parts:
        case "GET", "ready":
            return {"ready": True}
        case "GET", "idle":
            return await idle(float(query.get("timeout", 60)))
        case "GET", "calls":
            return faults.logged(query.get("service"), query.get("operation"))
        case "GET", "traces":
            return traces.daemon.traces()
        case "GET", "deliveries":
            return deliveries.made(query.get("protocol"), int(query.get("after", 0)))
        case "POST", "events":
            status, answer = cloudtrail.put_events(data["Entries"])
            if status != 200:
                raise Refused(status, answer.get("message", "the events were refused"))
            return answer
        case "POST", "faults":
            return faults.add(data)
        case "DELETE", "faults":
            faults.clear()
            return {}
        case "POST", "nodes":
            return nodes.register(data)
        case "POST", "sessions":
            return session_manager.register(data).described()
        case "POST", "session-behaviour":
            session_manager.set_behaviour(data)
            return {}
        case "POST", "session-preferences":
            session_manager.preferences["preferences"] = data
            return {}
        case "POST", "organization":
            event_patches.join(data["Id"])
            return {}
        case "POST", "source-address":
            cloudtrail.set_source_address(data["address"])
            return {}
        case "POST", "sessions", session_id, "input":
            return type_into(known_session(session_id), data["text"])
        case "POST", "sessions", session_id, "wait":
            return await wait(known_session(session_id), data)
        case "GET", "sessions", session_id, "output":
            return {"output": text(known_session(session_id))}
    raise Refused(404, f"there is no {method} /_localaws/{'/'.join(parts)}")


async def idle(timeout):
    account = scope.account()
    if not await lambda_patches.pending.until_idle(account, timeout):
        raise Refused(
            504, f"{lambda_patches.pending.count(account)} invocations are not done after {timeout:g} s"
        )
    if not await lambda_patches.until_queues_are_read(account, timeout):
        raise Refused(504, f"a queue still feeds a function after {timeout:g} s")
    # What a queue's function did may have invoked others.
    if not await lambda_patches.pending.until_idle(account, timeout):
        raise Refused(504, f"{lambda_patches.pending.count(account)} invocations are not done after {timeout:g} s")
    return {"idle": True}


def known_session(session_id):
    session = session_manager.sessions.get(session_id)
    if not session:
        raise Refused(404, f"there is no session {session_id}")
    return session


def text(session):
    if not session.shell:
        raise Refused(409, f'session {session.id} has no shell; is its node registered with "Shell": true?')
    return session.shell.output().decode("utf-8", "replace")


def type_into(session, typed):
    offset = len(text(session))
    if not session.shell.type(typed):
        raise Refused(409, f"the shell of session {session.id} has ended")
    return {"offset": offset}


async def wait(session, data):
    """Waits for text in the shell's output (after "from" characters), or for a status of the session."""
    timeout = float(data.get("timeout", 5))
    if "status" in data:
        wanted, what = (lambda: session.status == data["status"]), f"to be {data['status']}"
    else:
        text(session)
        wanted, what = (
            lambda: data["for"] in text(session)[data.get("from", 0) :]
        ), f"to print {data['for']!r}"
    if not await session_manager.changed.until(wanted, timeout):
        raise Refused(504, f"session {session.id} ({session.status}) did not come {what} in {timeout:g} s")
    return {"status": session.status, "output": text(session) if session.shell else ""}
