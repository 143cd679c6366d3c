"""What the peers need besides the stack's databases and Kafka: their packages, RabbitMQ and Restate, fetched once."""

import platform
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout
from quartet_stack.servers.components import Component, Report, pip_venv, run

HERE: Final = Path(__file__).parent
LOCK: Final = REPOSITORY / "requirements-peers.lock"
PACKAGES: Final = HERE / "rabbitmq.packages"
RESTATE: Final = HERE / "restate-server"
HOST: Final = "127.0.0.1"
PYTHON: Final = Component("peers", LOCK, pip_venv("the packages of the peers", LOCK))


@dataclass(frozen=True)
class Process:
    """A process to start: its command, variables in addition to ours, and the port that tells that it is ready."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None


def python(layout: Layout, report: Report) -> Path:
    """The interpreter of the virtual environment with the peers' packages."""
    return PYTHON.ensure(layout, report) / "bin" / "python"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def rabbitmq(layout: Layout, folder: Path, report: Report) -> tuple[dict[str, Process], dict[str, str]]:
    """RabbitMQ with the port mapper of Erlang, and the variable with its address."""
    root = RABBITMQ.ensure(layout, report).absolute()
    erlang = root / "usr" / "lib" / "erlang"
    (runtime,) = erlang.glob("erts-*")
    (release,) = (root / "usr" / "lib" / "rabbitmq" / "lib").glob("rabbitmq_server-*")
    port, mapper, cluster = free_ports(3)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {HOST}:{port}\n")
    (folder / "plugins").write_text("[].\n")
    environment = {
        "PATH": f"{root / 'bin'}:/usr/bin:/bin",
        "ERL_DIR": f"{root / 'bin'}/",
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_NODENAME": "peer@localhost",
        "RABBITMQ_DIST_PORT": str(cluster),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    epmd = (str(runtime / "bin" / "epmd"), "-address", HOST, "-port", str(mapper))
    return (
        {
            "epmd": Process(epmd, environment, mapper),
            "rabbitmq": Process((str(release / "sbin" / "rabbitmq-server"),), environment, port),
        },
        {"PEER_RABBITMQ": f"amqp://guest:guest@{HOST}:{port}//"},
    )


def restate(layout: Layout, folder: Path, report: Report) -> tuple[dict[str, Process], dict[str, str]]:
    """Restate's server, and the variables with the addresses of its two interfaces and of the endpoints."""
    modules = RESTATE_SERVER.ensure(layout, report) / "node_modules" / "@restatedev"
    (binary,) = modules.glob(f"restate-server-linux-{_machine()}/bin/restate-server")
    ingress, admin, node, *endpoints = free_ports(7)
    environment = {
        "RESTATE_BASE_DIR": str(folder.absolute()),
        "RESTATE_BIND_IP": HOST,
        "RESTATE_ADVERTISED_HOST": HOST,
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_PORT": str(node),
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_LOG_FILTER": "warn",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    names = ("order", "payment", "inventory", "shipping")
    return (
        {"restate": Process((str(binary.absolute()), "--no-logo"), environment, admin)},
        {
            "PEER_RESTATE_INGRESS": f"http://{HOST}:{ingress}",
            "PEER_RESTATE_ADMIN": f"http://{HOST}:{admin}",
            **{f"PEER_RESTATE_{name.upper()}": str(port) for name, port in zip(names, endpoints, strict=True)},
        },
    )


def _machine() -> str:
    return {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _install_rabbitmq(target: Path, report: Report) -> None:
    """Download the packages of this system's release, whose signatures apt checks, and extract them.

    Raises:
        StackError: They are not to be had here.
    """
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]:
        raise StackError(f"RabbitMQ: there is no {missing[0]} to fetch it with; leave celery out of PEERS")
    target.mkdir(parents=True)
    download = ["apt-get", "download", *PACKAGES.read_text().split()]
    try:
        run(download, "RabbitMQ", report, directory=target)
    except StackError:
        run(["apt-get", "update"], "RabbitMQ", report)  # a new machine has no list of packages yet
        run(download, "RabbitMQ", report, directory=target)
    for package in target.glob("*.deb"):
        run(["dpkg-deb", "--extract", package.name, "."], "RabbitMQ", report, directory=target)
        package.unlink()
    (runtime,) = (target / "usr" / "lib" / "erlang").glob("erts-*")
    start = target / "bin" / "erl"  # Debian's has the folder into which it would be installed
    start.parent.mkdir()
    start.write_text(
        '#!/bin/sh\nexport ROOTDIR="$(dirname "$(dirname "$(readlink -f "$0")")")/usr/lib/erlang"\n'
        f'export BINDIR="$ROOTDIR/{runtime.name}/bin" EMU=beam PROGNAME=erl\nexec "$BINDIR/erlexec" "$@"\n'
    )
    start.chmod(0o755)


def _install_restate(target: Path, report: Report) -> None:
    """Install the locked npm packages.

    Raises:
        StackError: There is no npm, or it failed.
    """
    if not shutil.which("npm"):
        raise StackError("Restate: there is no npm to fetch its server with; leave restate out of PEERS")
    target.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(RESTATE / name, target / name)
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "Restate", report, directory=target)


RABBITMQ: Final = Component("rabbitmq", PACKAGES, _install_rabbitmq)
RESTATE_SERVER: Final = Component("restate", RESTATE / "package-lock.json", _install_restate)
