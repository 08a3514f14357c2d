"""The checks of `apply-patches verify` that run inside a fork, or inside its pristine upstream.

Copied to a scratch folder and run as `python verify_steps.py STEP` there with the tree under test first on
PYTHONPATH, so it imports that tree and nothing of slimfork. How its upstream is trained and read is in
`verify_<upstream>`. The last line printed is the verdict, as JSON. What one step makes lies in the folder for the next:
qr/data.yaml, dense.pt, sparse.pt, sparse-pruned.pt, ...
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from . import verify_ultralytics, verify_yolov5
    from .scratch import IMGSZ, WORK
else:
    from scratch import IMGSZ, WORK

ROLE = os.environ.get("SLIMFORK_ROLE", "fork")
FALL, LAST = 0.9, 5  # the mean loss of the last epochs, against the peak before them


class VerifyAdapter(Protocol):
    """What is asked of `verify_<upstream>`; a run is the folder that a training writes to."""

    SLIM: str  # where its slim package is imported from

    def load(self, weights: Path) -> nn.Module:
        """Return the model of a checkpoint."""

    def identity(self) -> tuple[str, str]:
        """Return where the package was imported from, and what it calls itself."""

    def dense(self, role: str) -> tuple[Path, dict[str, torch.Tensor]]:
        """Train without the penalty; return the run and all that was trained."""

    def others(self, weights: Path, role: str) -> tuple[dict[str, torch.Tensor], str]:
        """Train a dense checkpoint on data unlike its own; return all that was trained, and on what in words."""

    def sparse(self, weights: Path) -> tuple[Path, float, bool]:
        """Train with the penalty; return the run, Σ lr·λ as it was, and whether its settings name the strength."""

    def finetune(self, weights: Path) -> tuple[Path, tuple[str, ...]]:
        """Train on one batch; return the run, and the losses whose sum must fall."""

    def losses(self, run: Path) -> list[dict[str, float]]:
        """Return the training losses of each epoch by name."""

    def resume(self, weights: Path) -> tuple[Path, bool]:
        """Cut a run off after its first of two epochs and resume it; return it, and whether its strength held."""

    def export(self, weights: Path) -> Path:
        """Write the ONNX file beside a checkpoint."""

    def predict(self, weights: Path, picture: Path) -> None:
        """Detect in a picture."""


if TYPE_CHECKING:  # mypy sees that each module is one
    adapter: VerifyAdapter = verify_ultralytics
    adapter = verify_yolov5
else:
    adapter = importlib.import_module(f"verify_{os.environ['SLIMFORK_UPSTREAM']}")


def gammas(weights: Path) -> torch.Tensor:
    """|γ| of all BatchNorms of a checkpoint."""
    scales = []
    for module in adapter.load(weights).modules():
        if isinstance(module, nn.BatchNorm2d):
            scales.append(module.weight.detach().abs().float())
    return torch.cat(scales)


def shapes(weights: Path) -> dict[str, list[int]]:
    """Tensor shapes of a checkpoint's model."""
    return {k: list(v.shape) for k, v in adapter.load(weights).state_dict().items()}


def outputs(model: nn.Module, image: torch.Tensor) -> list[np.ndarray]:
    """All predictions that a model returns in eval mode, flat, in order."""
    flat: list[np.ndarray] = []

    def walk(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            flat.append(value.numpy())
        elif isinstance(value, dict):
            for key in sorted(value.keys() - {"feats"}):  # the head's inputs, as wide as the neck was pruned to
                walk(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    with torch.no_grad():
        walk(model.float().eval()(image))
    return flat


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Largest difference, relative to the size of the values where they exceed one."""
    if list(map(np.shape, ours)) != list(map(np.shape, theirs)):
        return float("inf")
    differences = []
    for a, b in zip(ours, theirs):
        if a.size:
            differences.append(float((np.abs(a - b) / np.maximum(np.abs(b), 1.0)).max()))
    return max(differences)


def picture() -> torch.Tensor:
    """A fixed random image, 1x3xHxW in 0..1."""
    return torch.rand(1, 3, IMGSZ, IMGSZ, generator=torch.Generator().manual_seed(0))


def step_identity() -> tuple[bool, str]:
    """The imported package is the fork."""
    where, name = adapter.identity()
    return Path(os.environ["SLIMFORK_TREE"]).resolve() in Path(where).resolve().parents, name


def step_dense() -> tuple[bool, str]:
    """Train without the penalty; the weights go to a file named by the tree."""
    run, trained = adapter.dense(ROLE)
    torch.save(trained, WORK / f"off-{ROLE}.pth")
    if ROLE == "fork":
        shutil.copy(run / "weights" / "last.pt", WORK / "dense.pt")
    return bool(trained), "1 epoch"


def step_off() -> tuple[bool, str]:
    """With its option off, the fork trains to the same bits as upstream."""
    return _equal("off")


def step_others() -> tuple[bool, str]:
    """Train what is dense on data unlike its own; the weights go to a file named by the tree."""
    trained, words = adapter.others(WORK / "dense.pt", ROLE)
    torch.save(trained, WORK / f"others-{ROLE}.pth")
    return bool(trained), words


def step_untouched() -> tuple[bool, str]:
    """A dense model trains to the same bits as upstream's on data unlike its own."""
    return _equal("others")


def _equal(name: str) -> tuple[bool, str]:
    ours = torch.load(WORK / f"{name}-fork.pth", weights_only=True)
    theirs = torch.load(WORK / f"{name}-pristine.pth", weights_only=True)
    other = [k for k in theirs if k not in ours or not torch.equal(ours[k], theirs[k])]
    detail = (
        f"{len(other)} of {len(theirs)} tensors differ, first {other[0]}" if other else f"{len(theirs)} tensors equal"
    )
    return not other and ours.keys() == theirs.keys(), detail


def step_sparse() -> tuple[bool, str]:
    """Sparse training lowers γ by what the penalty says, Σ lr·λ, and the run's settings name it."""
    run, stated, noted = adapter.sparse(WORK / "dense.pt")
    shutil.copy(run / "weights" / "last.pt", WORK / "sparse.pt")
    moved = float(gammas(WORK / "dense.pt").median() - gammas(WORK / "sparse.pt").median())
    detail = f"median |γ| fell by {moved:.3f}, stated {stated:.3f}" + ("" if noted else "; not in the run's settings")
    return stated > 0.01 and moved > 0.5 * stated and noted, detail


def step_masked() -> tuple[bool, str]:
    """The pruned model computes what the same model computes with the dropped channels masked."""
    from copy import deepcopy

    channels = importlib.import_module(f"{adapter.SLIM}.analysis.channels")
    measure = importlib.import_module(f"{adapter.SLIM}.costs.measure")
    plan = importlib.import_module(f"{adapter.SLIM}.pruning.plan")
    apply = importlib.import_module(f"{adapter.SLIM}.pruning.apply")
    model = adapter.load(WORK / "sparse.pt").float().eval()
    chosen = plan.Plan.from_json((WORK / "sparse-pruned.json").read_text())
    graph = channels.analyse(model)
    pruned, masked = deepcopy(model), deepcopy(model)
    apply.apply_plan(pruned, chosen, graph, fold=False)
    apply.mask_plan(masked, chosen, graph)
    difference = apart(outputs(pruned, picture()), outputs(masked, picture()))
    before, after = measure.count_parameters(model), measure.count_parameters(pruned)
    return difference <= 1e-4, f"apart {difference:.1e}; {before:,} → {after:,} parameters"


def step_finetune() -> tuple[bool, str]:
    """Fine-tuning keeps the pruned shapes, moves every weight and lowers the loss on a few pictures, one batch.

    A loss that is zero says that the pictures came without labels.
    """
    run, falls = adapter.finetune(WORK / "sparse-pruned.pt")
    shutil.copy(run / "weights" / "last.pt", WORK / "finetuned.pt")
    kept = shapes(WORK / "finetuned.pt") == shapes(WORK / "sparse-pruned.pt")
    epochs = adapter.losses(run)
    losses = []
    for epoch in epochs:
        losses.append(sum(epoch[name] for name in falls or epoch))
    peak, end = max(losses[:-LAST]), sum(losses[-LAST:]) / LAST
    learns = (end < FALL * peak or not falls) and all(loss > 0 for loss in epochs[0].values())
    still = _still(WORK / "sparse-pruned.pt", WORK / "finetuned.pt")
    words = f"; {len(still)} weights did not move, first {still[0]}" if still else ""
    return kept and learns and not still, f"loss {peak:.3g} → {end:.3g}; shapes {'kept' if kept else 'CHANGED'}{words}"


def _still(before: Path, after: Path) -> list[str]:
    """Return the weights and biases before the head that training has left as they were.

    No object of so small a picture may be assigned to a level of the head, and nothing there then moves.
    """
    old, new = _before_head(before), _before_head(after)
    return [name for name in old if torch.equal(old[name], new[name])]


def _before_head(weights: Path) -> dict[str, nn.Parameter]:
    model: Any = adapter.load(weights).float()
    return dict(model.model[:-1].named_parameters())


def step_resume() -> tuple[bool, str]:
    """A run that was cut off goes on, in the pruned shapes and with its sparsity arguments."""
    run, held = adapter.resume(WORK / "sparse-pruned.pt")
    last = run / "weights" / "last.pt"
    if not last.exists():
        return False, "no checkpoint after the first epoch"
    kept = shapes(last) == shapes(WORK / "sparse-pruned.pt")
    epochs = len(adapter.losses(run))
    words = f"strength {'kept' if held else 'LOST'}, shapes {'kept' if kept else 'CHANGED'}"
    return kept and held and epochs == 2, f"{epochs} epochs noted, {words}"


def step_onnx() -> tuple[bool, str]:
    """ONNX Runtime computes what PyTorch computes."""
    import onnxruntime

    path = adapter.export(WORK / "finetuned.pt")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: picture().numpy()})[0]
    # Early exports of YOLOv5 hold the head's raw outputs, which the model returns beside the decoded boxes.
    differences = []
    for array in outputs(adapter.load(WORK / "finetuned.pt"), picture()):
        if array.shape == theirs.shape:
            differences.append(apart([array], [theirs]))
    difference = min(differences, default=float("inf"))
    return difference <= 1e-3, f"apart {difference:.1e}; {path.stat().st_size / 1e6:.2f} MB"


def step_predict() -> tuple[bool, str]:
    """Predict with the pruned, fine-tuned model; the raw output goes to a file named by the tree."""
    raw = outputs(adapter.load(WORK / "finetuned.pt"), picture())
    np.savez(WORK / f"predict-{ROLE}.npz", *raw)
    images = sorted((WORK / "qr").rglob("*val*/*.jpg")) or sorted((WORK / "qr").rglob("*.jpg"))
    adapter.predict(WORK / "finetuned.pt", images[0])
    return bool(raw), f"{adapter.identity()[1]}, {len(raw)} outputs"


def _predicted(role: str) -> list[np.ndarray]:
    """Return what the tree of a role has predicted, in the order of `np.savez`'s names."""
    return [array for _, array in sorted(np.load(WORK / f"predict-{role}.npz").items())]


def step_stock() -> tuple[bool, str]:
    """Unpatched upstream of the same release predicts the same."""
    difference = apart(_predicted("fork"), _predicted("pristine"))
    return difference <= 1e-6, f"apart {difference:.1e}"


def main() -> None:
    """Run one step and print its verdict."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    ok, detail = globals()[f"step_{sys.argv[1]}"]()
    print(json.dumps({"ok": bool(ok), "detail": detail}), flush=True)  # noqa: T201 - the verdict is the output


if __name__ == "__main__":
    main()
