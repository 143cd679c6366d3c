"""The Helm chart: linted, rendered for every mode, and checked against the schemas of the oldest and newest Kubernetes.

There is no schema of KEDA's own resources here: their names are compared with those that the services use.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from checkout.topology import topology_of
from quartet_stack.docker.environment import BROKERS
from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES
from sagakit.modes.kafka import Transport as KafkaTransport
from sagakit.modes.kafka.topology import group_of, topics
from sagakit.modes.pubsub.topology import dead_letters_of, subscription_of, topic_of, undelivered_of
from sagakit.modes.sns_sqs.topology import plan
from sagakit.modes.temporal.wire import QUEUE
from sagakit.settings import Settings
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from tests.keys import PUBLIC_KEY

CHART = REPOSITORY / "infra" / "helm" / "quartet"
HELM = Path(sys.executable).with_name("helm")  # a development dependency, pinned like all others
KUBERNETES = ("1.30.0", "1.37.0")
REAL = sorted(name for name, spec in MODES.items() if spec.substrate in BROKERS)


@cache
def render(mode: str, *options: str) -> list[str]:
    """The documents of the chart for a mode, as text."""
    sets = [word for option in (f"mode={mode}", *options) for word in ("--set", option)]
    words = [HELM, "template", "quartet", CHART, "--kube-version", KUBERNETES[-1], *sets]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [text for text in done.stdout.split("\n---\n") if "\nkind: " in text]


def of_kind(documents: list[str], kind: str) -> dict[str, str]:
    found = [text for text in documents if re.search(rf"^kind: {kind}$", text, re.MULTILINE)]
    return {re.findall(r"^  name: (\S+)$", text, re.MULTILINE)[0]: text for text in found}


def test_the_chart_knows_every_mode_and_every_service() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert sorted(schema["properties"]["mode"]["enum"]) == REAL
    assert set(schema["properties"]["services"]["properties"]) == set(SERVICES)


def test_values_hold_no_secret_and_name_the_variables_that_services_read() -> None:
    values = (CHART / "values.yaml").read_text()
    assert not re.search(r"^\s*\w*(password|secret|token)\w*: \S", values.replace("existingSecret: quartet", ""), re.I)
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()

    known = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"\{name: ([A-Z_]+), value", helpers)) | set(
        re.findall(r"- name: ([A-Z_]+)$", helpers, re.M)
    )
    assert named <= known
    assert {"ROLE", "COORDINATION_MODE", "DATABASE_URL", "TOKEN_PUBLIC_KEYS"} <= named


@pytest.mark.parametrize("sealing", [True, False])
def test_keys_go_to_those_who_seal_or_open_alone(sealing: bool) -> None:
    documents = render("kafka-choreography", f"sealOrders={str(sealing).lower()}")
    both = {"SEAL_KEY_PAYMENT", "SEAL_KEY_SHIPPING"}
    wanted = {
        "order": both if sealing else set(),
        "payment": {"SEAL_KEY_PAYMENT"},
        "shipping": {"SEAL_KEY_SHIPPING"},
        "inventory": set(),
    }
    pods = of_kind(documents, "Deployment") | of_kind(documents, "Job")
    assert len(pods) == 3 * len(SERVICES)
    for name, text in pods.items():
        given = set(re.findall(r"secretKeyRef: \{name: quartet, key: (SEAL_KEY_[A-Z]+)\}", text))
        assert given == set(re.findall(r"SEAL_KEY_[A-Z]+", text)) == wanted[name.split("-")[1]]


@pytest.mark.parametrize("providers", ["sandbox", "instant"])
def test_a_caller_has_its_own_key_of_its_provider_and_nobody_what_signs_tokens(providers: str) -> None:
    documents = render("kafka-choreography", f"providers={providers}")
    wanted = (
        {"payment": {"PROVIDER_KEY_PAYMENT"}, "shipping": {"PROVIDER_KEY_SHIPPING"}} if providers == "sandbox" else {}
    )
    pods = of_kind(documents, "Deployment") | of_kind(documents, "Job")
    assert len(pods) == 3 * len(SERVICES)
    for name, text in pods.items():
        given = set(re.findall(r"secretKeyRef: \{name: quartet, key: (PROVIDER_KEY_[A-Z]+)\}", text))
        assert given == set(re.findall(r"PROVIDER_KEY_[A-Z]+", text)) == wanted.get(name.split("-")[1], set())
        assert "secretKeyRef: {name: quartet, key: TOKEN_PUBLIC_KEYS}" in text
    assert not any(re.search(r"JWT_SECRET|SIGNING_KEY", text) for text in documents)


def test_the_chart_passes_the_linter() -> None:
    done = subprocess.run([HELM, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def schemas() -> Iterator[None]:
    """Read each schema once; the library reads two of megabytes for every document."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("keda.enabled=true", "keda.authentication=broker"),
        (
            "networkPolicy.enabled=false",
            "defaults.api.autoscaling.enabled=false",
            "image.registry=registry.example.org",
        ),
    ],
    ids=["as it is", "with KEDA", "with less"],
)
@pytest.mark.parametrize("mode", REAL)
@pytest.mark.thorough
def test_kubernetes_knows_all_that_is_rendered(mode: str, options: tuple[str, ...]) -> None:
    known = [text for text in render(mode, *options) if not re.search(r"^apiVersion: keda.sh/", text, re.MULTILINE)]
    assert len(known) > 20
    for text in known:
        accepted(text)


@cache
def accepted(text: str) -> None:
    """Raise unless Kubernetes knows every field; documents that are the same in all modes are checked once."""
    for version in KUBERNETES:
        kubernetes_validate.validate(yaml.load(text, yaml.CSafeLoader), version, strict=True)


def test_the_check_finds_a_field_that_kubernetes_does_not_know() -> None:
    service = next(iter(of_kind(render(REAL[0]), "Service").values()))
    with pytest.raises(kubernetes_validate.ValidationError, match="portss"):
        accepted(service.replace("ports:", "portss:"))


@pytest.mark.parametrize("mode", REAL)
def test_every_role_of_every_service_is_deployed_hardened_and_probed(mode: str) -> None:
    documents = render(mode)
    deployments = of_kind(documents, "Deployment")
    assert set(deployments) == {f"quartet-{name}-{role}" for name in SERVICES for role in ("api", "worker")}
    for text in deployments.values():
        for promise in (
            "readOnlyRootFilesystem: true",
            "runAsNonRoot: true",
            "capabilities: {drop: [ALL]}",
            "allowPrivilegeEscalation: false",
            "startupProbe:",
            "livenessProbe:",
            "readinessProbe:",
            f"value: {mode}",
        ):
            assert promise in text
    assert set(of_kind(documents, "PodDisruptionBudget")) == set(deployments)
    assert set(of_kind(documents, "Service")) == {f"quartet-{name}" for name in SERVICES}
    for text in of_kind(documents, "Job").values():
        assert "helm.sh/hook: pre-install,pre-upgrade" in text
        assert "args: [migrate]" in text


def consumed(mode: str, service: str) -> set[str]:
    """What a service consumes, by the names that the code builds."""
    spec = MODES[mode]
    topology = topology_of(spec.style)
    match spec.substrate:
        case "kafka":
            return {group_of(service, spec.style)}
        case "temporal":
            return {QUEUE.format(service)}
        case "sns_sqs":
            return {plan(topology).consumed[service]}
    return {subscription_of(one) for one in topology.of(service)}


WATCHED = {"consumerGroup": "", "taskQueue": "", "queueURL": "/", "subscriptionName": "/"}  # key: up to which to cut


@pytest.mark.parametrize("mode", REAL)
def test_workers_are_scaled_by_what_the_services_really_consume(mode: str) -> None:
    scaled = of_kind(render(mode, "keda.enabled=true"), "ScaledObject")
    assert set(scaled) == {f"quartet-{name}-worker" for name in SERVICES}
    for name in SERVICES:
        triggers = yaml.safe_load(scaled[f"quartet-{name}-worker"])["spec"]["triggers"]
        metadata = [trigger["metadata"] for trigger in triggers]
        found = [(one[key], cut) for one in metadata for key, cut in WATCHED.items() if key in one]
        watched = [value.rpartition(cut)[2] if cut else value for value, cut in found]
        assert len(watched) == len(metadata)
        assert set(watched) == consumed(mode, name)


@pytest.mark.parametrize("mode", [mode for mode in REAL if MODES[mode].substrate == "temporal"])
def test_both_kinds_of_tasks_count_for_participants_of_an_orchestration_have_activities_alone(mode: str) -> None:
    for text in of_kind(render(mode, "keda.enabled=true"), "ScaledObject").values():
        (trigger,) = yaml.safe_load(text)["spec"]["triggers"]
        assert trigger["metadata"]["queueTypes"] == "workflow,activity"


@pytest.mark.parametrize("style", [CHOREOGRAPHY, ORCHESTRATION])
def test_keda_watches_the_consumer_group_that_the_mode_joins(style: str) -> None:
    transport = KafkaTransport(Settings(token_public_keys=PUBLIC_KEY), "order", topology_of(style))
    assert transport.group == group_of("order", style) == f"quartet.order.{style}"


def test_ports_are_those_of_the_image_and_of_the_servers_that_are_named() -> None:
    definition = (REPOSITORY / "infra" / "docker" / "service.Dockerfile").read_text()
    (port,) = re.findall(r"HTTP_PORT=(\d+)", definition)
    assert f"EXPOSE {port}\n" in definition
    for mode in REAL:
        text = "\n".join(render(mode))
        assert set(re.findall(r"containerPort: (\d+)", text)) == {port}
        assert set(re.findall(r'_URL, value: "http://quartet-\w+:(\d+)"', text)) == {port}
        (policy,) = of_kind(render(mode), "NetworkPolicy").values()
        opened = {int(number) for number in re.findall(r"port: (\d+)", policy)}
        servers = re.findall(r'name: (?:KAFKA_BOOTSTRAP|TEMPORAL_ADDRESS), value: "[^":]+:(\d+)"', text)
        assert {int(number) for number in (*servers, port)} <= opened
        assert bool(servers) == (MODES[mode].substrate in ("kafka", "temporal"))


PAGES = sorted((REPOSITORY / "shared" / "src" / "sagakit" / "modes").glob("*/README.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.parent.name))
def test_the_pages_of_the_modes_name_what_the_code_creates(page: Path) -> None:
    made: set[str] = set()
    for mode in (mode for mode in REAL if MODES[mode].substrate == page.parent.name):
        topology = topology_of(MODES[mode].style)
        made |= {name for service in SERVICES for name in consumed(mode, service)}
        if MODES[mode].substrate == "kafka":
            made |= topics(topology, 1).keys()
        elif MODES[mode].substrate == "sns_sqs":
            made |= plan(topology).topics
        elif MODES[mode].substrate == "pubsub":
            made |= {topic_of(channel) for channel in topology.channels}
            made |= {name(topology, one) for one in topology.consumers for name in (dead_letters_of, undelivered_of)}
    named = set(re.findall(r"`(quartet[.-][a-z.-]+)`", page.read_text()))
    assert named <= made
    assert bool(named) == bool(made)


def test_kafka_gets_no_more_workers_than_partitions() -> None:
    scaled = of_kind(render("kafka-choreography", "keda.enabled=true", "kafka.partitions=3"), "ScaledObject")
    assert all("maxReplicaCount: 3" in text for text in scaled.values())


def test_values_can_be_set_for_one_service() -> None:
    documents = render("kafka-choreography", "services.inventory.worker.replicas=5")
    deployments = of_kind(documents, "Deployment")
    assert "replicas: 5" in deployments["quartet-inventory-worker"]
    assert "replicas: 2" in deployments["quartet-payment-worker"]


def test_providers_are_called_over_https() -> None:
    deployed, policies = (of_kind(render(REAL[0]), kind) for kind in ("Deployment", "NetworkPolicy"))
    assert deployed
    assert all('name: PROVIDER_URL, value: "https://' in text for text in deployed.values())
    assert policies
    assert not any(re.search(r"port: 80\b", text) for text in policies.values())


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(AssertionError, match="mode"):
        render("carrier-pigeon")
