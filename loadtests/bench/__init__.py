"""`make bench`: the same load on every mode, in turns, and what an order costs in each.

`plan` reads the settings, `run` runs a mode, `measure` reads its counters, `record` holds the measurements (raw.json).
All else is a pure function of that file: `summary`, `capacity`, `report`, `publish` (docs/scaling.md).
"""
