"""7.0.1 and later ask Hugging Face's hub for every checkpoint, before they look whether it is a file.

That needs huggingface_hub below 0.25 and a network to train, validate or export a file that is there.
"""

from __future__ import annotations

from slimfork.codemods import Import, Patch, Replace, Variant

FILE = "yolov5/utils/downloads.py"


def edits(function: str) -> tuple[Import | Replace, ...]:
    """Return the edits, given how the function that asks is spelled."""
    replaced = {
        "from huggingface_hub import hf_hub_download, list_repo_files": (
            "hf_hub_download, list_repo_files = hub_for(repo_id)"
        ),
        "from huggingface_hub.utils._errors import RepositoryNotFoundError": (
            "from yolov5.slim.services import RepositoryNotFoundError"
        ),
        "from huggingface_hub.utils._validators import HFValidationError": (
            "from yolov5.slim.services import HFValidationError"
        ),
    }
    return (
        Import(file=FILE, code="from yolov5.slim.services import hub_for"),
        *(Replace(file=FILE, within=(function,), anchor=old, code=new) for old, new in replaced.items()),
    )


PATCH = Patch(
    id="hub_download",
    title="Load a checkpoint that is there without the hub",
    why="Hugging Face's hub is asked for files of this machine, through names that huggingface_hub 0.25 removed",
    until="releases from 7.0.1 on are no longer of use",
    compat=True,
    variants=(
        Variant(versions=">=7.0.1,<=7.0.7", edits=edits("attempt_donwload_from_hub")),
        Variant(versions=">=7.0.8,<=7.0.14", edits=edits("attempt_download_from_hub")),
    ),
)
