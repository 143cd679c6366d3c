"""Which stack is audited: the one in the environment, or else the native stack that was started last."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from checkout.messages import SERVICES
from checkout_audit.errors import Unreachable
from checkout_audit.ledger import Ledger, Sandbox

DEFAULT_SANDBOX = "http://127.0.0.1:8005"


@dataclass(frozen=True, slots=True)
class Target:
    """A stack: its databases by service, and its sandbox, which may be down if providers are `instant`.

    The ledger is read with the operator's `token`, or else with one that `signing_key` signs.
    """

    databases: Mapping[str, str] = field(repr=False)
    provider_url: str = DEFAULT_SANDBOX
    signing_key: str = field(default="", repr=False)
    instant: bool = False
    token: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Target":
        """Read ORDER_DATABASE_URL (and the other three), PROVIDER_URL, TOKEN_SIGNING_KEY and PROVIDERS.

        If a database is not named, the settings of the native stack stand in for all that is not named. Raises
        Unreachable if there is no such stack.
        """
        names = {service: f"{service.upper()}_DATABASE_URL" for service in SERVICES}
        values = {name: value for name, value in environ.items() if value}
        if not all(name in values for name in names.values()):
            values = {**_quartet_stack(), **values}
        return cls(
            {service: values[name] for service, name in names.items() if name in values},
            values.get("PROVIDER_URL", DEFAULT_SANDBOX),
            values.get("TOKEN_SIGNING_KEY", ""),
            values.get("PROVIDERS", "sandbox").lower() == "instant",
        )

    async def ledger(self, order_id: str = "") -> Ledger | None:
        """Read the sandbox's ledger, or what it has of one order; None if it cannot be read and providers are instant.

        Raises:
            Unreachable: The ledger cannot be read, and providers are not instant.
        """
        try:
            if not (self.token or self.signing_key):
                raise Unreachable("the provider sandbox's ledger cannot be read without TOKEN_SIGNING_KEY; set it")
            return await Sandbox(self.provider_url, self.signing_key, token=self.token).read(order_id)
        except Unreachable:
            if not self.instant:
                raise
            return None


def _quartet_stack() -> Mapping[str, str]:
    from quartet_stack.errors import StackError
    from quartet_stack.settings import stack_environment

    try:
        return stack_environment()
    except StackError as error:
        raise Unreachable(str(error)) from error
