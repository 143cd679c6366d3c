"""Connecting to the Temporal server, however late it comes up."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import GrpcCompression, KeepAliveConfig, RetryConfig, RPCError, RPCStatusCode

from sagakit.modes.connecting import until_ready
from sagakit.modes.temporal.wire import CONVERTER
from sagakit.settings import Settings

RETENTION = Duration(seconds=3 * 24 * 3600)


async def connect(settings: Settings) -> Client:
    """A client of a server that answers and has our namespace. Retries for ever."""

    async def client_of_server() -> Client:
        client = await Client.connect(
            settings.temporal_address,
            namespace=settings.temporal_namespace,
            data_converter=CONVERTER,
            keep_alive_config=KeepAliveConfig(interval_millis=5_000, timeout_millis=5_000),
            retry_config=RetryConfig(max_interval_millis=500, max_retries=0),  # for 10 s, its default
            connect_timeout=timedelta(seconds=3),
            grpc_compression=GrpcCompression.NONE,  # compression took a twelfth of our CPU time
        )
        await ensure_namespace(client)
        return client

    server = f"Temporal at {settings.temporal_address}"
    return await until_ready(server, client_of_server, settings, (RuntimeError, RPCError))


async def ensure_namespace(client: Client) -> None:
    """Register the client's namespace if the server does not have it.

    Raises:
        RPCError: The server is not ready.
    """
    service, timeout = client.workflow_service, timedelta(seconds=3)
    try:
        await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        new = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=RETENTION)
        await service.register_namespace(new, timeout=timeout)
