"""Other processes, several at once, and what a signal does to them."""
