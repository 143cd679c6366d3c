"""Shoppers for Locust. `make load` runs this file with the settings of `loadtests/run.py` in the environment.

Orders arrive by an open Poisson process of RATE a second, whether or not earlier ones have been answered: a slow
system is not spared by its own slowness. Each waits for its end (`Prefer: wait`), retries an unanswered request
under the same key, and holds the answer against what its kind must come to.
"""

import os
import random
import time
import uuid
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, constant, events, task
from locust.env import Environment

from loadtests.history import History
from loadtests.outcomes import FILE, Outcomes
from loadtests.shapes import SHAPES
from loadtests.shoppers import Kind, body, mix, pick
from sagakit.http import issue_token

RATE = float(os.environ.get("RATE", "10"))
DURATION = float(os.environ.get("DURATION", "30"))
SHAPE = SHAPES[os.environ.get("SHAPE", "constant")]
SEED = int(os.environ.get("SEED", "1"))
CUSTOMERS = int(os.environ.get("USERS", "50"))
PATIENCE = float(os.environ.get("PATIENCE", "60"))
LENIENT = os.environ.get("LENIENT") == "1"
WAIT = 20

dice = random.Random(SEED)
kinds = mix(os.environ.get("MIX", "all"))
history = History(Path(os.environ.get("HISTORY", "reports/history.jsonl")))
outcomes = Outcomes(Path(os.environ.get("ORDERS", f"reports/{FILE}")))
run_id = uuid.uuid4().hex[:8]


class Shop(FastHttpUser):
    """One source of arrivals; every arrival is a shopper of its own."""

    fixed_count = 1
    wait_time = constant(0)
    concurrency = 2000
    network_timeout = WAIT + 15.0
    connection_timeout = 5.0
    insecure = False

    def on_start(self) -> None:
        signing_key = os.environ["TOKEN_SIGNING_KEY"]
        self.names = [f"shopper-{number}" for number in range(CUSTOMERS)]
        self.tokens = {name: issue_token(signing_key, name, ttl=86400) for name in self.names}
        self.pool = Pool(2000)
        self.began = self.due = time.monotonic()
        self.placed = 0

    @task
    def arrive(self) -> None:
        elapsed = min((self.due - self.began) / DURATION, 1.0)
        self.due += dice.expovariate(max(RATE * SHAPE(elapsed), 0.01))
        gevent.sleep(max(self.due - time.monotonic(), 0))  # one that is late does not delay those behind it
        self.placed += 1
        self.pool.spawn(self.shop, pick(kinds, dice), dice.choice(self.names), f"{run_id}-{self.placed}")

    def on_stop(self) -> None:
        self.pool.join(timeout=PATIENCE)

    def shop(self, kind: Kind, customer: str, key: str) -> None:
        """Order, wait for the end, and judge it; the time is from the first attempt to the last answer."""
        headers = {
            "Authorization": f"Bearer {self.tokens[customer]}",
            "Idempotency-Key": key,
            "Prefer": f"wait={0 if kind.cancels else WAIT}",
        }
        began = time.perf_counter()
        wanted = body(kind, dice)
        answer, order = self._insist("POST", "/orders", headers, wanted)
        while answer == 202 and not kind.cancels and time.perf_counter() - began < WAIT:
            answer, order = self._insist("POST", "/orders", headers, wanted)  # a stopping server lets go of waiters
        history.saw(customer, key, order.get("order_id"), self._seen(answer, order))
        if kind.cancels and order.get("order_id"):
            gevent.sleep(dice.random() * 0.3)
            answer, order = self._insist("POST", f"/orders/{order['order_id']}/cancel", headers, None)
            wrong = None if answer in (200, 409) else f"cancel answered {answer}"
            if answer == 200:
                history.saw(customer, key, order["order_id"], "CANCELLED")
        else:
            wrong = self._judge(kind, answer, order)
        milliseconds = (time.perf_counter() - began) * 1000
        outcomes.saw(kind.name, milliseconds, wrong)
        self.environment.events.request.fire(
            request_type="ORDER",
            name=kind.name,
            response_time=milliseconds,
            response_length=0,
            exception=RuntimeError(wrong) if wrong else None,
            context={},
        )

    def _insist(self, method: str, path: str, headers: dict[str, str], payload: Any) -> tuple[int, dict[str, Any]]:
        """Send until there is an answer that is not an outage; (0, {}) if none came in time."""
        until = time.monotonic() + PATIENCE
        pause = 0.1
        while True:
            with self.client.request(
                method, path, headers=headers, json=payload, name=f"{method} {path.split('/')[1]}", catch_response=True
            ) as response:
                status = response.status_code or 0
                response.success()
                if status not in (0, 502, 503, 504):
                    return status, response.json() if response.text else {}
            if time.monotonic() > until:
                return 0, {}
            gevent.sleep(pause)
            pause = min(pause * 2, 2.0)

    @staticmethod
    def _seen(answer: int, order: dict[str, Any]) -> str:
        if answer not in (200, 202):
            return "unknown"
        return order["status"] if order["status"] in ("COMPLETED", "CANCELLED") else "accepted"

    @staticmethod
    def _judge(kind: Kind, answer: int, order: dict[str, Any]) -> str | None:
        if answer != 200:
            return f"answered {answer}: {order.get('status') or order.get('detail')}"
        want = ("CANCELLED", kind.reason) if kind.reason else ("COMPLETED", None)
        got = (order["status"], order["cancellation_reason"])
        if got == want or (LENIENT and got == ("CANCELLED", "TIMED_OUT")):
            return None
        return f"ended {got}, not {want}"


def close(environment: Environment, **_: Any) -> None:
    history.close()
    outcomes.close()


events.quitting.add_listener(close)  # type: ignore[no-untyped-call]
