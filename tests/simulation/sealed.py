"""Seals simulated orders and opens their calls as in production, but deterministically."""

from typing import Final

from checkout.provider_rules import CARRIER, decide
from payment_service import gateway
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.sealing import DeterministicSealer
from shipping_service import carrier

PAYMENT: Final = DeterministicSealer("payment")
SHIPPING: Final = DeterministicSealer("shipping")


def decide_opened(call: ProviderCall) -> ProviderOutcome:
    """The provider's outcome of a call as it is stored."""
    return decide(carrier.opened(call, SHIPPING) if call.provider == CARRIER else gateway.opened(call, PAYMENT))
