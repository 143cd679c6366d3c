"""The full stack on one machine without containers: real servers under supervisord, started by `make up`."""
