"""Standbys: what may be asked for, what is written down of them, and what the stack refuses to touch."""

from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from quartet_stack.commands import lifecycle
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import promotion, standby
from quartet_stack.servers.standby import HBA_LINES, OPTIONS, Mark, check, mark, programs, write
from quartet_stack.services import recorded_environment, service
from quartet_stack.settings import PORTS, SERVICES, Settings, resolve
from sagakit.settings import Settings as ServiceSettings
from tests.keys import PUBLIC_KEY


def settings(place: Path, **values: str) -> Settings:
    return resolve({"STACK_DIR": str(place), **values})


def cluster(place: Layout, service: str, server: str, follows: bool = False) -> Path:
    data = standby.folder(place, service, server)
    data.mkdir(parents=True)
    if follows:
        (data / standby.SIGNAL).touch()
    return data


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("", ()),
        ("off", ()),
        ("all", SERVICES),
        ("order", ("order",)),
        ("shipping, order", ("order", "shipping")),
        ("order,order", ("order",)),
    ],
)
def test_who_has_a_standby(tmp_path: Path, given: str, taken: tuple[str, ...]) -> None:
    assert settings(tmp_path, DB_STANDBY=given).standbys == taken


@pytest.mark.parametrize(
    ("name", "value", "listed"),
    [
        ("DB_STANDBY", "orders", "off, all, or some of order,payment,inventory,shipping"),
        ("DB_STANDBY", "order,provider", "DB_STANDBY=provider"),
        ("DB_STANDBY", ",", "valid: off, all"),
        ("DB_STANDBY", "off,order", "DB_STANDBY=off"),
        ("STANDBY_TIMEOUT", "0", "1 to 60"),
        ("STANDBY_TIMEOUT", "soon", "1 to 60"),
        ("ORDER_STANDBY_PORT", "5441", "ORDER_DB_PORT"),
    ],
)
def test_a_wrong_value_is_one_line_that_lists_the_valid_ones(name: str, value: str, listed: str) -> None:
    with pytest.raises(StackError, match=listed) as refused:
        resolve({name: value})
    assert refused.value.status == 2
    assert "\n" not in str(refused.value)


def test_standbys_have_the_documented_ports_which_move_as_all_do() -> None:
    assert [PORTS[f"{name.upper()}_STANDBY_PORT"] for name in SERVICES] == [5451, 5452, 5453, 5454]
    moved = resolve({"PORT_OFFSET": "100", "PAYMENT_STANDBY_PORT": "6000"})
    assert [standby.port(moved, name, "standby") for name in SERVICES] == [5551, 6000, 5553, 5554]


def test_a_stack_without_standbys_is_as_it_was(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    secrets = load_or_create(chosen.layout, SERVICES)
    (only,) = programs(chosen, tmp_path, "order")
    assert (only.name, only.ports) == ("order-db", {"ORDER_DB_PORT": 5441})
    assert "max_wal_senders=0" in only.command
    environment = recorded_environment(chosen, secrets)
    assert environment["ORDER_DATABASE_URL"].endswith("@127.0.0.1:5441/order_service")
    assert "STANDBY_TIMEOUT" not in service(chosen, secrets, "order", tmp_path).environment


def test_both_servers_are_alike_but_for_port_and_folder(tmp_path: Path) -> None:
    chosen = settings(tmp_path, DB_STANDBY="order")
    servers = programs(chosen, tmp_path, "order")
    assert [server.name for server in servers] == ["order-db", "order-standby"]
    assert len({server.directory for server in servers}) == 2
    for server, port in zip(servers, (5441, 5451), strict=True):
        assert {"listen_addresses=127.0.0.1", f"port={port}", f"hba_file={server.directory}/{standby.HBA}"} < {
            *server.command
        }
        assert {f"{name}={value}" for name, value in OPTIONS.items()} < {*server.command}
        assert "synchronous_commit=on" in server.command
    assert [server.name for server in programs(chosen, tmp_path, "payment")] == ["payment-db"]


def test_services_and_tools_know_both_servers_and_take_only_a_primary(tmp_path: Path) -> None:
    chosen = settings(tmp_path, DB_STANDBY="order", STANDBY_TIMEOUT="3")
    secrets = load_or_create(chosen.layout, SERVICES)
    environment = service(chosen, secrets, "order", tmp_path).environment
    assert environment["STANDBY_TIMEOUT"] == "3"
    url = environment["DATABASE_URL"]
    assert recorded_environment(chosen, secrets)["ORDER_DATABASE_URL"] == url
    _, options = dialect().create_connect_args(make_url(url))
    assert (options["host"], options["port"]) == (["127.0.0.1", "127.0.0.1"], [5441, 5451])
    assert (options["target_session_attrs"], options["database"]) == ("read-write", "order_service")
    read = ServiceSettings.from_env(
        {"TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "DATABASE_URL": url, "STANDBY_TIMEOUT": "3", "SERVICE": "order"}
    )
    assert (read.database_url, read.standby_timeout) == (url, 3.0)
    assert secrets["order"] not in repr(read)
    assert "STANDBY_TIMEOUT" not in service(chosen, secrets, "payment", tmp_path).environment


def test_the_replication_role_has_a_secret_of_its_own_and_can_only_replicate_from_here(tmp_path: Path) -> None:
    secrets = load_or_create(Layout(tmp_path), SERVICES)
    assert len(secrets["replication"]) >= 32
    assert list(secrets.values()).count(secrets["replication"]) == 1
    first = {tuple(line.split()[1:3]): line.split()[3:] for line in reversed(HBA_LINES)}
    assert first["replication", "replicator"] == ["127.0.0.1/32", "scram-sha-256"]
    assert first["all", "replicator"][-1] == first["replication", "all"][-1] == "reject"
    assert list(first)[-2:] == [("all", "replicator"), ("replication", "replicator")]


def test_what_is_written_down_is_read_again_by_everybody_who_asks(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    assert mark(place, "order") == Mark("db", confirmed=False, fenced=False)
    write(place, "order", Mark("standby", confirmed=True))
    write(place, "payment", Mark(fenced=True))
    assert mark(place, "order") == Mark("standby", confirmed=True)
    assert (mark(place, "order").other, mark(place, "payment").other) == ("db", "standby")
    assert place.standbys.stat().st_mode & 0o777 == 0o600


def test_after_a_promotion_the_other_server_is_the_one_that_is_started(tmp_path: Path) -> None:
    write(Layout(tmp_path), "order", Mark("standby"))
    alone = settings(tmp_path)
    assert [server.name for server in programs(alone, tmp_path, "order")] == ["order-standby"]
    url = standby.database_url(alone, load_or_create(alone.layout, SERVICES), "order")
    assert url.endswith("@127.0.0.1:5451/order_service")


@pytest.mark.parametrize(
    ("known", "clusters", "problem"),
    [
        (Mark(), {}, ""),  # nothing was made yet
        (Mark(), {"db": False}, ""),
        (Mark(), {"db": False, "standby": True}, ""),
        (Mark("standby"), {"standby": False, "db": True}, ""),
        (Mark("standby", fenced=True), {"standby": True, "db": False}, ""),  # in the middle of a promotion
        (Mark("standby"), {"standby": True, "db": False}, "says that"),  # written down, and not as the folders are
        (Mark(), {"db": True, "standby": False}, "says that"),  # what was written down is lost: the other is newer
        (Mark(), {"db": False, "standby": False}, "says that"),  # two that would both be primaries
        (Mark("standby"), {}, "is gone"),
        (Mark("standby"), {"db": True}, "is gone"),
        (Mark(), {"standby": True}, "is gone"),
    ],
)
def test_folders_that_contradict_what_is_written_down_are_not_touched(
    tmp_path: Path, known: Mark, clusters: dict[str, bool], problem: str
) -> None:
    place = Layout(tmp_path)
    for server, follows in clusters.items():
        cluster(place, "order", server, follows)
    if known != Mark():
        write(place, "order", known)
    if not problem:
        check(place, "order")
        return
    with pytest.raises(StackError, match=problem):
        check(place, "order")


def test_the_cluster_of_a_fenced_primary_is_deleted_and_no_other(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    old, new, other = (cluster(place, *of) for of in (("order", "db"), ("order", "standby", True), ("payment", "db")))
    promotion.fence(place, "order")
    assert old.is_dir()  # nobody has said that it is fenced
    write(place, "order", Mark("standby", fenced=True))
    for name in ("order", "payment"):
        promotion.fence(place, name)
    assert [old.exists(), new.exists(), other.exists()] == [False, True, True]


@pytest.mark.parametrize(
    ("values", "known", "said"),
    [
        ({}, Mark(), "has no standby; to create one: make up DB_STANDBY=order"),
        ({"DB_STANDBY": "payment"}, Mark(confirmed=True), "has no standby"),
        ({"DB_STANDBY": "order"}, Mark(), "may lack orders"),
    ],
)
def test_a_standby_that_may_lack_something_is_not_promoted(
    tmp_path: Path, values: dict[str, str], known: Mark, said: str
) -> None:
    with pytest.raises(StackError, match=said):
        promotion.check(settings(tmp_path, **values), {}, "order", known)


@pytest.mark.parametrize("given", ["", "orders", "all"])
def test_promote_names_the_services_it_can_be_asked_for(tmp_path: Path, given: str) -> None:
    with pytest.raises(StackError, match=r"valid: order, payment, inventory, shipping") as refused:
        lifecycle.promote({"SERVICE": given, "STACK_DIR": str(tmp_path)})
    assert refused.value.status == 2
