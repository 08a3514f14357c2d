"""Python source as LibCST reads it: parsed, printed, compared, and the places in it."""
