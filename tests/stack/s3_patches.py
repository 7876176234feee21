"""S3: its events with the version of their object and with who wrote it, and parts of versions.

MiniStack tells classic notifications which version of an object an event is of, and leaves it out of what it
tells EventBridge. S3 has it there as `version-id`, in buckets with versions. And MiniStack has the owner of the bucket as the
`requester`, where S3 has the account of whoever called.

GetObject of a version takes a range, as of any object.

An event is told before the caller has its answer, and not by a thread that nobody can wait for; on AWS it comes a moment later.
"""

import contextvars
import json

from ministack.services import eventbridge, s3

import scope
from patching import replace

version = contextvars.ContextVar("version", default=None)
requester = contextvars.ContextVar("requester", default=None)


def install():
    @replace(s3, "handle_request")
    async def handle_request(original, *arguments, **keywords):
        # MiniStack goes over to the account of the bucket while it answers.
        requester.set(scope.account())
        return await original(*arguments, **keywords)

    @replace(s3, "_fire_s3_event")
    def fire(original, *arguments, **keywords):
        token = version.set(keywords.get("version_id"))
        try:
            original(*arguments, **keywords)
        finally:
            version.reset(token)

    @replace(s3, "_get_object")
    def get_object(original, bucket, key, headers, query=None):
        status, answer, body = original(bucket, key, headers, query)
        if status != 200 or not headers.get("range") or "versionId" not in (query or {}):
            return status, answer, body
        asked = s3._parse_range(headers["range"], len(body))
        if asked is None:
            error = s3._xml_body(s3._range_error_xml(bucket, key))
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}, error
        first, last = asked
        part = body[first : last + 1]
        place = {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
        # A checksum is of the whole.
        answer = {name: value for name, value in answer.items() if "checksum" not in name.lower()}
        return 206, {**answer, **place}, part

    @replace(s3, "_fire_s3_event_async")
    def fire_at_once(
        _original, bucket, key, event, size=0, etag="", deletion_type=None, version_id=None, **extra
    ):
        if bucket in s3._bucket_notifications:
            sequencer = s3._next_event_sequencer(event)
            s3._fire_s3_event(
                bucket, key, event, size, etag, deletion_type, version_id=version_id, sequencer=sequencer, **extra
            )

    @replace(eventbridge, "_dispatch_event")
    def dispatch(original, event, *arguments, **keywords):
        if event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            if version.get():
                detail["object"]["version-id"] = version.get()
            if requester.get():
                detail["requester"] = requester.get()
            event = {**event, "Detail": json.dumps(detail)}
        return original(event, *arguments, **keywords)
