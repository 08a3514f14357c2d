"""The tables of a matrix: equal neighbours are one row, and nothing that failed is folded away."""

from __future__ import annotations

import pytest
from rich.console import Console

from slimfork.matrix.matrix import Cell, Column, Row, document
from slimfork.matrix.table import fold, markdown, put_in, summary, tables
from slimfork.releases import pins

COLUMNS = [
    Column(id="fits", title="every patch fits", kind="static"),
    Column(id="import", title="it imports", kind="static"),
    Column(id="dense", title="it trains", kind="dynamic"),
]
PASS, FAIL = Cell(verdict="pass", seconds=1.0), Cell(verdict="FAIL", detail="KeyError: 'a|b'", log="a.log")


def row(version, reason=None, **cells):
    return Row(pin=pins.find(f"ultralytics=={version}"), reason=reason, cells={n: c for n, c in cells.items() if c})


def test_versions_and_tags_are_rows_of_their_own():
    rows = [Row(pin=pins.find(spec), cells={"fits": PASS}) for spec in ("yolov5==7.0.14", "yolov5@v5.0", "yolov5@v6.0")]
    found = document(rows, COLUMNS, upstream="yolov5", command="apply-patches matrix", content="0" * 64)
    assert [run.name for run in fold(found["releases"], ["fits"])] == ["7.0.14", "v5.0 – v6.0"]


@pytest.fixture
def made():
    both = {"fits": PASS, "import": PASS}
    rows = [
        row("0.0.43", "no detector", fits=PASS),
        row("0.0.44", "no detector", fits=PASS),
        row("8.0.1", **both),
        row("8.0.2", **both),
        row("8.0.3", fits=PASS, **{"import": FAIL}),
        row("8.0.4", **both, dense=Cell(verdict="not run")),
        row("8.0.5", **both, dense=PASS),
        row("8.0.6", **both),
    ]
    return document(rows, COLUMNS, upstream="ultralytics", command="apply-patches matrix", content="0" * 64)


def test_equal_neighbours_are_one_run(made):
    runs = fold(made["releases"], ["fits", "import"])
    assert [(run.name, len(run.releases)) for run in runs] == [
        ("0.0.43 – 0.0.44", 2),
        ("8.0.1 – 8.0.2", 2),
        ("8.0.3", 1),
        ("8.0.4", 1),  # its verdict differs: something else was not run
        ("8.0.5 – 8.0.6", 2),
    ]
    assert [run.detail for run in runs] == ["no detector", "", "import: KeyError: 'a|b'", "", ""]


def test_a_release_that_was_not_asked_for_parts_its_neighbours():
    rows = [row("8.0.1", fits=PASS), row("8.0.2"), row("8.0.3", fits=PASS)]
    data = [r.as_json() for r in rows]
    assert [run.name for run in fold(data, ["fits"])] == ["8.0.1", "8.0.3"]


def test_other_failures_are_other_runs():
    other = Cell(verdict="FAIL", detail="another one")
    data = [row(v, fits=c).as_json() for v, c in (("8.0.1", FAIL), ("8.0.2", FAIL), ("8.0.3", other))]
    assert [run.name for run in fold(data, ["fits"])] == ["8.0.1 – 8.0.2", "8.0.3"]


def test_an_unpinned_release_is_a_row_of_its_own_and_says_so():
    data = [row("8.0.1", fits=PASS).as_json(), {**row("8.0.2", fits=PASS).as_json(), "pinned": False}]
    assert [run.name for run in fold(data, ["fits"])] == ["8.0.1", "8.0.2 (unpinned)"]


def test_verdicts_and_counts(made):
    assert [release["verdict"] for release in made["releases"]] == (
        ["reasoned"] * 2 + ["green"] * 2 + ["failed", "not run"] + ["green"] * 2
    )
    assert made["summary"] == {"releases": 8, "green": 4, "reasoned": 2, "failed": 1, "not run": 1}
    assert summary(made) == "8 releases of ultralytics: 4 green, 2 reasoned, 1 failed, 1 not run"


def test_a_failure_outweighs_a_reason():
    assert row("0.0.44", "no detector", fits=FAIL).verdict == "failed"


def test_the_terminal_shows_a_table_for_each_kind(made):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for table in tables(made):
        console.print(table)
    text = console.export_text()
    assert text.count("releases") == 2
    assert "8.0.1 – 8.0.2" in text
    assert "KeyError" in text


def test_markdown_has_every_run_and_what_the_checks_mean(made):
    text = markdown(made, {"8.0.5": "a line of its own"})
    assert "Made by `apply-patches matrix` (slimfork " in text
    assert "| 8.0.1 – 8.0.2 | 2 | green | ✓ | ✓ |  |  |" in text
    assert "| 8.0.3 |  | failed | ✓ | ✗ |  | import: KeyError: 'a/b' |" in text
    assert "| 8.0.5 |  | green | ✓ | 1 s | a line of its own |" in text
    assert "- **dense**: it trains" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {8, 7}  # three columns of words before, two behind, and the checks


def test_a_file_holds_the_matrix_of_every_upstream_once(made):
    ours, theirs = markdown(made, {}), markdown({**made, "upstream": "yolov5"}, {})
    both = put_in(put_in("", ours), theirs)
    assert [line for line in both.splitlines() if line.startswith("# ")] == [
        "# Version matrix of ultralytics",
        "# Version matrix of yolov5",
    ]
    assert put_in(both, ours) == put_in(both, theirs) == both
    assert put_in(both, ours.replace("green", "greener")).endswith(theirs.rstrip("\n") + "\n")
