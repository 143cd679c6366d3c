"""Make an interpreter with its packages smaller, and compile the modules that the services import.

    python slim.py /install        a copy of /usr/local into which the packages were installed

Guarantee: of what a service can import, only installers, test suites, editors, and AWS's descriptions of services
other than SNS, SQS and STS are deleted. The modules that are imported at start are compiled here, because the root file
system of a container is read-only; byte code of the rest would only make the image larger.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# the suffixes of sources and declarations of compiled modules
SOURCES = {".c", ".cc", ".cpp", ".h", ".hpp", ".pyx", ".pxd", ".pxi", ".pyi", ".rs", ".proto"}
INSTALLERS = ("pip", "setuptools", "wheel")
INTERPRETER = ("ensurepip", "idlelib", "lib2to3", "test", "tkinter", "turtledemo")
UNUSED = (
    *INSTALLERS,
    "boto3/data",
    "boto3/examples",
    "sqlalchemy/testing",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    "temporalio/bridge/sdk-core",
    "temporalio/bridge/src",
)
AWS = {"sns", "sqs", "sts"}
IMPORTED = (
    "aioboto3",
    "aiohttp",
    "aiokafka",
    "asyncpg",
    "cryptography.fernet",
    "fastapi",
    "fastapi_swagger",
    "google.cloud.pubsub_v1",
    "google.pubsub_v1",
    "grpc.aio",
    "httptools",
    "httpx",
    "jinja2",
    "jwt",
    "msgspec",
    "prometheus_client",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.ext.asyncio",
    "temporalio.client",
    "temporalio.worker",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)


def main(folder: Path) -> None:
    """Make the interpreter in a folder smaller; CalledProcessError if strip or an import fails."""
    (library,) = folder.glob("lib/python3.*")
    site = library / "site-packages"
    for path in (
        *(library / name for name in INTERPRETER),
        *library.glob("config-*"),
        *(site / name for name in UNUSED),
        *(path for name in INSTALLERS for path in site.glob(f"{name}-*")),
        *(path for path in (site / "botocore" / "data").glob("*/") if path.name not in AWS),
        *(path for path in site.rglob("tests") if path.is_dir()),
        *library.rglob("__pycache__"),
        folder / "include",
    ):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob("bin/pip*"):
        path.unlink()
    for path in site.rglob("*"):
        if path.suffix in SOURCES and path.is_file():
            path.unlink()
    libraries = [str(path) for path in (folder / "lib").rglob("*.so*") if path.is_file() and not path.is_symlink()]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [folder / "bin" / "python3", "-c", "; ".join(f"import {name}" for name in IMPORTED)],
        check=True,
        env={**environment, "PYTHONHOME": str(folder), "LD_LIBRARY_PATH": str(folder / "lib")},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
