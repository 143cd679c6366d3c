"""MiniStack without its scans of whole queues: `python launcher.py` instead of `python -m ministack`.

As released, each check of a long poll scans the queue four times, each delete copies the queue, and a long poll checks
every 100 ms. With thousands of waiting messages its throughput falls to a tenth, so that it never works off a backlog.
Here a check ends at the messages that it returns, a delete at the message that it deletes; sweeps run once a second; a
message that arrives wakes one of the long polls that wait for it. Clients can observe no other difference. The replaced
functions are those of the pinned release; any other release is started unchanged.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from types import SimpleNamespace
from typing import Any

WRITTEN_FOR = "1.5.33"
POLL_SECONDS = 0.1  # between two checks of a long poll that nothing wakes: for messages that become visible again
SWEEP_SECONDS = 1.0  # between two sweeps of a queue

Queue = dict[str, Any]


class LongPolls:
    """The long polls that wait, by queue, those that have waited longest first."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[asyncio.Event]] = defaultdict(deque)
        self._queues: dict[str, Queue] = {}
        self._woken: set[str] = set()  # queues of which a woken poll has not looked yet
        self._looking = ""  # the queue of the latest look: a poll that finds nothing sleeps in the same step

    def look(self, queue: Queue) -> None:
        """To be called when a poll looks into its queue."""
        self._looking = queue["url"]
        self._queues[queue["url"]] = queue
        self._woken.discard(queue["url"])

    async def sleep(self, seconds: float) -> None:
        """Wait for a message in the queue just looked into, for `seconds` or POLL_SECONDS at most."""
        polls, woken = self._waiting[self._looking], asyncio.Event()
        polls.append(woken)
        try:
            async with asyncio.timeout(min(seconds, POLL_SECONDS)):
                await woken.wait()
        except TimeoutError:
            pass
        finally:
            if woken in polls:
                polls.remove(woken)

    def arrived(self) -> None:
        """Wake a poll of each queue whose last message nobody has received yet."""
        for url, polls in self._waiting.items():
            if polls and (messages := self._queues[url]["messages"]) and messages[-1]["receipt_handle"] is None:
                self.wake(url)

    def wake(self, url: str) -> None:
        """Wake one poll of the queue, unless one is awake already."""
        if url not in self._woken and (polls := self._waiting[url]):
            self._woken.add(url)
            polls.popleft().set()


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


def receivable(messages: Iterable[dict[str, Any]], exhausted: int, now: float) -> Iterator[dict[str, Any]]:
    """The messages that may be received now, the oldest first: without those that the next sweep moves."""
    for message in messages:
        if message.get("visible_at", now) <= now and message.get("receive_count", 0) < exhausted:
            yield message


def replace(sqs: Any, sns: Any) -> None:
    """Replace functions in MiniStack's modules for SQS and SNS."""
    collect_fifo, wake, long_polls = sqs._collect_fifo, sqs.esm_wake.set, LongPolls()

    def collect(queue: Queue, most: int, visibility: int) -> list[dict[str, Any]]:
        now = time.time()
        long_polls.look(queue)
        if queue["is_fifo"]:
            return list(collect_fifo(queue, most, visibility, now))
        exhausted = max_receive_count(queue["attributes"].get("RedrivePolicy"))  # the next sweep moves them
        taken = list(islice(receivable(queue["messages"], exhausted, now), most))
        for message in taken:
            sqs._ensure_msg_fields(message)
            message["receipt_handle"] = sqs.new_uuid()
            message["visible_at"] = now + visibility
            message["receive_count"] += 1
            message["first_receive_at"] = message["first_receive_at"] or now
        if len(taken) == most:
            long_polls.wake(queue["url"])  # there may be more
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

    def arrived() -> None:
        wake()
        long_polls.arrived()

    sqs._collect_msgs = collect
    sqs._expire_retained = limit_rate(sqs._expire_retained)
    sqs._dlq_sweep = limit_rate(sqs._dlq_sweep)
    sqs._HANDLERS["DeleteMessageBatch"] = delete_batch
    sqs.asyncio = SimpleNamespace(sleep=long_polls.sleep, iscoroutine=asyncio.iscoroutine)
    sqs.esm_wake = sns.esm_wake = SimpleNamespace(set=arrived)


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
        from ministack.services import sns, sqs

        replace(sqs, sns)
    else:
        logging.getLogger("launcher").warning("this is not MiniStack %s, so it is started unchanged", WRITTEN_FOR)
    app.main()
