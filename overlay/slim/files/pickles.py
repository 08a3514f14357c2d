"""What a checkpoint file is, and which names its pickle asks for; found out by reading, nothing of it is run."""

from __future__ import annotations

import _compat_pickle
import pickletools
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MANY = 5  # pickles that torch wrote one after the other before 1.6: magic number, protocol, system, objects, keys
HEAD = 512  # bytes by which a text is told from anything else
MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # the number that the first of them is
STACKED = "classes by names on the stack (pickle protocol 4)"  # torch writes protocol 2 unless it is told otherwise
OTHERS = {
    ".onnx": "an ONNX file",
    ".engine": "a TensorRT engine",
    ".torchscript": "a TorchScript archive",
    ".safetensors": "a safetensors file, weights without the network",
    ".yaml": "a YAML file",
    ".yml": "a YAML file",
    ".tflite": "a TFLite file",
    ".pb": "a TensorFlow graph",
    ".h5": "a Keras file",
    ".mlmodel": "a CoreML file",
    ".mnn": "an MNN file",
    ".rknn": "an RKNN file",
    ".hef": "a Hailo file",
    ".pte": "an ExecuTorch file",
    ".param": "an NCNN file",
    ".xml": "an OpenVINO file",
    ".weights": "Darknet's weights, without the network",
}
FOLDERS = {  # as upstream's exporters end the names of folders
    "_openvino_model": "an OpenVINO export",
    "_ncnn_model": "an NCNN export",
    "_saved_model": "a TensorFlow export",
    "_paddle_model": "a PaddlePaddle export",
    "_web_model": "a TensorFlow.js export",
    "_imx_model": "an IMX500 export",
    "_rknn_model": "an RKNN export",
    "_executorch_model": "an ExecuTorch export",
    ".mlpackage": "a CoreML export",
}


class NotACheckpointError(ValueError):
    """The file is something else: the message says what it is and what to give."""


def check_file(path: Path) -> None:
    """Refuse what is no checkpoint by its looks.

    Raises:
        FileNotFoundError: There is nothing.
        NotACheckpointError: It is a folder, an export, a text, empty, or cut off.
    """
    if path.is_dir():
        raise NotACheckpointError(f"{path}: {_folder(path)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; a training run leaves one in its weights/ folder")
    if path.suffix.lower() in OTHERS:
        kind = OTHERS[path.suffix.lower()]
        raise NotACheckpointError(f"{path}: is {kind}, which cannot be pruned; {_source(path, path.stem)}")
    wrong = _looks(path)
    if wrong:
        raise NotACheckpointError(f"{path}: not a checkpoint that this fork can load: {wrong}")


def _folder(path: Path) -> str:
    """Say what a folder is, and which checkpoint to give instead."""
    for ending, kind in FOLDERS.items():
        if path.name.endswith(ending):
            stem = path.name[: -len(ending)]
            for precision in ("_int8", "_fp16", "_w8a8"):  # upstream names OpenVINO's folders by it
                stem = stem.removesuffix(precision)
            return f"is {kind}, which cannot be pruned; {_source(path, stem)}"
    for last in (path / "weights" / "last.pt", path / "last.pt"):
        if last.is_file():
            return f"is a folder, not a checkpoint; give {last}"
    return "is a folder, not a checkpoint; give the .pt in it"


def _source(path: Path, stem: str) -> str:
    """Say which checkpoint an export was made from: upstream leaves it beside that."""
    beside = path.with_name(f"{stem}.pt")
    return f"give {beside}" if beside.is_file() else "give the .pt that training wrote"


def _looks(path: Path) -> str:
    """Say what is wrong with a file; nothing, if it may be a checkpoint."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "it is empty; was its writing interrupted? Give another, or train again"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; next: git lfs pull"
    if head.startswith(b"PK"):
        return _wrong_archive(path)
    if head.startswith(b"\x80"):
        return "" if MAGIC in head[:32] else "it is a pickle, but none of PyTorch's; give the .pt that training wrote"
    return _other_kind(head)


def _other_kind(head: bytes) -> str:
    """Say what a file is that is neither an archive nor a pickle, by its first bytes."""
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "it is a web page: the download failed; download it anew"
    if head[8:10] == b'{"':
        return "it is a safetensors file, weights without the network; give the .pt that training wrote"
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        return "it is an archive; unpack it, and give the .pt in it"
    if head.isascii() and b"\0" not in head:
        return "it is a text; give the .pt that training wrote"
    return "it is no file of PyTorch's; give the .pt that training wrote"


def _wrong_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError):
        return "it is cut off or damaged; copy it again, or give another"
    if "constants.pkl" in names:
        return "it is a TorchScript archive, which cannot be pruned; give the .pt that it was exported from"
    packed = sorted(name for name in names if name.endswith(".pt"))
    if "data.pkl" not in names and packed:
        return f"it is a ZIP archive that holds {packed[0]}; unpack it, and give that"
    return "" if "data.pkl" in names else "it is an archive of something else; give the .pt that training wrote"


def is_archive(path: Path) -> bool:
    """Tell whether torch wrote an archive, as it does since 1.6, and not pickles one after the other."""
    return zipfile.is_zipfile(path)


def names_in(path: Path) -> list[str]:
    """Return the classes and functions that a checkpoint's pickle asks for, as `module.name`, sorted.

    Raises:
        NotACheckpointError: It cannot be read as a pickle.
    """
    try:
        return sorted(set(_names(path)))
    except Exception as error:  # pickletools and zipfile raise almost anything on bytes that mean nothing
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
        raise NotACheckpointError(
            f"{path}: not a checkpoint that this fork can load: cut off or damaged ({reason}); copy it again"
        ) from error


def _names(path: Path) -> Iterator[str]:
    if is_archive(path):
        with zipfile.ZipFile(path) as archive, archive.open(_pickle_in(archive)) as file:
            yield from _asked(file)  # type: ignore[arg-type]
        return
    with path.open("rb") as file:
        for _ in range(MANY):
            yield from _asked(file)


def _pickle_in(archive: zipfile.ZipFile) -> str:
    return min(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")


def _asked(file: BinaryIO) -> Iterator[str]:
    """Walk one pickle; names as Python 3 has them, since torch writes protocol 2."""
    for code, argument, _ in pickletools.genops(file):
        if code.name in {"GLOBAL", "INST"}:
            module, _, name = str(argument).partition(" ")
            yield ".".join(today(module, name))
        elif code.name == "STACK_GLOBAL":
            yield STACKED


def today(module: str, name: str) -> tuple[str, str]:
    """Return what Python 3 calls a class or function of Python 2, as `pickle` does."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[(module, name)]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def holds_string(path: Path, wanted: str) -> bool:
    """Tell whether a string stands in a checkpoint's pickle; no, where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read(_pickle_in(archive))
            return any(argument == wanted for _, argument, _ in pickletools.genops(pickled))
    except Exception:  # noqa: BLE001 - as above; what cannot be read is not ours
        return False
