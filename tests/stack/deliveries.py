"""What SNS sends to the world: mail, text messages, and posts to hosts other than this machine.

None of it leaves. It is kept as the subscriber would have got it, for whoever asks (GET
/_localaws/deliveries); posts to this machine are made, as MiniStack makes them. A https subscription of another
host, such as Amazon Q Developer's, counts as confirmed at once, and one of a mail address too.

It cannot: lose or repeat a delivery, wait for a person's confirmation, add what SNS writes below a mail.
"""

import collections
import itertools
import threading
import urllib.parse

from ministack.core.responses import AccountScopedDict
from ministack.services import sns

import scope
from patching import current, replace

KEPT = 10_000
HERE = ("127.0.0.1", "localhost", "::1")

deliveries = AccountScopedDict()
numbers = itertools.count(1)
lock = threading.Lock()


def install():
    for name in ("_topic_by_arn_any_scope", "_resolve_message_for_protocol", "_matches_filter_policy"):
        current(sns, name)

    @replace(sns, "_fanout")
    def fan_out(
        original, topic_arn, message_id, message, subject, structure="", attributes=None, *rest, **named
    ):
        for subscription in (sns._topic_by_arn_any_scope(topic_arn) or {}).get("subscriptions", []):
            protocol = subscription["protocol"]
            body = sns._resolve_message_for_protocol(message, structure, protocol)
            wanted = subscription.get("confirmed") and sns._matches_filter_policy(
                subscription, attributes or {}, body
            )
            if wanted and leaves_this_machine(protocol, subscription["endpoint"]):
                keep(topic_arn, message_id, subscription, subject, body)
        return original(topic_arn, message_id, message, subject, structure, attributes, *rest, **named)

    @replace(sns, "_deliver_to_http")
    async def deliver_to_http(original, endpoint, payload):
        if not leaves_this_machine("https", endpoint):
            await original(endpoint, payload)

    @replace(sns, "_send_subscription_confirmation")
    async def send_subscription_confirmation(original, topic_arn, subscription):
        if leaves_this_machine("https", subscription["endpoint"]):
            sns._confirm_subscription({"TopicArn": topic_arn, "Token": subscription["token"]})
        else:
            await original(topic_arn, subscription)


def leaves_this_machine(protocol, endpoint):
    if protocol in ("http", "https"):
        return urllib.parse.urlsplit(endpoint).hostname not in HERE
    return protocol in ("email", "email-json", "sms")


def keep(topic_arn, message_id, subscription, subject, body):
    region, account = topic_arn.split(":")[3:5]
    delivery = {
        "messageId": message_id,
        "protocol": subscription["protocol"],
        "endpoint": subscription["endpoint"],
        "subject": subject,
        "message": body,
    }
    with lock, scope.of(account, region):
        kept = deliveries.get("all")
        if kept is None:
            kept = deliveries.setdefault("all", collections.deque(maxlen=KEPT))
        kept.append({"number": next(numbers), **delivery})


def made(protocol=None, after=0):
    """The account's deliveries, oldest first."""
    with lock:
        return [
            delivery
            for delivery in deliveries.get("all") or ()
            if delivery["number"] > after and protocol in (None, delivery["protocol"])
        ]
