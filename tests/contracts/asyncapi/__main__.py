"""`python -m tests.contracts.asyncapi` writes `docs/api/asyncapi.yaml` from the code.

It is beside the golden messages since it takes its examples from them, and is needed only where the tests are. It
refuses to drop what clients rely on, unless CHANGELOG.md names that.
"""

import sys

import yaml

from quartet_stack.layout import REPOSITORY
from tests.contracts.asyncapi.document import FILE, broken, document, text_of


def main() -> int:
    """Write the document; the exit status."""
    now = document()
    if FILE.exists():
        before = yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader)
        if wrong := broken(before, now, (REPOSITORY / "CHANGELOG.md").read_text()):
            print("These change what clients rely on. Keep them, or name each in CHANGELOG.md, in backticks:")
            print(*wrong, sep="\n")
            return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text_of(now))
    return 0


if __name__ == "__main__":
    sys.exit(main())
