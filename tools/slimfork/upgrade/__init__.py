"""A fork moves to another release: a new import, the patches anew, and the user's commits on top of them."""
