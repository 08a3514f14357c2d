"""Every model YAML of YOLOv5 is pruned as it is masked, and the result runs in upstream as it is shipped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal.naming import is_tag, spec_of
from tests.yolov5_clone import CLONE

NOW = ("7.0.14",)  # 5.0.10 with its Focus is among the slow ones, Focus itself below
# Of each kind one, by default.
SAMPLE = {"yolov5n", "yolov5s", "yolov5s-ghost", "yolov5s-transformer", "yolov5-bifpn", "yolov3-tiny", "yolov5n-seg"}
TAGS = ("v5.0", "v6.0", "v6.1", "v6.2", "v7.0", "master")
UNREADABLE = {"models/hub/yolov5-bifpn.yaml": ("v6.0", "6.0")}  # a bracket is missing in v6.0; upstream mended it
# What no plan may drop, and why: (block, reason). C3TR adds a Linear of its input to it; masks are an output.
FROZEN = {"C3TR": "no BatchNorm before mm in", "Segment": "output of the model"}


@cache
def models(version):
    """Name the model YAMLs of a release."""
    if is_tag(version) and not CLONE:
        return ["models/yolov5s.yaml"]  # to be skipped with its reason
    package = "" if is_tag(version) else "yolov5/"
    paths = release_files(pins.find(spec_of("yolov5", version)), show=False)
    found = [path.removeprefix(package) for path in paths if path.startswith(f"{package}models/")]
    return sorted(path for path in found if path.endswith(".yaml") and not path.endswith("anchors.yaml"))


def others():
    """Name every release from PyPI's 5.0.0 on that the default tests leave out."""
    versions = [pin.version for pin in pins.load("yolov5") if not pin.is_tag]
    return [version for version in versions if version >= "5" and version not in NOW]


def cases(versions):
    return [case(version, cfg) for version in versions for cfg in models(version)]


def case(version, cfg):
    name = Path(cfg).stem
    return pytest.param(version, cfg, id=f"{version}-{name}", marks=() if name in SAMPLE else pytest.mark.slow)


def check(tree, cfg, tmp_path, make="build"):
    """Prune a model in a tree, compare with the masked one, and load it where `slim` is not."""
    path = str(tmp_path / "pruned.pt")
    seen = tree.call("prune", cfg=str(cfg), out=path, make=make)

    assert max(seen["worst"].values()) <= 1e-4, seen["worst"]
    assert seen["changed"]
    assert seen["predicted"] == seen["counted"]
    before, after = seen["parameters"]
    assert after < 0.75 * before
    assert seen["unreached"] == []
    allowed = [reason for block, reason in FROZEN.items() if block in seen["blocks"]]
    assert all(any(why.startswith(reason) for reason in allowed) for why in seen["frozen"].values()), seen["frozen"]
    assert seen["prunable"] > 0.95

    again = tree.call("reload", stock=True, path=path)
    assert again == {"equal": True, "slim": [], "norms": seen["norms"]}
    return seen


def check_shipped(trees, version, cfg, tmp_path):
    tree = trees(version)
    if (
        cfg in UNREADABLE
        and version.startswith(UNREADABLE[cfg])
        and not tree.call("readable", cfg=str(tree.package / cfg))
    ):
        pytest.skip("upstream's own loader cannot read this YAML")
    check(tree, tree.package / cfg, tmp_path)


@pytest.mark.parametrize(("version", "cfg"), cases(NOW))
def test_every_model_that_is_shipped(trees, version, cfg, tmp_path):
    check_shipped(trees, version, cfg, tmp_path)


@pytest.mark.parametrize(("version", "cfg"), cases(TAGS))
def test_every_model_of_the_official_tags(trees, version, cfg, tmp_path):
    check_shipped(trees, version, cfg, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("version", others())
def test_every_model_of_every_other_release(trees, version, tmp_path):
    for cfg in models(version):
        tree = trees(version)
        if not (cfg in UNREADABLE and not tree.call("readable", cfg=str(tree.package / cfg))):
            check(tree, tree.package / cfg, tmp_path)


def definition(row):
    """Write a small model whose middle layer is given."""
    rows = ["[-1, 1, Conv, [32, 3, 2]]", "[-1, 1, Conv, [64, 3, 2]]", row, "[-1, 1, Conv, [64, 1, 1]]"]
    keys = "nc: 80\ndepth_multiple: 1.0\nwidth_multiple: 1.0\nanchors: [[10, 13, 16, 30, 33, 23]]\n"
    return f"{keys}backbone:\n  [{','.join(rows)}]\nhead:\n  [[[-1], 1, Detect, [nc, anchors]]]\n"


# Blocks of upstream's that few or none of its own YAMLs use, and what says why not all of their channels can go.
BLOCKS = {
    "Focus": ("[-1, 1, Focus, [64, 3]]", None),
    "BottleneckCSP": ("[-1, 3, BottleneckCSP, [64]]", None),
    "Bottleneck": ("[-1, 2, Bottleneck, [64]]", None),
    "C3": ("[-1, 3, C3, [64]]", None),
    "C3TR": ("[-1, 1, C3TR, [64]]", "no BatchNorm before mm in model.2.m.tr.0.q"),
    "C3SPP": ("[-1, 1, C3SPP, [64, [3, 5]]]", None),
    "C3Ghost": ("[-1, 2, C3Ghost, [64]]", None),
    "GhostConv": ("[-1, 1, GhostConv, [64, 3, 1]]", None),
    "GhostBottleneck": ("[-1, 1, GhostBottleneck, [64, 3, 2]]", None),
    "CrossConv": ("[-1, 1, CrossConv, [64, 3, 1, 1, 1.0, True]]", None),
    "C3x": ("[-1, 2, C3x, [64]]", None),
    "DWConv": ("[-1, 1, DWConv, [64, 3, 1]]", None),
    "SPP": ("[-1, 1, SPP, [64, [3, 5]]]", None),
    "SPPF": ("[-1, 1, SPPF, [64, 5]]", None),
    "MixConv2d": ("[-1, 1, MixConv2d, [64, [1, 3], 1]]", None),
    "Contract": ("[-1, 1, Contract, [2]]", None),
    "Expand": ("[-1, 1, Expand, [2]]", None),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block(trees, block, tmp_path):
    row, frozen = BLOCKS[block]
    (tmp_path / "model.yaml").write_text(definition(row))
    tree, path = trees("7.0.14"), str(tmp_path / "pruned.pt")
    seen = tree.call("prune", cfg=str(tmp_path / "model.yaml"), out=path)

    assert block in seen["blocks"]
    assert max(seen["worst"].values()) <= 1e-4
    assert set(seen["frozen"].values()) == ({frozen} if frozen else set())
    assert seen["predicted"] == seen["counted"]
    assert seen["parameters"][1] < (0.95 if frozen else 0.75) * seen["parameters"][0]
    assert tree.call("reload", stock=True, path=path)["equal"]


def test_a_classifier(trees, tmp_path):
    tree = trees("7.0.14")
    seen = check(tree, tree.package / "models/yolov5n.yaml", tmp_path, make="classifier")
    assert "Classify" in seen["blocks"]
