"""SQS: a dead-letter queue's messages, given back (StartMessageMoveTask, ListMessageMoveTasks).

MiniStack moves a message into a dead-letter queue and not out of it again. Here a task moves what is visible, to the queue that the
call names or else to the one that each message came from; as on AWS it is a new message there, with an id and a count of
its own. A message that no queue failed on, such as an undelivered event of EventBridge, came from nowhere: without a
destination the task fails on it, and says so where tasks are listed and not where it is started.

It cannot: take time (a task is over when its call is answered, so there is none to cancel), be called by the query protocol.
"""

import time

from ministack.core.responses import AccountScopedDict, new_uuid
from ministack.services import sqs

from patching import current

KEPT = 10
NO_SOURCE = "CouldNotDetermineMessageSource"

# The tasks of each dead-letter queue, the newest first.
tasks = AccountScopedDict()


def install():
    for name in ("_queue_by_arn", "_queues", "_queues_lock", "_ensure_msg_fields", "_Err", "esm_wake"):
        current(sqs, name)
    handlers = current(sqs, "_HANDLERS")
    handlers["StartMessageMoveTask"] = start
    handlers["ListMessageMoveTasks"] = tasks_of


def start(data, _url):
    with sqs._queues_lock:
        source = queue(data, "SourceArn")
        destination = queue(data, "DestinationArn") if data.get("DestinationArn") else None
        if not is_for_dead_letters(data["SourceArn"]):
            raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        if source is destination:
            raise sqs._Err("InvalidParameterValue", "Source and destination must be different queues.")
        task = move(source, destination)
    named = ("SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond")
    task.update({name: data[name] for name in named if name in data})
    earlier = tasks.get(data["SourceArn"]) or []
    tasks[data["SourceArn"]] = [task, *earlier][:KEPT]
    return {"TaskHandle": new_uuid()}


def tasks_of(data, _url):
    queue(data, "SourceArn")
    # Only a running task has a handle.
    return {"Results": (tasks.get(data["SourceArn"]) or [])[: data.get("MaxResults", 1)]}


def queue(data, parameter):
    found = sqs._queue_by_arn(data.get(parameter, ""))
    if not found:
        message = f"The resource that you specified for the {parameter} parameter doesn't exist."
        raise sqs._Err("ResourceNotFoundException", message)
    return found


def is_for_dead_letters(arn):
    return any(arn in str(each["attributes"].get("RedrivePolicy", "")) for each in sqs._queues.values())


def move(source, destination):
    now = time.time()
    waiting = [message for message in source["messages"] if message.get("visible_at", 0) <= now]
    task = {"Status": "COMPLETED", "StartedTimestamp": int(now * 1000), "ApproximateNumberOfMessagesToMove": len(waiting)}
    moved = []
    for message in waiting:
        sqs._ensure_msg_fields(message)
        target = destination or sqs._queue_by_arn(message["sys"].get("DeadLetterQueueSourceArn", ""))
        if not target:
            task |= {"Status": "FAILED", "FailureReason": NO_SOURCE}
            break
        target["messages"].append(
            {
                **message,
                "id": new_uuid(),
                "sent_at": now,
                "visible_at": now + sqs.queue_delay(target),
                "receipt_handle": None,
                "receive_count": 0,
                "first_receive_at": None,
                "sys": {"SenderId": message["sys"]["SenderId"], "SentTimestamp": str(int(now * 1000))},
            }
        )
        moved.append(message)
    source["messages"] = [message for message in source["messages"] if all(message is not each for each in moved)]
    sqs.esm_wake.set()
    return task | {"ApproximateNumberOfMessagesMoved": len(moved)}
