"""A file as it is edited: its bytes, and its tree."""

from __future__ import annotations

from functools import lru_cache

import libcst as cst

from slimfork.syntax import cst as tree
from slimfork.syntax.parsing import parse_module
from slimfork.syntax.printing import print_module

BOM = b"\xef\xbb\xbf"


class EditError(Exception):
    """A file that cannot be edited at all; the message names the reason."""


class Source:
    """One file: its bytes and, for Python, its tree; each made from the other, once, when first asked for."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self._module: cst.Module | None = None
        self._bom = BOM if content.startswith(BOM) else b""

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        if self._content is None:
            self._content = self._bom + print_module(self.module)
        return self._content

    @property
    def module(self) -> cst.Module:
        """The tree."""
        if self._module is None:
            self._module = _parse(self.content.removeprefix(BOM))
        return self._module

    def with_module(self, module: cst.Module) -> Source:
        """Return the file with another tree, a byte-order mark kept; printed when its bytes are asked for.

        Raises:
            EditError: The file as it is does not print to the same bytes.
        """
        if self._content is not None and print_module(self.module) != self._content.removeprefix(BOM):
            raise EditError("it does not survive a round trip through LibCST unchanged")
        new = Source(self._bom)
        new._content, new._module = None, module
        return new


@lru_cache(maxsize=8)  # a file is planned several times over: with a patch and without, before and after
def _parse(text: bytes) -> cst.Module:
    try:
        return parse_module(text)
    except cst.ParserSyntaxError as error:
        raise EditError(f"it does not parse: {_fault(text) or ' '.join(error.message.split())}") from error
    except (SyntaxError, LookupError, UnicodeDecodeError) as error:  # what it says of its encoding is wrong
        raise EditError(f"it does not parse: {error}") from error


def _fault(text: bytes) -> str | None:
    """Return line and fault as Python itself names them: LibCST often gives no line."""
    try:
        tree.parse_quietly(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else None
    except ValueError:
        return None
    return None
