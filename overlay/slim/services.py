"""Services of others that PyPI's yolov5 imports or asks when it starts, and that pruning has no use for.

The compatibility patches put these names where the services stood, so that they are needed only when they are used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Callable


class NotOnHub(Exception):  # noqa: N818 - named for what it says
    """Hugging Face's hub has no such model, or cannot be asked."""


# What upstream catches: a name that no repository has, and one that none can have.
RepositoryNotFoundError = HFValidationError = NotOnHub

Ask = Callable[..., object]


class _Later:
    """A function or class of a module that is imported when it is called."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *args: object, **kwargs: object) -> object:
        return getattr(importlib.import_module(self._module), self._name)(*args, **kwargs)


upload_file_to_s3 = _Later("yolov5.utils.aws", "upload_file_to_s3")
upload_folder_to_s3 = _Later("yolov5.utils.aws", "upload_folder_to_s3")
Roboflow = _Later("roboflow", "Roboflow")
Version = _Later("roboflow.core.version", "Version")


def hub_for(name: str) -> tuple[Ask, Ask]:
    """Return `hf_hub_download` and `list_repo_files`, which refuse with `NotOnHub` what is a file of this machine.

    Upstream asks the hub before it looks at the disk, for every checkpoint that is trained, validated or exported.
    """

    def asking(function: str) -> Ask:
        def ask(*args: object, **kwargs: object) -> object:
            if not str(name) or Path(str(name)).exists():
                raise NotOnHub(f"{name} is a file")
            try:
                return getattr(importlib.import_module("huggingface_hub"), function)(*args, **kwargs)
            except Exception as error:  # its classes have moved from release to release
                raise NotOnHub(f"{name}: {error}") from error

        return ask

    return asking("hf_hub_download"), asking("list_repo_files")
