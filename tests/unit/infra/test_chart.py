"""The Helm chart: linted, rendered for every mode, and held against the schemas of the oldest and newest Kubernetes.

KEDA's own resources have no schema here: their names are compared with what the services use.
"""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from checkout.topology import topology_of
from native_stack.docker import BROKERS
from native_stack.layout import REPOSITORY
from native_stack.settings import SERVICES
from sagakit.modes import MODES
from sagakit.modes.kafka.topology import topics
from sagakit.modes.pubsub.topology import subscription_of
from sagakit.modes.sns_sqs.topology import plan
from sagakit.modes.temporal.wire import QUEUE

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


def test_the_chart_knows_the_modes_and_the_services_that_there_are() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert sorted(schema["properties"]["mode"]["enum"]) == REAL
    assert set(schema["properties"]["services"]["properties"]) == set(SERVICES)


def test_values_hold_no_secret_and_name_the_variables_that_services_read() -> None:
    values = (CHART / "values.yaml").read_text()
    assert not re.search(r"^\s*\w*(password|secret|token)\w*: \S", values.replace("existingSecret: quartet", ""), re.I)
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    from dataclasses import fields

    from sagakit.settings import Settings

    known = {field.name.upper() for field in fields(Settings)}
    named = set(re.findall(r"\{name: ([A-Z_]+), value", helpers)) | set(
        re.findall(r"- name: ([A-Z_]+)$", helpers, re.M)
    )
    assert named <= known
    assert {"ROLE", "COORDINATION_MODE", "DATABASE_URL", "JWT_SECRET"} <= named


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


def test_the_chart_passes_the_linter() -> None:
    done = subprocess.run([HELM, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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
def test_kubernetes_knows_all_that_is_rendered(mode: str, options: tuple[str, ...]) -> None:
    known = [text for text in render(mode, *options) if not re.search(r"^apiVersion: keda.sh/", text, re.MULTILINE)]
    assert len(known) > 20
    for text in known:
        accepted(text)


@cache
def accepted(text: str) -> None:
    """Raises unless Kubernetes knows every field; much is the same in all modes, and looked at once."""
    for version in KUBERNETES:
        kubernetes_validate.validate(yaml.load(text, yaml.CSafeLoader), version, strict=True)


def test_what_kubernetes_does_not_know_is_found() -> None:
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


@pytest.mark.parametrize("mode", REAL)
def test_workers_are_scaled_by_what_the_services_really_consume(mode: str) -> None:
    scaled = of_kind(render(mode, "keda.enabled=true"), "ScaledObject")
    assert set(scaled) == {f"quartet-{name}-worker" for name in SERVICES}
    spec = MODES[mode]
    topology = topology_of(spec.style)
    for name in SERVICES:
        text = scaled[f"quartet-{name}-worker"]
        if spec.substrate == "kafka":
            assert f"consumerGroup: quartet.{name}\n" in text
            assert topics(topology, 6)
        elif spec.substrate == "temporal":
            assert f"taskQueue: {QUEUE.format(name)}\n" in text
        elif spec.substrate == "sns_sqs":
            assert f"/{plan(topology).consumed[name]}\n" in text
        else:
            wanted = {subscription_of(one) for one in topology.subscriptions if one.consumer == name}
            assert set(re.findall(r"subscriptions/(\S+)$", text, re.MULTILINE)) == wanted


def test_kafka_gets_no_more_workers_than_partitions() -> None:
    scaled = of_kind(render("kafka-choreography", "keda.enabled=true", "kafka.partitions=3"), "ScaledObject")
    assert all("maxReplicaCount: 3" in text for text in scaled.values())


def test_one_service_can_be_set_apart() -> None:
    documents = render("kafka-choreography", "services.inventory.worker.replicas=5")
    deployments = of_kind(documents, "Deployment")
    assert "replicas: 5" in deployments["quartet-inventory-worker"]
    assert "replicas: 2" in deployments["quartet-payment-worker"]


def test_a_mode_that_is_not_known_is_refused() -> None:
    with pytest.raises(AssertionError, match="mode"):
        render("carrier-pigeon")
