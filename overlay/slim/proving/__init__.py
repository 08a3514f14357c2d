"""Passes with channels taken away, compared: which module computes something else, and is to be left alone."""
