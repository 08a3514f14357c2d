"""A fork: its history, what is patched in it, the overlay, and what is the user's own."""
