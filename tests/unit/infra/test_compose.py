"""Properties of docker-compose.yml, read as text, because the runtime dependencies have no YAML parser."""

import json
import re
from pathlib import Path

import pytest

from quartet_stack.docker.compose import COMPOSE_FILE
from quartet_stack.docker.environment import BROKERS, routes
from quartet_stack.layout import REPOSITORY
from quartet_stack.servers import pubsub, temporal, toxiproxy
from quartet_stack.settings import PORTS, SERVICES, resolve
from sagakit.modes import MODES

TEXT = COMPOSE_FILE.read_text()
PROXIES = REPOSITORY / "infra" / "docker" / "toxiproxy.json"
STACKED = TEXT[TEXT.index("\nservices:\n") : TEXT.index("\nnetworks:\n")]
BLOCKS = {
    found[1]: found[2] for found in re.finditer(r"^  ([a-z-]+):.*\n((?:(?:    .*)?\n)+)", STACKED, flags=re.MULTILINE)
}


def test_every_mode_has_a_profile_that_starts_its_broker() -> None:
    for name, spec in MODES.items():
        if spec.substrate in BROKERS:
            assert re.search(rf"profiles: \[.*\b{name}\b", BLOCKS[BROKERS[spec.substrate]]), name


def test_the_pubsub_emulator_gives_up_under_the_same_conditions_as_without_containers() -> None:
    words = BLOCKS["pubsub"].split()
    conditions = {*pubsub.GIVES_UP, "-XX:+ExitOnOutOfMemoryError"}
    assert conditions <= set(words)
    assert conditions <= set(pubsub.JVM)


def test_every_image_is_pinned() -> None:
    images = re.findall(r"^ +image: (\S+)$", TEXT, flags=re.MULTILINE)
    assert len(images) > 10
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_every_published_port_is_of_this_machine_only_and_can_be_changed() -> None:
    published = re.findall(r'"([^"]*:\d+)"', "\n".join(re.findall(r"^    ports: .*$", TEXT, flags=re.MULTILINE)))
    assert published
    assert all(re.match(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+$", port) for port in published)
    defaults = dict(re.findall(r"\$\{([A-Z_]+_PORT):-(\d+)\}", TEXT))
    for name, default in PORTS.items():
        if name not in ("KAFKA_CONTROLLER_PORT", "AUDITOR_PORT") and not name.endswith("_STANDBY_PORT"):
            assert defaults[name] == str(default)


def test_the_temporal_server_has_the_same_limits_as_the_native_one() -> None:
    words = re.findall(r"^      - (--\S+)$", BLOCKS["temporal"], flags=re.MULTILINE)
    tuning = {word for word in words if word.startswith(("--dynamic-config-value", "--sqlite-pragma"))}
    assert tuning == {f"{flag}={value}" for flag, value in temporal.FLAGS}


@pytest.mark.parametrize(
    "secret",
    [
        "TOKEN_PUBLIC_KEYS",
        "PROVIDER_KEY_PAYMENT",
        "PROVIDER_KEY_SHIPPING",
        "POSTGRES_PASSWORD",
        "SEAL_KEY_PAYMENT",
        "SEAL_KEY_SHIPPING",
        *(f"{name.upper()}_DB_PASSWORD" for name in SERVICES),
    ],
)
def test_no_secret_has_a_default(secret: str) -> None:
    uses = re.findall(rf"\$\{{{secret}[^}}]*\}}", TEXT)
    assert uses
    assert all(use.startswith(f"${{{secret}:?") for use in uses)


def test_keys_go_to_those_who_seal_or_open_alone() -> None:
    holders = {"SEAL_KEY_PAYMENT": {"order", "payment"}, "SEAL_KEY_SHIPPING": {"order", "shipping"}}
    for key, services in holders.items():
        assert {name for name, block in BLOCKS.items() if key in block} == services
        assert TEXT.count(f" {key}: ") == len(services), "and not in what all services get"


def test_a_caller_has_its_own_key_of_its_provider_and_nobody_what_signs_tokens() -> None:
    holders = {"PROVIDER_KEY_PAYMENT": {"payment", "provider"}, "PROVIDER_KEY_SHIPPING": {"shipping", "provider"}}
    for key, programs in holders.items():
        assert {name for name, block in BLOCKS.items() if key in block} == programs
        assert TEXT.count(f" {key}: ") == len(programs), "and not in what all services get"
    assert not re.search(r"JWT_SECRET|SIGNING_KEY", TEXT)


def test_everything_is_hardened() -> None:
    anchors = {"<<: *hardened", "<<: *ours", "<<: *postgres", "<<: *migrate", "<<: *worker"}
    assert all(any(anchor in block for anchor in anchors) for block in BLOCKS.values())
    for promise in ("cap_drop: [ALL]", '"no-new-privileges:true"', "restart: unless-stopped"):
        assert promise in TEXT[TEXT.index("x-hardened") : TEXT.index("x-postgres")]
    ours = TEXT[TEXT.index("x-ours") : TEXT.index("x-environment")]
    assert "read_only: true" in ours
    assert "init: true" in ours


def test_workers_and_jobs_publish_no_port_and_a_database_is_on_no_other_network() -> None:
    for name in SERVICES:
        for suffix in ("worker", "migrate"):
            assert "ports:" not in BLOCKS[f"{name}-{suffix}"]
        assert f"networks: [{name}-data]" in BLOCKS[f"{name}-db"]
        joined = [block for block, text in BLOCKS.items() if re.search(rf"\b{name}-data\b", text)]
        assert set(joined) == {name, f"{name}-db", f"{name}-worker", f"{name}-migrate", "toxiproxy"}


def test_every_port_inside_is_the_one_that_the_services_listen_to() -> None:
    (port,) = re.findall(r'^  HTTP_PORT: "(\d+)"$', TEXT, flags=re.MULTILINE)
    for name in (*SERVICES, "provider"):
        assert set(re.findall(rf"\b{name}:(\d{{4}})\b", TEXT)) == {port}
        assert re.search(rf'"127\.0\.0\.1:\$\{{{name.upper()}_PORT:-\d+\}}:{port}"', BLOCKS[name])


def test_chaos_routes_through_proxies_that_exist() -> None:
    proxies = json.loads(PROXIES.read_text())
    ports = {proxy["listen"].rpartition(":")[2] for proxy in proxies}
    given = routes()
    assert {route.rpartition(":")[2] for route in given.values()} == ports
    assert all(f"${{{name}:-" in TEXT for name in given)
    assert all(f"${{{name}:-{proxy['upstream']}}}" in TEXT for name, proxy in zip(given, proxies, strict=True))


def test_each_service_has_a_proxy_for_each_dependency_named_as_in_the_native_stack(
    tmp_path: Path,
) -> None:
    names = {proxy["name"] for proxy in json.loads(PROXIES.read_text())}
    native = set[str]()
    for mode in MODES:
        settings = resolve({"TOXICS": "on", "COORDINATION_MODE": mode, "STACK_DIR": str(tmp_path)})
        native |= {link.name for link in toxiproxy.links(settings)}
    assert names == native


def test_kafka_listens_for_each_service_and_sends_it_on_where_the_service_looks_for_it() -> None:
    text = re.sub(r"\\\n *", "", BLOCKS["kafka"])
    lists = dict(re.findall(r'(KAFKA_(?:ADVERTISED_)?LISTENERS): "(.*)"', text))
    listens = dict(one.split("://") for one in lists["KAFKA_LISTENERS"].split(","))
    sends_to = dict(one.split("://") for one in lists["KAFKA_ADVERTISED_LISTENERS"].split(","))
    for name in SERVICES:
        (looks,) = re.findall(r"KAFKA_BOOTSTRAP: (.*)", BLOCKS[name])
        assert sends_to[name.upper()] == looks == f"${{{name.upper()}_KAFKA_AT:-kafka{listens[name.upper()]}}}"
    assert text.count(":PLAINTEXT") == len(listens)
