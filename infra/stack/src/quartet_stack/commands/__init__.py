"""The commands behind `make`: each module reads its options from environment variables and prints for a terminal."""
