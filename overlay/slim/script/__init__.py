"""The journey of prune.py: options, targets, results."""
