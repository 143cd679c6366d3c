"""MiniStack, without its scans of whole queues: `python launcher.py` instead of `python -m ministack`.

As released, every look of a long poll walks through the queue four times, and every delete copies it: with thousands
of messages waiting it carries a tenth of what it carries otherwise, so that a backlog is never made up for. Here a
look ends at the messages that it returns, a delete at the one that it deletes, sweeps run once a second, and a long
poll looks every 20 ms instead of 100. What a client can observe is otherwise the same. The functions replaced are those
of the pinned release; under any other this starts MiniStack as it is.
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
TICK = 0.02  # seconds between two looks of a long poll
SWEEP_EVERY = 1.0  # seconds

Queue = dict[str, Any]


def once_in_a_while(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """`sweep`, but of each queue at most every SWEEP_EVERY seconds."""
    last: dict[str, float] = {}

    def sparing(queue: Queue) -> None:
        now = time.monotonic()
        if now - last.get(queue["url"], 0.0) >= SWEEP_EVERY:
            last[queue["url"]] = now
            sweep(queue)

    return sparing


@lru_cache(maxsize=256)
def most_receives(redrive_policy: str | None) -> int:
    return int(json.loads(redrive_policy)["maxReceiveCount"]) if redrive_policy else 2**63


def replace(sqs: Any) -> None:
    """Put our functions into MiniStack's module."""
    collect_fifo = sqs._collect_fifo

    def collect(queue: Queue, most: int, visibility: int) -> list[dict[str, Any]]:
        now = time.time()
        if queue["is_fifo"]:
            return list(collect_fifo(queue, most, visibility, now))
        worn_out = most_receives(queue["attributes"].get("RedrivePolicy"))  # left to the next sweep
        taken: list[dict[str, Any]] = []
        for message in queue["messages"]:
            sqs._ensure_msg_fields(message)
            if message["visible_at"] > now or message["receive_count"] >= worn_out:
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
        await asyncio.sleep(TICK)

    sqs._collect_msgs = collect
    sqs._expire_retained = once_in_a_while(sqs._expire_retained)
    sqs._dlq_sweep = once_in_a_while(sqs._dlq_sweep)
    sqs._HANDLERS["DeleteMessageBatch"] = delete_batch
    sqs.asyncio = SimpleNamespace(sleep=sleep, iscoroutine=asyncio.iscoroutine)


def delete(messages: list[dict[str, Any]], receipt: str) -> bool:
    """Received messages are near the front, since a receive takes the oldest."""
    for at, message in enumerate(messages):
        if receipt and message["receipt_handle"] == receipt:
            del messages[at]
            return True
    return False


if __name__ == "__main__":
    from ministack import app

    if version("ministack") == WRITTEN_FOR:
        from ministack.services import sqs

        replace(sqs)
    else:
        logging.getLogger("launcher").warning("not MiniStack %s: started as it is", WRITTEN_FOR)
    app.main()
