"""A provider behind HTTP: `POST {url}/{provider}/{operation}` with the call's key as `Idempotency-Key`.

Guarantee: only a complete, well-formed 200 or a definitive refusal is an outcome. A time-out, a broken connection, a
5xx, 408, 425 or 429 is `OutcomeUnknown`. A refusal of the call as such (400, 402, 404, 410, 413, 422 ...) had no effect
and will never have one: it is an outcome, `refused`, with the provider's code. An answer that is about us (401, 403,
407) or another call (409, a key used before) is `ProviderRejected`. No call lasts longer than its time-out.
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
"""Sends a body to a path: the status and the whole body of the answer, or an error of the connection."""


class HttpProvider:
    """Keeps a pool of connections; made once per process. `key` is what the provider knows this caller by."""

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
        self._opened = opened
        self._url, self._concurrency, self._post = url, concurrency, post or self._post_over_http
        self._session: aiohttp.ClientSession | None = None
        self._authorization, self._time_limit = f"Bearer {key}", time_limit

    @classmethod
    def from_settings(cls, settings: Settings, opened: Opened = as_it_is) -> Self:
        """The provider at PROVIDER_URL, with PROVIDER_TIMEOUT and PROVIDER_CONCURRENCY.

        Raises SettingsError without this service's PROVIDER_KEY_*, of which the first is shown to the provider.
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
        """The provider's definitive answer; raises `OutcomeUnknown` or `ProviderRejected`."""
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
        """Raises unless `{url}/health/live` answers, whatever it says short of an error of the server's."""
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
            told = _decode(body)
            return ProviderOutcome(told.outcome, code_of(told.code), code_of(told.reference))
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
