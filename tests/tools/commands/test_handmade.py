"""`apply --replace-handmade` on trees that somebody has edited after the write-ups: refused, replaced, and reverted."""

from __future__ import annotations

import pytest

from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from tests.tools.conftest import write
from tests.tools.handmade_forms import BACKWARD, GET_MODEL, LOOP, PENALTIES, TRAINER_MODEL, behind, commented

TRAINER, MODEL = "ultralytics/engine/trainer.py", "ultralytics/engine/model.py"
SUBJECT = "Take out the write-up's edits made by hand"


@pytest.fixture(scope="module")
def published():
    return {path: file.content for path, file in release_files(pins.find("ultralytics==8.3.59")).items()}


def by_hand(files):
    """Return the files that write-up 1 changes."""
    trainer = behind(files[TRAINER], BACKWARD, PENALTIES["as written"])
    trainer = behind(trainer, GET_MODEL, "self.model = weights\n")
    model = commented(files[MODEL], TRAINER_MODEL, r"self\.model = self\.trainer\.model")
    model = behind(model, r"# self\.model = self\.trainer\.model", "self.trainer.model = self.model.train()\n")
    return {TRAINER: trainer, MODEL: model}


@pytest.fixture
def edited(tmp_path, git, published):
    """A checkout with a past: the release, then the write-up, then an edit of the user's own."""
    path = tmp_path / "mine"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    for files, subject in ((published, "the release"), (by_hand(published), "write-up 1")):
        write(path, files)
        git(path, "add", "-A", "-f")
        git(path, "commit", "-q", "-m", subject)
    return path


def test_it_is_named_then_replaced_then_reverted_to_the_release(edited, call, git, published):
    head = git(edited, "rev-parse", "HEAD")
    outcome = call("apply", edited)
    assert outcome.code == 3
    for words in (f"{TRAINER}:", f"{MODEL}:", "write-up 1, 2.1", "method 1", "method 2"):
        assert words in outcome.err
    assert outcome.err.rstrip().endswith(f"apply-patches apply {edited} --replace-handmade")
    assert git(edited, "rev-parse", "HEAD") == head

    status = call("status", edited, "--json")
    assert (status.code, status.json["complete"], len(status.json["handmade"])) == (1, False, 3)
    diff = call("diff", edited)
    assert diff.code == 1
    assert "-                self.model = weights" not in diff.out
    assert "-        self.model = weights" in diff.out
    assert diff.err.count("handmade: ") == 3

    assert call("apply", edited, "--replace-handmade").code == 0
    subjects = git(edited, "log", "--format=%s").split("\n")
    assert subjects[-3:] == [SUBJECT, "write-up 1", "the release"]
    replaced = git(edited, "log", "--format=%H", "--grep", "^Replaced-Handmade: sparsity")
    for path in (TRAINER, MODEL):
        assert git(edited, "show", f"{replaced}:{path}").encode() == published[path].rstrip(b"\n")
    status = call("status", edited, "--json")
    assert (status.code, status.json["handmade"], status.json["own"]) == (0, [], [])
    assert "nothing to do" in call("apply", edited, "--replace-handmade").out

    assert call("revert", edited).code == 0
    assert {p: (edited / p).read_bytes() for p in (TRAINER, MODEL)} == {p: published[p] for p in (TRAINER, MODEL)}


def test_both_penalties_are_not_complete_and_revert_leaves_neither(edited, call, git, published):
    assert call("apply", edited, "--replace-handmade").code == 0
    text = (edited / TRAINER).read_bytes()
    (edited / TRAINER).write_bytes(behind(text, r"slim_penalize\(self\)", PENALTIES["without marks"]))
    git(edited, "commit", "-q", "-a", "-m", "the loop again")
    status = call("status", edited)
    assert status.code == 1
    assert "handmade: 1" in status.out + status.err
    assert call("apply", edited).code == 3
    assert call("apply", edited, "--replace-handmade").code == 0
    assert (edited / TRAINER).read_bytes() == text
    assert call("revert", edited).code == 0
    assert (edited / TRAINER).read_bytes() == published[TRAINER]


def test_what_is_of_no_documented_form_is_refused_with_or_without_the_option(edited, call, git):
    mixed = LOOP.replace("l1_lambda", "1e-3") + "    else:\n        self.other = m\n"
    text = (edited / TRAINER).read_bytes()
    (edited / TRAINER).write_bytes(behind(text, r"if ni - last_opt_step >= self\.accumulate:", mixed, before=True))
    git(edited, "commit", "-q", "-a", "-m", "more")
    for options in ([], ["--replace-handmade"]):
        outcome = call("apply", edited, *options)
        assert outcome.code == 3
        assert "not of a documented form" in outcome.err
        assert "by hand" in outcome.err
    assert call("diff", edited).code == 3
    assert call("status", edited).code == 1
