"""Every patch on every release of YOLOv5, whole: PyPI's package, and the repository's tags where a clone is named."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from pathlib import Path

import pytest

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.matrix.static import FileReport, by_file, judge
from slimfork.releases import pins
from slimfork.releases.exclusions import reason
from slimfork.releases.fetch import release_files
from slimfork.terminal.naming import is_tag
from tests.yolov5_clone import CLONE, needs_clone

SERIES = load_series("yolov5")
DOCUMENTED = [patch for patch in SERIES if not patch.compat]
KEPT: dict[object, FileReport] = {}  # neighbours share most of their files

LINES = {"7.0.14"}  # the others with `-m slow`, and in the matrix
every_release = pytest.mark.parametrize(
    "version",
    [
        pytest.param(pin.version, marks=needs_clone if pin.is_tag else () if pin.version in LINES else pytest.mark.slow)
        for pin in pins.load("yolov5")
        if pin.is_tag or not reason("yolov5", pin.version)
    ],
)


@cache
def release(version: str) -> dict[str, bytes]:
    pin = pins.find(f"yolov5{'@' if is_tag(version) else '=='}{version}")
    return {path: file.content for path, file in release_files(pin, git=CLONE or None).items()}


def reports(version: str) -> dict[str, FileReport]:
    files, found = release(version), {}
    for path, series in by_file(SERIES, version).items():
        key = (path, files.get(path), repr(series))
        if key not in KEPT:
            KEPT[key] = judge(path, files.get(path), series, upstream="yolov5", version=version)
        found[path] = KEPT[key]
    return found


@every_release
def test_every_edit_fits_and_changes_what_it_names_and_no_more(version: str) -> None:
    found = reports(version)
    checks = attrgetter("fits", "bytes", "compile", "again", "revert")
    said = {path: checks(report) for path, report in found.items()}
    assert {path: problems for path, problems in said.items() if any(problems)} == {}
    states = {(name, state) for report in found.values() for name, state in report.states.items()}
    assert {(patch.id, "pending") for patch in DOCUMENTED} <= states
    assert {state for _, state in states} <= {"pending", "upstreamed"}


@every_release
def test_every_hyp_file_and_every_trainer_that_the_release_ships_is_edited(version: str) -> None:
    shipped = {path for path in release(version) if Path(path).name.startswith("hyp.") and path.endswith(".yaml")}
    trainers = {path for path in release(version) if path.endswith("train.py")}
    edited = {path for path, report in reports(version).items() if report.states.get("sparsity") == "pending"}
    assert edited == shipped | trainers
    root = "" if is_tag(version) else "yolov5/"
    assert b"model = slim_keep_architecture(model, ckpt)\n" in reports(version)[f"{root}train.py"].content


TRAIN = "yolov5/train.py"
LOSS = "loss, loss_items = compute_loss(pred, targets.to(device))  # loss scaled by batch_size\n"
PARSER = "parser = argparse.ArgumentParser()\n"
BREAKS = {  # what is changed, into what, and what is said of which patch
    "the loop has another name": (
        "def train(hyp, opt,",
        "def loop(hyp, opt,",
        "sparsity",
        "expected 1 site, found none",
    ),
    "the loss has another name": (LOSS, LOSS.replace("loss, ", "total, "), "sparsity", "expected 1 site, found none"),
    "the loss is computed twice": (LOSS, LOSS + 16 * " " + LOSS, "sparsity", "expected 1 site, found 2 without"),
    "the loss is gone": (LOSS, "pass\n", "sparsity", "expected 1 site, found none"),
    "the YAML is not asked for": ("cfg or ckpt['model']", "ckpt['model']", "keep_architecture", "found none"),
    "another class is built": ("model = Model(cfg or", "model = Net(cfg or", "keep_architecture", "found none"),
    "another parser": (PARSER, "parser = Parser()\n", "sparsity", "expected 1 site, found none"),
    "another import": ("models.yolo import Model", "models.yolo import Net", "keep_architecture", "found none"),
    "it does not parse": ("def train(hyp", "def train(hyp:::", "sparsity", "does not parse"),
    "half of it is there": (
        PARSER,
        PARSER + "    slim_yolov5.sparse_arguments(parser)\n",
        "sparsity",
        "half applied to yolov5",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_changed_anchor_is_broken_with_its_reason(name: str) -> None:
    old, new, patch, says = BREAKS[name]
    files = dict(release("7.0.14"))
    text = files[TRAIN].decode()
    assert old in text
    files[TRAIN] = text.replace(old, new).encode()
    plan = plan_patches(files, upstream="yolov5", version="7.0.14", series=DOCUMENTED)
    broken = {step.patch.id: "\n".join(step.problems) for step in plan.broken}
    assert says in broken[patch]
    assert not next(step for step in plan.steps if step.patch.id == patch).changes


def test_one_argument_more_does_not_matter() -> None:
    files = dict(release("7.0.14"))
    files[TRAIN] = files[TRAIN].replace(b"targets.to(device))", b"targets.to(device), 1)")
    assert not plan_patches(files, upstream="yolov5", version="7.0.14", series=DOCUMENTED).broken
