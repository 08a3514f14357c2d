"""Which channels go, and the surgery."""
