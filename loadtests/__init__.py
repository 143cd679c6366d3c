"""Load on a running stack, its history, and the bench that compares the modes."""
