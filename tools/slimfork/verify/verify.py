"""Does a fork train, sparsify, prune, fine-tune, resume and export, and does upstream load the result?

Each check is a process of its own with the tree under test first on PYTHONPATH; see `verify_steps`. The tree is the
fork's work tree as it stands, its own commits and edits included. `pristine` is the upstream that it was made from, and
`baseline` the same with only the compatibility patches, since old releases cannot train on today's stack without; it
stands in for a pristine release that cannot even be imported.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.forks.fork import Tree, read_fork
from slimfork.forks.overlay import overlay_files
from slimfork.git.repo import open_repository
from slimfork.inside import inside
from slimfork.inside.place import take_along
from slimfork.inside.scratch import IMGSZ
from slimfork.processes.processes import last_line
from slimfork.qr import qr
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from slimfork.forks.detect import Release
    from slimfork.forks.fork import Fork

Role = Literal["fork", "baseline", "pristine"]
Verdict = Literal["pass", "FAIL", "not run"]

IMAGES, VAL = 32, 8
STEPS_FILES = inside.steps("verify")
HUB = "huggingface_hub.utils._errors"  # until 0.25
DATA = {"ultralytics": "qr/data.yaml", "yolov5": "qr-1.yaml"}  # the latter has whole paths: v5.0 knows no `path:`
PRUNE = {"ultralytics": ("--ratio", "0.5", "--round-to", "8"), "yolov5": ("--prob", "0.5", "--rate", "8")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        id: Its name in JSON and of its log.
        title: What passes when it passes.
        role: The tree that it runs in.
        needs: Ids of the checks whose files it reads.
        step: The function of `verify_steps` to run, where it is not the id; empty for `prune.py`.
    """

    id: str
    title: str
    role: Role = "fork"
    needs: tuple[str, ...] = ()
    step: str | None = None


CHECKS = (
    Check(id="identity", title="the imported package is the fork"),
    Check(id="dense", title="the fork trains", needs=("identity",)),
    Check(id="dense-baseline", title="upstream trains", role="baseline", step="dense"),
    Check(id="off", title="option off: bit-identical to upstream", needs=("dense", "dense-baseline")),
    Check(id="others", title="a dense model trains on other data", needs=("dense",)),
    Check(id="others-baseline", title="upstream trains on them", role="baseline", needs=("dense",), step="others"),
    Check(id="untouched", title="other data: bit-identical to upstream", needs=("others", "others-baseline")),
    Check(id="sparse", title="sparse training lowers γ as stated", needs=("dense",)),
    Check(id="prune", title="prune.py prunes", needs=("sparse",), step=""),
    Check(id="masked", title="pruned = masked, to 1e-4", needs=("prune",)),
    Check(id="finetune", title="fine-tuning keeps the shapes, lowers the loss", needs=("prune",)),
    Check(id="resume", title="resume keeps shapes and arguments", needs=("prune",)),
    Check(id="onnx", title="ONNX Runtime agrees with PyTorch", needs=("finetune",)),
    Check(id="predict", title="the fork predicts", needs=("finetune",)),
    Check(
        id="predict-pristine",
        title="stock upstream loads the result",
        role="pristine",
        needs=("finetune",),
        step="predict",
    ),
    Check(id="stock", title="stock upstream predicts the same", needs=("predict", "predict-pristine")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """What came of a check; `detail` is one line, `log` the file with all that it printed."""

    id: str
    title: str
    verdict: Verdict
    detail: str
    seconds: float
    log: str

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def verify(path: Path, work: Path, *, timeout: float, on_start: Callable[[Check], None]) -> list[CheckOutcome]:
    """Run every check on a fork.

    Args:
        path: The fork.
        work: An empty folder for everything that the checks write.
        timeout: Seconds that one check may take.
        on_start: Called before each check.

    Raises:
        UsageError: The path is no patched fork.
    """
    release, trees = lay_out(path, work)
    (work / "logs").mkdir()
    take_along(STEPS_FILES, work)
    if not _imports(release, trees["pristine"], work):
        trees["pristine"] = trees["baseline"]
    qr.draw(work / "qr", images=IMAGES, val=VAL, imgsz=IMGSZ)
    outcomes: dict[str, CheckOutcome] = {}
    for check in CHECKS:
        on_start(check)
        missing = [need for need in check.needs if outcomes[need].verdict != "pass"]
        if missing:
            outcomes[check.id] = _outcome(check, "not run", f"needs {', '.join(missing)}", 0.0, None)
        else:
            outcomes[check.id] = _run(check, release.upstream, trees[check.role], work, timeout)
    return list(outcomes.values())


def lay_out(path: Path, work: Path) -> tuple[Release, dict[Role, Path]]:
    """Write the trees that a fork is compared with to a folder, and return its release and the root of each.

    Raises:
        UsageError: The path is no patched fork.
    """
    with open_repository(path) as repository:
        fork = read_fork(repository)
        base = fork.history.base
        if base is None or not fork.complete:
            raise UsageError(f"{path} is not wholly patched", hint=f"apply-patches apply {typed(path)}")
        pristine = Tree(repository, base)
        _write(work / "pristine", pristine)
        _write(work / "baseline", {**pristine, **_compatibility(fork, pristine)})
    return fork.release, {"fork": path.resolve(), "baseline": work / "baseline", "pristine": work / "pristine"}


def _imports(release: Release, tree: Path, work: Path) -> bool:
    """Tell whether a tree can be imported on today's stack at all.

    8.1.39, for one, cannot without CLIP, and YOLOv5's package not without the clients of services that it offers; from
    7.0.1 on, it asks Hugging Face's for each checkpoint that it loads, by a name that is gone.
    """
    modules = ["ultralytics"]
    if release.upstream == "yolov5":
        modules = ["yolov5.train" if (tree / "yolov5").is_dir() else "models.yolo"]
        downloads = tree / "yolov5" / "utils" / "downloads.py"
        if downloads.is_file() and HUB in downloads.read_text("utf-8"):
            modules.append(HUB)
    command = inside.python("-c", f"import {', '.join(modules)}")
    environment = _environment("pristine", release.upstream, tree, work)
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, check=False).returncode == 0


def _compatibility(fork: Fork, pristine: Tree) -> dict[str, bytes]:
    """Return the files that the compatibility patches change, and the overlay that they call."""
    upstream, version = fork.release.upstream, fork.release.version
    series = [patch for patch in load_series(upstream) if patch.compat and not fork.left_out]
    changes = plan_patches(pristine, upstream=upstream, version=version, series=series).changes
    return changes | (overlay_files(upstream, version) if changes else {})


def _write(root: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _run(check: Check, upstream: str, tree: Path, work: Path, timeout: float) -> CheckOutcome:
    log = work / "logs" / f"{check.id}.log"
    command = inside.python("verify_steps.py", check.id if check.step is None else check.step)
    if check.step == "":
        data = str(work / DATA[upstream])
        files = ("--weights", "sparse.pt", "--out", "sparse-pruned.pt", "--data", data, "--imgsz", str(IMGSZ))
        command = inside.python(tree / "prune.py", *files, "--json", *PRUNE[upstream])
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=_environment(check.role, upstream, tree, work),
            timeout=timeout,
            capture_output=True,
            check=False,
        )
        out, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        out, code = (late.stdout or b"") + (late.stderr or b""), None
    seconds = time.monotonic() - start
    log.write_bytes(b"$ " + " ".join(command).encode() + b"\n" + out)
    if code is None:
        return _outcome(check, "FAIL", f"took longer than {timeout:g} s", seconds, log)
    if code != 0:
        return _outcome(check, "FAIL", last_line(_text(out)), seconds, log)
    try:
        passed, detail = _pruned(done.stdout) if check.step == "" else _said(done.stdout)
    except (ValueError, KeyError, TypeError):  # what the fork itself prints may come last, or not be a report
        passed, detail = False, f"no verdict; it said last: {last_line(_text(out))}"
    return _outcome(check, "pass" if passed else "FAIL", detail, seconds, log)


def _environment(role: Role, upstream: str, tree: Path, work: Path) -> dict[str, str]:
    # Before 8.2.64, upstream cannot open its own checkpoints on PyTorch 2.6 and later otherwise.
    load = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"} if role == "pristine" else {}
    return inside.environment(
        tree,
        work / "home",
        SLIMFORK_TREE=str(tree),
        SLIMFORK_ROLE="fork" if role == "fork" else "pristine",
        SLIMFORK_UPSTREAM=upstream,
        **load,
    )


def _outcome(check: Check, verdict: Verdict, detail: str, seconds: float, log: Path | None) -> CheckOutcome:
    return CheckOutcome(
        id=check.id,
        title=check.title,
        verdict=verdict,
        detail=detail,
        seconds=round(seconds, 1),
        log=str(log) if log else "",
    )


def _text(out: bytes) -> str:
    return out.decode("utf-8", "replace")


def _said(out: bytes) -> tuple[bool, str]:
    verdict = json.loads(last_line(_text(out)))
    return bool(verdict["ok"]), str(verdict["detail"])


def _pruned(out: bytes) -> tuple[bool, str]:
    rows = json.loads(out)["rows"]
    ratios = [f"{rows[key]['name']} ÷ {rows[key]['ratio']:.1f}" for key in ("parameters", "gflops", "onnx_bytes")]
    return rows["parameters"]["ratio"] > 1, ", ".join(ratios)
