"""A fork's version says that it is a fork."""

from __future__ import annotations

import pytest
from packaging.version import Version

from tests.patches.cases import Case, as_bytes, check_noop, patch_named, step

PATCH = patch_named("version")

INIT = "ultralytics/__init__.py"

CASES = (
    Case(
        version="8.0.100",
        before={INIT: "# Ultralytics\n\n__version__ = '8.0.100'\n\nfrom x import YOLO\n"},
        after={INIT: "# Ultralytics\n\n__version__ = '8.0.100+slim1'\n\nfrom x import YOLO\n"},
    ),
    Case(
        version="8.4.190",
        before={INIT: '# Ultralytics\n\n__version__ = "8.4.190"\n\nimport os\n'},
        after={INIT: '# Ultralytics\n\n__version__ = "8.4.190+slim1"\n\nimport os\n'},
    ),
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.version)


def test_version_of_a_fork_is_covered_like_its_release() -> None:
    files = as_bytes(CASES[1].after)
    check_noop(PATCH, "8.4.190+slim1", files, "applied")


def test_version_with_another_local_part_is_left_to_the_user() -> None:
    done = step(PATCH, {INIT: b'__version__ = "8.4.190+mine"\n'}, "8.4.190")
    assert done.state == "broken"
    assert 'nearest  line 1: __version__ = "8.4.190+mine"' in done.problems[0]


@every_case
def test_version_is_valid_and_newer_than_upstream(case: Case) -> None:
    namespace: dict[str, str] = {}
    exec(case.after[INIT].partition("\n\n")[2].partition("\n\n")[0], namespace)  # noqa: S102 - our own line
    assert Version(case.version) < Version(namespace["__version__"])
    assert Version(namespace["__version__"]).public == case.version
