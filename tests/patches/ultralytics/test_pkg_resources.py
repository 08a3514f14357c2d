"""The release's version checks find the names of `pkg_resources` that they use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, check_next_needs_none, check_none_missed, patch_named, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Release = Callable[[str], dict[str, bytes]]

PATCH = patch_named("pkg_resources")

CHECKS = """\
import glob

import numpy as np
import pkg_resources as pkg
import psutil
"""

CHECKS_AFTER = """\
import glob

import numpy as np
from ultralytics.slim import compat as pkg
import psutil
"""

PARSE = """\


def check_version(current='0.0.0', minimum='0.0.0', pinned=False):
    from pkg_resources import parse_version
    current, minimum = (parse_version(x) for x in (current, minimum))
"""

PARSE_AFTER = """\


def check_version(current='0.0.0', minimum='0.0.0', pinned=False):
    from ultralytics.slim.compat import parse_version
    current, minimum = (parse_version(x) for x in (current, minimum))
"""

DVC = """\
import os

import pkg_resources as pkg

from ultralytics.utils import LOGGER, TESTS_RUNNING
"""

DVC_AFTER = """\
import os

from ultralytics.slim import compat as pkg

from ultralytics.utils import LOGGER, TESTS_RUNNING
"""

DVC_IN_TRY = """\
try:
    import dvclive

    import pkg_resources as pkg

    ver = version('dvclive')
except (AssertionError, ImportError, TypeError):
    dvclive = None
"""

DVC_IN_TRY_AFTER = """\
try:
    import dvclive

    from ultralytics.slim import compat as pkg

    ver = version('dvclive')
except (AssertionError, ImportError, TypeError):
    dvclive = None
"""


def case(version: str, package: str, checks: tuple[str, str], dvc: tuple[str, str] | None = None) -> Case:
    pairs = {f"{package}/checks.py": checks}
    if dvc:
        pairs[f"{package}/callbacks/dvc.py"] = dvc
    return Case.of(version, pairs)


CASES = (
    case("8.0.23", "ultralytics/yolo/utils", (CHECKS + PARSE, CHECKS_AFTER + PARSE_AFTER)),
    case("8.0.100", "ultralytics/yolo/utils", (CHECKS, CHECKS_AFTER)),
    case("8.0.115", "ultralytics/yolo/utils", (CHECKS, CHECKS_AFTER), (DVC, DVC_AFTER)),
    case("8.0.136", "ultralytics/utils", (CHECKS, CHECKS_AFTER), (DVC, DVC_AFTER)),
    case("8.0.178", "ultralytics/utils", (CHECKS, CHECKS_AFTER), (DVC_IN_TRY, DVC_IN_TRY_AFTER)),
    case("8.0.179", "ultralytics/utils", (CHECKS, CHECKS_AFTER)),
)

every_end = pytest.mark.parametrize("version", all_ends(PATCH))


@every_end
def test_stand_in_has_every_name_that_the_release_uses(release: Release, version: str) -> None:
    from slim import compat

    files = release(version)
    sources = [files[edit.file].decode() for edit in variant_of(PATCH, version).edits]
    used = {name for source in sources for name in re.findall(r"\bpkg(?:\.|_resources import )(\w+)", source)}
    assert {"parse_version", "parse_requirements", "require"} <= used
    assert used <= set(compat.__all__)


@every_end
def test_no_import_is_missed(release: Release, version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"(?:import|from) pkg_resources\b")


def test_next_release_has_its_own_way(release: Release) -> None:
    check_next_needs_none(PATCH, release, b"from importlib.metadata import PackageNotFoundError")
