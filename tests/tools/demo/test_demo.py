"""The demo with a recipe of seconds: the whole journey, an interruption, and folders that it refuses.

Also of: `slimfork.inside.demo_steps`, `slimfork.inside.demo_ultralytics`, `slimfork.inside.demo_yolov5`.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slimfork.commands.demo import command, say_targets, targets
from slimfork.demo.demo import Demo, StageError
from slimfork.demo.recipe import ULTRALYTICS_RECIPE, YOLOV5_RECIPE, Recipe
from slimfork.terminal.errors import UsageError

TINY = Recipe(
    imgsz=64,
    images=24,
    val=8,
    prune=("--ratio", "0.5"),
    common={**ULTRALYTICS_RECIPE.common, "batch": 8, "nbs": 8},
    stages={
        name: {**stage, "epochs": 2 if name == "dense" else 1} for name, stage in ULTRALYTICS_RECIPE.stages.items()
    },
)


def demo(out: Path, *, on_stage=lambda _: None, on_epoch=lambda *_: None, recipe: Recipe = TINY) -> Demo:
    return Demo(out=out, spec="ultralytics==8.4.190", recipe=recipe, on_stage=on_stage, on_epoch=on_epoch)


def cut_off(epoch: int, epochs: int) -> None:
    if (epoch, epochs) == (1, 2):
        raise KeyboardInterrupt


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_the_journey_ends_with_numbers_and_goes_on_where_it_was_cut_off(tmp_path):
    out, first, second = tmp_path / "demo", [], []
    with pytest.raises(KeyboardInterrupt):
        demo(out, on_stage=first.append, on_epoch=cut_off).run()
    report = demo(out, on_stage=second.append).run()

    assert [title.split(",")[0] for title in first] == [
        "vendor ultralytics==8.4.190",
        "draw pictures of QR codes",
        "train dense",
    ]
    assert "train dense, 2 epochs" in second  # begun again, but not from nothing:
    assert "Resuming training" in (out / "logs" / "dense.log").read_text()
    assert "vendor ultralytics==8.4.190" not in second
    assert report["rows"]["parameters"]["ratio"] > 1.5
    assert report["rows"]["latency_ms"]["before"] > 0
    assert 0 <= report["rows"]["map50"]["after"] <= 1
    for made in ("slim.pt", "slim.onnx", "pruned.json", "gamma.png", "channels.png", "pr.png"):
        assert (out / made).stat().st_size > 100, made
    assert demo(out).run() == report  # nothing is left to do
    assert not list(out.glob("*.py"))  # of ours; a fork's are in the fork
    assert not list(out.rglob("__pycache__"))

    with pytest.raises(UsageError, match="other settings"):
        demo(out, recipe=ULTRALYTICS_RECIPE).run()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_journey_of_yolov5_is_the_same(tmp_path):
    stages = {name: {**stage, "epochs": 1} for name, stage in YOLOV5_RECIPE.stages.items()}
    recipe = replace(YOLOV5_RECIPE, imgsz=64, images=24, val=8, threads=1, stages=stages)
    out, epochs = tmp_path / "demo", []
    made = Demo(
        out=out, spec="yolov5==7.0.14", recipe=recipe, on_stage=lambda _: None, on_epoch=lambda *e: epochs.append(e)
    )
    report = made.run()

    assert set(epochs) == {(1, 1)}
    assert report["rows"]["latency_ms"]["before"] > 0
    assert 0 <= report["rows"]["map50"]["after"] <= 1
    for name in ("slim.pt", "slim.onnx", "pruned.json", "gamma.png", "channels.png", "pr.png"):
        assert (out / name).stat().st_size > 100, name


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"settings": 1, "stages": {}}', "[" * 100_000])
def test_a_damaged_note_of_what_is_done_is_explained(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(UsageError, match=r"state\.json is damaged"):
        demo(tmp_path).run()


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(UsageError, match="holds no demo"):
        demo(tmp_path).run()

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failing_stage_names_its_log(tmp_path):
    stages = {**TINY.stages, "dense": {"model": "no-such-model.yaml", "epochs": 1}}
    broken = replace(TINY, images=8, val=4, stages=stages)

    with pytest.raises(StageError) as caught:
        demo(tmp_path / "demo", recipe=broken).run()

    assert caught.value.code == 1
    log = Path(caught.value.hint.removeprefix("tail "))
    assert "no-such-model" in log.read_text()


ROWS = {
    "parameters": {"before": 3.0, "after": 0.2, "ratio": 15.0},
    "latency_ms": {"before": 5.0, "after": 2.6, "ratio": 1.92},
    "map50": {"before": 0.95, "after": 0.93, "ratio": 1.02},
}


def test_targets_are_said_as_they_are():
    assert targets(ROWS) == {"parameters": True, "latency_ms": False, "map50": True}
    assert say_targets(ROWS)[1] == "MISSED latency ÷ 2"


def test_json_is_alone_on_stdout(tmp_path, capsys):
    out = tmp_path / "demo"
    out.mkdir()
    recipe = json.loads(json.dumps({"spec": "ultralytics==8.4.190", "recipe": asdict(ULTRALYTICS_RECIPE)}))
    stages = {name: {"result": {"rows": ROWS, "lines": [], "plots": []}, "seconds": 1.0} for name in STAGE_NAMES}
    (out / "state.json").write_text(json.dumps({"settings": recipe, "stages": stages}))

    command.main(["--out", str(out), "--json"], standalone_mode=False)

    assert json.loads(capsys.readouterr().out)["targets"]["parameters"] is True


STAGE_NAMES = ("vendor", "draw", "dense", "sparse", "prune", "slim", "report")
