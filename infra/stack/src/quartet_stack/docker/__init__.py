"""The same stack in containers."""
