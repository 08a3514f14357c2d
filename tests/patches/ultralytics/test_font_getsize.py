"""Labels are measured with what the installed Pillow has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import ImageFont

from tests.patches.cases import Case, all_ends, check_next_needs_none, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("font_getsize")

PLOTTING = "ultralytics/yolo/utils/plotting.py"

BOX_LABEL = """\
class Annotator:
    def box_label(self, box, label='', color=(128, 128, 128)):
        if label:
            w, h = self.font.getsize(label)  # text width, height
            outside = box[1] - h >= 0  # label fits outside box

"""

BOX_LABEL_AFTER = """\
class Annotator:
    def box_label(self, box, label='', color=(128, 128, 128)):
        if label:
            w, h = self.font.getbbox(label)[2:4]  # text width, height
            outside = box[1] - h >= 0  # label fits outside box

"""

CHOOSING = """\
class Annotator:
    def box_label(self, box, label='', color=(128, 128, 128)):
        if self.pil_9_2_0_check:
            _, _, w, h = self.font.getbbox(label)  # text width, height (New)
        else:
            w, h = self.font.getsize(label)  # text width, height (Old, deprecated in 9.2.0)

"""

TEXT = """\
    def text(self, xy, text, anchor='top'):
        if anchor == 'bottom':  # start y from font bottom
            w, h = self.font.getsize(text)  # text width, height
            xy[1] += 1 - h
"""

TEXT_AFTER = """\
    def text(self, xy, text, anchor='top'):
        if anchor == 'bottom':  # start y from font bottom
            w, h = self.font.getbbox(text)[2:4]  # text width, height
            xy[1] += 1 - h
"""

BOXED = """\
        if self.pil:
            if box_style:
                w, h = self.font.getsize(text)
"""

BOXED_AFTER = """\
        if self.pil:
            if box_style:
                w, h = self.font.getbbox(text)[2:4]
"""

NEW = "class Annotator:\n    def box_label(self, box):\n        _, _, w, h = self.font.getbbox(label)\n\n"


def case(version: str, before: str, after: str) -> Case:
    return Case.of(version, {PLOTTING: (before, after)})


CASES = (
    case("8.0.0", BOX_LABEL + TEXT, BOX_LABEL_AFTER + TEXT_AFTER),
    case("8.0.5", NEW + TEXT, NEW + TEXT_AFTER),
    case("8.0.6", BOX_LABEL + TEXT, BOX_LABEL_AFTER + TEXT_AFTER),
    case("8.0.24", CHOOSING + TEXT, CHOOSING + TEXT_AFTER),
    case("8.0.100", CHOOSING + TEXT + BOXED, CHOOSING + TEXT_AFTER + BOXED_AFTER),
)


def test_label_is_measured_on_this_pillow() -> None:
    namespace: dict[str, Any] = {}
    exec(TEXT_AFTER.replace("    def", "def", 1).replace("\n    ", "\n"), namespace)  # noqa: S102 - our own fragment
    annotator, xy = type("Annotator", (), {"font": ImageFont.load_default(20)})(), [0, 100]

    namespace["text"](annotator, xy, "QR code", anchor="bottom")

    assert 100 - 2 * 20 < xy[1] < 100


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_measuring_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    chosen = r"(?!.*\(Old,)"  # by Pillow's version, already
    check_none_missed(PATCH, version, release(version), rf"\bfont\.getsize\({chosen}")


def test_next_release_has_its_own_way(release: Callable[[str], dict[str, bytes]]) -> None:
    check_next_needs_none(PATCH, release, b"self.font.getsize = lambda")
