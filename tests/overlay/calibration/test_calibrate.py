from __future__ import annotations

import pytest
import torch
from torch import nn

from slim.calibration.calibrate import CalibrationError, reestimate


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.03), nn.Dropout(0.5), nn.BatchNorm2d(4))


def _batches(count: int = 3) -> list[torch.Tensor]:
    return [torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def test_statistics_become_the_mean_over_all_batches() -> None:
    net, batches = _net(), _batches()
    net[1].running_mean.fill_(100)  # what was there before does not count
    inputs = [net[0](batch) for batch in batches]

    assert reestimate(net, batches) == []

    expected_mean = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    expected_var = torch.stack([x.var((0, 2, 3)) for x in inputs]).mean(0)
    torch.testing.assert_close(net[1].running_mean, expected_mean)
    torch.testing.assert_close(net[1].running_var, expected_var)


def test_nothing_else_changes() -> None:
    net = _net()
    net[0].eval()
    net[2].train()
    modes = [module.training for module in net.modules()]
    weights = {name: p.clone() for name, p in net.named_parameters()}

    reestimate(net, _batches())

    assert [module.training for module in net.modules()] == modes
    assert (net[1].momentum, net[3].momentum) == (0.03, 0.1)
    assert all(torch.equal(weights[name], p) for name, p in net.named_parameters())
    assert all(p.grad is None for p in net.parameters())


def test_only_batchnorms_train_meanwhile() -> None:
    seen: list[list[bool]] = []
    net = _net()
    net.register_forward_hook(lambda module, _in, _out: seen.append([m.training for m in module]))

    reestimate(net, _batches(1))

    assert seen == [[False, True, False, True]]


def test_cures_a_model_whose_statistics_lag_behind_its_scales() -> None:
    net = _net().eval()
    images = torch.cat(_batches())
    reestimate(net, [images])
    right = net(images)
    net[1].running_var.mul_(50)  # what an EMA keeps while the layers before shrink
    assert not torch.allclose(net(images), right, atol=0.1)

    reestimate(net, [images])

    torch.testing.assert_close(net(images), right)


def test_no_batch_is_an_error_and_leaves_the_statistics() -> None:
    net = _net()
    net[1].running_mean.fill_(7)

    with pytest.raises(CalibrationError, match="no batch"):
        reestimate(net, [])

    assert (net[1].running_mean == 7).all()


def test_a_batch_that_fails_leaves_the_statistics() -> None:
    net = _net()
    net[1].running_mean.fill_(7)

    with pytest.raises(RuntimeError):
        reestimate(net, [*_batches(1), torch.zeros(1, 5, 6, 6)])

    assert (net[1].running_mean == 7).all()
    assert net[1].momentum == 0.03
    assert net.training


def test_layers_without_statistics_and_half_precision_are_no_obstacle() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.BatchNorm2d(4))

    assert reestimate(net.bfloat16(), _batches(2), device="cpu") == []


def test_a_real_detector_with_stale_statistics_predicts_again() -> None:
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolov8n.yaml", nc=1, verbose=False).eval()
    images = torch.rand(4, 3, 64, 64)
    reestimate(model, [images])
    with torch.no_grad():
        right = model(images)[0]
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.add_(1)
        assert not torch.allclose(model(images)[0], right, atol=1)
        reestimate(model, [images])
        torch.testing.assert_close(model(images)[0], right)


class TestOneValueAChannel:
    """A batch of one image, of which a layer sees one pixel, has no variance."""

    def test_the_layer_keeps_its_statistics_and_is_named(self) -> None:
        net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
        net[2].running_mean.fill_(7)
        image = torch.rand(1, 3, 6, 6)

        assert reestimate(net, [image]) == ["2"]

        torch.testing.assert_close(net[0].running_mean, image.mean((0, 2, 3)))
        assert (net[2].running_mean == 7).all()
        assert (net[2].momentum, net[2].num_batches_tracked.item()) == (0.1, 0)

    def test_what_follows_sees_what_it_will_see(self) -> None:
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Upsample(4), nn.BatchNorm2d(3))
        net[1].running_mean.fill_(7)
        image = torch.rand(1, 3, 6, 6)

        assert reestimate(net, [image]) == ["1"]

        before = net[:2].eval()(image).mean((0, 2, 3))
        torch.testing.assert_close(net[3].running_mean, before)

    def test_a_layer_that_is_shown_more_once_learns(self) -> None:
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))

        assert reestimate(net, [torch.rand(1, 3, 6, 6), torch.rand(2, 3, 6, 6)]) == []
