"""Apache Kafka: one broker that is its own controller."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import readable
from quartet_stack.ownership.user_files import UMASK
from quartet_stack.processes.programs import SUBSTRATE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.secrets_store import read
from quartet_stack.servers import toxiproxy
from quartet_stack.servers.components import PINS, Component, Report, run, verify
from quartet_stack.servers.java import java
from quartet_stack.settings import Settings

POM = PINS / "kafka" / "pom.xml"
DIGESTS = PINS / "kafka" / "jars.sha256"  # changes with the pom: see infra/stack/README.md
LOGGING = PINS / "kafka" / "log4j2.yaml"
JVM = (
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
)


def properties(settings: Settings) -> dict[str, str]:
    """The broker's configuration: small, durable enough for one machine, and quickly back after a kill."""
    controller = settings.port("KAFKA_CONTROLLER_PORT")
    ours = [link for link in toxiproxy.links(settings) if link.dependency == "kafka"]
    here = {"PLAINTEXT": settings.port("KAFKA_PORT"), **{link.service.upper(): link.upstream for link in ours}}
    advertised = here | {link.service.upper(): link.listen for link in ours}  # sends each service through its proxy
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": _addresses({**here, "CONTROLLER": controller}),
        "advertised.listeners": _addresses(advertised),
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("CONTROLLER", *here)),
        "log.dirs": str(settings.layout.data / "kafka" / "logs"),
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        "default.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # a killed broker can register again only after its session has expired
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # the default of 128 MB does not fit into the heap
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.cleaner.threads": "1",
        "log.segment.bytes": "67108864",
        "log.retention.bytes": "268435456",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.replica.fetchers": "1",
        "num.recovery.threads.per.data.dir": "1",
        "background.threads": "2",
    }


def fetch(settings: Settings, report: Report) -> tuple[Path, Path]:
    """Java, and the folder of the broker's jars: those of `KAFKA_HOME`, or the pinned ones."""
    return java("Kafka", report), readable(_libs(settings, report), report)


def prepare(settings: Settings, report: Report) -> Program:
    """The broker; formats its storage if it is new."""
    virtual_machine, libs = fetch(settings, report)
    data, user = home(settings.layout, "kafka")
    config = data / "server.properties"
    text = "".join(f"{name}={value}\n" for name, value in properties(settings).items())
    user.write(data, config.name, text)
    logging = readable(LOGGING, report)
    base = (str(virtual_machine), *JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{libs}/*")
    if not (data / "logs" / "meta.properties").exists():
        report("formatting its storage")
        _format((*user.command(), *base), settings, config)
    return Program(
        name="kafka",
        kind=SUBSTRATE,
        command=(*base, "kafka.Kafka", str(config)),
        directory=data,
        check=Check("kafka", settings.port("KAFKA_PORT")),
        ports={name: settings.port(name) for name in ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", *_listeners(settings))},
        environment={"HOME": str(data)},
        fingerprint=text,
    )


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


def _listeners(settings: Settings) -> list[str]:
    """The variables of the ports on which the broker listens for one service each."""
    return [f"KAFKA_{link.service.upper()}_PORT" for link in toxiproxy.links(settings) if link.dependency == "kafka"]


def _format(base: tuple[str, ...], settings: Settings, config: Path) -> None:
    cluster = read(settings.layout)["kafka_cluster"]
    command = [
        *base,
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        f"--cluster-id={cluster}",  # one word, because the id may begin with a hyphen
        "-c",
        str(config),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", umask=UMASK)
    if done.returncode:
        raise StackError(f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-800:]}")


def _libs(settings: Settings, report: Report) -> Path:
    home = os.environ.get("KAFKA_HOME")
    if home:
        libs = Path(home, "libs")
        if not any(libs.glob("kafka_*.jar")):
            raise StackError(f"KAFKA_HOME={home} has no libs/kafka_*.jar; unset it, and Maven fetches Kafka")
        return libs
    return COMPONENT.ensure(settings.layout, report) / "libs"


def _install(target: Path, report: Report) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise StackError(
            "make up fetches Kafka with Maven, and there is no mvn in PATH; on Debian: apt-get install maven; "
            "or set KAFKA_HOME to an unpacked Kafka: KAFKA_HOME=/path/to/kafka make up MODE=kafka"
        )
    libs = target / "libs"
    command = [maven, "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
    run([*command, "-Dorg.slf4j.simpleLogger.showLogName=false"], "Kafka", report)
    if not any(libs.glob("kafka_*.jar")):
        raise StackError("Kafka could not be fetched: Maven copied no kafka_*.jar")
    verify(libs, DIGESTS, "Kafka")


COMPONENT = Component("kafka", POM, _install, checked_by=DIGESTS)
