"""The integral of box sides: upstream's to the bit, and in an ONNX file with the softmax over the last axis."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch
from decoding import Patched


def logits(bins=16, batch=2, anchors=21):
    return 3 * torch.randn(batch, 4 * bins, anchors, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bins", [16, 8])
def test_is_upstreams_to_the_bit(bins):
    module, x = Patched(bins), logits(bins)
    assert torch.equal(module(x), module.plain(x))


def test_gradients_are_upstreams_to_the_bit():
    module = Patched(16)
    one, other = (logits().requires_grad_() for _ in range(2))
    module(one).square().sum().backward()
    module.plain(other).square().sum().backward()
    assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("bins", [16, 8])
@pytest.mark.parametrize("half", [False, True])
def test_exported_the_softmax_is_over_the_last_axis(tmp_path, bins, half):
    module, x = Patched(bins).eval(), logits(bins)
    if half:
        module, x = module.half(), x.half()
    path = tmp_path / "integral.onnx"
    axes = {"x": {0: "batch", 2: "anchors"}, "y": {0: "batch", 2: "anchors"}}
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(module, (x,), str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names)

    (softmax,) = (node for node in onnx.load(path).graph.node if node.op_type == "Softmax")
    assert next(a.i for a in softmax.attribute if a.name == "axis") in {-1, 3}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch, anchors in ((2, 21), (1, 5)):
        other = logits(bins, batch, anchors).to(x.dtype)
        (found,) = session.run(None, {"x": other.numpy()})
        assert found.shape == (batch, 4, anchors)
        torch.testing.assert_close(torch.from_numpy(found), module.plain(other), atol=2e-2 if half else 1e-5, rtol=0)
