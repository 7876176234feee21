"""S3's events with the version of their object.

MiniStack tells classic notifications which version of an object an event is of, and leaves it out of what it
tells EventBridge. S3 has it there as `version-id`, in buckets with versions.
"""

import contextvars
import json

from ministack.services import eventbridge, s3

from patching import replace

version = contextvars.ContextVar("version", default=None)


def install():
    @replace(s3, "_fire_s3_event")
    def fire(original, *arguments, **keywords):
        token = version.set(keywords.get("version_id"))
        try:
            original(*arguments, **keywords)
        finally:
            version.reset(token)

    @replace(eventbridge, "_dispatch_event")
    def dispatch(original, event, *arguments, **keywords):
        if event.get("Source") == "aws.s3" and version.get():
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version.get()
            event = {**event, "Detail": json.dumps(detail)}
        return original(event, *arguments, **keywords)
