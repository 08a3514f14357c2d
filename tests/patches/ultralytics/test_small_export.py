"""An export is no longer refused for being small, only for being empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, beside, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("small_export")
EXPORTER = "ultralytics/engine/exporter.py"

BEFORE = """\
def try_export(inner_func):
    def outer_func(*args, **kwargs):
        try:
            mb = file_size(path)
            assert mb > 0.1, f"{mb:.3f} MB output model too small (likely corrupt or unsupported ops)"
            return f
        except Exception as e:
            raise

    return outer_func
"""
AFTER = BEFORE.replace("mb > 0.1", "mb > 0.0")

CASES = (Case.of("8.4.81", {EXPORTER: (BEFORE, AFTER)}), Case.of("8.4.190", {EXPORTER: (BEFORE, AFTER)}))


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_limit_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"\bmb > 0\.\d*[1-9]")


def test_release_before_has_no_limit(release: Callable[[str], dict[str, bytes]]) -> None:
    (before,) = beside(PATCH)
    assert b"assert mb > 0.0," in release(before)[EXPORTER]
