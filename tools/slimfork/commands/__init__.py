"""The verbs of `apply-patches`, one module each, found by walking this package."""
