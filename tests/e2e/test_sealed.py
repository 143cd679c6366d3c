"""No file of a real run contains a card token, a name or a street: databases, the broker, histories, logs."""

import asyncio
import mmap
import uuid
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import msgspec

from sagakit.modes import MODES
from tests.e2e.stack import SERVICES, Stack, basket
from tests.e2e.test_switching import ONE_OF_A_CARRIER

KEEPING = ("kafka", "temporal")  # these store messages in files; the others hold them in memory


def suits(stack: str, **_: object) -> bool:
    return stack in ONE_OF_A_CARRIER


async def test_no_file_shows_token_name_or_street(stack: Stack) -> None:
    secret = uuid.uuid4().hex
    sealed = set()
    for token, status in (("tok_visa", "COMPLETED"), (f"tok_{secret}", "CANCELLED")):
        body = basket(token=token)
        body["shipping_address"] |= {"name": f"A. {secret} Customer", "line1": f"{secret} Main St"}
        order_id = (await stack.order(body)).json()["order_id"]
        assert (await stack.settled(order_id))["status"] == status
        sealed.add(await _sealed(stack, order_id))
    if MODES[stack.mode].substrate == "sns_sqs":
        stack.stop("ministack")  # it writes its state when it ends
        stack.start("ministack")
    # every page of a database is in its file then, where nothing is compressed
    await asyncio.gather(*(stack.administer(name, "CHECKPOINT") for name in SERVICES))
    files = await asyncio.to_thread(_search, stack.folder, [secret, *sealed])
    assert files[secret] == set()
    kept = set(SERVICES) | {MODES[stack.mode].substrate}.intersection(KEEPING)
    places = {part for text in sealed for path in files[text] for part in path.parts}
    assert places >= kept, "what is sealed is found, so what is in clear would be"


async def _sealed(stack: Stack, order_id: str) -> str:
    """The order's payment token, as it is stored."""
    url = stack.environment["ORDER_DATABASE_URL"].replace("+asyncpg", "")
    connection = await asyncpg.connect(url, timeout=10)
    try:
        checkout = await connection.fetchval("SELECT checkout FROM orders WHERE order_id = $1", order_id)
    finally:
        await connection.close()
    token: str = msgspec.json.decode(checkout)["payment_token"]
    return token


def _search(folder: Path, texts: Iterable[str]) -> dict[str, set[Path]]:
    """For each text, the files below the folder that contain it."""
    files: dict[str, set[Path]] = {text: set() for text in texts}
    for path in folder.rglob("*"):
        try:
            if not path.is_file() or not path.stat().st_size:
                continue
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for text, places in files.items():
                    if content.find(text.encode()) >= 0:
                        places.add(path.relative_to(folder))
        except (FileNotFoundError, ValueError):  # it went while we looked
            continue
    return files
