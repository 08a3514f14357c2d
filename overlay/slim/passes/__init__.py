"""A network run without being changed: copies of it, hooks, traces of every operator, FLOPs."""
