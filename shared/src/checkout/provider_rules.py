"""Which token and which country gives which outcome, in the sandbox and in the instant provider alike.

Guarantee: pure; the outcome depends on the call alone.
"""

from hashlib import blake2b
from typing import Final, Literal

from sagakit.provider import ProviderCall, ProviderOutcome

PAYMENT: Final = "payment"
CARRIER: Final = "carrier"
OPERATIONS: Final = {PAYMENT: ("authorize", "capture", "void"), CARRIER: ("book", "dispatch", "cancel")}

GOOD_TOKENS: Final = frozenset({"tok_visa", "tok_timeout", "tok_flaky", "tok_slow"})
DECLINED_TOKENS: Final = {"tok_declined": "card_declined", "tok_insufficient_funds": "insufficient_funds"}
UNSERVED_COUNTRIES: Final = frozenset({"AQ"})

Quirk = Literal["lose_first_answer", "fail_twice", "slow"]
QUIRKS: Final[dict[str, Quirk]] = {
    "tok_timeout": "lose_first_answer",
    "tok_flaky": "fail_twice",
    "tok_slow": "slow",
}
"""Token -> how a provider behind a network misbehaves before its outcome is known."""


def decide(call: ProviderCall) -> ProviderOutcome:
    """The outcome of a call, provided that the order's history allows the operation."""
    reference = f"{call.operation}_{blake2b(call.key.encode(), digest_size=8).hexdigest()}"
    if call.operation == "authorize":
        token = call.payload.get("token")
        if token in DECLINED_TOKENS:
            return ProviderOutcome("declined", DECLINED_TOKENS[token], reference)
        if token not in GOOD_TOKENS:
            return ProviderOutcome("declined", "invalid_token", reference)
    if call.operation == "book" and call.payload.get("country") in UNSERVED_COUNTRIES:
        return ProviderOutcome("refused", "not_served", reference)
    return ProviderOutcome("ok", "", reference)
