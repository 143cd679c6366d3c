"""`make bench`: the same load on every mode, in turns, and what an order costs in each.

`plan` reads the settings, `run` runs a mode and `measure` looks at it, `record` is what was seen (raw.json); from there
on everything is a pure function of that file: `summary`, `capacity`, `report`, `publish` (docs/scaling.md).
"""
