"""setuptools 81 removed `pkg_resources`; this release compares versions and checks requirements with it.

`ultralytics/slim/compat.py` offers the five names that are used, on top of `packaging` and `importlib.metadata`.
"""

from __future__ import annotations

from slimfork.codemod import Replace
from slimfork.patch import Patch, Variant

PATCH = Patch(
    id="pkg_resources",
    title="Check versions without pkg_resources",
    why="`import ultralytics` fails where setuptools is 81 or newer, which no longer carries pkg_resources",
    until="the release is older than this patch set supports",
    compat=True,
    variants=(
        Variant(
            versions=">=8.0.100,<=8.0.100",
            edits=(
                Replace(
                    file="ultralytics/yolo/utils/checks.py",
                    anchor="import pkg_resources as pkg",
                    code="from ultralytics.slim import compat as pkg",
                ),
            ),
        ),
    ),
)
