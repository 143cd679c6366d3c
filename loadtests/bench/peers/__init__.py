"""The same checkouts by other means, for the bench: frameworks as their own documentation advises, and two floors."""
