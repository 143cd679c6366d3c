"""Who may call the providers: each of our services has a key of its own, and each key opens one provider.

Guarantee: a key says nothing about people, and a token of people opens no provider. Keys are compared in constant time.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256

from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request

from sagakit.settings import Settings, SettingsError
from sagakit.web.auth import Credentials, Principal, Unauthenticated
from sagakit.web.problems import Problem

Guard = Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Principal]]


class Keys:
    """Keys by provider: to rotate one, a caller's setting holds several, separated by commas."""

    def __init__(self, payment: str, carrier: str) -> None:
        given = {"payment": ("payment", payment), "carrier": ("shipping", carrier)}
        self._callers: Mapping[str, tuple[str, list[bytes]]] = {
            provider: (caller, [_digest(key) for key in keys.split(",")]) for provider, (caller, keys) in given.items()
        }

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keys":
        """PROVIDER_KEY_PAYMENT, PROVIDER_KEY_SHIPPING; raises SettingsError if one is missing or they share a key."""
        payment, shipping = settings.provider_key_payment, settings.provider_key_shipping
        for name, keys in (("PROVIDER_KEY_PAYMENT", payment), ("PROVIDER_KEY_SHIPPING", shipping)):
            if not keys:
                raise SettingsError(f"{name} is required: what that service shows when it calls")
        if set(payment.split(",")) & set(shipping.split(",")):
            raise SettingsError("PROVIDER_KEY_SHIPPING is not valid: it shares a key with PROVIDER_KEY_PAYMENT")
        return cls(payment, shipping)

    def only(self, provider: str) -> Guard:
        """A dependency that admits the caller of `provider`; the other one gets 403, everybody else 401."""

        async def dependency(request: Request, credentials: Credentials) -> Principal:
            if credentials is None:
                raise Unauthenticated("Send the header Authorization: Bearer <key>.")
            shown = _digest(credentials.credentials)
            known = [one for one, (_, keys) in self._callers.items() if _is_any(shown, keys)]
            if not known:
                raise Unauthenticated("The key is not known.", "invalid_token")
            caller = Principal(self._callers[known[0]][0], "service")
            request.state.caller = caller  # the connection is a stranger's no more
            if known != [provider]:
                raise Problem(403, "forbidden", f"The key of {caller.subject} opens no call of this provider.")
            return caller

        return dependency


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogatepass")).digest()


def _is_any(shown: bytes, keys: list[bytes]) -> bool:
    """Whether it is one of them; takes as long whichever it is."""
    equal = [hmac.compare_digest(shown, key) for key in keys]
    return any(equal)
