"""A folder of classes, as classifiers are trained on: `train/` and `val/` or `test/`, in each a folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Protocol

from ..writing.log import first_line
from .datasets import CalibrationError, DataSet, choose, pick, takes
from .documents import refuse_remote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor

YAML = (".yaml", ".yml", ".json", ".txt")


class Classes(Protocol):
    """Upstream's data set of classes: of each image its path and more, and what its transforms make of it."""

    samples: list[Sequence[object]]

    def __getitem__(self, index: int) -> dict[str, Tensor] | tuple[Tensor, int]: ...


def folder_of(source: Path, check: Callable[[str], Mapping[str, object]], *, val: bool) -> dict[str, Path]:
    """Find the splits of a folder of classes.

    Args:
        source: The folder, or its name.
        check: Upstream's function that finds them, by name.
        val: Whether there must be one to validate on.

    Returns:
        The folders: `train`, and where there is one `val`, which may be that of `test`.

    Raises:
        CalibrationError: It is none.
    """
    refuse_remote(source)
    if source.suffix.lower() in YAML and not source.is_dir():
        raise CalibrationError(f"{source}: is no folder of classes: a classifier takes {takes('classify')}")
    wanted = f"a classifier takes {takes('classify')}, and nothing is downloaded"
    try:
        splits = {name: Path(place) for name, place in check(str(source)).items() if isinstance(place, (str, Path))}
    except Exception as error:  # upstream raises anything
        raise CalibrationError(f"{source}: holds no classes ({first_line(error)}): {wanted}") from error
    if not splits["train"].is_dir():
        raise CalibrationError(f"{source}: has no {splits['train']}: {wanted}")
    held = _held(splits)
    if val and held is None:
        raise CalibrationError(f"{source}: has neither val/ nor test/ to validate on; leave out --val, or add one")
    return {"train": splits["train"], **({} if held is None else {"val": held})}


def _held(splits: Mapping[str, Path]) -> Path | None:
    """Return the folder of what is held back from training."""
    for name in ("val", "test"):
        if name in splits and splits[name].is_dir():
            return splits[name]
    return None


def pictures_of(
    source: Path, dataset: Classes, splits: dict[str, Path], limit: int, formats: Collection[str]
) -> DataSet:
    """Return images of upstream's own data set of classes, as its transforms for validation give them.

    Raises:
        CalibrationError: None can be read.
    """
    if not dataset.samples:
        raise CalibrationError(f"{source}: no images at {splits['train']}")
    files = [str(sample[0]) for sample in dataset.samples]
    chosen, skipped = choose(source, files, limit, formats)
    dataset.samples = pick(dataset.samples, chosen)

    def read(index: int) -> Tensor:
        given = dataset[index]
        return (given["img"] if isinstance(given, dict) else given[0]).float()

    return DataSet(source, pick(files, chosen), read, skipped, lambda folder: _whole(splits, folder))


def _whole(splits: dict[str, Path], folder: Path) -> Path:
    """Return the folder that upstream is given to validate on, which in early releases must have a `val`."""
    root = splits["train"].parent.absolute()
    if splits["val"].name != "test" or (root / "val").is_dir():
        return root
    other = folder / root.name
    other.mkdir()
    for name, place in splits.items():
        (other / name).symlink_to(place.absolute(), target_is_directory=True)
    return other
