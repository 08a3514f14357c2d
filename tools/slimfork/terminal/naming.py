"""How a release is named: by a published version, `7.0.14`, or by a git tag, `v7.0`. The name itself says which."""

from __future__ import annotations

UPSTREAMS = ("ultralytics", "yolov5")


def is_tag(version: str) -> bool:
    """Tell whether a release is named by a git tag or branch: published versions begin with a digit."""
    return not version[:1].isdigit()


def spec_of(upstream: str, version: str) -> str:
    """Return what finds the pin of a release: `ultralytics==8.4.190`, `yolov5@v7.0`."""
    return f"{upstream}{'@' if is_tag(version) else '=='}{version}"
