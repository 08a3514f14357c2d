"""Whatever a data set is: a dense model trains to upstream's bits, a pruned one starts from what a dense one does."""

from __future__ import annotations

from functools import cache

import pytest

from tests.forks import task_sets
from tests.forks.conftest import NEW, OLD, TINY
from tests.forks.task_sets import CLASSES, KEYPOINTS, OWN
from tests.sampling import sampled

RELEASES = ("8.0.100", "8.2.103", "8.4.190")
HEADS = {  # task -> the head's line, what else stands in the YAML, the first release that has it
    "detect": ("Detect, [nc]", "", 8.0),
    "segment": ("Segment, [nc, 8, 16]", "", 8.0),
    "pose": ("Pose, [nc, kpt_shape]", "kpt_shape: [3, 3]\n", 8.0),
    "obb": ("OBB, [nc, 1]", "", 8.1),
    "classify": ("Classify, [nc]", "", 8.0),
    "detect26": ("Detect, [nc]", "end2end: True\nreg_max: 1\n", 8.4),
    "pose26": ("Pose26, [nc, kpt_shape]", "end2end: True\nreg_max: 1\nkpt_shape: [3, 3]\n", 8.4),
}
SETTINGS = [{"names": names} for names in CLASSES.values()]
GREY = {"channels": 1}


def settings_of(task):
    """Return everything that a data set can be of a task."""
    found = [*SETTINGS, *([GREY] if task != "classify" else [])]
    return [*found, *({"keypoints": shape} for shape in KEYPOINTS.values())] if "pose" in task else found


def label(case):
    release, task, setting = case
    (key, value), *_ = setting.items()
    text = next((k for k, v in {**CLASSES, **KEYPOINTS}.items() if v == value), value)
    return f"{release}-{task}-{key}-{text}"


def is_there(release, task, setting):
    """Whether a release has heads of a task, and can be given a data set like that."""
    *_, since = HEADS[task]
    return float(release[:3]) >= since and (setting is not GREY or release == "8.4.190")


TASKS = [(task, setting) for task in HEADS for setting in settings_of(task)]
CASES = [(release, task, setting) for release in RELEASES for task, setting in TASKS]
EVERY = [case for case in CASES if is_there(*case)]
WORST = [  # crashed, or was called pruned, for some time
    ("8.4.190", "pose", {"keypoints": KEYPOINTS["more"]}),
    ("8.4.190", "pose26", {"keypoints": KEYPOINTS["flat"]}),
    ("8.4.190", "detect", {"names": CLASSES["another order"]}),
]


@pytest.fixture(scope="session")
def lines(forks, sets, tmp_path_factory):
    """Return a fork, its dense checkpoint of a task, and a data set."""

    @cache
    def weights(release, task):
        fork = forks(release)
        line, more, _ = HEADS[task]
        kind = {"classify": "-cls", "segment": "-seg", "pose": "-pose", "pose26": "-pose", "obb": "-obb"}.get(task, "")
        classes = f"nc: {len(OWN)}\ndepth_multiple: 1.0\nwidth_multiple: 1.0\n"  # to 8.0.63
        text = TINY.read_text().replace("nc: 1\n", classes + more).replace("Detect, [nc]", line)
        cfg = fork.work / f"{task}{kind}.yaml"
        cfg.write_text(text.replace("[[9, 6], 1, Classify", "[-1, 1, Classify"))
        out = fork.work / f"{task}-dense.pt"
        fork.call("make", cfg=str(cfg), out=str(out), names=OWN, task=task.removesuffix("26"))
        return out

    @cache
    def data(task, setting):
        folder = tmp_path_factory.mktemp("set")
        return str(task_sets.make(sets / "one", folder / "data", task.removesuffix("26"), **dict(setting)))

    return lambda release, task, setting: (forks(release), weights(release, task), data(task, tuple(setting.items())))


def both(fork, weights, data, name, **arguments):
    """Train a step in the fork and in its pristine upstream; what each says."""
    steps = {"weights": str(weights), "data": data, "name": name, **arguments}
    return [tree.call("first_step", **steps) for tree in (fork, fork.pristine)]


def check(case, lines):
    fork, weights, data = lines(*case)
    ours, theirs = both(fork, weights, data, "step")
    assert ours["shapes"] == theirs["shapes"]
    assert ours["digest"] == theirs["digest"]


@pytest.mark.parametrize("case", WORST, ids=label)
def test_trains_to_upstreams_bits(lines, case):
    check(case, lines)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in EVERY if case not in WORST], ids=label)
def test_trains_to_upstreams_bits_whatever_the_data_set_is(lines, case):
    check(case, lines)


@pytest.mark.parametrize("kind", ["activation", "identity", "narrower"])
def test_with_a_module_of_the_users_trains_to_upstreams_bits(lines, kind):
    """Upstream builds the model from its YAML, so the user's module is lost: that is upstream's business."""
    fork, weights, data = lines("8.4.190", "detect", {"names": OWN})
    own = fork.work / f"{kind}.pt"
    fork.call("replaced", weights=str(weights), out=str(own), kind=kind)
    ours, theirs = both(fork, own, data, kind)
    assert (ours["digest"], ours["shapes"]) == (theirs["digest"], theirs["shapes"])


def pruned(fork, weights):
    """Prune a checkpoint; its path."""
    out = weights.with_name(f"{weights.stem}-pruned.pt")
    if not out.exists():
        options = ["--ratio", "0.3", "--no-onnx", "--no-fold"]
        assert fork.call("prune", weights=str(weights), out=str(out), options=options) == 0
    return out


REFITTED = [case for case in EVERY if case[0] != "8.2.103"]
WORST_REFITTED = [
    ("8.4.190", "detect", {"names": CLASSES["another order"]}),
    ("8.4.190", "detect26", {"names": CLASSES["more"]}),
    ("8.4.190", "detect", GREY),
    ("8.4.190", "pose", {"keypoints": KEYPOINTS["more"]}),
]


def check_refitted(case, lines):
    fork, weights, data = lines(*case)
    small = pruned(fork, weights)
    still = {"lr0": 0.0, "warmup_bias_lr": 0.0}
    seen = [fork.call("first_step", weights=str(w), data=data, name=w.stem, **still) for w in (small, weights)]
    assert seen[0]["parameters"] < seen[1]["parameters"]
    ours, dense = (fork.call("carried", weights=str(w), file=s["file"]) for w, s in zip((small, weights), seen))
    assert ours.keys() == dense.keys()
    outputs = {name for name in ours if len(ours[name]) == len(dense[name])}  # what is hidden was pruned
    assert len(outputs) > (2 if len(ours) > 2 else 1)
    # Where a dense model's hidden layers depend on the data set as well, nothing of them is carried over; ours are.
    assert {name for name in outputs if ours[name] != dense[name] and not _is_part(dense[name], ours[name])} == set()
    return ours


def _is_part(some, all_of_it):
    return some != "sum" and len(some) == len(all_of_it) and all(a in {None, b} for a, b in zip(some, all_of_it))


@pytest.mark.parametrize("case", WORST_REFITTED, ids=label)
def test_a_pruned_one_starts_from_the_rows_that_a_dense_one_does(lines, case):
    check_refitted(case, lines)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in REFITTED if case not in WORST_REFITTED], ids=label)
def test_a_pruned_one_starts_from_the_rows_that_a_dense_one_does_whatever_the_data_set_is(lines, case):
    check_refitted(case, lines)


def test_rows_follow_the_names_of_classes(lines):
    ours = check_refitted(("8.4.190", "detect", {"names": CLASSES["another order"]}), lines)
    more = check_refitted(("8.4.190", "detect", {"names": CLASSES["more"]}), lines)
    for found, rows in ((ours, [1, 0]), (more, [0, 1, None])):
        assert [found[name] for name in found if ".cv3." in name and name.endswith(".2.weight")] == [rows, rows]


def test_grey_pictures_are_read_by_the_sum_of_the_filters(lines):
    assert check_refitted(("8.4.190", "detect", GREY), lines)["model.0.conv.weight"] == "sum"


@pytest.mark.parametrize("release", sampled([NEW, OLD], by_default=[NEW]))
def test_a_model_that_takes_a_little_of_a_pruned_one_is_warned_of(lines, release):
    """`YOLO("yolov8n.yaml").load("slim.pt").train()` trains the dense model, with a part of the weights."""
    fork, weights, _ = lines(release, "detect", {"names": OWN})
    small = pruned(fork, weights)
    cfg = str(weights.with_name("detect.yaml"))
    heard = fork.call("loaded", cfg=cfg, weights=str(small))
    (said,) = (text for text in heard if "slim: " in text)
    assert f"slim: {small.name} is a pruned model, and only " in said
    assert said.endswith(f"to go on in the pruned shape: YOLO('{small.name}').train(...)")
    assert not [text for text in fork.call("loaded", cfg=cfg, weights=str(weights)) if "slim" in text]
