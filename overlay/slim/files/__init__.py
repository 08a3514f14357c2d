"""Checkpoints as files: what a stranger's holds, what is trusted, what is written."""
