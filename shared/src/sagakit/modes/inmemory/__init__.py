"""A broker inside the process, for tests and the simulation."""
