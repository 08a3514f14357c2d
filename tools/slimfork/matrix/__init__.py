"""All releases, statically and dynamically, and the tables of them."""
