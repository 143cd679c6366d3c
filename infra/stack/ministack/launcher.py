"""MiniStack without its scans of whole queues: `python launcher.py` instead of `python -m ministack`.

As released, each check of a long poll scans the queue four times, and each delete copies the queue. With thousands of
waiting messages its throughput falls to a tenth, so that it never works off a backlog. Here a check ends at the
messages that it returns, a delete at the message that it deletes; sweeps run once a second, and a long poll checks
every 20 ms instead of every 100. Clients can observe no other difference. The replaced functions are those of the
pinned release; any other release is started unchanged.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

WRITTEN_FOR = "1.5.33"
POLL_SECONDS = 0.02  # between two checks of a long poll
SWEEP_SECONDS = 1.0  # between two sweeps of a queue

Queue = dict[str, Any]


def limit_rate(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Wrap `sweep` so that it sweeps each queue at most once in SWEEP_SECONDS."""
    last: dict[str, float] = {}

    def limited(queue: Queue) -> None:
        now = time.monotonic()
        if now - last.get(queue["url"], 0.0) >= SWEEP_SECONDS:
            last[queue["url"]] = now
            sweep(queue)

    return limited


@lru_cache(maxsize=256)
def max_receive_count(redrive_policy: str | None) -> int:
    """After how many receives a message goes to the dead letter queue; without a policy, never."""
    return int(json.loads(redrive_policy)["maxReceiveCount"]) if redrive_policy else 2**63


def replace(sqs: Any) -> None:
    """Replace functions in MiniStack's module for SQS."""
    collect_fifo = sqs._collect_fifo

    def collect(queue: Queue, most: int, visibility: int) -> list[dict[str, Any]]:
        now = time.time()
        if queue["is_fifo"]:
            return list(collect_fifo(queue, most, visibility, now))
        exhausted = max_receive_count(queue["attributes"].get("RedrivePolicy"))  # the next sweep moves them
        taken: list[dict[str, Any]] = []
        for message in queue["messages"]:
            sqs._ensure_msg_fields(message)
            if message["visible_at"] > now or message["receive_count"] >= exhausted:
                continue
            message["receipt_handle"] = sqs.new_uuid()
            message["visible_at"] = now + visibility
            message["receive_count"] += 1
            message["first_receive_at"] = message["first_receive_at"] or now
            taken.append(message)
            if len(taken) == most:
                break
        return taken

    def delete_batch(data: dict[str, Any], url: str) -> dict[str, Any]:
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:DeleteMessage")
        entries = data.get("Entries", [])
        sqs._validate_batch_entries(entries, "DeleteMessageBatchRequestEntry")
        done, failed = [], []
        for entry in entries:
            if delete(queue["messages"], entry.get("ReceiptHandle", "")):
                done.append({"Id": entry["Id"]})
            else:
                failed.append(
                    {
                        "Id": entry["Id"],
                        "Code": "ReceiptHandleIsInvalid",
                        "Message": "The input receipt handle is invalid.",
                        "SenderFault": True,
                    }
                )
        return {"Successful": done, "Failed": failed}

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(POLL_SECONDS)

    sqs._collect_msgs = collect
    sqs._expire_retained = limit_rate(sqs._expire_retained)
    sqs._dlq_sweep = limit_rate(sqs._dlq_sweep)
    sqs._HANDLERS["DeleteMessageBatch"] = delete_batch
    sqs.asyncio = SimpleNamespace(sleep=sleep, iscoroutine=asyncio.iscoroutine)


def delete(messages: list[dict[str, Any]], receipt: str) -> bool:
    """Delete the message with this receipt; whether it existed. It is near the front: a receive takes the oldest."""
    for index, message in enumerate(messages):
        if receipt and message["receipt_handle"] == receipt:
            del messages[index]
            return True
    return False


if __name__ == "__main__":
    from ministack import app

    if version("ministack") == WRITTEN_FOR:
        from ministack.services import sqs

        replace(sqs)
    else:
        logging.getLogger("launcher").warning("this is not MiniStack %s, so it is started unchanged", WRITTEN_FOR)
    app.main()
