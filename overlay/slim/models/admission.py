"""Is this a model whose layers can be sliced? Wrappers are taken off, and what nobody can follow is refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import jit, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune, spectral_norm, weight_norm

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = 3  # layers that a message names
OLD_NORMS = {"WeightNorm": weight_norm, "SpectralNorm": spectral_norm}  # a pre-hook of this class -> what added it
QUANTISED = (
    *("torch.ao.", "torch.quantization.", "torch.nn.quantized", "torch.nn.qat", "torch.nn.intrinsic", "torchao."),
    *("pytorch_quantization.", "modelopt.", "brevitas.", "aimet_torch.", "nncf.", "neural_compressor.", "mqbench."),
)
QUANTISERS = re.compile(r"TensorQuantizer|\w*FakeQuant\w*|Quant(Conv\w*|Linear|BatchNorm\w*)")  # classes, from anywhere
FLOAT_FIRST = "prune the float model, fine-tune it, then quantise that"
QUANTISATION = f"quantisation comes after pruning: {FLOAT_FIRST}"
FLOAT = {"QuantStub", "DeQuantStub", "QuantWrapper", "FloatFunctional"}  # these of them do nothing to a float model
SHARDED = {"FlatParameter", "DTensor"}  # what FSDP, in both its forms, makes of parameters


def bare(model: nn.Module) -> nn.Module:
    """Return the model inside DDP, `torch.compile` and a distillation wrapper; its teacher is left alone."""
    for name in ("module", "_orig_mod", "student_model"):
        inner = getattr(model, name, None)
        own = name == "module" and not type(model).__module__.startswith("torch.")  # a part that the user calls so
        if isinstance(inner, nn.Module) and not own:
            return bare(inner)
    return model


def admit(model: nn.Module) -> nn.Module:
    """Return the model without its wrappers, once it is certain that its layers can be sliced.

    Raises:
        ValueError: They cannot, as long as the model is quantised, scripted, fused, sharded or on the meta device, or a
            weight is computed from others; the message says where, and what to do.
    """
    inner = bare(model)
    modules = list(inner.modules())
    if any(map(_is_fused, modules)) and not any(isinstance(module, _BatchNorm) for module in modules):
        raise ValueError("the model is fused: its BatchNorms are folded away; take the checkpoint from before fuse()")
    refused: dict[str, list[str]] = {}
    scripted: set[int] = set()  # parts of a module that is named as a whole
    for module in modules:
        if isinstance(module, jit.ScriptModule):
            scripted.update(map(id, [*module.modules()][1:]))
    for name, module in inner.named_modules():
        for remedy in () if id(module) in scripted else _obstacles(name, module):
            refused.setdefault(remedy, []).append(name or "the model")
    for remedy, names in refused.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise ValueError(f"{', '.join(names[:NAMED])}{more}: {remedy.replace('{}', names[0])}")
    return inner


def _is_fused(module: nn.Module) -> bool:
    forward = vars(module).get("forward")
    return bool(getattr(forward, "__name__", "") == "forward_fuse")


def _obstacles(name: str, module: nn.Module) -> Iterator[str]:
    """Give what stands in the way of slicing a module, with what to do; {} stands for a layer's name."""
    kind = type(module)
    layer = 'model.get_submodule("{}")' if name else "model"
    if isinstance(module, jit.ScriptModule):
        yield "scripted or traced by torch.jit, so that no layer in it can be sliced; prune the Python module instead"
    elif parametrize.is_parametrized(module):
        yield from _parametrised(module, layer)
    elif is_quantised(kind):
        yield f"belongs to quantisation; {FLOAT_FIRST}"
    for hook in module._forward_pre_hooks.values():  # noqa: SLF001 - how these are told apart in torch itself
        yield from _computed(hook, layer)
    own = [parameter for parameter in module._parameters.values() if parameter is not None]  # noqa: SLF001
    if any(map(is_lazy, own)):
        yield "is lazy and has no weights yet; run the model once"
    elif any(parameter.is_meta for parameter in own):
        yield "is on the meta device, where weights have no values; load the weights first"
    if any(type(parameter).__name__ in SHARDED for parameter in own):
        yield "is sharded by FSDP; load the whole checkpoint into the plain model, and prune that"


def is_quantised(kind: type) -> bool:
    """Tell whether a class is of a library for quantisation, or named as those of a run-time made one are."""
    for base in kind.__mro__:
        if base.__module__.startswith(QUANTISED) and base.__name__ not in FLOAT:
            return True
    return QUANTISERS.fullmatch(kind.__name__) is not None


def _parametrised(module: nn.Module, layer: str) -> Iterator[str]:
    for tensor, _ in module.get_submodule("parametrizations").named_children():
        yield (
            f"{tensor} is computed by torch.nn.utils.parametrize and cannot be sliced; first call "
            f'torch.nn.utils.parametrize.remove_parametrizations({layer}, "{tensor}")'
        )


def _computed(hook: object, layer: str) -> Iterator[str]:
    if isinstance(hook, prune.BasePruningMethod):
        tensor = hook._tensor_name  # noqa: SLF001 - torch.nn.utils.prune.remove reads it as well
        yield (
            f"{tensor} is masked by torch.nn.utils.prune and cannot be sliced; first call "
            f'torch.nn.utils.prune.remove({layer}, "{tensor}")'
        )
    added = OLD_NORMS.get(type(hook).__name__)
    if added is not None and type(hook).__module__.startswith("torch.nn.utils."):
        tensor = vars(hook)["name"]
        yield (
            f"{tensor} is computed by {added.__name__} and cannot be sliced; first call "
            f'torch.nn.utils.remove_{added.__name__}({layer}, "{tensor}")'
        )
