"""`bbox_decode` moves `self.proj` to the predictions' device before it multiplies by it.

A criterion built on one device and used on another fails with "Expected all tensors to be on the same device":
write-up 1, section 6; Torch-Pruning#147, #191, #308, #324.
"""

from __future__ import annotations

from slimfork.codemods import Insert, Patch, Variant
from slimfork.handmade.model import Moved


def edits(file: str, count: int) -> tuple[Insert, ...]:
    """Return the edit for the file with the detection losses and its number of `bbox_decode`."""
    move = Insert(
        file=file,
        within=("*", "bbox_decode"),
        anchor="pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))",
        code="self.proj = self.proj.to(pred_dist.device)",
        where="before",
        count=count,
        upstream_form="self.proj = self.proj.to(...)",
    )
    return (move,)


PATCH = Patch(
    id="loss_device",
    title="Decode boxes on the predictions' device",
    why="a pruned model's criterion can hold `proj` on the CPU while it trains on a GPU (write-up 1, 6)",
    until="upstream registers `proj` as a buffer or moves it itself",
    skippable=False,
    handmade=(
        Moved(
            files=("ultralytics/*/loss.py", "ultralytics/yolo/v8/detect/train.py"),
            function="bbox_decode",
            own="self.proj = self.proj.to(pred_dist.device)",
            section="write-up 1, 6",
        ),
    ),
    variants=(
        Variant(versions=">=8.0.0,<=8.0.110", edits=edits("ultralytics/yolo/v8/detect/train.py", 1)),
        Variant(versions=">=8.0.111,<=8.0.135", edits=edits("ultralytics/yolo/utils/loss.py", 1)),
        Variant(versions=">=8.0.136,<=8.0.234", edits=edits("ultralytics/utils/loss.py", 1)),
        Variant(versions=">=8.0.235,<=8.4.190", edits=edits("ultralytics/utils/loss.py", 2)),
    ),
)
