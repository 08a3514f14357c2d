"""The release's version checks find the five names of `pkg_resources` that they use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.patches.cases import Case, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("pkg_resources")

CHECKS = "ultralytics/yolo/utils/checks.py"

CASES = (
    Case(
        version="8.0.100",
        before={CHECKS: "import glob\n\nimport numpy as np\nimport pkg_resources as pkg\nimport psutil\n"},
        after={
            CHECKS: "import glob\n\nimport numpy as np\nfrom ultralytics.slim import compat as pkg\nimport psutil\n"
        },
    ),
)


def test_stand_in_has_every_name_that_the_release_uses(release: Callable[[str], dict[str, bytes]]) -> None:
    import re

    from slim import compat

    used = set(re.findall(r"\bpkg\.(\w+)", release("8.0.100")[CHECKS].decode()))
    assert used == {"parse_version", "parse_requirements", "require", "VersionConflict", "DistributionNotFound"}
    assert used <= set(compat.__all__)
