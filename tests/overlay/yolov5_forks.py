"""Forks of YOLOv5 as `apply-patches vendor` makes them, and checkpoints to prune in them."""

from __future__ import annotations

import pytest

from slimfork import cli
from slimfork.terminal.naming import spec_of
from tests.overlay.yolov5_trees import Tree, needs_source, one_of_each
from tests.sampling import sampled

NEW, OLD, TAG, MASTER = "7.0.14", "5.0.10", "v5.0", "master"
CFG = {
    NEW: "models/yolov5n.yaml",
    OLD: "models/yolov5s.yaml",
    TAG: "models/yolov5s.yaml",
    MASTER: "models/yolov5n.yaml",
}
STEPS = ("yolov5_models", "yolov5_prune", "yolov5_data")


class Fork(Tree):
    """A fork that `apply-patches vendor` has made."""

    steps = STEPS

    def unpack(self, root):
        needs_source(self.version)
        assert cli.run(["vendor", spec_of("yolov5", self.version), "--into", str(root)]) == 0
        return root

    @property
    def cfg(self):
        return self.package / CFG[self.version]

    def cfg_like_upstream(self):
        """Write the YAML of the small detector that the checkpoints are of."""
        path = self.folder / "qr.yaml"
        text = self.cfg.read_text()
        path.write_text(text.replace("width_multiple: 0.50", "width_multiple: 0.25"))
        return path

    def prune(self, *arguments):
        return self.call("script", root=str(self.root), arguments=[str(a) for a in arguments])


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    yield from one_of_each(Fork, tmp_path_factory)


@pytest.fixture(params=sampled([NEW, OLD, TAG], by_default=[NEW, TAG]))
def fork(forks, request):
    return forks(request.param)


@pytest.fixture
def new(forks):
    return forks(NEW)


@pytest.fixture
def weights(tmp_path):
    """Save a checkpoint in a run's folder and return its path."""

    def make(fork, **arguments):
        path = tmp_path / "run" / "weights" / "last.pt"
        make.scales = fork.call("save", cfg=str(fork.cfg), path=str(path), **arguments)
        return path

    return make


def names(folder):
    return sorted(path.name for path in folder.iterdir())
