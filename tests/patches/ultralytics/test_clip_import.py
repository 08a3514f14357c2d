"""The package can be imported without CLIP, which is imported when it is used."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("clip_import")

BEFORE = """\
import itertools

try:
    import clip
except ImportError:
    check_requirements("git+https://github.com/ultralytics/CLIP.git")
    import clip


def on_pretrain_routine_end(trainer):
    text_model, _ = clip.load("ViT-B/32", device=device)
"""

AFTER = """\
import itertools

try:
    from ultralytics.slim.compat import clip
except ImportError:
    check_requirements("git+https://github.com/ultralytics/CLIP.git")
    from ultralytics.slim.compat import clip


def on_pretrain_routine_end(trainer):
    text_model, _ = clip.load("ViT-B/32", device=device)
"""

CASES = (Case.of("8.1.39", {"ultralytics/models/yolo/world/train.py": (BEFORE, AFTER)}),)


def test_stand_in_imports_clip_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from slim.compat import clip

    monkeypatch.setitem(sys.modules, "clip", None)  # as where it is not installed
    with pytest.raises(ModuleNotFoundError, match="clip"):
        clip.tokenize  # noqa: B018 - looking it up is the use
    real = ModuleType("clip")
    real.tokenize = str.split  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "clip", real)
    assert clip.tokenize("a b") == ["a", "b"]


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_import_with_the_package_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    in_functions = ("ultralytics/nn/tasks.py", "ultralytics/models/fastsam/prompt.py")
    check_none_missed(PATCH, version, release(version), r"\bimport clip\b", besides=in_functions)


@pytest.mark.parametrize("version", ["8.1.38", "8.1.40"])
def test_releases_beside_it_import_clip_in_functions(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    sources = [content for path, content in release(version).items() if path.endswith(".py")]
    assert any(b"\n            import clip\n" in source for source in sources)
    assert not any(b"\n    import clip\n" in source or b"\nimport clip\n" in source for source in sources)
