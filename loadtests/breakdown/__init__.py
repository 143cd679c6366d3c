"""What the CPU time of an order is spent on in each mode: by process, by kind of work, by statement."""
