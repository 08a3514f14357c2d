"""The same of old releases, whose files, names and compatibility patches are others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.ultralytics.mutations import LOSS, MODEL, Mutation, check_breaks

if TYPE_CHECKING:
    from tests.patches.ultralytics.mutations import Release

NONE = "  problem  expected 1 site, found none"
TWICE = "  problem  expected 1 site, found 2 without the edit"

OLD = "ultralytics/yolo"
OLD_TRAINER = f"{OLD}/engine/trainer.py"
TASKS = "ultralytics/nn/tasks.py"
METRICS = "ultralytics/utils/metrics.py"
TORCH_UTILS = "ultralytics/utils/torch_utils.py"

BACKWARD = " " * 16 + "self.scaler.scale(self.loss).backward()\n"
BUILD = (
    "        self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK == -1)  # calls Model(cfg, weights)\n"
)
STRIP = 'x = torch.load(f, map_location=torch.device("cpu"))\n'
INTEGRAL = " " * 8 + "ap = np.trapz(np.interp(x, mrec, mpre), x)  # integrate\n"

FIRST = (
    Mutation(
        name="method renamed",
        version="8.0.0",
        patch="sparsity",
        file=OLD_TRAINER,
        old="def _do_train(self, rank=-1, world_size=1):",
        new="def _do_epochs(self, rank=-1, world_size=1):",
        says=(NONE, "  nearest  line 300: self.scaler.scale(self.loss).backward()"),
    ),
    Mutation(
        name="nbs removed",
        version="8.0.0",
        patch="sparsity",
        file=f"{OLD}/configs/default.yaml",
        old="nbs: 64  # nominal batch size\n",
        new="",
        says=(NONE, "  expected nbs:"),
    ),
    Mutation(
        name="nbs below a heading",
        version="8.0.0",
        patch="sparsity",
        file=f"{OLD}/configs/default.yaml",
        old="nbs: 64  # nominal batch size\n",
        new="batches:\n  nbs: 64  # nominal batch size\n",
        says=(NONE, "  nearest  line 89: nbs: 64  # nominal batch size"),
    ),
    Mutation(
        name="third load gone",
        version="8.0.17",
        patch="torch_load",
        file=TASKS,
        old="torch.load(attempt_download(w), map_location='cpu')",
        new="read(attempt_download(w))",
        says=("  problem  expected 3 sites, found 2 without the edit",),
    ),
    Mutation(
        name="label measured elsewhere",
        version="8.0.0",
        patch="font_getsize",
        file=f"{OLD}/utils/plotting.py",
        old="self.font.getsize(label)",
        new="measure(self.font, label)",
        says=(NONE, "  expected self.font.getsize(label)"),
    ),
)

OF_100 = (
    Mutation(
        name="anchor removed",
        version="8.0.100",
        patch="sparsity",
        file=OLD_TRAINER,
        old=BACKWARD,
        new=" " * 16 + "pass\n",
        says=(NONE, f"  at       {OLD_TRAINER} :: BaseTrainer._do_train (ultralytics 8.0.100)"),
    ),
    Mutation(
        name="keys are computed",
        version="8.0.100",
        patch="sparsity",
        file=f"{OLD}/cfg/__init__.py",
        old="CFG_FLOAT_KEYS = 'warmup_epochs', ",
        new="CFG_FLOAT_KEYS = *BASE, 'warmup_epochs', ",
        says=("  problem  CFG_FLOAT_KEYS does not begin with a string",),
    ),
    Mutation(
        name="model built twice",
        version="8.0.100",
        patch="keep_architecture",
        file=OLD_TRAINER,
        old=BUILD,
        new=BUILD + BUILD,
        says=(TWICE, "  expected self.model = self.get_model(...)"),
    ),
    Mutation(
        name="hand-over by another method",
        version="8.0.100",
        patch="keep_architecture",
        file=f"{OLD}/engine/model.py",
        old="self.trainer.model = self.trainer.get_model(",
        new="self.trainer.model = self.trainer.build(",
        says=(NONE, f"  at       {OLD}/engine/model.py :: *.train (ultralytics 8.0.100)"),
    ),
    Mutation(
        name="decoding renamed",
        version="8.0.100",
        patch="loss_device",
        file=f"{OLD}/v8/detect/train.py",
        old="def bbox_decode(",
        new="def decode_boxes(",
        says=(NONE,),
    ),
    Mutation(
        name="module without its short name",
        version="8.0.100",
        patch="pkg_resources",
        file=f"{OLD}/utils/checks.py",
        old="import pkg_resources as pkg\n",
        new="import pkg_resources\n",
        says=(NONE, "  nearest  line 16: import pkg_resources"),
    ),
    Mutation(
        name="class renamed",
        version="8.0.100",
        patch="font_getsize",
        file=f"{OLD}/utils/plotting.py",
        old="class Annotator:",
        new="class Painter:",
        says=("  problem  expected 2 sites, found none",),
    ),
)

LAST = (
    Mutation(
        name="name imported",
        version="8.2.63",
        patch="np_trapz",
        file=METRICS,
        old="np.trapz(",
        new="trapz(",
        says=(NONE, "  expected np.trapz"),
    ),
    Mutation(
        name="integral twice",
        version="8.2.63",
        patch="np_trapz",
        file=METRICS,
        old=INTEGRAL,
        new=INTEGRAL + INTEGRAL,
        says=(TWICE,),
    ),
    Mutation(
        name="one of two loads gone",
        version="8.2.63",
        patch="torch_load",
        file=TASKS,
        old='        ):\n            ckpt = torch.load(file, map_location="cpu")\n',
        new="        ):\n            ckpt = read(file)\n",
        says=("  problem  expected 2 sites, found 1 without the edit",),
    ),
    Mutation(
        name="one of two loads has it",
        version="8.2.63",
        patch="torch_load",
        file=TASKS,
        old='        ):\n            ckpt = torch.load(file, map_location="cpu")\n',
        new='        ):\n            ckpt = torch.load(file, map_location="cpu", weights_only=False)\n',
        says=("  problem  expected 2 sites, found 1 without the edit, 1 with it",),
    ),
    Mutation(
        name="a load more",
        version="8.2.63",
        patch="torch_load",
        file=TORCH_UTILS,
        old=STRIP,
        new=f"{STRIP}        {STRIP}",
        says=(TWICE,),
    ),
    Mutation(
        name="function renamed",
        version="8.2.63",
        patch="onnx_export",
        file=TORCH_UTILS,
        old="def get_latest_opset():",
        new="def latest():",
        says=(NONE, f"  at       {TORCH_UTILS} :: get_latest_opset (ultralytics 8.2.63)"),
    ),
    Mutation(
        name="another rule",
        version="8.2.63",
        patch="onnx_export",
        file=TORCH_UTILS,
        old='if "symbolic_opset" in k) - 1',
        new='if "symbolic_opset" in k) - 2',
        says=(NONE,),
    ),
    Mutation(
        name="decoding twice in one place",
        version="8.2.63",
        patch="loss_device",
        file=LOSS,
        old="        return dist2bbox(pred_dist, anchor_points, xywh=False)\n",
        new="            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3)"
        ".matmul(self.proj.type(pred_dist.dtype))\n"
        "        return dist2bbox(pred_dist, anchor_points, xywh=False)\n",
        says=("  problem  expected 2 sites, found 3 without the edit",),
    ),
    Mutation(
        name="hand-over in another method",
        version="8.4.40",
        patch="keep_architecture",
        file=MODEL,
        old="            self.trainer.model = self.trainer.get_model(weights=self.model, cfg=self.model.yaml)\n",
        new="            self._hand_over(self.model)\n",
        says=(NONE, "  expected self.trainer.model = self.trainer.get_model(...)"),
    ),
    Mutation(
        name="clip imported once",
        version="8.1.39",
        patch="clip_import",
        file="ultralytics/models/yolo/world/train.py",
        old="try:\n    import clip\nexcept ImportError:\n",
        new="if not find_spec('clip'):\n",
        says=("  problem  expected 2 sites, found 1 without the edit",),
    ),
)


@pytest.mark.parametrize("mutation", [*FIRST, *OF_100, *LAST], ids=lambda m: f"{m.version}-{m.name}")
def test_breaks_and_says_why(release: Release, mutation: Mutation) -> None:
    check_breaks(release, mutation)
