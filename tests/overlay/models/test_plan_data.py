"""A plan's JSON by key and type: what is no plan is refused in one line that names the file and the key."""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import json

import pytest

from slim.models.plan_data import check_plan
from slim.pruning.plan import Plan, PlanError
from tests.overlay.test_command import prune, weights  # noqa: F401 - fixtures

GOOD = {
    "format": 1,
    "keep": {"a": [0, 2]},
    "widths": {"a": 3},
    "removed": {},
    "threshold": 0.1,
    "ratio": None,
    "round_to": 1,
    "min_channels": 1,
    "notes": [],
}
ODD = [None, True, "1", -1, 1.5, float("nan"), float("inf"), [], {}, [None], {"a": None}, 10**400]
FITS = {
    "keep": [{}],
    "widths": [{}],
    "removed": [{}],
    "threshold": [1.5],
    "ratio": [None],
    "round_to": [10**400],
    "min_channels": [10**400],
    "notes": [[]],
    "format": [],
}


@pytest.mark.parametrize("key", list(GOOD))
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:12])
def test_every_key_has_a_type(key, value):
    changed = {**GOOD, key: value}
    if any(type(value) is type(fits) and value == fits for fits in FITS[key]):
        check_plan(changed)
        return
    with pytest.raises(PlanError) as refused:
        check_plan(changed)
    assert key in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"keep": {"a": [True]}}, "keep of a is [true]"),
        ({"keep": {"a": [0.0]}}, "keep of a is [0.0]"),
        ({"widths": {"a": 0}}, "widths of a is 0"),
        ({"widths": {"a": True}}, "widths of a is true"),
        ({"removed": {"a": ["b", 1]}}, "removed of a"),
        ({"notes": ["a", 1]}, "notes is"),
        ({"ratio": 1}, "ratio is 1"),
        ({"format": True}, "not a pruning plan of format 1"),
        ({"format": "1"}, "not a pruning plan of format 1"),
        ({"treshold": 0.2}, 'a key "treshold" that no plan has'),
        ({"keep": {"a\nb": 1}}, r"keep of a\nb is 1"),
    ],
)
def test_what_is_wrong_is_named(change, named):
    with pytest.raises(PlanError) as refused:
        Plan.from_dict({**GOOD, **change})
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_rounds_that_ride_in_a_checkpoint_are_no_stranger():
    assert Plan.from_dict({**GOOD, "before": []}).keep == {"a": [0, 2]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"format": 1, "keep": ' + b'{"a":' * 50_000, "nested too deeply"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"1" * 5000, "not JSON"),
        (json.dumps(GOOD)[:-1].encode() + b', "ratio": 0.5}', 'has "ratio" twice'),
        (b'{"format": 1, "keep": {"a": [0], "a": [1]}}', 'has "a" twice'),
        (json.dumps({**GOOD, "notes": None}).encode(), "notes is null"),
        (json.dumps({**GOOD, "threshold": float("nan")}).encode(), "threshold is NaN"),
        (json.dumps({**GOOD, "round_to": "8"}).encode(), 'round_to is "8"'),
        (json.dumps({**GOOD, "keep": {"model.0.conv": [1, 0]}, "widths": {}}).encode(), "plan"),
    ],
)
def test_on_the_command_line_it_is_one_line_with_the_file(weights, prune, tmp_path, content, named):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    code, out, err = prune("--weights", weights, "--plan", path, "--no-onnx")
    assert (code, out) == (2, "")
    (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
    assert line.startswith(f"error: --plan {path}: ")
    assert named in line
    assert "Traceback" not in err


def test_channels_out_of_order_or_range_are_refused_by_layer(weights, prune, tmp_path):
    path = tmp_path / "plan.json"
    assert prune("--weights", weights, "--ratio", 0.5, "--dry-run", "--plan-out", path)[0] == 0
    made = json.loads(path.read_text())
    layer, kept = next(iter(made["keep"].items()))
    for wrong in ([*kept, kept[-1]], kept[::-1], [*kept[:-1], made["widths"][layer]], [-1, *kept], []):
        path.write_text(json.dumps({**made, "keep": {**made["keep"], layer: wrong}}))
        code, out, err = prune("--weights", weights, "--plan", path, "--no-onnx")
        assert (code, out) == (2, "")
        assert f"the plan's channels of {layer} are not an ascending choice" in err


def test_a_folder_and_a_file_without_end(weights, prune, tmp_path):
    for path, named in ((tmp_path, str(tmp_path)), ("/dev/zero", "larger than 64 MB")):
        code, out, err = prune("--weights", weights, "--plan", path, "--no-onnx")
        assert (code, out) == (2, "")
        assert named in err.splitlines()[-1]


@pytest.mark.parametrize(
    "more", [("--score", "flops"), ("--min-channels", 2), ("--round-to", 8), ("--keep", "model.0")]
)
def test_what_a_plan_would_pass_over_is_refused(weights, prune, tmp_path, more):
    code, _, err = prune("--weights", weights, "--plan", tmp_path / "plan.json", *more)
    assert code == 2
    assert "--plan says already" in err
