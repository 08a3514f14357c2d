"""Text for a person, from wherever it comes: a file's name or a commit's subject must not reach the terminal as code.

Control characters move the cursor, colour the screen or rename the window, and some hide what stands beside them; they
are shown as escapes. JSON and a diff that is written to a file or a pipe are not text for a person: they stay exact.
"""

from __future__ import annotations

import os
import re
import shlex

# C0 and C1 controls, what changes the direction of writing, line separators, and bytes that are no UTF-8.
ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
BYTE, LOW_SURROGATES = 0x100, range(0xDC80, 0xDD00)  # what `os.fsdecode` makes of a byte that it cannot decode


def shown(text: str) -> str:
    """Return a text with control characters as escapes: their code in hexadecimal; line feeds and tabs stay."""
    return ODD.sub(lambda match: _escape(match[0]), text)


def one_line(text: str) -> str:
    """Return a text as one line: line feeds and tabs are shown as escapes, too."""
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(letter: str) -> str:
    number = ord(letter)
    if number in LOW_SURROGATES:
        number -= LOW_SURROGATES.start - 0x80
    return f"\\x{number:02x}" if number < BYTE else f"\\u{number:04x}"


def typed(path: str | os.PathLike[str]) -> str:
    """Return a path as it is typed in a shell: quoted where it must be, and never taken for an option."""
    text = os.fspath(path)
    if text.startswith(("-", "~")):
        text = f"./{text}"
    if not (ODD.search(text) or "\n" in text or "\t" in text):
        return shlex.quote(text)
    inside = re.sub(r"[\\']", r"\\\g<0>", text)
    raw = ODD.sub(lambda match: _bytes(match[0]), inside)
    return "$'" + raw.replace("\n", "\\n").replace("\t", "\\t") + "'"


def _bytes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
