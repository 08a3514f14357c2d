"""Re-estimate BatchNorm statistics from images without labels.

Sparse training moves scales faster than running statistics follow, more so in the EMA that is saved, and pruning
and folding change what every later layer sees. A forward pass over a few batches puts both right: the idea of
`torch.optim.swa_utils.update_bn` (Izmailov et al., arXiv:1803.05407, section 3.2), for models that only take images.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .datasets import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch.utils.hooks import RemovableHandle


def reestimate(model: nn.Module, batches: Iterable[Tensor], *, device: torch.device | str | None = None) -> list[str]:
    """Replace every BatchNorm's running mean and variance by their averages over the batches, in place.

    All else stays: parameters, momentum, training flags. If a batch fails, the old statistics are put back. A layer
    that is shown one value a channel, as by one image at a size of one stride, learns no variance from it: it runs
    with the statistics that it has.

    Args:
        model: Anything that takes a batch of images; evaluated in eval mode but for its BatchNorms.
        batches: Images as the model is given them, (b, c, h, w); cast to the model's precision.
        device: Where to run; the model's own device when None. The model is moved there.

    Returns:
        The layers that keep the statistics they had, by name.

    Raises:
        CalibrationError: There was none.
    """
    if device is not None:
        model.to(device)
    parameter = next(model.parameters())
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        raise CalibrationError("no batch of images to re-estimate BatchNorm statistics with")
    with _listening(model) as layers, torch.no_grad():
        for images in chain([first], stream):
            model(images.to(parameter.device, parameter.dtype))
        return [name for name, layer in layers.items() if layer.momentum is not None]


@contextmanager
def _listening(model: nn.Module) -> Iterator[dict[str, _BatchNorm]]:
    """Let the BatchNorms, and nothing else, gather statistics: a plain mean over all batches; yields them by name."""
    layers = dict(_with_statistics(model))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    momenta: dict[str, float | None] = {}
    before: dict[str, dict[str, Tensor]] = {}
    handles: list[RemovableHandle] = []
    for name, layer in layers.items():
        momenta[name] = layer.momentum
        before[name] = {key: buffer.clone() for key, buffer in layer.named_buffers()}
        layer.momentum = 0.0 if layer.momentum is None else layer.momentum  # None marks those that have begun
        handles.append(layer.register_forward_pre_hook(_gather))
    try:
        yield layers
    except BaseException:
        for name, layer in layers.items():
            layer.load_state_dict(before[name], strict=False)
        raise
    finally:
        for handle in handles:
            handle.remove()
        for name, layer in layers.items():
            layer.momentum = momenta[name]
        for module, training in modes.items():
            module.training = training


def _with_statistics(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None:
            yield name, layer


def _gather(layer: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
    """Let a BatchNorm take part where its input has a variance, and begin anew the first time."""
    layer.training = inputs[0].numel() > inputs[0].shape[1]
    if layer.training and layer.momentum is not None:
        layer.reset_running_stats()
        layer.momentum = None  # torch then weighs all batches alike
