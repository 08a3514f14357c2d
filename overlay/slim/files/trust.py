"""Read a checkpoint without running it: a `.pt` is a pickle, which may call any function that it names.

PyTorch's `weights_only` loader makes what is allowed and nothing else. Allowed are the network classes of this fork and
of PyTorch, and the plain data that real checkpoints hold. A network's class is made empty and given its attributes;
none is called, since upstream's, called with a YAML, evaluate what stands in it. Ultralytics has such a loader from
8.4.67 on (`ULTRALYTICS_SAFE_LOAD`), which is asked there; before it, and in YOLOv5, the list below does.
"""

from __future__ import annotations

import importlib
import pathlib
import pickle
import re
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..writing.log import first_line
from .inert import ASK, UntrustedError, check_inert, hook_of
from .pickles import NotACheckpointError, check_file, is_archive, names_in
from .sealed import swapped
from .strangers import other_fork, other_upstream, refuse_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Modules whose subclasses of nn.Module a checkpoint may hold, as this fork calls them. Importing a module runs it, so
# none is that is not here.
NETWORKS = r"torch\.nn\.modules(\.\w+)?|torchvision\.(models|ops)(\.\w+)*|"
OWN = {
    "ultralytics": r"ultralytics\.nn\.(modules(\.\w+)?|tasks|distill_model)|ultralytics\.models\.utils\.loss",
    "yolov5": r"yolov5\.(models\.(yolo|common|experimental)|utils\.activations)",
    "": r"models\.(yolo|common|experimental)|utils\.activations",
}
# Those whose other classes are held as well: the loss that early releases save along, torchvision's transforms.
ALL_CLASSES = re.compile(r"ultralytics\.(yolo\.)?utils\.(loss|tal)|torchvision\.transforms(\.\w+)*")
OTHER_LINES = {"ultralytics": ("models.", "yolov5."), "yolov5": ("ultralytics.",), "": ("ultralytics.",)}
FAMILY = {"ultralytics": ("ultralytics.",), "yolov5": ("yolov5.", "models."), "": ("yolov5.", "models.")}
MOVED = {  # as upstream's `temporary_modules`
    "ultralytics.nn.modules.block.Silence": "torch.nn.modules.linear.Identity",
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "ultralytics.nn.tasks.DetectionModel",
    "ultralytics.utils.loss.v10DetectLoss": "ultralytics.utils.loss.E2EDetectLoss",
}
TORCHS = re.compile(  # what torch allows by itself, or refuses
    r"torch\.\w+|torch\.(_utils|_tensor|storage|serialization|nn\.parameter)\.\w+"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(set|bytearray|complex)"
)
SIMPLE = re.compile(r"ultralytics\.(yolo\.)?utils\.IterableSimpleNamespace")
CONFIGURATION = re.compile(  # ultralytics to 8.0.11 keeps its arguments as Hydra made them
    r"omegaconf\.(base\.(Container)?Metadata|dictconfig\.DictConfig|listconfig\.ListConfig|nodes\.\w+Node)"
    r"|typing\.Any|builtins\.(dict|list|tuple|str|int|float|bool)|collections\.defaultdict"
)
NUMPY = re.compile(r"numpy\.(_?core)\.multiarray\.(scalar|_reconstruct)")
NAME_SHOWN = 100  # characters of a name that are said
OWN_PATH = type(pathlib.Path())


def read_checkpoint(path: Path, package: str) -> object:
    """Return what a file holds, made of allowed classes and plain data.

    Args:
        path: The checkpoint.
        package: Where this release keeps its modules: `ultralytics`, `yolov5`, or none.

    Raises:
        FileNotFoundError, NotACheckpointError: It is none.
        UntrustedError: It asks for what is not allowed, or this PyTorch cannot tell.
    """
    check_file(path)
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UntrustedError(f"{path}: PyTorch {torch.__version__} cannot read it without running it, 2.6 can{ASK}")
    names = names_in(path)
    refuse_names(path, names)
    allowed = _all_allowed(names, package)
    foreign = [name for name in names if name not in allowed and not TORCHS.fullmatch(name)]
    upstreams = _upstreams() if foreign and package == "ultralytics" else None
    if foreign and upstreams is None:
        raise UntrustedError(f"{path}: {_refusal(foreign, package)}")
    if not is_archive(path):  # its weights_only loader knows tensors alone there
        raise UntrustedError(f"{path}: of the form before PyTorch 1.6, which cannot be read without running it{ASK}")
    try:
        content = _read(path, allowed, names) if upstreams is None else upstreams(str(path), safe_only=True)[0]
    except (pickle.UnpicklingError, TypeError) as error:
        why = _refusal(foreign, package) if foreign else f"cannot be read without running it ({_why(error)}){ASK}"
        raise UntrustedError(f"{path}: {why}") from error
    except Exception as error:  # what is damaged fails anywhere
        raise NotACheckpointError(f"{path}: not a checkpoint that this fork can load ({first_line(error)})") from error
    check_inert(path, content)
    return content


def _refusal(foreign: list[str], package: str) -> str:
    """Say what a checkpoint asks for that is not allowed; trusting it helps where this fork may have that."""
    named = foreign[0][:NAME_SHOWN] + (f" and {len(foreign) - 1} more" if len(foreign) > 1 else "")
    other = _of_another_line(foreign, package)
    if other:
        return other
    missing = _first_below(FAMILY[package], foreign)
    if missing:
        return (
            f"asks for {missing[:NAME_SHOWN]}, which this release does not have: "
            "prune it in a fork of the release that it was trained with"
        )
    return f"asks for {named}, which no network of this fork is made of{ASK}"


def _of_another_line(names: list[str], package: str) -> str:
    """Say which line a checkpoint's own classes are of, if of another one."""
    asked = _first_below(OTHER_LINES[package], names)
    if not asked:
        return ""
    return f"asks for {asked[:NAME_SHOWN]}: it looks like a model of {other_upstream(package)}; {other_fork(package)}"


def _first_below(packages: tuple[str, ...], names: list[str]) -> str:
    """Return the first of some names that lies below one of some packages; nothing, if none does."""
    for name in names:
        if name.startswith(packages):
            return name
    return ""


def foreign_line(path: Path, package: str) -> str:
    """Say which line a checkpoint is of that could not be loaded, if of another one."""
    try:
        return _of_another_line(names_in(path), package)
    except NotACheckpointError:
        return ""


def _why(error: Exception) -> str:
    """Return what torch's loader has met, without what it advises: that is to run the file."""
    said = str(error.__cause__ or error)
    met = re.search(r"WeightsUnpickler error:\s*(.+?)(?: Please .*)?$", said, re.MULTILINE)
    return met[1][:200] if met else first_line(error.__cause__ or error)


def _read(path: Path, allowed: dict[str, object], names: list[str]) -> object:
    entries: list[Any] = [(made, name) for name, made in allowed.items()]  # torch's stub: callables alone
    if "numpy.dtype" in names:
        entries += {type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"}
    with torch.serialization.safe_globals(entries), _nothing_is_built():
        return torch.load(path, map_location="cpu", weights_only=True)


def _upstreams() -> Callable[..., tuple[object, ...]] | None:
    """Return upstream's own safe loader, where this release has it and its modules are in use."""
    try:
        tasks = importlib.import_module("ultralytics.nn.tasks")
    except ImportError:
        return None
    return tasks.torch_safe_load if getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False) else None


def _all_allowed(names: list[str], package: str) -> dict[str, object]:
    """Return what names of a checkpoint stand for, of those that are allowed."""
    allowed = {}
    for name in names:
        made = _allowed(name, package)
        if made is not None:
            allowed[name] = made
    return allowed


def _allowed(name: str, package: str) -> object:
    """Return what a name of a checkpoint stands for, or None if it is not allowed."""
    if name == "builtins.getattr":
        return _getattr
    if name == "argparse.Namespace" or CONFIGURATION.fullmatch(name):
        return _imported(name)
    if name in {"numpy.dtype", "numpy.ndarray"} or NUMPY.fullmatch(name):
        return _numpy(name)
    if re.fullmatch(r"pathlib(\._local)?\.(Posix|Windows|PurePosix|PureWindows)?Path", name):
        return OWN_PATH
    for spelled in _spellings(MOVED.get(name, name), package):
        kind = _kind(spelled, package)
        if kind is not None and _fits(spelled, kind):
            return kind
    return hook_of(name)


def _numpy(name: str) -> object:
    if name in {"numpy.dtype", "numpy.ndarray"}:
        return getattr(np, name[6:])
    return np.float64(0).__reduce__()[0] if name.endswith("scalar") else np.zeros(1).__reduce__()[0]


def _spellings(name: str, package: str) -> list[str]:
    """Return what this fork may call a class: YOLOv5's lie in a package or not, ultralytics' have moved."""
    if package == "ultralytics":
        return [name, name.replace("ultralytics.yolo.", "ultralytics.", 1)]
    bare = name.replace("yolov5.", "", 1) if name.startswith("yolov5.") else name
    own = f"{package}.{bare}" if package and bare.startswith(("models.", "utils.")) else bare
    return [own]


def _kind(name: str, package: str) -> object:
    module = name.rpartition(".")[0]
    known = re.fullmatch(NETWORKS + OWN[package], module) or ALL_CLASSES.fullmatch(module) or SIMPLE.fullmatch(name)
    if not known:
        return None
    return _imported(name)


def _imported(name: str) -> object:
    module, _, own = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), own, None)
    except ImportError:
        return None


def _fits(name: str, kind: object) -> bool:
    """Tell whether it is a network's class, or one of the others that are listed; never a function."""
    module = name.rpartition(".")[0]
    if not isinstance(kind, type):
        return False
    if SIMPLE.fullmatch(name):
        return True
    if ALL_CLASSES.fullmatch(module):
        return kind.__module__.split(".")[0] == module.split(".")[0]
    return issubclass(kind, nn.Module)


def _getattr(owner: object, name: str) -> object:
    """As `getattr`, for what checkpoints ask it for: `Detect.forward`, a member of an enumeration."""
    inside = isinstance(owner, type) and issubclass(owner, (nn.Module, Enum)) and not name.startswith("__")
    if inside:
        return getattr(owner, name)
    if isinstance(owner, nn.Module) and name in {"forward", "forward_fuse"}:
        return getattr(type(owner), name).__get__(owner)
    raise pickle.UnpicklingError(f"getattr of {type(owner).__name__} and {name!r}")


@contextmanager
def _nothing_is_built() -> Iterator[None]:
    """Refuse a pickle that calls a network's class: unpickled ones are made empty."""

    def refuse(self: nn.Module, *_: object, **__: object) -> None:
        raise pickle.UnpicklingError(f"it builds a {type(self).__name__}")

    with swapped((nn.Module, "__init__", refuse)):
        yield


@contextmanager
def handed_over(checkpoint: object) -> Iterator[None]:
    """Let `torch.load` return what has been read already, so that upstream's loaders do not read it again."""
    with swapped((torch, "load", lambda *_, **__: checkpoint)):
        yield
