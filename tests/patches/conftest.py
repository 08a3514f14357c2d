"""The sources of published releases, through the program's own pins, cache and reader."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from slimfork.releases import pins
from slimfork.releases.archive import read_sdist
from slimfork.releases.fetch import fetch

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def release() -> Callable[[str], dict[str, bytes]]:
    """Return the files of an ultralytics release by path."""

    @cache
    def files(version: str) -> dict[str, bytes]:
        archive = fetch(pins.find(f"ultralytics=={version}"))
        return {path: file.content for path, file in read_sdist(archive).items()}

    return files
