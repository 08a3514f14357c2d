from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from slim.calibrate import CalibrationError, image_batches, image_paths, reestimate

if TYPE_CHECKING:
    from pathlib import Path


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.03), nn.Dropout(0.5), nn.BatchNorm2d(4))


def _batches(count: int = 3) -> list[torch.Tensor]:
    return [torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def _picture(path: Path, *, size: tuple[int, int] = (40, 20), bgr: tuple[int, int, int] = (255, 0, 0)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), bgr, np.uint8))
    return path


def _data(folder: Path, text: str) -> Path:
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def test_statistics_become_the_mean_over_all_batches() -> None:
    net, batches = _net(), _batches()
    net[1].running_mean.fill_(100)  # what was there before does not count
    inputs = [net[0](batch) for batch in batches]

    assert reestimate(net, batches) == 3

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

    assert reestimate(net.bfloat16(), _batches(2), device="cpu") == 2


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


def test_pictures_are_letterboxed_rgb_in_0_to_1(tmp_path: Path) -> None:
    _picture(tmp_path / "images" / "a.png", size=(40, 20), bgr=(255, 0, 0))
    data = _data(tmp_path, "train: images\nval: images\nnames: {0: thing}\n")

    (batch,) = image_batches(data, imgsz=32)

    assert batch.shape == (1, 3, 32, 32)
    assert batch[0, :, 16, 16].tolist() == [0, 0, 1]  # blue
    torch.testing.assert_close(batch[0, :, 0, 0], torch.full((3,), 114 / 255))
    assert (batch[0, 2] == 1).sum() == 32 * 16


@pytest.mark.parametrize(
    "text",
    [
        "path: {root}\ntrain: images/train\n",
        "path: set\ntrain: images/train\n",
        "train: set/images/train\n",
        "train: [set/images/train/one.jpg, set/images/train/sub]\n",
        "path: set\ntrain: list.txt\n",
        "path: {root}\ntrain: ['list.txt', 'list.txt']\n",
    ],
    ids=["absolute", "relative", "no path", "pictures and folders", "list file", "twice"],
)
def test_reads_what_upstream_reads(tmp_path: Path, text: str) -> None:
    root = tmp_path / "set"
    one = _picture(root / "images" / "train" / "one.jpg")
    two = _picture(root / "images" / "train" / "sub" / "two.png")
    (root / "images" / "train" / "notes.md").write_text("no picture")
    (root / "list.txt").write_text(f"./images/train/one.jpg\n\n{two}\n")

    assert image_paths(_data(tmp_path, text.format(root=root))) == [one, two]


def test_a_path_may_be_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = _picture(tmp_path / "work" / "set" / "one.jpg")
    (tmp_path / "yamls").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    assert image_paths(_data(tmp_path / "yamls", "path: set\ntrain: .\n")) == [picture]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        (
            "train: set/images/train\nnc: 1\nnames: ['qr']\n",
            "work",
        ),  # v5.0: no `path:`, relative to where train.py runs
        ("path: ./set\ntrain: images/train\n", "work"),  # v6.0, v6.1
        ("path: set\ntrain: [images/train, images/train]\n", "fork"),  # since v6.2 relative to the repository
        ("path: set\ntrain: train.txt\n", "fork"),
        ("train: ../set/images/train\n", "yamls"),  # exported sets lie beside their YAML, whatever they say
    ],
    ids=["v5.0", "v6.0", "v7.0", "list file", "exported"],
)
def test_reads_what_yolov5_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, folder: str) -> None:
    for name in ("work", "fork", "yamls"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("slim.calibrate.FORK", tmp_path / "fork")
    picture = _picture(tmp_path / folder / "set" / "images" / "train" / "one.jpg")
    (tmp_path / folder / "set" / "train.txt").write_text("./images/train/one.jpg\n")

    assert image_paths(_data(tmp_path / "yamls", text)) == [picture]


def test_takes_pictures_evenly_and_whole_batches(tmp_path: Path) -> None:
    for index in range(20):
        _picture(tmp_path / "images" / f"{index:02d}.png", bgr=(index * 10, 0, 0))

    batches = list(image_batches(_data(tmp_path, "train: images\n"), imgsz=32, batch=4, limit=10))

    blues = [round(float(picture[2, 16, 16]) * 255) // 10 for batch in batches for picture in batch]
    assert [len(batch) for batch in batches] == [4, 4]
    assert blues == [0, 2, 4, 6, 8, 10, 12, 14]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no data set YAML can be read there"),
        ("train: [unclosed\n", "no data set YAML can be read there"),
        ("val: images\n", "has no `train:` entry"),
        ("just words\n", "has no `train:` entry"),
        ("train: nowhere\n", "no pictures at .*nowhere"),
    ],
)
def test_says_in_one_line_why_there_are_no_pictures(tmp_path: Path, text: str | None, message: str) -> None:
    data = tmp_path / "data.yaml" if text is None else _data(tmp_path, text)

    with pytest.raises(CalibrationError, match=message) as caught:
        next(image_batches(data))

    assert str(data) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_a_broken_picture(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no picture")

    with pytest.raises(CalibrationError, match=r"broken\.jpg: not a picture"):
        next(image_batches(_data(tmp_path, "train: images\n")))
