"""What is given to be pruned and is no checkpoint of this fork's: what it is instead, and what to type.

None of these becomes prunable by being trusted, so none is told to be.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Callable

import torch
from torch import nn

from ..models.admission import FLOAT, QUANTISATION, QUANTISED
from ..models.class_outputs import anchors_of, head_of, network_of
from .pickles import NotACheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WRAPPERS = {
    r"torch\.nn\.parallel\.\w+\.(DataParallel|DistributedDataParallel)": "module",
    r"torch\._dynamo\..*|.*\.OptimizedModule": "_orig_mod",
}
ADAPTERS = re.compile(r"(peft|loralib|minlora)\..+")
NESTED = ("state_dict", "model_state_dict", "model", "ema", "net", "weights")
PREFIXES = ("module.", "_orig_mod.")
# Outputs per class, by the key of a bias in a state_dict, and how many of a layer's outputs are for how many classes.
COUNTED: dict[str, Callable[[int], int]] = {
    r"(.*\.)?cv3\.0\.2\.bias": lambda outputs: outputs,
    r"(.*\.)?model\.\d+\.m\.0\.bias": lambda outputs: outputs // 3 - 5,
}
HOME = {"ultralytics": "ultralytics.", "yolov5": "yolov5.models.", "": "models."}  # where a line's networks are


def python(code: str) -> str:
    """Return the command that runs a line of Python."""
    return f"python -c {shlex.quote(code)}"


def refuse_names(path: Path, names: Iterable[str]) -> None:
    """Refuse a checkpoint by what its pickle asks for.

    Raises:
        NotACheckpointError: It is quantised, wrapped for parallel training or by `torch.compile`, or has adapters.
    """
    new = f"{path.stem}-plain.pt"
    for name in names:
        theirs = name.startswith(QUANTISED) and name.rpartition(".")[2] not in FLOAT
        if theirs or name == "torch._utils._rebuild_qtensor":
            raise NotACheckpointError(f"{path}: is quantised or prepared for it (it holds {name}); {QUANTISATION}")
        for wrapper, inner in WRAPPERS.items():
            if re.fullmatch(wrapper, name):
                code = (
                    f"import torch; c = torch.load({_quoted(path)}, weights_only=False); "
                    f'c["model"] = c["model"].{inner}; torch.save(c, {_quoted(path.with_name(new))})'
                )
                raise NotACheckpointError(f"{path}: was saved inside {name}; unwrap it: {python(code)}")
        if ADAPTERS.fullmatch(name):
            raise NotACheckpointError(
                f"{path}: has adapters beside its weights (it holds {name}); merge them into the model that you save"
            )


def check_content(path: Path, content: object, package: str = "ultralytics") -> None:
    """Refuse what has no network in it.

    Raises:
        NotACheckpointError: It has none, or one for quantisation; says what it is instead.
    """
    held = content if isinstance(content, dict) else {}
    if held.get("modelopt"):
        raise NotACheckpointError(f"{path}: was trained with quantize=8; {QUANTISATION}")
    if network_of(held) is not None:
        return
    raise NotACheckpointError(
        f"{path}: not a checkpoint that this fork can load: it is {_instead(path, content, package)}"
    )


def _instead(path: Path, content: object, package: str) -> str:
    if isinstance(content, nn.Module):
        if not _at_home(content, package):
            return f"a {type(content).__name__} alone; only networks of this fork's own classes can be pruned"
        code = f"import torch; m = torch.load({_quoted(path)}, weights_only=False); {_saved('m', path)}"
        return f"a model alone, without what training writes beside it; wrap it: {python(code)}"
    where, weights = _weights_in(content)
    if weights:
        return (
            f"a state_dict, weights without the network; wrap it, with the YAML and class that it was made "
            f"from: {python(_wrapping(path, weights, where, package))}"
        )
    return f"a {type(content).__name__} without a model in it; give the .pt that training wrote"


def _weights_in(content: object) -> tuple[str, dict[str, object]]:
    """Return the weights that a file holds, itself or below a key, with the index that finds them; {} for none."""
    if not isinstance(content, dict):
        return "", {}
    if _holds_tensors(content):
        return "", content
    for key in NESTED:
        inner = content.get(key)
        if isinstance(inner, dict) and _holds_tensors(inner):
            return f"[{json.dumps(key)}]", inner
    return "", {}


def _holds_tensors(held: dict[str, object]) -> bool:
    return any(isinstance(value, torch.Tensor) for value in held.values())


def _wrapping(path: Path, weights: Mapping[str, object], where: str, package: str) -> str:
    """Return the line of Python that builds a network and gives it these weights."""
    classes = _classes(weights)
    first = str(next(iter(weights)))
    cut = len(_prefix_of(first))
    loaded = f"torch.load({_quoted(path)}, weights_only=True){where}"
    plain = f"{{k[{cut}:]: v for k, v in {loaded}.items()}}" if cut else loaded
    dot = f"{package}." if package else ""
    if package == "ultralytics":
        make = f'from ultralytics.nn.tasks import DetectionModel; m = DetectionModel("yolov8n.yaml", nc={classes})'
    else:
        yaml = dot.replace(".", "/") + "models/yolov5n.yaml"
        make = f'from {dot}models.yolo import Model; m = Model("{yaml}", nc={classes})'
    return f"import torch; {make}; m.load_state_dict({plain}); {_saved('m', path)}"


def _prefix_of(key: str) -> str:
    """Return what the key of a weight begins with if its network was wrapped."""
    for prefix in PREFIXES:
        if key.startswith(prefix):
            return prefix
    return ""


def _classes(weights: Mapping[str, object]) -> int:
    """Return for how many classes weights are, as far as that is to be seen."""
    for key, tensor in weights.items():
        for pattern, count in COUNTED.items():
            if re.fullmatch(pattern, str(key)) and isinstance(tensor, torch.Tensor):
                return count(len(tensor))
    return 80


def _saved(model: str, path: Path) -> str:
    new = path.with_name(f"{path.stem}-model.pt")
    return f'torch.save({{"model": {model}, "train_args": {{"task": "detect"}}}}, {_quoted(new)})'


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)


def _at_home(model: nn.Module, package: str) -> bool:
    return any(kind.__module__.startswith(HOME[package]) for kind in type(model).__mro__)


def _is_foreign(model: nn.Module, package: str) -> bool:
    """Tell whether a network is the other upstream's, by its class or its head; the user's own is neither."""
    anchored = bool(anchors_of(model))
    if package == "ultralytics":
        return anchored or any(_at_home(model, other) for other in ("yolov5", ""))
    headed = anchored or isinstance(getattr(head_of(model), "linear", None), nn.Linear)
    return _at_home(model, "ultralytics") or (_at_home(model, package) and not headed)


def check_network(path: Path, model: nn.Module, package: str) -> None:
    """Refuse a network that another upstream trained, whatever its pickle calls it, and one that is no more any.

    Raises:
        NotACheckpointError: Its class or its head is not of this line, or a weight is not a number.
    """
    head, name = head_of(model), type(model).__name__
    if _is_foreign(model, package):
        where = f"{type(model).__module__}.{name} with a head {type(head).__module__}.{type(head).__name__}"
        raise NotACheckpointError(f"{path}: is a {where}, which this fork cannot train; {other_fork(package)}")
    for tensor, values in model.state_dict().items():
        if values.is_floating_point() and not torch.isfinite(values).all() and _counts(model, tensor):
            raise NotACheckpointError(
                f"{path}: {tensor} is not finite: the training diverged, take an earlier checkpoint"
            )


def other_upstream(package: str) -> str:
    """Return what the upstream is called that this fork is not of."""
    return "YOLOv5" if package == "ultralytics" else "ultralytics"


def other_fork(package: str) -> str:
    """Return where to prune what the other upstream has trained."""
    other = other_upstream(package)
    return f"prune a model of {other} with the prune.py of a fork of {other}"


def _counts(model: nn.Module, tensor: str) -> bool:
    """Tell whether a tensor must be finite: a weight, or a statistic; masks of attention are not."""
    return tensor.endswith(("running_mean", "running_var")) or tensor in dict(model.named_parameters())
