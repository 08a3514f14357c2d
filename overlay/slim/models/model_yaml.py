"""`--cfg`: build a model of a YAML, and load what fits of a checkpoint's, as the second write-up does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .class_outputs import classes_of
from .rebuilding import hushed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def built_from(cfg: Path, model: nn.Module, weights: Path) -> tuple[nn.Module, list[str]]:
    """Return the model of a YAML with the checkpoint's weights, and what the write-up says of it.

    Args:
        cfg: The model's YAML.
        model: The checkpoint's model, which also says for how many classes.
        weights: The checkpoint, to be named.

    Raises:
        FileNotFoundError: There is no such YAML.
        ValueError: It cannot be read, or not all of the checkpoint fits what it builds.
    """
    if not cfg.is_file():
        raise FileNotFoundError(f"--cfg {cfg}: no such model YAML; leave it out, the checkpoint has its own")
    try:
        with hushed():
            built = type(model)(str(cfg), ch=3, nc=classes_of(model))
    except Exception as error:  # upstream evaluates what stands there
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(f"--cfg {cfg}: upstream cannot build it ({type(error).__name__}: {reason})") from error
    ours, theirs = built.state_dict(), model.float().state_dict()
    fitting = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    missing = [name for name in {*ours, *theirs} - fitting.keys() if "anchor" not in name]  # which releases store apart
    if missing:
        raise ValueError(
            f"--cfg {cfg}: does not fit {weights}: {len(fitting)} of its {len(theirs)} tensors have a place there; "
            "leave it out, the checkpoint has its own architecture"
        )
    built.load_state_dict(fitting, strict=False)
    for name in ("names", "hyp"):
        if hasattr(model, name):
            setattr(built, name, getattr(model, name))
    said = [
        f"Build model from {cfg}",
        f"Restore weight from {weights}",
        f"Restore {len(fitting)} vars, omit {len(theirs) - len(fitting)} vars",
    ]
    return built.float().eval(), said
