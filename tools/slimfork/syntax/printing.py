"""Printing a LibCST tree: a statement that has been printed before is not printed again.

An edit changes one statement and leaves all others the very objects that they were. LibCST's own printer would still
walk through every token of the file, for each of the edits in it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import libcst as cst
from libcst._nodes.internal import CodegenState

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_ENDS = ("\r\n", "\r", "\n")
NO_RECORD = nullcontext()


def print_module(module: cst.Module) -> bytes:
    """Return the bytes of a module, as `Module.bytes` does."""
    state = (module.default_indent, module.default_newline)
    return module.with_changes(body=_block(module.body, (), *state)).bytes


@dataclass(frozen=True)
class _Printed(cst.BaseStatement):
    """A statement that is its text, its indentation included."""

    text: str = ""

    def _visit_and_replace_children(self, visitor: cst.CSTVisitorT) -> _Printed:
        del visitor
        return self

    def _codegen_impl(self, state: CodegenState) -> None:
        line_end = next(filter(self.text.endswith, LINE_ENDS), "")

        state.add_token(self.text.removesuffix(line_end))
        state.add_token(line_end)  # by itself: LibCST takes it back from a file without a last newline


class _State(CodegenState):
    """Where the tokens go; LibCST's own spends a quarter of the time on generators that do nothing, one a node."""

    def record_syntactic_position(self, *_: object, **__: object) -> AbstractContextManager[None]:  # type: ignore[override]
        """Record nothing."""
        return NO_RECORD


@lru_cache(maxsize=2048)  # nodes are the same only when they are one object
def _text(node: cst.CSTNode, indents: tuple[str, ...], indent: str, newline: str) -> str:
    state = _State(default_indent=indent, default_newline=newline)
    for level in indents:
        state.increase_indent(level)
    if isinstance(node, (cst.ClassDef, cst.FunctionDef)) and isinstance(node.body, cst.IndentedBlock):
        inner = (*indents, indent if node.body.indent is None else node.body.indent)
        node = node.with_changes(body=node.body.with_changes(body=_block(node.body.body, inner, indent, newline)))
    node._codegen(state)  # noqa: SLF001 - what `Module.code_for_node` calls, which knows no indentation
    return "".join(state.tokens)


def _block(
    statements: Sequence[cst.BaseStatement], indents: tuple[str, ...], indent: str, newline: str
) -> list[_Printed]:
    return [_Printed(_text(node, indents, indent, newline)) for node in statements]
