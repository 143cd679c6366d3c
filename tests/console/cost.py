"""`python -m tests.console.cost` measures what an open page costs, while the running stack is busy.

The load is that of `make load RATE=20`, except that the same orders arrive in all windows, so that these differ only in
what is measured. In it PAIRS=7 pairs of windows of WINDOW=20 seconds follow each other, in random order within a pair
(SEED=1): in one of them the page of an order is open, in the other none is. In both, orders with a slow card are placed
one after another; where a page is open it is that of the order in flight, from its first step to its last. Printed is
the CPU time of all programs of the stack per order, and by how much it is higher with a page: the mean of the pairs
with its 95 % interval (Student's t). FILE=name keeps the pairs, so that another run of the command adds to them.
"""

import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any, Final

import httpx

from checkout_demo.stories import basket
from loadtests.bench.measure import Stopwatch
from loadtests.intervals import half_width
from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from sagakit.web.app import issue_token
from tests.console.load import load, placed

CUSTOMER: Final = "cost"
REST: Final = 5.0
"""Seconds between two windows, in which the last order of the first one ends."""
Window = dict[str, float]


class Watcher:
    """A customer who places orders with a slow card, one after another, and may look at each."""

    def __init__(self, stack: dict[str, str]) -> None:
        base, _, code = link(stack, CUSTOMER).partition("/sign-in?code=")
        self._orders = f"{stack['ORDER_URL']}/orders"
        self._headers = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], CUSTOMER)}"}
        self._client = httpx.Client(base_url=base, timeout=60, headers={"Accept-Encoding": "gzip"})
        signed_in = self._client.post("/sign-in", data={"code": code})
        assert signed_in.status_code == 303, signed_in.text

    def window(self, end: float, looks: bool) -> None:
        """Place orders one after another until that time."""
        while time.monotonic() < end:
            body: dict[str, Any] = {**basket()[0].body(), "payment": {"token": "tok_slow"}}
            key = {**self._headers, "Idempotency-Key": uuid.uuid4().hex, **({} if looks else {"Prefer": "wait=20"})}
            answer = httpx.post(self._orders, json=body, headers=key, timeout=30)
            order_id = answer.raise_for_status().json()["order_id"]
            if looks:
                self._client.get(f"/orders/{order_id}").raise_for_status()
                with self._client.stream("GET", f"/orders/{order_id}/live") as stream:
                    for _ in stream.iter_bytes():
                        pass


def measured(stack: dict[str, str], watcher: Watcher, stopwatch: Stopwatch, looks: bool, end: float) -> Window:
    """One window, which ends at that time: CPU milliseconds, orders, and the CPU of the console alone."""
    orders, before = placed(stack), stopwatch.read()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watcher.window, end, looks)
        time.sleep(max(0.0, end - time.monotonic()))
        used = (stopwatch.read() - before).cpu
        count = placed(stack) - orders
        watching.result()
    return {"orders": count, "cpu": sum(used.values()) / count, "console": used["console"] / count}


def pairs(stack: dict[str, str], count: int) -> Iterator[dict[str, Window]]:
    """So many pairs of windows, each with and without a page."""
    chance = random.Random(os.environ.get("SEED", "1"))
    watcher, stopwatch = Watcher(stack), Stopwatch(stack["STACK_DIR"])
    seconds = float(os.environ.get("WINDOW", "20"))
    with load(stack, os.environ.get("RATE", "20"), seconds + REST):
        end = time.monotonic() - REST
        for number in range(count):
            names = ["page", "none"]
            chance.shuffle(names)
            pair = {}
            for name in names:
                time.sleep(max(0.0, end + REST - time.monotonic()))
                end += REST + seconds
                pair[name] = measured(stack, watcher, stopwatch, name == "page", end)
            page, none = pair["page"]["cpu"], pair["none"]["cpu"]
            print(f"pair {number + 1}: {page:.1f} ms an order with a page, {none:.1f} without", flush=True)
            yield pair


def main() -> int:
    """Measure and print; the exit status says whether the interval ends below 5 %."""
    stack, file = stack_environment(), Path(os.environ.get("FILE") or os.devnull)
    found = json.loads(file.read_text() or "[]") if file.exists() else []
    for pair in pairs(stack, int(os.environ.get("PAIRS", "7"))):
        found.append(pair)
        file.write_text(json.dumps(found))
    more = [100 * (pair["page"]["cpu"] / pair["none"]["cpu"] - 1) for pair in found]
    if len(more) < 2:
        print("an interval needs two pairs or more")
        return 1
    half = half_width(more)
    none = mean(pair["none"]["cpu"] for pair in found)
    print(
        f"{stack['COORDINATION_MODE']}: {len(found)} pairs, {none:.1f} ms an order without a page, "
        f"{mean(more):+.1f} % with one [{mean(more) - half:+.1f} %, {mean(more) + half:+.1f} %]"
    )
    return 0 if mean(more) + half < 5 else 1


if __name__ == "__main__":
    sys.exit(main())
