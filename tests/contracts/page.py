"""The two programs on the page about the contract: one follows events, one sends a command."""

import re

from quartet_stack.layout import REPOSITORY

PAGE = (REPOSITORY / "docs" / "contracts.md").read_text()
WATCH, SEND = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
