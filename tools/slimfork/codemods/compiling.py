"""Whether a content is Python."""

from __future__ import annotations

import warnings
from functools import lru_cache


@lru_cache(maxsize=256)
def syntax_error(path: str, content: bytes) -> str:
    """Return what Python has against compiling a file, or nothing; only `.py` files are asked about."""
    if not path.endswith(".py"):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # upstream's own, such as invalid escapes
            compile(content, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return str(error)
    return ""
