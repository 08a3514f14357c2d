"""8.0.127 can be imported without CLIP; `test_clip_import` shows what stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.patches.cases import Case, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("fastsam_clip")
PROMPT = "ultralytics/yolo/fastsam/prompt.py"

BEFORE = """\
import os

try:
    import clip  # for linear_assignment

except (ImportError, AssertionError, AttributeError):
    check_requirements('git+https://github.com/openai/CLIP.git')  # required before installing lap from source
    import clip
"""
AFTER = BEFORE.replace("import clip", "from ultralytics.slim.compat import clip")

CASES = (Case.of("8.0.127", {PROMPT: (BEFORE, AFTER)}),)


def test_next_release_imports_it_where_it_is_used(release: Callable[[str], dict[str, bytes]]) -> None:
    for version, top in (("8.0.127", True), ("8.0.128", False)):
        lines = release(version)[PROMPT].decode().splitlines()
        assert any(line.startswith("    import clip") and not line.startswith("     ") for line in lines) == top
