"""`python -m quartet_stack <command>`: the commands that the Makefile runs."""

from __future__ import annotations

import importlib
import os
import sys

from quartet_stack.errors import StackError

# command -> its function, which may return an exit status; a module is imported only for its own command
COMMANDS = {
    "up": "quartet_stack.commands.lifecycle:up",
    "down": "quartet_stack.commands.lifecycle:down",
    "clean": "quartet_stack.commands.lifecycle:clean",
    "promote": "quartet_stack.commands.lifecycle:promote",
    "restart": "quartet_stack.commands.restart:main",
    "status": "quartet_stack.commands.status:main",
    "logs": "quartet_stack.commands.logs:main",
    "config": "quartet_stack.commands.config:main",
    "attention": "quartet_stack.commands.attention:main",
    "uninstall": "quartet_stack.commands.uninstall:main",
    "console": "quartet_stack.commands.console:main",
    "token": "quartet_stack.commands.quick:token",
    "keys": "quartet_stack.commands.quick:keys",
    "check": "quartet_stack.commands.quick:check",
}


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status; a `StackError` is printed on standard error."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m quartet_stack {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, _, function = COMMANDS[arguments[0]].partition(":")
    try:
        return getattr(importlib.import_module(module), function)(os.environ) or 0
    except StackError as error:
        print(error, file=sys.stderr)
        return error.status
    except PermissionError as error:
        print(
            f"{error.filename}: {error.strerror}; if another user started this stack, run the command as that user",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
