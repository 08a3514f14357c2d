"""The READMEs hold together: links lead somewhere, rooms and patches have their line, pictures can be drawn again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from slimfork.codemods.patch import load_series
from slimfork.terminal.naming import UPSTREAMS
from slimfork.verify.verify import CHECKS

ROOT = Path(__file__).parents[2]
DOORS = ["README.md", "patches/README.md", "overlay/README.md", "tools/README.md", "tools/bench/README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ROOM = re.compile(r"^\| \d \| `(\w+)/` \|", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOORS)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in LINK.findall(CODE.sub("", read(name))):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_first_page_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 150


@pytest.mark.parametrize(
    ("name", "house"), [("overlay/README.md", "overlay/slim"), ("tools/README.md", "tools/slimfork")]
)
def test_every_room_has_its_line(name: str, house: str) -> None:
    rooms = {path.parent.name for path in (ROOT / house).glob("*/__init__.py")}
    assert sorted(ROOM.findall(read(name))) == sorted(rooms)


def test_every_patch_has_its_line() -> None:
    told = re.findall(r"^\| `(\w+)`(?: `(\w+)`)? \|", read("patches/README.md"), re.MULTILINE)
    ids = {patch.id for upstream in UPSTREAMS for patch in load_series(upstream)}
    assert {name for pair in told for name in pair} >= ids


def test_the_patch_that_is_shown_is_the_one_that_is_there() -> None:
    (shown,) = re.findall(r"^```python\n(.*?)^```", read("patches/README.md"), re.MULTILINE | re.DOTALL)
    assert shown == read("patches/ultralytics/dfl_export.py")


def test_every_check_of_verify_has_its_line() -> None:
    page = read("tools/README.md")
    ids = [check.id for check in CHECKS]
    assert [row for row in re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) if row in ids] == ids
    assert f"There are {len(CHECKS)} checks" in page


def test_pictures_are_those_that_the_script_draws(tmp_path: Path) -> None:
    script = ROOT / "tools" / "bench" / "draw_readme.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, cwd=tmp_path)
    for drawn in sorted(tmp_path.glob("*.svg")):
        kept = script.parent / "pictures" / drawn.name
        assert words(drawn) == words(kept)
        assert "fill: #ffffff" in kept.read_text(encoding="utf-8")  # on a dark page, too


def words(picture: Path) -> list[str]:
    """Return what is written in a picture, but the numbers on its axes, which matplotlib chooses."""
    texts: list[str] = re.findall(r"<text[^>]*>([^<]+)</text>", picture.read_text(encoding="utf-8"))
    return [text for text in texts if re.search(r"[a-z]", text)]
