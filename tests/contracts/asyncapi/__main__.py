"""`python -m tests.contracts.asyncapi` writes `docs/api/asyncapi.yaml` from the code.

It is beside the golden messages since it takes its examples from them, and is needed only where the tests are. It
refuses to drop what clients rely on, unless CHANGELOG.md names that.
"""

import sys

import yaml

from tests.contracts.asyncapi.document import FILE, broken, document, text_of
from tests.contracts.promises import CHANGELOG, REFUSAL


def main() -> int:
    """Write the document; the exit status."""
    now = document()
    if FILE.exists():
        before = yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader)
        if wrong := broken(before, now, CHANGELOG.read_text()):
            print(REFUSAL, *wrong, sep="\n")
            return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text_of(now))
    return 0


if __name__ == "__main__":
    sys.exit(main())
