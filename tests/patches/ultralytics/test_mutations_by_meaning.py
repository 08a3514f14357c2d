"""Mutated releases, judged by what the outcome means: each edit is right where it lands, or refused by name.

Some 650 mutations fit each release. By default a few of three releases are tried; `-m slow` tries every fifth of 14.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.settings import YamlKeys
from tests.patches import meaning
from tests.patches.cases import patch_named, step, variant_of
from tests.patches.mutating import Mutation, around, meeting, of_the_file, overriding
from tests.patches.mutating_values import arguments, constants, versions, wrong_weights, yaml_forms
from tests.patches.ultralytics.mutations import part_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.patches.meaning import Judge
    from tests.patches.ultralytics.mutations import Release

VERSIONS = (
    *("8.0.0", "8.0.20", "8.0.42", "8.0.100", "8.0.128", "8.0.200", "8.1.20", "8.2.50", "8.3.59", "8.3.150"),
    *("8.4.35", "8.4.40", "8.4.50", "8.4.190"),
)
SAMPLED = ("8.0.100", "8.3.150", "8.4.190")
EVERY, SLOW = 29, 5  # one of so many is tried; primes, so that every kind is met

BACKWARD, SETUP = r"self\.scaler\.scale\(self\.loss\)\.backward\(\)", r"self\.model = self\.get_model\("
HAND_OVER = r"self\.trainer\.model = self\.trainer\.get_model\("
DECODE = r"pred_dist = pred_dist\.view\(b, a, 4, c // 4\)\.softmax\(3\)\.matmul\("


def penalty() -> Iterator[Mutation]:
    yield from around(BACKWARD)
    yield from meeting("slim_penalize", "penalize", "_do_train")
    yield from overriding("BaseTrainer", "_do_train")
    yield from of_the_file()


def building() -> Iterator[Mutation]:
    yield from around(SETUP)
    yield from meeting("slim_keep_architecture", "keep_architecture", "setup_model")
    yield from overriding("BaseTrainer", "setup_model")
    yield from arguments("self.model", "self.get_model", "setup_model")
    yield from wrong_weights("self.model", "self.get_model")


def handing() -> Iterator[Mutation]:
    yield from around(HAND_OVER)
    yield from meeting("slim_keep_architecture", "keep_architecture", "train")
    yield from arguments("self.trainer.model", "self.trainer.get_model", "train")
    yield from wrong_weights("self.trainer.model", "self.trainer.get_model")
    yield from of_the_file()


def decoding() -> Iterator[Mutation]:
    yield from around(DECODE)
    yield from (m for m in of_the_file() if m.name != "star import below")  # nothing is imported that it could hide


def lines(version: str) -> tuple[str, ...]:
    edits = variant_of(patch_named("sparsity"), version).edits
    return next(edit.lines for edit in edits if isinstance(edit, YamlKeys))


def subjects(version: str) -> Iterator[tuple[str, str, Judge, list[Mutation]]]:
    """Yield patch, file, judge and mutations of a release."""
    files = {name: [e.file for e in variant_of(patch_named(name), version).edits] for name in NAMES}
    for path in dict.fromkeys(files["sparsity"]):
        if path.endswith("trainer.py"):
            yield "sparsity", path, meaning.trainer, list(penalty())
        elif path.endswith(".yaml"):
            yield "sparsity", path, meaning.keys(lines(version)), list(yaml_forms())
        else:
            yield "sparsity", path, meaning.members, list(constants())
    for path in dict.fromkeys(files["keep_architecture"]):
        is_trainer = path.endswith("trainer.py")
        mutations = building() if is_trainer else handing()
        yield "keep_architecture", path, meaning.setup_model if is_trainer else meaning.model, list(mutations)
    yield "loss_device", files["loss_device"][0], meaning.loss, list(decoding())
    yield "version", files["version"][0], meaning.version, list(versions(version))


NAMES = ("keep_architecture", "loss_device", "sparsity", "version")


def outcome(name: str, path: str, judge: Judge, mutation: Mutation, before: bytes, version: str) -> str:
    """Return `right`, `refused`, `no change`, or what is wrong."""
    text = before.decode()
    changed = mutation.change(text)
    if changed == text:
        return "no change"
    mutated = changed.encode()
    patch = part_for(name, path, version)
    done = step(patch, {path: mutated}, version)
    if done.state == "broken":
        named = all(path in problem and problem.startswith(f"{name}: ") for problem in done.problems)
        return "refused" if named and done.problems and not done.changes else "wrong: refused without a name"
    if done.state != "pending" or mutation.refused:
        return f"wrong: {done.state}"
    faults = meaning.judged(judge, mutated, done.changes[path])
    again = step(patch, dict(done.changes), version)
    if again.state != "applied" or again.changes:
        faults.append(f"a second run says {again.state} {again.problems}")
    return f"wrong: {'; '.join(faults)}" if faults else "right"


def outcomes(release: Release, version: str, start: int, stride: int) -> dict[tuple[str, ...], str]:
    files, found, number = release(version), {}, start
    for name, path, judge, mutations in subjects(version):
        for mutation in mutations:
            number += 1
            if number % stride == 0:
                key = (version, name, path, mutation.name)
                found[key] = outcome(name, path, judge, mutation, files[path], version)
    return found


def check(found: dict[tuple[str, ...], str]) -> Counter[str]:
    wrong = {key: what for key, what in found.items() if what not in {"right", "refused", "no change"}}
    assert not wrong, "\n".join(f"{key}: {what}" for key, what in wrong.items())
    return Counter(found.values())


@pytest.mark.parametrize("version", SAMPLED)
def test_pristine_releases_are_judged_right(release: Release, version: str) -> None:
    for name, path, judge, _ in subjects(version):
        before = release(version)[path]
        after = step(part_for(name, path, version), {path: before}, version).changes[path]
        assert meaning.judged(judge, before, after) == [], path


@pytest.mark.parametrize("version", SAMPLED)
def test_sample_of_mutations_is_right_or_refused(release: Release, version: str) -> None:
    counts = check(outcomes(release, version, SAMPLED.index(version), EVERY))
    assert counts["right"] >= 3
    assert counts["refused"] >= 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_mutation_is_right_or_refused(release: Release, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts = check(outcomes(release, version, VERSIONS.index(version), SLOW))
    with capsys.disabled():
        print(f"\n{version}: {dict(counts)}")  # noqa: T201 - the counts are what it is run for
    assert counts["right"] >= 30
    assert counts["refused"] >= 40
