"""Which system user each program and each file belongs to when root starts a stack, and what those users can read."""
