"""The matrix's page in a real browser: folding, sorting, filtering, links, keyboard, phone, light and dark.

Skipped where there is no Chromium or Chrome; no browser is downloaded.
"""

from __future__ import annotations

import shutil
from itertools import groupby

import pytest

from slimfork.matrix.page import render
from tests.tools.matrix_sample import HOSTILE, PLACEHOLDER, sample_document

DOCUMENT = sample_document()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium or google-chrome on PATH: apt-get install chromium")
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    """A headless browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page of the sample lies."""
    path = tmp_path_factory.mktemp("page") / "matrix.html"
    path.write_text(render(DOCUMENT), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def visit(browser, address):
    """Open the page in a window of its own; whatever the tests did there, it must not have complained or asked."""
    complaints = []

    def _visit(fragment="", **options):
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "file:" not in request.url else None)
        page.goto(address + fragment)
        return page

    yield _visit
    assert complaints == []


@pytest.fixture(scope="module")
def window(visit):
    """One window for all tests that need nothing special, since a page of 865 releases takes a while to open."""
    return visit(**DESKTOP)


@pytest.fixture
def desktop(window):
    """The page as it opens, in a desktop's window."""
    window.evaluate("location.hash = '#as=new'")
    window.wait_for_url(lambda url: "as=new" not in url)
    return window


def names(page):
    """Return the text of every row that is a release or several."""
    return page.locator(".toggle").all_text_contents()


def status(page):
    """Return the line above the table."""
    return page.locator("#status").inner_text()


def expected_rows(releases):
    """Return the names of the rows that neighbours with equal verdicts fold to."""

    def alike(release):
        verdicts = [release["checks"].get(check["id"], {}).get("verdict") for check in DOCUMENT["checks"]]
        return release["verdict"], release["reason"], verdicts

    groups = [[release["version"] for release in group] for _, group in groupby(releases, alike)]
    return [group[0] if len(group) == 1 else f"{group[0]} .. {group[-1]} ({len(group)})" for group in groups]


def test_equal_neighbours_are_folded_until_the_reader_unfolds_them(desktop):
    rows = expected_rows(DOCUMENT["releases"])
    assert len(rows) < 50
    assert names(desktop) == rows
    assert status(desktop) == f"865 releases in {len(rows)} rows"
    desktop.get_by_label("fold equal releases").uncheck()
    assert names(desktop) == [release["version"] for release in DOCUMENT["releases"]]
    assert status(desktop) == "865 releases"
    desktop.get_by_label("fold equal releases").check()
    assert names(desktop) == rows


def test_one_folded_row_shows_its_releases_one_by_one(desktop):
    before = names(desktop)
    desktop.get_by_role("button", name="8.2.47 .. 8.2.50 (4)").click()
    desktop.get_by_role("button", name="show the 4 releases one by one").click()
    at = before.index("8.2.47 .. 8.2.50 (4)") + 1
    assert names(desktop) == [*before[:at], "8.2.47", "8.2.48", "8.2.49", "8.2.50", *before[at:]]
    desktop.get_by_role("button", name="fold them again").click()
    assert names(desktop) == before


def test_a_header_sorts_by_its_check_failures_first_and_then_the_other_way(desktop):
    header = desktop.locator("th", has=desktop.get_by_role("button", name="finetune", exact=True))
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(desktop)[:3] == ["8.3.16", "8.0.0", "8.0.37"]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(desktop)[:2] == ["8.0.0", "8.0.37"]
    assert names(desktop)[12] == "8.3.16"
    assert names(desktop)[13] == "0.0.13 .. 0.0.44 (32)"  # what was not asked for stays last
    assert desktop.locator("th[aria-sort]").count() == 1


def test_releases_sort_by_number_not_by_text(desktop):
    desktop.evaluate("location.hash = '#fold=0&line=8.0'")
    desktop.get_by_text("240 of 865 releases").wait_for()
    assert names(desktop) == [f"8.0.{number}" for number in range(240)]
    desktop.get_by_role("button", name="release", exact=True).click()
    assert names(desktop) == [f"8.0.{number}" for number in reversed(range(240))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("8.4.190", "1 of 865 releases"),
        ("8.3.25", "5 of 865 releases in 3 rows"),
        (PLACEHOLDER[:20].upper(), "32 of 865 releases in 1 row"),
        ("keyerror <script>", "1 of 865 releases"),
        ("loss_device:broken", "4 of 865 releases in 1 row"),
        ("8.0.17 pkg_resources", "9 of 865 releases in 2 rows"),
        ("yanked hub", "2 of 865 releases"),
        ("no such thing", "no release matches"),
    ],
)
def test_text_filters_by_release_reason_detail_patch_and_yank(desktop, text, told):
    desktop.get_by_role("searchbox").fill(text)
    assert status(desktop) == told
    desktop.get_by_role("button", name="clear filters").click()
    assert status(desktop).startswith("865 releases")


def test_chips_and_lines_filter_and_combine(desktop):
    failed = desktop.get_by_role("button", name="failed 6")
    failed.click()
    assert failed.get_attribute("aria-pressed") == "true"
    assert names(desktop) == ["8.2.47 .. 8.2.50 (4)", "8.3.16", "8.4.104"]
    desktop.get_by_role("button", name="not run 1").click()
    assert names(desktop) == ["8.2.47 .. 8.2.50 (4)", "8.3.16", "8.4.14", "8.4.104"]
    desktop.get_by_role("button", name="8.4 191").click()
    assert names(desktop) == ["8.4.14", "8.4.104"]
    failed.click()
    assert names(desktop) == ["8.4.14"]


def test_a_shared_link_opens_what_the_sender_saw(desktop, visit):
    desktop.get_by_role("searchbox").fill("8.2 sparsity")
    desktop.get_by_role("button", name="failed 6").click()
    desktop.get_by_role("button", name="8.2 104").click()
    desktop.get_by_role("button", name="release", exact=True).click()
    desktop.get_by_role("button", name="8.2.47 .. 8.2.50 (4)").click()
    desktop.get_by_role("button", name="show the 4 releases one by one").click()
    other = visit("#" + desktop.url.partition("#")[2], **DESKTOP)
    assert names(other) == ["8.2.47 .. 8.2.50 (4)", "8.2.50", "8.2.49", "8.2.48", "8.2.47"]
    assert other.locator(".panel").inner_text() == desktop.locator(".panel").inner_text()
    assert other.get_by_role("searchbox").input_value() == "8.2 sparsity"
    assert other.locator("[aria-pressed=true]").count() == 2
    assert other.locator("th[aria-sort=descending]").inner_text() == "release"


def test_a_link_to_a_release_opens_the_row_that_holds_it_whatever_was_filtered(desktop):
    desktop.get_by_role("searchbox").fill("placeholder")
    desktop.locator(".failures").get_by_role("link", name="8.2.47").click()
    desktop.locator(".panel").wait_for()
    row = desktop.locator("tr.open")
    assert row.locator(".toggle").inner_text() == "8.2.47 .. 8.2.50 (4)"
    box = row.bounding_box()
    assert box
    assert 0 < box["y"] < 900


def test_rows_open_and_close_by_keyboard_alone(desktop):
    desktop.get_by_role("searchbox").fill("8.3.16")
    focused = desktop.locator(":focus")
    for _ in range(40):
        desktop.keyboard.press("Tab")
        if focused.get_attribute("class") == "toggle":
            break
    assert focused.inner_text() == "8.3.16"
    assert focused.get_attribute("aria-expanded") == "false"
    desktop.keyboard.press("Enter")
    assert focused.inner_text() == "8.3.16"
    assert focused.get_attribute("aria-expanded") == "true"
    told = desktop.locator(".panel").inner_text()
    assert "fine-tuning keeps the shapes, lowers the loss" in told
    assert HOSTILE in told
    assert "log: logs/8.3.16/finetune.log" in told
    assert "keep_architecture, loss_device, np_trapz" in told
    desktop.keyboard.press("Space")
    assert desktop.locator(".panel").count() == 0


def test_hostile_text_is_shown_and_not_run(desktop):
    desktop.evaluate("location.hash = '#open=8.3.16'")
    desktop.locator(".panel").wait_for()
    assert desktop.title() == "ultralytics: version matrix"
    assert desktop.locator("img").count() == 0


def test_a_phone_reads_it_without_scrolling_sideways_and_opens_by_tap(visit):
    phone = visit(**PHONE)
    sideways = "document.scrollingElement.scrollWidth - innerWidth"
    assert phone.evaluate(sideways) <= 0
    phone.locator("tr.folded", has_text="8.2.47 .. 8.2.50 (4)").tap()
    assert "expected 1 site, found 0" in phone.locator(".panel").inner_text()
    phone.get_by_label("sort").select_option("by verdict, failed first")
    assert names(phone)[:4] == ["8.2.47 .. 8.2.50 (4)", "8.3.16", "8.4.104", "8.4.14"]
    phone.get_by_label("fold equal releases").uncheck()
    phone.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    assert phone.evaluate(sideways) <= 0
    assert phone.locator("tr[id='8.4.190'] td.p").last.bounding_box()["width"] > 10


def test_without_javascript_every_release_and_detail_is_shown(visit):
    page = visit(java_script_enabled=False, viewport={"width": 360, "height": 900})
    assert page.locator("tbody tr").count() == len(DOCUMENT["releases"])
    assert page.get_by_text("median γ 0.98 → 0.71").first.is_visible()
    assert page.get_by_role("searchbox").count() == 0  # a control that does nothing is not shown
    assert page.locator(".box").bounding_box()["width"] <= 360  # the table scrolls in its own box


# The ratio of light (WCAG 2) of every text, and of every mark, to what it stands on.
CONTRAST = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    const colour = rgb(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? ground(element.parentElement) : colour;
  };
  const shown = (element) => element.checkVisibility() && getComputedStyle(element).fontSize !== "0px"
    && [...element.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  const all = [...document.querySelectorAll("body :not(:disabled, script)")];
  const marks = [...document.querySelectorAll("td.p, td.f, td.n")].map((cell) => getComputedStyle(cell, "::before"));
  return {
    page: light(ground(document.body)),
    texts: all.filter(shown).map((e) => [ratio(rgb(getComputedStyle(e).color), ground(e)), e.outerHTML.slice(0, 80)]),
    marks: marks.map((style) => ratio(rgb(style.color), rgb(style.backgroundColor))),
  };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out_in_light_and_dark(window, desktop, scheme):
    window.emulate_media(color_scheme=scheme)
    desktop.evaluate("location.hash = '#open=8.3.16,8.4.14'")
    desktop.locator(".panel").last.wait_for()
    measured = desktop.evaluate(CONTRAST)
    window.emulate_media(color_scheme="light")
    assert (measured["page"] > 0.5) == (scheme == "light")
    assert len(measured["texts"]) > 200
    assert [text for ratio, text in measured["texts"] if ratio < 4.5] == []
    assert min(measured["marks"]) > 3
