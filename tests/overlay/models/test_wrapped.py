"""Wrapped, compiled, scripted, fused, reparametrised: pruned as what is inside, or refused with what to do."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from slim.analysis.channels import analyse
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from slim.training.penalty import GammaPenalty
from slim.training.schedule import Settings, Spelling, Standing
from tests.overlay import small
from tests.overlay.networks import assert_same, differ, photo, randomise, run

if TYPE_CHECKING:
    from collections.abc import Callable


def network() -> small.Residual:
    torch.manual_seed(0)
    return randomise(small.Residual())  # type: ignore[return-value]


def assert_prunable(model: nn.Module, inner: nn.Module | None = None) -> None:
    """Prune and mask what may be wrapped, and compare both, and what is inside with a plain one."""
    plain = network()
    plan = make_plan(model, analyse(model), ratio=0.4)
    assert plan.keep == make_plan(plain, analyse(plain), ratio=0.4).keep or inner is None
    pruned, masked = copy.deepcopy(inner or model), copy.deepcopy(inner or model)
    apply_plan(pruned, plan, fold=False)
    mask_plan(masked, plan)
    assert_same(run(pruned, photo(32)), run(masked, photo(32)))
    assert differ(run(inner or model, photo(32)), run(masked, photo(32)))
    apply_plan(model, plan)
    assert (inner or model).get_parameter(next(iter(plan.keep)) + ".weight").shape[0] < plan.widths[
        next(iter(plan.keep))
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
        torch.optim.swa_utils.AveragedModel,
    ],
)
def test_a_wrapper_is_looked_through(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = wrap(network())
    inner: Any = model.module if hasattr(model, "module") else model
    assert_prunable(model, getattr(inner, "_orig_mod", inner))


def test_a_distributed_model_is_looked_through() -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        model = network()
        assert_prunable(nn.parallel.DistributedDataParallel(model), model)
    finally:
        torch.distributed.destroy_process_group()


class Holder(small.Net):
    """The user's own part, which happens to be called `module`, is no wrapper."""

    def build(self) -> None:
        self.module = small.block(16, 16, 3)

    def body(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


def test_a_part_called_module_is_no_wrapper() -> None:
    channels = analyse(Holder())
    assert channels.norms == ("stem.1", "module.1")


@pytest.mark.parametrize("part", ["stem", "first", "second.0", "second.1"])
def test_a_compiled_part_is_followed(part: str) -> None:
    model = network()
    parent, _, own = part.rpartition(".")
    setattr(model.get_submodule(parent), own, torch.compile(model.get_submodule(part), backend="eager"))
    channels = analyse(model)
    assert sum(map(sum, (channels.prunable(name) for name in channels.norms))) == 44
    plan = make_plan(model, channels, ratio=0.4)
    masked, plain = network(), network()
    mask_plan(masked, make_plan(plain, analyse(plain), ratio=0.4))
    apply_plan(model, plan, channels, fold=False)
    assert_same(run(model, photo(32)), run(masked, photo(32)))


def test_a_model_compiled_in_place_is_followed() -> None:
    model = network()
    model.compile(backend="eager")
    assert_prunable(model, model)


def test_a_graph_module_is_followed() -> None:
    assert_prunable(torch.fx.symbolic_trace(network()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_followed_and_kept(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    channels = analyse(model)
    assert channels == analyse(network())
    apply_plan(model, make_plan(model, channels, ratio=0.4), channels)
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_inference_mode_and_inference_tensors() -> None:
    with torch.inference_mode():
        model = network()
        assert analyse(model) == analyse(network())
    assert next(model.parameters()).is_inference()
    assert_prunable(model)
    with torch.inference_mode():
        assert_prunable(network())


def rectified(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x)


@pytest.mark.filterwarnings("ignore")
def test_what_training_has_left_in_a_model_is_no_obstacle() -> None:
    model = network().train()
    seen: list[torch.Tensor] = []
    model.features, model.lock, model.act = seen, threading.Lock(), torch.jit.script(rectified)  # type: ignore[attr-defined]
    model.first.register_forward_hook(lambda _, __, output: seen.append(output))
    model.latest = {"pair": (model.stem(photo(32)), [model.first(model.stem(photo(32)))])}
    assert seen[0].requires_grad
    before = list(seen)
    assert analyse(model) == analyse(network())
    assert len(seen) == len(before)
    assert all(a is b for a, b in zip(seen, before))


def masked_randomly(layer: nn.Module) -> nn.Module:
    return prune.random_unstructured(layer, "weight", 0.3)


def quantised(model: nn.Module) -> nn.Module:
    from torch.ao import quantization

    model.qconfig = quantization.get_default_qconfig("fbgemm")  # type: ignore[assignment]
    return quantization.prepare(model.eval())


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * 2


def doubled(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())


PARAMETRISED = [
    (nn.utils.weight_norm, r'torch\.nn\.utils\.remove_weight_norm\(model\.get_submodule\("first\.0"\), "weight"\)'),
    (nn.utils.spectral_norm, r"torch\.nn\.utils\.remove_spectral_norm\(model\.get_submodule\(\"first\.0\"\)"),
    (parametrizations.weight_norm, r"torch\.nn\.utils\.parametrize\.remove_parametrizations\(model\.get_sub"),
    (parametrizations.spectral_norm, r'remove_parametrizations\(model\.get_submodule\("first\.0"\), "weight"\)'),
    (parametrizations.orthogonal, r'remove_parametrizations\(model\.get_submodule\("first\.0"\), "weight"\)'),
    (doubled, r'remove_parametrizations\(model\.get_submodule\("first\.0"\), "weight"\)'),
    (masked_randomly, r'torch\.nn\.utils\.prune\.remove\(model\.get_submodule\("first\.0"\), "weight"\)'),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "message"), PARAMETRISED)
def test_a_computed_weight_is_refused_with_the_call_that_ends_it(
    change: Callable[[nn.Module], nn.Module], message: str
) -> None:
    plain, model = network(), network()
    channels = analyse(plain)
    plan = make_plan(plain, channels, ratio=0.4)
    change(model.first[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for use in (
        lambda: analyse(model),
        lambda: apply_plan(model, plan, channels),
        lambda: mask_plan(model, plan, channels),
        lambda: penalise(model),
        lambda: penalise(model, "gradient"),
    ):
        with pytest.raises(ValueError, match=f"^first\\.0: weight is .*{message}") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    call = str(caught.value).partition("first call ")[2]
    eval(call, {"torch": torch, "model": model})  # noqa: S307 - the advice itself is under test
    assert analyse(model).norms == channels.norms


def penalise(model: nn.Module, mode: str = "decoupled") -> None:
    settings = Settings(
        mode=mode, strength=1.0, decay=0, warmup=0, bias=0, weight="none", spelling=Spelling("sparsity", "_", "=")
    )
    standing = Standing(epoch=0, epochs=1, steps=1, schedule=lambda _: 1.0)
    GammaPenalty(model, torch.optim.SGD(model.parameters(), 0.1), settings, lambda: standing).detach()


REFUSED = [
    (torch.jit.script, r"^the model: scripted or traced by torch\.jit"),
    (lambda m: torch.jit.trace(m, photo(32)), r"^the model: scripted or traced by torch\.jit"),
    (
        lambda m: replaced(m, "first", torch.jit.script(m.first)),
        r"^first: scripted or traced .*prune the Python module",
    ),
    (
        lambda m: replaced(m, "second", torch.jit.trace(m.second, torch.rand(1, 12, 8, 8))),
        r"^second: scripted or traced",
    ),
    (quantised, r"^stem\.0\.activation_post_process, .* and \d+ more: belongs to quantisation; prune the float model"),
    (lambda m: m.to("meta"), r"^stem\.0, .*: is on the meta device, where weights have no values; load the weights"),
    (
        lambda m: replaced(m, "extra", nn.LazyConv2d(3, 1)),
        r"^extra: is lazy and has no weights yet; run the model once",
    ),
]


def replaced(model: nn.Module, name: str, part: nn.Module) -> nn.Module:
    setattr(model, name, part)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_cannot_be_sliced_is_refused_by_name(change: Callable[[Any], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analyse(change(network()))


def test_a_fused_model_is_refused() -> None:
    from ultralytics import YOLO

    model = YOLO("yolov8n.yaml", verbose=False).model
    with pytest.raises(ValueError, match=r"the model is fused: .* take the checkpoint from before fuse\(\)"):
        analyse(model.fuse(verbose=False))
