"""Chaos Toolkit extension: the faults and checks of `make chaos`, for experiments that `chaos run` runs.

Chaos Toolkit is no dependency of this repository; `docs/reliability.md` says how to use the extension where it is
installed. Everything acts on the stack in STACK_DIR (default `.stack`), which must be running.
"""
