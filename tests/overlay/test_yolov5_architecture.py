"""A pruned YOLOv5 checkpoint keeps its architecture through the statements of upstream's train.py."""

from __future__ import annotations

import pytest

from tests.overlay.yolov5_trees import StepError

DETECT, SEGMENT, OLD, TRANSFORMER = (
    ("7.0.14", "models/yolov5n.yaml"),
    ("7.0.14", "models/segment/yolov5n-seg.yaml"),
    ("5.0.10", "models/yolov5s.yaml"),
    ("v5.0", "models/hub/yolov5s-transformer.yaml"),
)


@pytest.fixture(
    params=[
        pytest.param(DETECT, id="detect"),
        pytest.param(SEGMENT, id="segment", marks=pytest.mark.slow),
        pytest.param(OLD, id="with Focus", marks=pytest.mark.slow),
        pytest.param(TRANSFORMER, id="v5.0"),
    ]
)
def step(trees, request):
    """Call a step with a model of some release."""
    version, cfg = request.param

    def call(name, **arguments):
        tree = trees(version)
        return tree.call(name, cfg=str(tree.package / cfg), **arguments)

    return call


@pytest.mark.parametrize("ema", [False, True])
def test_is_kept_to_the_bit(step, ema):
    seen = step("kept", ema=ema)
    assert seen == {
        "built": False,
        "different": [],  # from ckpt['model'], whose state upstream loads, whatever the EMA says
        "training": True,
        "frozen": [],
        "kinds": ["torch.float32"],
        "pruned": [True, True, False],
        "saved_in_half": True,
    }


@pytest.mark.parametrize(("classes", "changed"), [(2, {}), (5, {}), (2, {"anchors": 4}), (5, {"anchors": 2})])
def test_an_unpruned_one_goes_upstreams_way(step, classes, changed):
    assert step("unpruned", nc=2, other=classes, **changed)


@pytest.mark.parametrize("pruned", [False, True])
def test_so_does_any_when_the_yaml_is_another_architecture(trees, pruned):
    tree = trees("7.0.14")
    small, other = (str(tree.package / f"models/{name}.yaml") for name in ("yolov5n", "hub/yolov5n6"))
    seen = tree.call("another", cfg=small, weights_cfg=other, pruned=pruned)
    assert seen["built"]
    assert len(seen["warned"]) == pruned
    assert all("another architecture than the YAML's" in text for text in seen["warned"])


@pytest.mark.parametrize(("old", "new"), [(2, 5), (5, 1)])
def test_other_classes_make_their_rows_anew_and_nothing_else(step, old, new):
    seen = step("classes", nc=old, other=new)
    assert seen["rows"]
    assert seen["different"] == []
    assert seen["numbers"] == seen["expected"]
    assert seen["gradients"]
    assert seen["pruned"]


def test_mask_coefficients_are_among_what_stays(trees):
    tree = trees("7.0.14")
    seen = tree.call("classes", cfg=str(tree.package / SEGMENT[1]), nc=2, other=5)
    assert seen["masks"] == 32


def test_another_number_of_anchors_is_an_error(step):
    with pytest.raises(
        StepError, match="a pruned model with 3 anchors a level cannot be trained with 4: leave `anch"
    ) as e:
        step("anchors", count=4)
    assert e.value.kind == "ArchitectureError"


def test_anchors_of_other_sizes_are_upstreams(step):
    assert step("anchors")


def test_comparing_is_silent_and_takes_no_random_numbers(step):
    assert step("silent") == {"records": [], "same": True, "again": 0}


def test_it_lies_where_upstreams_lies(step):
    assert step("device") == "meta"


def test_resuming_and_the_ema_keep_it(step):
    assert step("resumed")


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_of_an_early_release_whose_grid_is_a_buffer(step, classes, pruned):
    """As all checkpoints up to v6.0, and those that were trained from them."""
    seen = step("early", nc=2, other=classes, pruned=pruned)
    assert seen == {"built": not pruned, "narrower": pruned, "classes": classes}
