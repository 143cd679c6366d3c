"""Shoppers for Locust. `make load` runs this file with the settings of `loadtests/run.py` in the environment.

Orders arrive by an open Poisson process of RATE a second, whether or not earlier ones have been answered: a slow
system is not spared by its own slowness. Each waits for its end (`Prefer: wait`), retries an unanswered request
under the same key, and holds the answer against what its kind must come to.
"""

import os
import random
import signal
import time
import uuid
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
from sagakit.web.app import issue_token

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
run_id = uuid.uuid4().hex[:8]
history = History(Path(os.environ.get("HISTORY", f"reports/{histories.FILE}")), f"shoppers-{run_id}")
outcomes = Outcomes(Path(os.environ.get("ORDERS", f"reports/{FILE}")))


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
        answer, order = self._order(kind, customer, key, headers, wanted)
        while answer == 202 and not kind.cancels and time.perf_counter() - began < WAIT:
            answer, order = self._order(kind, customer, key, headers, wanted)  # a stopping server lets go of waiters
        if kind.cancels and order.get("order_id"):
            gevent.sleep(dice.random() * 0.3)
            operation = history.invoke("cancel", customer, key, order_id=order["order_id"], kind=kind.name)
            answer, order = self._insist("POST", f"/orders/{order['order_id']}/cancel", headers, None, operation)
            wrong = None if answer in (200, 409) else f"cancel answered {answer}"
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

    def _order(
        self, kind: Kind, customer: str, key: str, headers: dict[str, str], wanted: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        value = {"lines": wanted["lines"], "country": wanted["shipping_address"]["country"]}
        operation = history.invoke("order", customer, key, kind=kind.name, value=value)
        return self._insist("POST", "/orders", headers, wanted, operation)

    def _insist(
        self, method: str, path: str, headers: dict[str, str], payload: Any, operation: Operation
    ) -> tuple[int, dict[str, Any]]:
        """Send until there is an answer that is not an outage; (0, {}) if none came in time. Ends the operation."""
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
            gevent.sleep(pause)
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


def end_when_told(environment: Environment, **_: Any) -> None:
    """SIGUSR1 ends the load as the end of its time does: shoppers that have come get their answers."""
    assert environment.runner is not None
    gevent.signal_handler(signal.SIGUSR1, environment.runner.quit)


def close(environment: Environment, **_: Any) -> None:
    history.close()
    outcomes.close()


events.test_start.add_listener(end_when_told)  # type: ignore[no-untyped-call]
events.quitting.add_listener(close)  # type: ignore[no-untyped-call]
