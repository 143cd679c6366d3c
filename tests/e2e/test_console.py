"""The console over the running stack: its diagrams say what the journals say, and people can use it in a browser."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from quartet_stack.commands.console import link
from tests.console.compared import wrong
from tests.console.tour import Tour
from tests.e2e.conftest import OFFSET, SETTINGS
from tests.e2e.kinds import placed
from tests.e2e.stack import SERVICES, TLS, Stack, basket
from tests.unit.console.chromium import ABSENT, MISSING, Visit, chromium

BROWSED: Final = ("temporal-orchestration", "kafka-choreography")
"""The modes in which the tour is followed in every run; NIGHTLY=1 follows it in all of them."""
SWITCHED: Final = ("kafka-choreography",)
"""The modes in which every run goes on to the tour's last step, which switches the mode."""


def suits(**parameters: Any) -> bool:
    """Whether a test runs in this mode at all: what no mode changes is tested in one."""
    return parameters.get("part") != "any mode" or parameters["stack"] in SWITCHED


def nightly(**parameters: Any) -> bool:
    """Whether a test is left to NIGHTLY=1 in this mode."""
    modes = {"tour": BROWSED, "switch": SWITCHED}.get(parameters.get("part", ""))
    return modes is not None and parameters["stack"] not in modes


async def test_the_diagram_of_an_order_of_each_kind_is_what_the_journals_say(stack: Stack) -> None:
    differences = {}
    async with _operator(stack) as console:
        for kind, one in (await placed(stack)).items():
            timelines = {}
            for service in SERVICES:
                found = await stack.get(f"/timeline/{one.id}", service, "root", "admin")
                timelines[service] = found or {"items": []}
            saga = (await console.get(f"/orders/{one.id}/saga.json")).raise_for_status().json()
            assert (saga["mode"], saga["owed"]) == (stack.mode, []), kind
            differences[kind] = wrong(saga, timelines, choreography=stack.mode.endswith("choreography"))
    assert {kind: found for kind, found in differences.items() if found} == {}


@asynccontextmanager
async def _operator(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The console as the operator has it, who sees everybody's orders."""
    base, _, code = link(stack.environment).partition("/sign-in?code=")
    async with httpx.AsyncClient(base_url=base, timeout=30, verify=TLS) as client:
        signed_in = await client.post("/sign-in", data={"code": code})
        assert signed_in.status_code == 303, signed_in.text
        client.cookies.set(f"quartet-{stack.environment['CONSOLE_PORT']}-persona", "operator")
        yield client


@pytest.mark.parametrize("part", ["any mode"])
async def test_a_customer_sees_neither_the_orders_nor_the_faults_of_others(stack: Stack, part: str) -> None:
    order_id = (await stack.order(basket(sku="sold-out"), customer="bob")).json()["order_id"]
    base, _, code = link(stack.environment, "alice").partition("/sign-in?code=")
    async with httpx.AsyncClient(base_url=base, timeout=30, verify=TLS) as client:
        await client.post("/sign-in", data={"code": code})
        for path in ("", "/live", "/saga.svg", "/saga.json", "/saga.mmd"):
            assert (await client.get(f"/orders/{order_id}{path}")).status_code == 404, path
        assert (await client.get("/compare", params={"left": order_id})).status_code == 404
        assert order_id not in (await client.get("/orders")).text
        assert order_id not in (await client.get("/flow")).text
        assert "Only the operator may break things" in (await client.get("/break")).text
    async with _operator(stack) as operator:
        assert (await operator.get(f"/orders/{order_id}")).status_code == 200


@pytest.mark.parametrize("part", ["any mode"])
async def test_the_auditor_judges_one_order_and_all_of_them_for_the_operator_alone(stack: Stack, part: str) -> None:
    order_id = (await placed(stack))["declined"].id
    async with _operator(stack) as console:
        verdict = (await console.get(f"/orders/{order_id}/verdict")).raise_for_status().text
        assert "As it must be: invariants 1, 2, 3, 4, 6, 7, 8, 9 hold for this order" in verdict
        assert (await console.get("/orders/nobody/verdict")).status_code == 404
        assert "The ten invariants" in (await console.get("/flow/audit?what=recent")).raise_for_status().text
        console.cookies.set(f"quartet-{stack.environment['CONSOLE_PORT']}-persona", "customer")
        assert (await console.get(f"/orders/{order_id}/verdict")).status_code == 403


@pytest.mark.parametrize("part", ["any mode"])
async def test_the_auditor_may_read_and_change_nothing(stack: Stack, part: str) -> None:
    password = json.loads((stack.folder / "data" / "secrets.json").read_bytes())["auditor"]
    for service in SERVICES:
        url = urlsplit(stack.environment[f"{service.upper()}_DATABASE_URL"])
        database = {"host": "127.0.0.1", "port": url.port, "database": url.path.lstrip("/")}
        connection = await asyncpg.connect(user="auditor", password=password, timeout=10, **database)
        try:
            assert await connection.fetchval("SELECT count(*) FROM journal") >= 0
            await connection.execute("SET default_transaction_read_only = off")  # it may try
            for statement in ("DELETE FROM journal", "CREATE TABLE mine (id int)", "DELETE FROM pg_authid"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()


in_a_browser = pytest.mark.skipif(ABSENT, reason=MISSING)


@pytest.fixture
def visit(stack: Stack) -> Iterator[Visit]:
    """A browser whose user is signed in; nothing may have gone wrong in it by the end."""
    base, _, code = link(stack.environment).partition("/sign-in?code=")
    with chromium() as browser:
        one = Visit(browser, base)
        one.page.set_default_timeout(60_000)
        one.sign_in(code)
        yield one
        assert one.errors == []
        assert one.strangers == []


@in_a_browser
@pytest.mark.parametrize("part", ["tour"])
def test_the_tour_is_followed_step_by_step(visit: Visit, part: str) -> None:
    Tour(visit).most()
    visit.errors = [error for error in visit.errors if "503" not in error]  # while payment was started again


@in_a_browser
@pytest.mark.parametrize("part", ["switch"])
def test_the_last_step_of_the_tour_switches_the_mode(visit: Visit, stack: Stack, part: str) -> None:
    from quartet_stack import api

    def up(mode: str) -> None:
        api.up(mode, stack_dir=stack.folder, port_offset=OFFSET, env=SETTINGS)

    try:
        Tour(visit).switch(lambda command: up(command.split()[2].removeprefix("MODE=")))
    finally:
        up(stack.mode)
    visit.errors = []  # while the console was started again it did not answer
