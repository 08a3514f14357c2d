"""setuptools 81 removed `pkg_resources`; early releases compare versions and check requirements with it.

`ultralytics/slim/compat.py` offers the five names that are used, on top of `packaging` and `importlib.metadata`.
8.0.183 to 8.0.186 still import it in `yolo checks`, where a release has no requirements.txt; a fork has one.
"""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edit(file: str) -> Replace:
    """Return the edit for a file that imports the module under its usual short name."""
    return Replace(file=file, anchor="import pkg_resources as pkg", code="from ultralytics.slim import compat as pkg")


CHECKS = edit("ultralytics/yolo/utils/checks.py")
PARSE_VERSION = Replace(
    file="ultralytics/yolo/utils/checks.py",
    within=("check_version",),
    anchor="from pkg_resources import parse_version",
    code="from ultralytics.slim.compat import parse_version",
)
DVC = edit("ultralytics/yolo/utils/callbacks/dvc.py")
MOVED = edit("ultralytics/utils/checks.py")

PATCH = Patch(
    id="pkg_resources",
    title="Check versions without pkg_resources",
    why="`import ultralytics` fails where setuptools is 81 or newer, which no longer carries pkg_resources",
    until="releases before 8.0.182 are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=8.0.0,<=8.0.23", edits=(CHECKS, PARSE_VERSION)),
        Variant(versions=">=8.0.24,<=8.0.114", edits=(CHECKS,)),
        Variant(versions=">=8.0.115,<=8.0.135", edits=(CHECKS, DVC)),
        Variant(versions=">=8.0.136,<=8.0.178", edits=(MOVED, edit("ultralytics/utils/callbacks/dvc.py"))),
        Variant(versions=">=8.0.179,<=8.0.181", edits=(MOVED,)),
    ),
)
