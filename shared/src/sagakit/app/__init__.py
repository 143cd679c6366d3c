"""The composition of a service and its process."""
