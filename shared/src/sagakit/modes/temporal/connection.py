"""Finding the Temporal server, however late it comes up."""

import asyncio
import logging
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import GrpcCompression, KeepAliveConfig, RetryConfig, RPCError, RPCStatusCode

from sagakit.modes.temporal.wire import CONVERTER
from sagakit.settings import Settings

log = logging.getLogger(__name__)

RETENTION = Duration(seconds=3 * 24 * 3600)


async def connect(settings: Settings) -> Client:
    """A client of a server that answers and knows our namespace. Tries for ever."""
    pause = settings.retry_initial
    while True:
        try:
            client = await Client.connect(
                settings.temporal_address,
                namespace=settings.temporal_namespace,
                data_converter=CONVERTER,
                keep_alive_config=KeepAliveConfig(interval_millis=5_000, timeout_millis=5_000),
                retry_config=RetryConfig(max_interval_millis=500, max_retries=0),  # for 10 s, its default
                connect_timeout=timedelta(seconds=3),
                grpc_compression=GrpcCompression.NONE,  # compressing took a twelfth of our CPU time
            )
            await ensure_namespace(client)
        except (RuntimeError, RPCError) as error:
            log.warning("Temporal at %s is not ready: %s", settings.temporal_address, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, settings.retry_max)
        else:
            return client


async def ensure_namespace(client: Client) -> None:
    """Register the namespace where the server lacks it. Raises RPCError while the server is not ready."""
    service, timeout = client.workflow_service, timedelta(seconds=3)
    try:
        await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        new = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=RETENTION)
        await service.register_namespace(new, timeout=timeout)
