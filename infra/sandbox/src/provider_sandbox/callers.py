"""Who may call the providers: payment and shipping have keys of their own, and each key admits to one provider.

Guarantee: a key admits to nothing else, and no user's token admits to a provider. Keys are compared in constant time.
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
    """The keys of each provider's caller. A setting may hold several, separated by commas, to rotate them."""

    def __init__(self, payment: str, carrier: str) -> None:
        callers = {"payment": ("payment", payment), "carrier": ("shipping", carrier)}
        self._callers: Mapping[str, tuple[str, list[bytes]]] = {
            provider: (caller, [_digest(key) for key in keys.split(",")])
            for provider, (caller, keys) in callers.items()
        }

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keys":
        """Read PROVIDER_KEY_PAYMENT and PROVIDER_KEY_SHIPPING.

        Raises:
            SettingsError: One of them is missing, or they share a key.
        """
        payment, shipping = settings.provider_key_payment, settings.provider_key_shipping
        for name, keys in (("PROVIDER_KEY_PAYMENT", payment), ("PROVIDER_KEY_SHIPPING", shipping)):
            if not keys:
                raise SettingsError(f"{name} is required: what that service shows when it calls")
        if set(payment.split(",")) & set(shipping.split(",")):
            raise SettingsError("PROVIDER_KEY_SHIPPING is not valid: it shares a key with PROVIDER_KEY_PAYMENT")
        return cls(payment, shipping)

    def only(self, provider: str) -> Guard:
        """A dependency that admits the caller of `provider`. The other caller gets 403, anybody else 401."""

        async def dependency(request: Request, credentials: Credentials) -> Principal:
            if credentials is None:
                raise Unauthenticated("Send the header Authorization: Bearer <key>.")
            digest = _digest(credentials.credentials)
            providers = [name for name, (_, keys) in self._callers.items() if _is_any(digest, keys)]
            if not providers:
                raise Unauthenticated("The key is not known.", "invalid_token")
            caller = Principal(self._callers[providers[0]][0], "service")
            request.state.caller = caller  # from now on the connection counts as authenticated
            if providers != [provider]:
                raise Problem(403, "forbidden", f"The key of {caller.subject} opens no call of this provider.")
            return caller

        return dependency


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogatepass")).digest()


def _is_any(digest: bytes, keys: list[bytes]) -> bool:
    """Whether it is one of them; the time this takes does not depend on which."""
    equal = [hmac.compare_digest(digest, key) for key in keys]
    return any(equal)
