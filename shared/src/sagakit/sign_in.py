"""One-time codes: whoever issues tokens leaves them with a service, sealed, for the first caller who shows the code.

Guarantee: what is kept (`digest_of` a code, and text that `seal` made with it) tells neither the code nor the text. A
code has 192 random bits, so nobody finds it by trying.
"""

import base64
import hashlib
import secrets
from typing import Final

from sagakit.sealing import FernetSealer

CODE_BYTES: Final = 24
CODE_LENGTH: Final = 32
"""Characters of a code."""


def new_code() -> str:
    """A random code of CODE_LENGTH characters, which are safe in a URL."""
    return secrets.token_urlsafe(CODE_BYTES)


def digest_of(code: str) -> str:
    """Under which name a code is kept: 64 hexadecimal digits, from which the code cannot be computed."""
    return hashlib.sha256(b"sign-in name\0" + code.encode(errors="surrogatepass")).hexdigest()


def seal(code: str, text: str) -> str:
    """`text`, to be opened with the same code only."""
    return _sealer(code).seal(text)


def unseal(code: str, sealed: str) -> str:
    """The text that was sealed with this code; CannotOpen if it was sealed with another."""
    return _sealer(code).open(sealed)


def _sealer(code: str) -> FernetSealer:
    key = hashlib.sha256(b"sign-in seal\0" + code.encode(errors="surrogatepass")).digest()
    return FernetSealer(base64.urlsafe_b64encode(key).decode())
