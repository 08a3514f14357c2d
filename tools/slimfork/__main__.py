"""`python -m slimfork`: the same as `apply-patches`."""

from slimfork.cli import main

main()
