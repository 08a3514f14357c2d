"""What holds for every patch and variant: bytes outside the edit stay, and what does not fit is explained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.codemod import BOM, Import, Source
from tests.patches.cases import (
    Case,
    all_cases,
    as_bytes,
    beside,
    check_explained,
    check_noop,
    check_transformed,
    step,
    variant_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimfork.codemods.codemod import Edit
    from slimfork.codemods.patch import Patch


def edits_of(patch: Patch, case: Case) -> tuple[Edit, ...]:
    return variant_of(patch, case.version).edits


def each_edit(*, wanted: Callable[[Patch, Case, Edit], bool]) -> pytest.MarkDecorator:
    params = []
    for _, patch, case in all_cases():
        for number, edit in enumerate(edits_of(patch, case)):
            if wanted(patch, case, edit):
                params.append(pytest.param(patch, case, edit, id=f"{patch.id}-{case.version}-{number}"))
    return pytest.mark.parametrize(("patch", "case", "edit"), params)


CASES = [pytest.param(patch, case, id=f"{patch.id}-{case.version}") for _, patch, case in all_cases()]

every_case = pytest.mark.parametrize(("patch", "case"), CASES)
every_edit = each_edit(wanted=lambda *_: True)
every_edit_with_an_anchor = each_edit(wanted=lambda _p, _c, edit: not isinstance(edit, Import))
every_edit_of_several = each_edit(wanted=lambda patch, case, _e: len(edits_of(patch, case)) > 1)


def in_form(files: dict[str, bytes], change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    return {path: change(content) for path, content in files.items()}


def check_in_form(patch: Patch, case: Case, change: Callable[[bytes], bytes]) -> None:
    before, after = as_bytes(case.before), as_bytes(case.after)
    check_transformed(patch, case.version, in_form(before, change), in_form(after, change))


@every_case
def test_before_becomes_after(patch: Patch, case: Case) -> None:
    check_transformed(patch, case.version, as_bytes(case.before), as_bytes(case.after))


@every_case
def test_applied_is_left_alone(patch: Patch, case: Case) -> None:
    check_noop(patch, case.version, as_bytes(case.after), "applied")


@every_case
def test_other_releases_are_left_alone(patch: Patch, case: Case) -> None:
    others = beside(patch)
    assert others
    for version in others:
        check_noop(patch, version, as_bytes(case.before), "excluded")


@every_case
def test_release_to_come_is_tried_like_the_newest(patch: Patch, case: Case) -> None:
    newest = variant_of(patch, case.version) is patch.variants[-1]
    done = step(patch, as_bytes(case.before), "8.999.0")
    if patch.compat:
        assert done.state == "excluded"
    else:
        assert done.state == ("pending" if newest else "broken")
        assert all("(ultralytics 8.999.0)" in problem for problem in done.problems)


@every_case
def test_crlf_stays(patch: Patch, case: Case) -> None:
    check_in_form(patch, case, lambda content: content.replace(b"\n", b"\r\n"))


@every_case
def test_byte_order_mark_stays(patch: Patch, case: Case) -> None:
    check_in_form(patch, case, lambda content: BOM + content)


@every_case
def test_missing_last_newline_stays_missing(patch: Patch, case: Case) -> None:
    check_in_form(patch, case, lambda content: content.removesuffix(b"\n"))


@every_case
def test_tabs_stay(patch: Patch, case: Case) -> None:
    check_in_form(patch, case, lambda content: re.sub(rb"(?m)^( {4})+", lambda m: b"\t" * (len(m[0]) // 4), content))


@every_case
def test_other_encodings_stay(patch: Patch, case: Case) -> None:
    check_in_form(patch, case, lambda content: b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + content)


@every_case
def test_other_quotes_fit_as_well(patch: Patch, case: Case) -> None:
    before = in_form(as_bytes(case.before), lambda content: content.replace(b"'", b'"'))
    assert step(patch, before, case.version).state == "pending"


@every_edit
def test_missing_anchor_is_explained(patch: Patch, case: Case, edit: Edit) -> None:
    files = {**as_bytes(case.before), edit.file: b"x = 1\n"}
    sites = "1 site" if edit.count == 1 else f"{edit.count} sites"

    done = step(patch, files, case.version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    beside = [other for other in edits_of(patch, case) if other.file == edit.file]
    assert len(done.problems) == len(beside)  # all of them at once
    message = done.problems[beside.index(edit)]
    check_explained(patch, edit, case.version, message, found=f"expected {sites}, found none")


@every_edit
def test_missing_file_is_explained(patch: Patch, case: Case, edit: Edit) -> None:
    files = as_bytes(case.before)
    del files[edit.file]

    done = step(patch, files, case.version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    beside = [other for other in edits_of(patch, case) if other.file == edit.file]
    message = done.problems[beside.index(edit)]
    check_explained(patch, edit, case.version, message, found="the file does not exist")


@every_edit_with_an_anchor
def test_anchor_twice_is_explained(patch: Patch, case: Case, edit: Edit) -> None:
    content = as_bytes(case.before)[edit.file]
    files = {**as_bytes(case.before), edit.file: content + content}
    sites = "1 site" if edit.count == 1 else f"{edit.count} sites"

    done = step(patch, files, case.version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    beside = [e for e in edits_of(patch, case) if e.file == edit.file and not isinstance(e, Import)]
    assert len(done.problems) == len(beside)
    found = f"expected {sites}, found {2 * edit.count} without the edit"
    check_explained(patch, edit, case.version, done.problems[beside.index(edit)], found=found)


@every_edit_of_several
def test_half_applied_is_explained(patch: Patch, case: Case, edit: Edit) -> None:
    others = [other for other in edits_of(patch, case) if other is not edit]
    files = as_bytes(case.before)
    files[edit.file] = edit.apply(Source(files[edit.file])).content

    done = step(patch, files, case.version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    (message,) = done.problems
    lines = message.splitlines()
    assert lines[0] == f"{patch.id}: {patch.title}"
    assert lines[1] == f"  problem  half applied to ultralytics {case.version}"
    assert [line for line in lines if line.startswith("  done")] == [f"  done     {place(edit)}"]
    assert [line for line in lines if line.startswith("  missing")] == [f"  missing  {place(e)}" for e in others]
    assert f"  why      {patch.why}" in lines
    assert lines[-1].startswith("  next     ")


def place(edit: Edit) -> str:
    return f"{edit.file} :: {'.'.join(edit.within) or 'module'}, at {edit.anchor}"


@every_case
def test_file_that_does_not_parse_is_refused_by_name(patch: Patch, case: Case) -> None:
    for path in case.before:
        files = {**as_bytes(case.before), path: b"def broken(:\n"}
        done = step(patch, files, case.version)
        assert (done.state, dict(done.changes)) == ("broken", {})
        assert all(f"  at       {path} ::" in problem for problem in done.problems)
        if path.endswith(".py") and not _reads_bytes(patch, case, path):
            assert all("  problem  it does not parse: " in problem for problem in done.problems)


def _reads_bytes(patch: Patch, case: Case, path: str) -> bool:
    """Tell whether an edit of a Python file needs no tree."""
    return any(type(e).__name__ == "LocalVersion" for e in edits_of(patch, case) if e.file == path)


@every_case
def test_all_files_at_once(patch: Patch, case: Case) -> None:
    done = step(patch, {}, case.version)
    edits = edits_of(patch, case)
    assert len(done.problems) == len(edits)
    for edit, problem in zip(edits, done.problems, strict=True):
        assert f"  at       {edit.file} ::" in problem
