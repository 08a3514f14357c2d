"""What `prune.py` is given: the checkpoint, the data set, the size of images, the plan."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..files.inert import UntrustedError
from ..files.pickles import OTHERS, check_file
from ..files.strangers import check_content, check_network
from ..files.trust import foreign_line, handed_over, read_checkpoint
from ..models.admission import bare
from ..pruning.plan import Plan, PlanError
from ..writing.log import first_line
from ..writing.whole_files import whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from ..calibration.datasets import DataSet
    from ..files.checkpoint import Checkpoint
    from .interface import PruneScript
    from .options import PruneOptions

UNREAD = object()  # what stands for a checkpoint that only upstream's loader can open
LARGEST_PLAN = 64 * 2**20  # bytes; of yolov8x one takes 0.2 MB


def check_files(options: PruneOptions, out: Path) -> None:
    """Refuse a checkpoint that is none, and a place for the pruned one that does not do."""
    weights = options.weights
    check_file(weights)
    if out.suffix != ".pt":
        raise ValueError(f"--out {out}: must end in .pt, as upstream expects of a checkpoint")
    if out.resolve() == weights.resolve():
        raise ValueError(f"--out {out}: is the checkpoint to prune; write the pruned one elsewhere")


def image_size(asked: int | None, model: nn.Module, checkpoint: Checkpoint, *, floor: int) -> tuple[int, list[str]]:
    """Return the image size to work at, as asked or as trained, and what is to be said of it.

    It is rounded up to whole strides, as upstream's training rounds what it is given, and its validation what it is.
    Its training takes sides of at least `floor` strides.
    """
    trained = _settings(checkpoint)
    kept = trained.get("imgsz") or trained.get("img_size")
    given = kept if isinstance(kept, (list, tuple)) else [kept]
    sides = [side for side in given if isinstance(side, int)]
    stride = max(32, int(max(getattr(model, "stride", [32]))))
    if asked is None:
        return max(_whole(max(sides, default=640), stride), floor * stride), []
    imgsz = _whole(asked, stride)
    said = f"--imgsz {asked}: rounded up to {imgsz}, a multiple of the model's stride, {stride}, as upstream does"
    return imgsz, [] if imgsz == asked else [said]


def penalised(checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint was trained with the penalty, as far as it keeps what it was trained with."""
    trained = _settings(checkpoint)
    return bool(trained.get("sparsity") or trained.get("sl"))


def _settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a checkpoint was trained with; YOLOv5 keeps it from v6.2 on."""
    trained = checkpoint.get("train_args") or checkpoint.get("opt")
    return trained if isinstance(trained, dict) else {}


def _whole(side: int, stride: int) -> int:
    return max(1, -(-side // stride)) * stride


def open_data(script: PruneScript, options: PruneOptions, model: nn.Module, imgsz: int) -> DataSet | None:
    """Open the data set that was asked for, if any.

    Raises:
        CalibrationError: It is none, or none for this model.
    """
    if not options.data:
        return None
    return script.open_data(options.data, model, imgsz, options.images, val=options.val)


def load(script: PruneScript, weights: Path, *, trust: bool) -> tuple[nn.Module, Checkpoint]:
    """Open a checkpoint with upstream's loader, in float and eval mode; all parameters ask for gradients.

    Upstream unpickles whatever a file holds. So it is given what has been read here, of allowed classes alone, unless
    the file asks for more and the user trusts it.

    Raises:
        ValueError: It is no checkpoint of this release's, or asks for more than is allowed.
        FileNotFoundError: There is none.
    """
    if script.package == "ultralytics" and weights.is_file() and weights.suffix not in {".pt", *OTHERS}:
        named = f"cp {shlex.quote(str(weights))} {shlex.quote(str(weights.with_suffix('.pt')))}"
        raise ValueError(f"{weights}: upstream opens checkpoints by their ending; name it {weights.stem}.pt: {named}")
    check_file(weights)
    found = _harmless(script, weights, trust=trust)
    try:
        with nullcontext() if found is UNREAD else handed_over(found):
            model, checkpoint = script.load(weights)
        for parameter in model.parameters():
            parameter.requires_grad = True  # the write-up's point 4: stripped checkpoints are frozen
    except Exception as error:  # a pickle may raise anything
        why = f"not a checkpoint that this fork can load ({first_line(error)})"
        raise ValueError(f"{weights}: {foreign_line(weights, script.package) or why}") from error
    if found is UNREAD:
        check_content(weights, {**checkpoint, "model": model}, script.package)
    check_network(weights, bare(model), script.package)
    return model.float().eval(), checkpoint


def _harmless(script: PruneScript, weights: Path, *, trust: bool) -> object:
    """Return what a checkpoint holds, read without running it; UNREAD where that cannot be and the user trusts it."""
    try:
        found = read_checkpoint(weights, script.package)
    except UntrustedError:
        if not trust:
            raise
        return UNREAD
    check_content(weights, found, script.package)
    return found


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        PlanError: It is none.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:  # a folder is an OSError that names it
        found = file.read(LARGEST_PLAN + 1)
    if len(found) > LARGEST_PLAN:
        raise PlanError(f"is larger than {LARGEST_PLAN // 2**20} MB, which no plan is: give the .json of a pruning")
    try:
        text = found.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PlanError("is no text in UTF-8: give the .json of a pruning, or make a plan") from None
    return Plan.from_json(text)


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON, whole or not at all, and the folder that it is to lie in."""
    with whole(path) as part:
        part.write_text(plan.to_json(), encoding="utf-8")
