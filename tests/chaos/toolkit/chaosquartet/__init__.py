"""Chaos Toolkit extension: what `make chaos` can break and judge, for experiments that `chaos run` runs.

Chaos Toolkit is no dependency of this repository; `docs/reliability.md` tells how to use the extension where it is
installed. Everything acts on the stack in STACK_DIR (default `.stack`), which must be running.
"""
