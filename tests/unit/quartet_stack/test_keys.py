"""Which program gets which key: none that verifies tokens can sign them."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quartet_stack import services
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import load_or_create, read, write_private
from quartet_stack.settings import SERVICES, resolve
from sagakit.tokens import private_key, public_half
from sagakit.web.auth import Verifier
from sagakit.web.problems import Problem


def test_an_older_stack_gets_keys_for_tokens_and_providers_and_loses_its_old_secret(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    made = load_or_create(layout, SERVICES)
    old = {name: value for name, value in made.items() if name != "tokens" and not name.startswith("provider_")}
    write_private(layout.secrets.parent, layout.secrets.name, json.dumps({**old, "jwt": "x" * 48}))
    now = load_or_create(layout, SERVICES)
    assert now.keys() == made.keys()
    assert old.items() <= now.items()
    assert now == load_or_create(layout, SERVICES) == read(layout)


def test_no_program_has_the_signing_key_and_each_caller_has_its_own_provider_key(tmp_path: Path) -> None:
    settings = resolve({"STACK_DIR": str(tmp_path)})
    secrets = load_or_create(settings.layout, SERVICES)
    names = ("PROVIDER_KEY_PAYMENT", "PROVIDER_KEY_SHIPPING")
    wanted = {"payment": {names[0]}, "shipping": {names[1]}, "provider": set(names)}
    public = public_half(secrets["tokens"])
    for program in services.programs(settings, secrets, Path("python")):
        assert secrets["tokens"] not in " ".join((*program.environment.values(), *program.command))
        assert program.environment["TOKEN_PUBLIC_KEYS"] == public
        assert {name for name in program.environment if name.startswith("PROVIDER_KEY")} == wanted.get(
            program.name, set()
        )
        for name in wanted.get(program.name, ()):
            assert program.environment[name] == secrets["provider_" + name.removeprefix("PROVIDER_KEY_").lower()]
    recorded = services.recorded_environment(settings, secrets)
    assert recorded["TOKEN_SIGNING_KEY"] == secrets["tokens"]
    assert not {secrets["provider_payment"], secrets["provider_shipping"]} & set(recorded.values())


def test_nothing_that_the_sandbox_has_signs_a_token(tmp_path: Path) -> None:
    """Services refuse a token that is signed with any value of its environment, by any algorithm."""
    settings = resolve({"STACK_DIR": str(tmp_path)})
    secrets = load_or_create(settings.layout, SERVICES)
    verifier = Verifier(public_half(secrets["tokens"]))
    claims = {"iss": "quartet", "aud": "quartet", "sub": "root", "role": "admin", "exp": 4_000_000_000}
    for program in services.programs(settings, secrets, Path("python")):
        for value in program.environment.values():
            for token in forged(claims, value):
                with pytest.raises(Problem):
                    verifier.verify(token)
    good = jwt.encode(claims, private_key(secrets["tokens"]), algorithm="EdDSA")
    assert verifier.verify(good).is_admin, "the claims are not what was refused"


def forged(claims: dict[str, Any], material: str) -> Iterator[str]:
    """Tokens signed with text that is not a private key: as a shared secret, and as the seed of a key."""
    head = {"alg": "HS256", "typ": "JWT"}
    for secret in (material.encode(), material.split(",")[0].encode(), _decoded(material)):
        signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims))
        signature = urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
        yield (signed + b"." + signature).decode()
        seed = Ed25519PrivateKey.from_private_bytes(secret[:32].ljust(32, b"\0"))
        yield jwt.encode(claims, seed, algorithm="EdDSA")


def _decoded(material: str) -> bytes:
    try:
        return urlsafe_b64decode(material.split(",")[0])
    except ValueError:
        return b""
