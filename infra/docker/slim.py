"""Make an installed folder of packages smaller, and compile what the services import of it.

    python slim.py /install

Guarantee: nothing that a service can import is deleted but test suites, and AWS's descriptions of services other than
SNS, SQS and STS. Byte code is made here, of the modules that are imported at start: the root file system of a
container is read-only, so it could not be made later; of the rest it would be dead weight.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# sources and declarations that compiled modules were made from
SOURCES = {".c", ".cc", ".cpp", ".h", ".hpp", ".pyx", ".pxd", ".pxi", ".pyi", ".rs", ".proto"}
UNUSED = (
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
    "fastapi",
    "google.cloud.pubsub_v1",
    "google.pubsub_v1",
    "grpc.aio",
    "httptools",
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
    """Raises CalledProcessError when a library cannot be stripped or a package cannot be imported."""
    for site in folder.glob("lib/python3*/site-packages"):
        for name in UNUSED:
            shutil.rmtree(site / name, ignore_errors=True)
        for service in (site / "botocore" / "data").glob("*/"):
            if service.name not in AWS:
                shutil.rmtree(service)
        for path in sorted(site.rglob("*")):
            if path.is_dir() and path.name == "tests":
                shutil.rmtree(path)
            elif path.is_file() and path.suffix in SOURCES:
                path.unlink()
        libraries = [str(path) for path in site.rglob("*.so*") if path.is_file()]
        if libraries:
            subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        imports = "; ".join(f"import {name}" for name in IMPORTED)
        subprocess.run([sys.executable, "-c", imports], check=True, env={**environment, "PYTHONPATH": str(site)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
