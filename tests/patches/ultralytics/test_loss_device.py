"""`self.proj` is on the predictions' device wherever boxes are decoded."""

from __future__ import annotations

import pytest

from tests.patches.cases import Case, as_bytes, check_explained, check_noop, check_transformed, patch_named, step

PATCH = patch_named("loss_device")

LOSS = "ultralytics/utils/loss.py"

ONE = """\
class Loss:
    def bbox_decode(self, anchor_points, pred_dist):
        if self.use_dfl:
            b, a, c = pred_dist.shape  # batch, anchors, channels
            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
            # pred_dist = pred_dist.view(b, a, c // 4, 4).transpose(2,3).softmax(3)
        return dist2bbox(pred_dist, anchor_points, xywh=False)
"""

ONE_AFTER = """\
class Loss:
    def bbox_decode(self, anchor_points, pred_dist):
        if self.use_dfl:
            b, a, c = pred_dist.shape  # batch, anchors, channels
            self.proj = self.proj.to(pred_dist.device)
            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
            # pred_dist = pred_dist.view(b, a, c // 4, 4).transpose(2,3).softmax(3)
        return dist2bbox(pred_dist, anchor_points, xywh=False)
"""

OBB = """

class v8OBBLoss(v8DetectionLoss):
    def bbox_decode(self, anchor_points, pred_dist, pred_angle):
        if self.use_dfl:
            b, a, c = pred_dist.shape  # batch, anchors, channels
            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
        return torch.cat((dist2rbox(pred_dist, pred_angle, anchor_points), pred_angle), dim=-1)
"""

OBB_AFTER = """

class v8OBBLoss(v8DetectionLoss):
    def bbox_decode(self, anchor_points, pred_dist, pred_angle):
        if self.use_dfl:
            b, a, c = pred_dist.shape  # batch, anchors, channels
            self.proj = self.proj.to(pred_dist.device)
            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
        return torch.cat((dist2rbox(pred_dist, pred_angle, anchor_points), pred_angle), dim=-1)
"""

UPSTREAMED = """\
class Loss:
    def bbox_decode(self, anchor_points, pred_dist):
        if self.use_dfl:
            self.proj = self.proj.to(device=pred_dist.device, non_blocking=True)
            b, a, c = pred_dist.shape  # batch, anchors, channels
            pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
        return dist2bbox(pred_dist, anchor_points, xywh=False)
"""

CASES = (
    Case(
        version="8.0.100",
        before={"ultralytics/yolo/v8/detect/train.py": ONE},
        after={"ultralytics/yolo/v8/detect/train.py": ONE_AFTER},
    ),
    Case(
        version="8.0.120",
        before={"ultralytics/yolo/utils/loss.py": ONE},
        after={"ultralytics/yolo/utils/loss.py": ONE_AFTER},
    ),
    Case(version="8.0.200", before={LOSS: ONE}, after={LOSS: ONE_AFTER}),
    Case(version="8.4.190", before={LOSS: ONE + OBB}, after={LOSS: ONE_AFTER + OBB_AFTER}),
)


@pytest.mark.parametrize(
    ("version", "content"), [("8.0.200", UPSTREAMED), ("8.4.190", UPSTREAMED + OBB.replace(OBB, "\n\n" + UPSTREAMED))]
)
def test_release_that_moves_proj_itself_is_upstreamed(version: str, content: str) -> None:
    check_noop(PATCH, version, as_bytes({LOSS: content}), "upstreamed")


def test_upstreamed_at_one_of_two_places_is_explained() -> None:
    done = step(PATCH, as_bytes({LOSS: UPSTREAMED + OBB}), "8.4.190")
    (edit,) = PATCH.variants[-1].edits
    assert done.state == "broken"
    found = "expected 2 sites, found 1 without the edit, 1 in upstream's form"
    check_explained(PATCH, edit, "8.4.190", done.problems[0], found=found)


def test_applied_at_one_of_two_places_is_explained() -> None:
    done = step(PATCH, as_bytes({LOSS: ONE_AFTER + OBB}), "8.4.190")
    (edit,) = PATCH.variants[-1].edits
    assert done.state == "broken"
    found = "expected 2 sites, found 1 without the edit, 1 with it"
    check_explained(PATCH, edit, "8.4.190", done.problems[0], found=found)


def test_proj_of_a_layer_is_not_meant() -> None:
    layer = "\n\nclass Attention(nn.Module):\n    def forward(self, x):\n        return self.proj(x)\n"
    check_transformed(PATCH, "8.0.200", as_bytes({LOSS: ONE + layer}), as_bytes({LOSS: ONE_AFTER + layer}))
