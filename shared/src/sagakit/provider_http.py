"""A provider behind HTTP: `POST {url}/{provider}/{operation}` with the call's key as `Idempotency-Key`.

Guarantee: only a complete, well-formed 200 or a definitive refusal is an outcome. A timeout, a broken connection, a
5xx, 408, 425 or 429 is `OutcomeUnknown`. A refusal of the call itself (400, 402, 404, 410, 413, 422 ...) had no effect
and never will: it is an outcome, `refused`, with the provider's code. An answer about the caller (401, 403, 407) or
about another call (409, a key used before) is `ProviderRejected`. No call lasts longer than its timeout.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Self

import aiohttp
import msgspec

from sagakit.http_get import get
from sagakit.message import UNREADABLE
from sagakit.provider import Opened, OutcomeUnknown, ProviderCall, ProviderOutcome, ProviderRejected, as_it_is
from sagakit.settings import Settings, SettingsError
from sagakit.telemetry import traceparent
from sagakit.wording import code_of

_TRY_AGAIN: Final = frozenset({408, 425, 429})
_NOT_ABOUT_THE_CALL: Final = frozenset({401, 403, 407, 409})
_OF_ANOTHER_CALL: Final = frozenset({"key_reused", "idempotency_key_reused"})  # there may be an effect under this key
_decode = msgspec.json.Decoder(ProviderOutcome).decode
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Sends a body with headers to a path; the status and the whole body of the answer, or a connection error."""


class HttpProvider:
    """Keeps a pool of connections; made once per process."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        time_limit: float = 2.0,
        concurrency: int = 32,
        post: Post | None = None,
        opened: Opened = as_it_is,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: Where the provider is.
            key: Authenticates this service at the provider.
            time_limit: Seconds for one call.
            concurrency: Connections at most.
            post: Replaces HTTP, for tests.
            opened: Opens sealed fields of a call.
        """
        self._opened = opened
        self._url, self._concurrency, self._post = url, concurrency, post or self._post_over_http
        self._session: aiohttp.ClientSession | None = None
        self._authorization, self._time_limit = f"Bearer {key}", time_limit

    @classmethod
    def from_settings(cls, settings: Settings, opened: Opened = as_it_is) -> Self:
        """The provider at PROVIDER_URL; the first key in this service's PROVIDER_KEY_* is sent to it.

        Raises:
            SettingsError: This service has no PROVIDER_KEY_*.
        """
        name = f"provider_key_{settings.service}"
        keys: str = getattr(settings, name, "")
        if not keys:
            raise SettingsError(f"{name.upper()} is required: {settings.service} calls its provider with it")
        return cls(
            settings.provider_url,
            keys.split(",")[0],
            time_limit=settings.provider_timeout,
            concurrency=settings.provider_concurrency,
            opened=opened,
        )

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        """The provider's definitive answer.

        Raises:
            OutcomeUnknown: The call may have had its effect: call again under the same key.
            ProviderRejected: The provider does not process the call.
        """
        headers = {
            "Idempotency-Key": call.key,
            "Content-Type": "application/json",
            "Authorization": self._authorization,
        }
        if trace := traceparent.get():
            headers["traceparent"] = trace
        content = msgspec.json.encode(self._opened(call).payload)
        try:
            async with asyncio.timeout(self._time_limit):
                path = f"/{call.provider}/{call.operation}"
                status, body = await self._post(path, content, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(f"{call.key}: {type(error).__name__}") from error
        return _outcome(call, status, body)

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        """None: this provider has to be called."""
        return None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def probe(self) -> None:
        """Raise unless `{url}/health/live` answers.

        Raises:
            ConnectionError: The provider answers with a server error.
            OSError: It cannot be reached.
        """
        status, _ = await get(f"{self._url}/health/live")
        if status >= 500:
            raise ConnectionError(f"status {status}")

    async def _post_over_http(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._concurrency)
            self._session = aiohttp.ClientSession(connector=connector)
        async with self._session.post(self._url + path, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


def _outcome(call: ProviderCall, status: int, body: bytes) -> ProviderOutcome:
    if status == 200:
        try:
            answer = _decode(body)
            return ProviderOutcome(answer.outcome, code_of(answer.code), code_of(answer.reference))
        except UNREADABLE as error:
            raise OutcomeUnknown(f"{call.key}: an answer that cannot be read") from error
    if status >= 500 or status in _TRY_AGAIN:
        raise OutcomeUnknown(f"{call.key}: status {status}")
    try:
        code = code_of(msgspec.json.decode(body, type=dict[str, object]).get("code"))
    except UNREADABLE:
        code = ""
    if 400 <= status < 500 and status not in _NOT_ABOUT_THE_CALL and code not in _OF_ANOTHER_CALL:
        return ProviderOutcome("refused", code or f"status_{status}")
    raise ProviderRejected(f"{call.key}: status {status} {code}".rstrip())
