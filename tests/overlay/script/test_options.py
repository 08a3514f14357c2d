"""The record that both prune scripts fill once: what is typed arrives, and what does not fit is refused early."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from slim.command import UltralyticsScript
from slim.pruning.target import Target, TargetError
from slim.script.options import PruneOptions
from slim.writeup import WriteUpScript

ULTRALYTICS, WRITE_UP = UltralyticsScript(load=None, export=None), WriteUpScript(package="")
PLAIN = PruneOptions(Path("last.pt"))
SPARSE = pytest.mark.parametrize("sparse", [True, False])


@pytest.mark.parametrize(
    ("script", "typed", "more"),
    [
        (ULTRALYTICS, ["--ratio", "0.5"], {"ratio": 0.5}),
        (ULTRALYTICS, ["--threshold", "0"], {"threshold": 0.0}),
        (ULTRALYTICS, ["--ratio", "0.5", "--keep", "a", "--skip", "b"], {"ratio": 0.5, "keep": ("a", "b")}),
        (ULTRALYTICS, ["--target", "flops=0.5"], {"target": Target("flops=0.5", "flops", 0.5, share=True)}),
        (ULTRALYTICS, ["--plan", "a.json", "--no-fold"], {"plan": Path("a.json"), "fold": False}),
        (ULTRALYTICS, ["--advice", "--no-onnx"], {"advice": True, "onnx": False}),
        (WRITE_UP, [], {}),
        (WRITE_UP, ["-p", "0.5", "-r", "8"], {"prob": 0.5, "round_to": 8}),
        (WRITE_UP, ["--thres", "0.01", "--cfg", "a.yaml"], {"threshold": 0.01, "cfg": Path("a.yaml")}),
    ],
)
def test_what_is_typed_arrives(script, typed, more):
    assert script.read(["--weights", "last.pt", *typed]) == replace(PLAIN, **more)


def test_nothing_changes_them():
    with pytest.raises(FrozenInstanceError):
        PLAIN.round_to = 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": Path("a.json"), "keep": ("a",)}, "leave --keep and --only to the run that makes it"),
        ({"plan": Path("a.json"), "round_to": 8}, "--plan says already how many stay"),
        ({"val": True}, "--val: needs --data"),
        ({"plan_out": Path("a.txt")}, "--plan-out a.txt: must end in .json"),
        ({"images": 0}, "--images 0: must be at least 1"),
        ({"imgsz": 0}, "--imgsz 0: must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        replace(PLAIN, **options).check()


def test_a_latency_needs_the_onnx_file():
    fast = replace(PLAIN, target=Target.parse("latency=5ms"))
    fast.check()
    with pytest.raises(TargetError, match="leave out --no-onnx"):
        replace(fast, onnx=False).check()


@SPARSE
def test_what_was_asked_for_stays(sparse):
    asked = replace(PLAIN, importance="gamma", score="gamma", round_to=4, target=Target.parse("latency=5ms"))
    assert asked.rounded().scored(sparse=sparse) == asked


@SPARSE
def test_a_target_weighs_the_scores_of_a_sparse_model(sparse):
    asked = replace(PLAIN, target=Target.parse("flops=0.5"))
    by_scales = replace(asked, importance="gamma")
    assert asked.rounded().scored(sparse=sparse) == (replace(by_scales, score="flops") if sparse else by_scales)


@pytest.mark.parametrize(
    ("amount", "sparse", "expected"),
    [
        ({"target": Target.parse("params=0.5")}, False, ("images", "params")),
        ({"ratio": 0.5}, False, ("images", None)),
        ({"target": Target.parse("params=0.5")}, True, ("gamma", "params")),
        ({"threshold": 0.1}, False, ("gamma", None)),
        ({"prob": 0.5}, False, ("gamma", None)),
        ({"ratio": 0.5, "importance": "gamma"}, False, ("gamma", None)),
        ({"target": Target.parse("params=0.5"), "importance": "images"}, True, ("images", "params")),
    ],
    ids=str,
)
def test_images_choose_where_scales_say_nothing(amount, sparse, expected):
    asked = replace(PLAIN, data=Path("my.yaml"), **amount)
    asked.check()
    scored = asked.scored(sparse=sparse)
    assert (scored.importance, scored.score) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ratio": 0.5}, "needs --data"),
        ({"threshold": 0.1, "data": Path("my.yaml")}, "a threshold is one of"),
        ({"prob": 0.1, "data": Path("my.yaml")}, "a threshold is one of"),
        ({"plan": Path("p.json"), "data": Path("my.yaml")}, "leave out --importance"),
    ],
)
def test_images_are_refused_where_they_cannot_choose(options, words):
    with pytest.raises(ValueError, match=words):
        replace(PLAIN, importance="images", **options).check()
