"""What a checkpoint, a loss or the train arguments of a tree are: nothing here trains."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

import ultralytics
from ultralytics import YOLO


def where():
    """Say which ultralytics this is, and whether it has the overlay."""
    root = Path(ultralytics.__file__).resolve().parents[1]
    return {"root": str(root), "version": ultralytics.__version__, "slim": (root / "ultralytics" / "slim").is_dir()}


def facts(weights):
    """Describe a checkpoint: its shapes, its digest, and what there is to know of its head."""
    model = YOLO(weights).model
    return describe(getattr(model, "student_model", model))  # a distillation that was cut off saves both


def describe(model):
    state = {name: tensor for name, tensor in model.state_dict().items() if "criterion" not in name}
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode() + tensor.detach().cpu().float().contiguous().numpy().tobytes())
    gammas = [m.weight.detach().abs().float() for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    return {
        "shapes": {name: list(tensor.shape) for name, tensor in state.items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        "digest": digest.hexdigest(),
        "nc": getattr(model.model[-1], "nc", None),
        "names": {str(key): value for key, value in model.names.items()},
        "gamma": torch.cat(gammas).median().item() if gammas else None,
    }


def outputs(weights):
    """Compute on a fixed picture: a digest of the values, and their number."""
    model = YOLO(weights).model.float().eval()
    with torch.no_grad():
        flat = leaves(model(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))))
    digest = hashlib.sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in flat))
    return {"digest": digest.hexdigest(), "values": sum(tensor.numel() for tensor in flat)}


def leaves(value):
    """Return all tensors in lists and dictionaries, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, (list, tuple)) else []


def validate(weights, data):
    """Validate; the metrics by name."""
    model = YOLO(weights)
    metrics = model.val(data=data, imgsz=64, device="cpu", plots=False, workers=0, batch=4)
    return {key: float(value) for key, value in metrics.results_dict.items()}


def predict(weights):
    """Predict on a black picture; how many boxes."""
    return len(
        YOLO(weights).predict(torch.zeros(1, 3, 64, 64), imgsz=64, device="cpu", verbose=False, conf=0.9)[0].boxes
    )


def export(weights):
    """Export to ONNX; the largest difference to PyTorch, relative where values exceed one."""
    import onnxruntime

    model = YOLO(weights)
    path = model.export(format="onnx", imgsz=64)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = leaves(YOLO(weights).model.float().eval()(image))[0].numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    return float((np.abs(ours - theirs) / np.maximum(np.abs(ours), 1)).max())


def settings(**arguments):
    """Return train arguments, checked as upstream does."""
    try:
        from ultralytics.cfg import get_cfg
    except ImportError:
        from ultralytics.yolo.cfg import get_cfg
    return get_cfg(overrides=arguments)


def configure(**arguments):
    """Check train arguments; those of the overlay that come out of it."""
    return {key: value for key, value in vars(settings(**arguments)).items() if key.startswith("sparsity")}


def decode(head, predictions="meta"):
    """Decode boxes in a loss whose integral lies on the CPU, from predictions elsewhere; the result's shape."""
    criterion = loss(head)
    assert criterion.proj.device.type == "cpu"
    inputs = [torch.zeros(20, 2, device=predictions), torch.zeros(2, 20, 64, device=predictions)]
    if head == "OBB":
        inputs.append(torch.zeros(2, 20, 1, device=predictions))
    return list(criterion.bbox_decode(*inputs).shape)


def loss(head):
    """Return upstream's loss for a head."""
    from ultralytics.nn import tasks

    make = tasks.OBBModel if head == "OBB" else tasks.DetectionModel
    model = make("yolov8n-obb.yaml" if head == "OBB" else "yolov8n.yaml", verbose=False)
    model.args = settings()
    try:
        from ultralytics.utils import loss as losses
    except ImportError:
        from ultralytics.yolo.v8.detect.train import Loss

        return Loss(model)
    return (losses.v8OBBLoss if head == "OBB" else losses.v8DetectionLoss)(model)
