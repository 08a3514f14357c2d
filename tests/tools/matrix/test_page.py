"""The matrix as a page: every cell is in the HTML, and any text stays text. Next door, a browser runs its script."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

from packaging.version import Version

from slimfork.matrix.page import render
from tests.tools.matrix_sample import BROKEN_ANCHOR, HOSTILE, sample_document

DOCUMENT = sample_document()
PAGE = render(DOCUMENT)
COLUMNS = [check["id"] for check in DOCUMENT["checks"]]


class Reader(HTMLParser):
    """The tags of a page with their attributes, and the table's rows as lists of (class, {tag: text}) cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[tuple[str | None, dict[str, str]]]] = {}
        self.row: list[tuple[str | None, dict[str, str]]] | None = None
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "tr":
            self.row = self.rows.setdefault(attributes["id"], []) if "id" in attributes else None
        elif tag in {"th", "td"} and self.row is not None:
            self.row.append((attributes.get("class"), {}))
        if tag not in {"meta", "link", "input", "br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # every element is closed where it should be

    def handle_data(self, data):
        if self.row and {"td", "th"} & set(self.open):
            texts = self.row[-1][1]
            texts[self.open[-1]] = texts.get(self.open[-1], "") + data


READER = Reader(PAGE)


def clean_document(which=slice(-3, None)):
    """Return a matrix of some releases without a failure."""
    document = sample_document(clean=True)
    return {**document, "releases": document["releases"][which]}


def failures_of(page):
    """Return the section of a page that tells what failed."""
    return page.partition('<section class="failures"')[2].partition("</section>")[0]


def test_every_cell_is_in_the_page_without_javascript():
    assert list(READER.rows) == [release["version"] for release in DOCUMENT["releases"]]
    for release in DOCUMENT["releases"]:
        _, (_, verdict), *cells, (_, note) = READER.rows[release["version"]]
        assert verdict["b"] == release["verdict"]
        assert note.get("td", "") == (release["reason"] or "")
        for check, (_, texts) in zip(COLUMNS, cells, strict=True):
            told = release["checks"].get(check, {})
            assert texts.get("b") == told.get("verdict")
            assert texts.get("small", "") == (told.get("detail") or "")
            assert texts.get("code") == told.get("log")


def test_a_yank_and_its_reason_and_an_unpinned_release_are_told():
    document = clean_document(slice(40, 60))
    document["releases"][-1]["pinned"] = False
    page = render(document)
    assert page.count('<em title="Bug - do not use">yanked</em>') == 2
    assert page.count("<em>unpinned</em>") == 1


def test_a_detail_stays_text():
    *cells, _ = READER.rows["8.3.16"]
    assert cells[2 + COLUMNS.index("finetune")][1]["small"] == HOSTILE
    assert "img" not in [tag for tag, _ in READER.tags]
    assert html.escape(HOSTILE, quote=False) in PAGE.replace("&#39;", "'").replace("&#34;", '"')


def test_text_of_every_field_stays_text():
    document = {**clean_document(), "upstream": HOSTILE}
    document["made"].update(by=HOSTILE, command=HOSTILE, python=HOSTILE, content=HOSTILE, packages={HOSTILE: HOSTILE})
    document["checks"][0].update(title=HOSTILE)
    document["releases"][0].update(reason=HOSTILE, yanked=HOSTILE, patches={HOSTILE: "pending"})
    reader = Reader(render(document))
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in reader.tags]


def test_the_page_needs_no_network_and_allows_its_own_script_alone():
    linked = [attributes.get("src") or attributes.get("href") for _, attributes in READER.tags]
    assert {link[:1] for link in linked if link} == {"#", "d"}
    assert [link for link in linked if link and link[0] == "d"] == ["data:,"]
    assert "@import" not in PAGE
    assert "url(" not in PAGE
    script = re.search(r"<script>(.*?)</script>", PAGE, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in PAGE


def test_a_page_of_all_releases_is_small():
    assert len(DOCUMENT["releases"]) >= 865
    assert len(PAGE.encode()) < 1_500_000


def test_releases_are_in_the_order_of_versions_whatever_the_document_says():
    document = clean_document(slice(20, 70))
    document["releases"].reverse()
    document["releases"][5:5] = [{**document["releases"][0], "version": name} for name in ("master", "v7.0", "v6.2")]
    *versions, tag_before, tag, branch = Reader(render(document)).rows
    assert versions == sorted(versions, key=Version)
    assert versions.index("8.0.9") < versions.index("8.0.10")
    assert [tag_before, tag, branch] == ["v6.2", "v7.0", "master"]


def test_failures_come_first_each_message_once_with_its_releases():
    section = failures_of(PAGE)
    assert re.findall(r"<b>(.+?)</b> <a href=\"#(.+?)\">(.+?)</a>", section) == [
        ("fits", "8.2.47", "8.2.47 .. 8.2.50 (4)"),
        ("finetune", "8.3.16", "8.3.16"),
        ("onnx", "8.4.104", "8.4.104"),
    ]
    assert html.escape(BROKEN_ANCHOR, quote=False) in section
    assert "6 of 865 releases fail." in PAGE


def test_of_many_different_failures_thirty_are_shown_and_the_rest_counted():
    document = clean_document(slice(-40, None))
    for number, release in enumerate(document["releases"]):
        release["checks"]["import"].update(verdict="FAIL", detail=f"error {number}")
    section = failures_of(render(document))
    assert section.count("<li>") == 30
    assert "and 10 other messages in the table" in section


def test_without_failures_the_page_says_so():
    page = render(clean_document())
    assert "Each of the 865 releases is patched, or says why it never can be." in page
    assert failures_of(page) == ""


def test_the_head_tells_when_how_and_with_what_it_was_made():
    head = html.unescape(re.sub(r"<.*?>", "", PAGE.partition("<header>")[2].partition("</header>")[0]))
    assert "2026-11-21 23:50 UTC by slimfork 0.1.0" in head
    assert "apply-patches matrix --releases all --json matrix.json --html matrix.html" in head
    assert "Python 3.11.7 on linux x86_64, numpy 2.4.6, onnx 1.20.0, torch 2.15.0+cu132, torchvision 0.29.0" in head


def test_every_patch_is_listed_with_the_releases_of_its_states():
    entry = PAGE.partition('<a href="#q=np_trapz">')[2].partition("</div>")[0]
    text = re.sub(r"\s+", " ", re.sub(r"<.*?>", "", entry))
    assert text.strip() == "np_trapz pending 8.0.0 .. 8.3.107 (496) upstreamed 8.3.108 .. 8.4.190 (337)"


def test_a_matrix_without_releases_is_a_page():
    empty = {"releases": [], "checks": [], "summary": dict.fromkeys(DOCUMENT["summary"], 0)}
    assert Reader(render({**DOCUMENT, **empty})).rows == {}
