"""The same stack in containers, run by Docker Compose."""
