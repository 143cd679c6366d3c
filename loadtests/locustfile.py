"""Shoppers for Locust. `make load` runs this file with the settings of `loadtests/run.py` in the environment.

Orders arrive by an open Poisson process of RATE a second, whether or not earlier ones have been answered: a slow
system gets no less load. Each shopper waits for the end of its order (`Prefer: wait`), retries an unanswered request
under the same key, and compares the end with the one that its kind must come to. With WORKERS=n, n processes place
each its share of the orders. With TRACE, the orders of an earlier history arrive as they did then.
"""

import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, constant, events, task
from locust.env import Environment

from loadtests import history as histories
from loadtests.history import History, Operation
from loadtests.outcomes import FILE, Outcomes
from loadtests.shapes import SHAPES
from loadtests.shoppers import Kind, body, mix, pick
from loadtests.trace import trace
from sagakit.web.app import issue_token

RATE = float(os.environ.get("RATE", "10"))
DURATION = float(os.environ.get("DURATION", "30"))
SHAPE = SHAPES[os.environ.get("SHAPE", "constant")]
SEED = int(os.environ.get("SEED", "1"))
CUSTOMERS = int(os.environ.get("USERS", "50"))
PATIENCE = float(os.environ.get("PATIENCE", "60"))
LENIENT = os.environ.get("LENIENT") == "1"
WORKERS = int(os.environ.get("WORKERS", "1"))
WAIT = 20

kinds = mix(os.environ.get("MIX", "all"))


class Shop(FastHttpUser):
    """The one source of arrivals in a process; every arrival is a shopper in a greenlet of its own."""

    fixed_count = WORKERS
    wait_time = constant(0)
    concurrency = 2000
    network_timeout = WAIT + 15.0
    connection_timeout = 5.0
    insecure = False

    def on_start(self) -> None:
        """Open the files of this process, and issue a token for each customer."""
        share = getattr(self.environment.runner, "worker_index", 0)
        run_id = uuid.uuid4().hex[:8]
        self.dice, self.run_id = random.Random(SEED if WORKERS == 1 else f"{SEED}/{share}"), run_id
        self.history = History(Path(os.environ.get("HISTORY", f"reports/{histories.FILE}")), f"shoppers-{run_id}")
        self.outcomes = Outcomes(Path(os.environ.get("ORDERS", f"reports/{FILE}")))
        self.due_next = self._arrivals(share)
        signing_key = os.environ["TOKEN_SIGNING_KEY"]
        self.names = [f"shopper-{number}" for number in range(CUSTOMERS)]
        self.tokens = {name: issue_token(signing_key, name, ttl=86400) for name in self.names}
        self.pool = Pool(2000)
        self.began = time.monotonic()
        self.placed = 0

    @task
    def arrive(self) -> None:
        """Wait for the next arrival, and let that shopper begin."""
        due, kind = next(self.due_next)
        gevent.sleep(max(self.began + due - time.monotonic(), 0))  # a late arrival does not delay the next
        self.placed += 1
        self.pool.spawn(self.shop, kind, self.dice.choice(self.names), f"{self.run_id}-{self.placed}")

    def _arrivals(self, share: int) -> Iterator[tuple[float, Kind]]:
        """When the orders of this process arrive, in seconds from the beginning, and of which kind they are."""
        if os.environ.get("TRACE"):
            yield from trace(Path(os.environ["TRACE"]))[share::WORKERS]
            while True:
                yield inf, kinds[0]
        due = 0.0
        while True:
            due += self.dice.expovariate(max(RATE * SHAPE(min(due / DURATION, 1.0)) / WORKERS, 0.01))
            yield due, pick(kinds, self.dice)

    def on_stop(self) -> None:
        """Wait for the shoppers who have come, at most PATIENCE seconds, and close the files."""
        self.pool.join(timeout=PATIENCE)
        self.history.close()
        self.outcomes.close()

    def shop(self, kind: Kind, customer: str, key: str) -> None:
        """Place an order, wait for its end, and judge it; its time counts from the first attempt to the last answer."""
        headers = {
            "Authorization": f"Bearer {self.tokens[customer]}",
            "Idempotency-Key": key,
            "Prefer": f"wait={0 if kind.cancels else WAIT}",
        }
        began = time.perf_counter()
        payload = body(kind, self.dice)
        answer, order = self._order(kind, customer, key, headers, payload)
        while answer == 202 and not kind.cancels and time.perf_counter() - began < WAIT:
            # a server that stops answers those who wait: wait again
            answer, order = self._order(kind, customer, key, headers, payload)
        if kind.cancels and order.get("order_id"):
            gevent.sleep(self.dice.random() * 0.3)
            operation = self.history.invoke("cancel", customer, key, order_id=order["order_id"], kind=kind.name)
            answer, order = self._send_until_answered(
                "POST", f"/orders/{order['order_id']}/cancel", headers, None, operation
            )
            wrong = None if answer in (200, 409) else f"cancel answered {answer}"
        else:
            wrong = self._judge(kind, answer, order)
        milliseconds = (time.perf_counter() - began) * 1000
        self.outcomes.add(kind.name, milliseconds, wrong)
        self.environment.events.request.fire(
            request_type="ORDER",
            name=kind.name,
            response_time=milliseconds,
            response_length=0,
            exception=RuntimeError(wrong) if wrong else None,
            context={},
        )

    def _order(
        self, kind: Kind, customer: str, key: str, headers: dict[str, str], payload: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        value = {"lines": payload["lines"], "country": payload["shipping_address"]["country"]}
        operation = self.history.invoke("order", customer, key, kind=kind.name, value=value)
        return self._send_until_answered("POST", "/orders", headers, payload, operation)

    def _send_until_answered(
        self, method: str, path: str, headers: dict[str, str], payload: Any, operation: Operation
    ) -> tuple[int, dict[str, Any]]:
        """Retry until an answer is no outage, at most PATIENCE seconds; (0, {}) if none is. Ends the operation."""
        until = time.monotonic() + PATIENCE
        pause = 0.1
        unanswered = 0
        while True:
            with self.client.request(
                method, path, headers=headers, json=payload, name=f"{method} {path.split('/')[1]}", catch_response=True
            ) as response:
                status = response.status_code or 0
                response.success()
                if status not in (0, 502, 503, 504):
                    answer = response.json() if response.text else {}
                    operation.answered(status, answer, unanswered)
                    return status, answer
            unanswered += 1
            if time.monotonic() > until:
                operation.unknown(unanswered=unanswered)
                return 0, {}
            gevent.sleep(max(pause, float(response.headers.get("Retry-After", 0)) if response.headers else 0))
            pause = min(pause * 2, 2.0)

    @staticmethod
    def _judge(kind: Kind, answer: int, order: dict[str, Any]) -> str | None:
        if answer != 200:
            return f"answered {answer}: {order.get('status') or order.get('detail')}"
        want = ("CANCELLED", kind.reason) if kind.reason else ("COMPLETED", None)
        got = (order["status"], order["cancellation_reason"])
        if got == want or (LENIENT and got == ("CANCELLED", "TIMED_OUT")):
            return None
        return f"ended {got}, not {want}"


def end_on_signal(environment: Environment, **_: Any) -> None:
    """Let SIGUSR1 end the load early, as its duration does: shoppers who have come still get their answers."""
    assert environment.runner is not None
    gevent.signal_handler(signal.SIGUSR1, environment.runner.quit)


events.test_start.add_listener(end_on_signal)  # type: ignore[no-untyped-call]
