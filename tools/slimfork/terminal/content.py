"""Where `patches/` and `overlay/` lie: beside the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path


def content_root() -> Path:
    """Return the folder that holds `patches/` and `overlay/`.

    A wheel carries them in `slimfork/content/`; an editable install and the source tree have them at the top
    of the checkout. Nothing else asks where they are.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "content"
    return installed if installed.is_dir() else package.parents[1]


def patches_root() -> Path:
    """Return the folder of the patches and lock files."""
    return content_root() / "patches"


def overlay_root() -> Path:
    """Return the folder of the overlay."""
    return content_root() / "overlay"
