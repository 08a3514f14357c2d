"""Git repositories: objects and refs read and written, and files landed in a checkout whole or not at all."""
