"""Mutated releases of YOLOv5, judged by what the outcome means: each edit is right where it lands, or refused by name.

By default a few mutations of one release are tried; `-m slow` tries every third of five.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.patch import load_series
from slimfork.matrix.static import by_file
from tests.patches import meaning
from tests.patches.cases import step
from tests.patches.mutating import Mutation, around, meeting, of_the_file, sub
from tests.patches.mutating_values import yaml_forms
from tests.patches.yolov5.test_releases import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.patches.meaning import Judge

VERSIONS = ("6.0.5", "6.1.5", "6.2.3", "7.0.0", "7.0.14")
TRAIN = "yolov5/train.py"
HYP = {"7.0.14": "yolov5/data/hyps/hyp.VOC.yaml"}
LOSS = r"loss, loss_items = compute_loss\("
LOCALS = ("model", "optimizer", "opt", "hyp", "epoch", "epochs", "imgs", "nb")
EVERY, SLOW = 13, 3


def renamed() -> Iterator[Mutation]:
    """Yield what happens to a name that our line reads."""
    line = rf"^( +)({LOSS}[^\n]*\n)"
    for name in LOCALS:
        other = f"the_{name}"
        yield Mutation(name=f"{name} renamed", change=sub(rf"\b{name}\b(?!\.py)", other, count=0))
        yield Mutation(name=f"{name} deleted", change=sub(line, rf"\1del {name}\n\1\2"), refused=True)
        yield Mutation(
            name=f"{name} in a handler",
            change=sub(line, rf"\1try:\n\1    pass\n\1except E as {name}:\n\1    pass\n\1\2"),
            refused=True,
        )
        maybe = rf"\1del {name}\n\1if opt:\n\1    {name} = 1\n\1\2"
        yield Mutation(name=f"{name} maybe", change=sub(line, maybe), refused=True)
        surely = rf"\1if pred:\n\1    {name} = {name}\n\1else:\n\1    {name} = {name}\n\1\2"
        yield Mutation(name=f"{name} surely", change=sub(line, surely))
        parameter = sub(r"^def train\(", f"{name} = None\n\n\ndef train(")
        yield Mutation(name=f"{name} of the module, too", change=parameter)


def mutations() -> Iterator[Mutation]:
    for mutation in around(LOSS):
        yield mutation
    for mutation in meeting("slim_yolov5", "penalize", "train"):
        if "class" not in mutation.name and "inside" not in mutation.name and "parameter" not in mutation.name:
            yield mutation
    yield from renamed()
    yield from of_the_file()


def outcome(path: str, judge: Judge, mutation: Mutation, version: str) -> str:
    before = release(version)[path]
    changed = mutation.change(before.decode()).encode()
    if changed == before:
        return "no change"
    (patch,) = [patch for patch in by_file(load_series("yolov5"), version)[path] if patch.id == "sparsity"]
    done = step(patch, {path: changed}, version, "yolov5")
    if done.state == "broken":
        named = all(path in problem for problem in done.problems)
        return "refused" if named and done.problems and not done.changes else "wrong: refused without a name"
    if done.state != "pending" or mutation.refused:
        return f"wrong: {done.state}"
    faults = meaning.judged(judge, changed, done.changes[path])
    again = step(patch, dict(done.changes), version, "yolov5")
    if again.state != "applied" or again.changes:
        faults.append(f"a second run says {again.state} {again.problems}")
    return f"wrong: {'; '.join(faults)}" if faults else "right"


def outcomes(version: str, start: int, stride: int) -> Counter[str]:
    subjects: list[tuple[str, Judge, list[Mutation]]] = [(TRAIN, meaning.train_script, list(mutations()))]
    if version in HYP:
        line = "sl: 0.0"
        forms = [
            Mutation(
                name=m.name,
                change=lambda t, m=m: m.change(_as_nbs(t)).replace("nbs", "copy_paste").replace("sparsity", "sl"),
                refused=m.refused,
            )
            for m in yaml_forms()
            if not m.name.startswith("own key")
        ]
        subjects.append((HYP[version], meaning.keys([line]), forms))
    found = {}
    for path, judge, each in subjects:
        for mutation in each[start::stride]:
            found[path, mutation.name] = outcome(path, judge, mutation, version)
    wrong = {key: what for key, what in found.items() if what not in {"right", "refused", "no change"}}
    assert not wrong, "\n".join(f"{version} {key}: {what}" for key, what in wrong.items())
    return Counter(found.values())


def _as_nbs(text: str) -> str:
    return text.replace("copy_paste", "nbs")


def test_sample_of_mutations_is_right_or_refused() -> None:
    counts = outcomes("7.0.14", 0, EVERY)
    assert counts["right"] >= 2
    assert counts["refused"] >= 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", VERSIONS)
def test_many_mutations_are_right_or_refused(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts = outcomes(version, VERSIONS.index(version) % SLOW, SLOW)
    with capsys.disabled():
        print(f"\nyolov5 {version}: {dict(counts)}")  # noqa: T201 - the counts are what it is run for
    assert counts["right"] >= 10
    assert counts["refused"] >= 20
