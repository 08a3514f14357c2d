"""What every step of `verify_steps` and `demo_steps` knows of the folder it runs in; copied there beside them."""

from __future__ import annotations

from pathlib import Path

WORK = Path(__file__).resolve().parent  # of the copy: the scratch folder
IMGSZ = 64  # the side of verify's pictures, in pixels
FACTS_MARK = "slimfork:"  # begins a line that is for the command that called


class StoppedError(Exception):
    """A training run stopped on purpose."""
