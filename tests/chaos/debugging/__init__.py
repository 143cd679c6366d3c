"""The debugging study: what an engineer sees first of each planted bug, and how many look-ups lead to its place."""
