"""setuptools 81 removed `pkg_resources`; versions are compared and requirements checked with it.

`slim/compat.py` offers the names that are used. What is missing is reported and not installed: the requirements of
that time hold today's packages back (`protobuf<=3.20.1` in v6.2), and v5.0 ends where pip cannot install.
"""

from __future__ import annotations

from typing import Any

from slimfork.codemods import Patch, Replace, Variant

OWN = {"within": ("check_requirements",), "anchor": "pkg.require(r)", "code": "pkg.report(r)"}
ULTRALYTICS = {  # from 7.0.12 on, ultralytics checks and installs; 7.0.12 means a module that it no longer has
    module: {
        "anchor": f"from {module} import check_requirements",
        "code": "from yolov5.slim.compat import check_requirements",
    }
    for module in ("ultralytics.yolo.utils.checks", "ultralytics.utils.checks")
}


def edits(*loggers: str, root: str = "", slim: str = "slim", check: dict[str, Any] = OWN) -> tuple[Replace, ...]:
    """Return the edits for a release: loggers that compare versions, and how it checks requirements."""
    files = ("utils/general.py", *(f"utils/loggers/{logger}.py" for logger in loggers))
    return (
        *(
            Replace(
                file=f"{root}{file}", anchor="import pkg_resources as pkg", code=f"from {slim} import compat as pkg"
            )
            for file in files
        ),
        Replace(file=f"{root}utils/general.py", **check),
    )


def pypi(*loggers: str, check: dict[str, Any] = OWN) -> tuple[Replace, ...]:
    """Return the edits for a release on PyPI."""
    return edits(*loggers, root="yolov5/", slim="yolov5.slim", check=check)


WANDB, ALL = "wandb/wandb_utils", "__init__"

PATCH = Patch(
    id="pkg_resources",
    title="Check versions and requirements without pkg_resources",
    why="setuptools 81 has no pkg_resources, and what is said to be missing would be installed at its version of then",
    until="releases before master are no longer of use",
    compat=True,
    variants=(
        Variant(tags=("v5.0",), edits=edits()),
        Variant(tags=("v6.0",), edits=edits(WANDB)),
        Variant(tags=("v6.1", "v6.2", "v7.0"), edits=edits(ALL)),
        Variant(versions=">=5.0.0,<=5.0.10", edits=pypi()),
        Variant(versions=">=6.0.1,<=6.0.1", edits=pypi(WANDB)),
        Variant(versions=">=6.0.2,<=6.0.7", edits=pypi(ALL, WANDB)),
        Variant(versions=">=6.1.0,<=7.0.11", edits=pypi(ALL)),
        Variant(versions=">=7.0.12,<=7.0.12", edits=pypi(ALL, check=ULTRALYTICS["ultralytics.yolo.utils.checks"])),
        Variant(versions=">=7.0.13,<=7.0.14", edits=pypi(ALL, check=ULTRALYTICS["ultralytics.utils.checks"])),
    ),
)
