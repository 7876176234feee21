"""Whose call this is: the account and region of the request at hand.

MiniStack keeps both in context variables and reads them from the signature: a 12-digit access key id is the
account, a temporary key belongs to its STS session, and the region is the one that was signed for. The key of
an IAM user (AKIA...) is looked up here as well; MiniStack does that only when it also enforces IAM.

Everything this stack stores is kept per account, or per account and region, so that tests which use an
account each do not meet.
"""

import asyncio
import contextvars

from ministack import app
from ministack.core import iam_evaluator, responses
from ministack.core.router import extract_access_key_id, extract_region

from patching import replace

account = responses.get_account_id
region = responses.get_region
of = responses.request_scope


def install():
    @replace(app, "set_request_account_id")
    def set_request_account_id(original, access_key_id):
        original(iam_evaluator.find_iam_access_key_account(access_key_id) or access_key_id)


def enter(headers):
    """Takes the scope from a request that MiniStack does not see, such as an admin call."""
    access_key_id = extract_access_key_id(headers)
    if access_key_id:
        app.set_request_account_id(access_key_id)
    responses.set_request_region(extract_region(headers))


def loop():
    """The loop that serves requests."""
    return app._MAIN_LOOP


def call_later(seconds, function, *arguments):
    """Runs `function` on the serving loop after `seconds`, in the scope of now; callable from any thread."""
    context = contextvars.copy_context()
    loop().call_soon_threadsafe(lambda: loop().call_later(seconds, lambda: context.run(function, *arguments)))


class Signal:
    """Something that tasks wait for and any thread announces: `asyncio.Condition`, but across threads."""

    def __init__(self):
        self._waiting = set()

    def announce(self):
        try:
            loop().call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop is closed, and nobody waits any more.
            pass

    def _wake(self):
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, condition, timeout):
        """Waits until `condition()` holds; false when `timeout` seconds pass first."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not condition():
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            # Looked at again once the future is in place: an announcement in between would be missed
            # otherwise.
            if condition():
                self._waiting.discard(future)
                return True
            remaining = deadline - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait([future], timeout=max(0, remaining))
            if not done:
                self._waiting.discard(future)
                return condition()
        return True
