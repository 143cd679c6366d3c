"""What it costs to be observable; see `__main__`."""
