"""A matrix of every pinned release as `apply-patches matrix --json` writes it: real versions, dates and yanks.

The verdicts are made up: a dozen representative releases were also run, some of them failed, one run was interrupted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from packaging.version import Version

from slimfork.releases.pins import Pin, load
from slimfork.verify.verify import CHECKS

STATIC = {
    "fetch": "the pinned artifact, unpacked",
    "fits": "every patch fits at the stated number of sites",
    "bytes": "byte-identical outside the edits",
    "compile": "every Python file compiles",
    "again": "a second run is a no-op",
    "revert": "revert gives the pristine bytes back",
    "import": "imports in a process of its own",
}
REPRESENTATIVE = {
    *("8.0.0", "8.0.37", "8.0.110", "8.0.135", "8.0.234", "8.2.15", "8.2.103"),
    *("8.3.16", "8.3.192", "8.3.253", "8.4.14", "8.4.104", "8.4.190"),
}
PLACEHOLDER = "a placeholder of 2022: the distribution holds no model, no trainer and no loss"
BROKEN_ANCHOR = """\
loss_device does not fit 8.2.47: ultralytics/utils/loss.py, class v8DetectionLoss > def bbox_decode
  expected 1 site, found 0
    expected  pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))
    nearest   line 198: pred_dist.view(b, a, c // 4, 4).transpose(2, 3).softmax(3).matmul(self.proj)
  next: apply-patches status PATH"""
HOSTILE = "KeyError: '<script>document.title = \"owned\"</script><img src=x onerror=\"document.title='owned'\">&amp;'"
FAILED = {
    **{(f"8.2.{n}", "fits"): BROKEN_ANCHOR for n in range(47, 51)},
    ("8.3.16", "finetune"): HOSTILE,
    ("8.4.104", "onnx"): "largest difference 3.1e-2 at output0, allowed 1e-4",
}
NOT_RUN = {("8.4.14", check): "interrupted" for check in ("resume", "onnx", "predict", "predict-pristine", "stock")}
# A patch is for the releases from the first to the second, and upstream's own from the third on.
PATCHES = {
    "amp_namespace": ("8.0.0", "8.2.89", None),
    "keep_architecture": ("8.0.0", "8.4.190", None),
    "loss_device": ("8.0.0", "8.4.190", None),
    "np_trapz": ("8.0.0", "8.3.107", "8.3.108"),
    "onnx_export": ("8.0.0", "8.3.180", None),
    "pkg_resources": ("8.0.0", "8.0.177", None),
    "sparsity": ("8.0.0", "8.4.190", None),
    "torch_load": ("8.0.0", "8.2.64", "8.2.65"),
    "version": ("8.0.0", "8.4.190", None),
}


def sample_document(*, clean: bool = False) -> dict[str, Any]:
    """Return a matrix of every pinned ultralytics release; a clean one has nothing that failed or was not run."""
    releases = [_release(pin, clean=clean) for pin in load("ultralytics")]
    counts = Counter(release["verdict"] for release in releases)
    return {
        "schema": 1,
        "upstream": "ultralytics",
        "made": {
            "by": "slimfork 0.1.0",
            "at": "2026-11-21T23:50:00Z",
            "command": "apply-patches matrix --releases all --json matrix.json --html matrix.html",
            "python": "3.11.7",
            "system": "linux x86_64",
            "packages": {"numpy": "2.4.6", "onnx": "1.20.0", "torch": "2.15.0+cu132", "torchvision": "0.29.0"},
            "content": "5b1f0c9ae37d",
        },
        "checks": [
            *({"id": name, "title": title, "kind": "static"} for name, title in STATIC.items()),
            *({"id": check.id, "title": check.title, "kind": "dynamic"} for check in CHECKS),
        ],
        "releases": releases,
        "summary": {
            "releases": len(releases),
            **{verdict: counts[verdict] for verdict in ("green", "reasoned", "failed", "not run")},
        },
    }


def _release(pin: Pin, *, clean: bool) -> dict[str, Any]:
    """Return one row of the matrix."""
    placeholder = pin.version.startswith("0.0.")
    checks = {} if placeholder else _checks(pin, clean=clean)
    verdicts = {cell["verdict"] for cell in checks.values()}
    patched = "failed" if "FAIL" in verdicts else "not run" if "not run" in verdicts else "green"
    return {
        "version": pin.version,
        "date": pin.uploaded.isoformat() if pin.uploaded else None,
        "yanked": pin.yanked or None,
        "pinned": True,
        "verdict": "reasoned" if placeholder else patched,
        "reason": PLACEHOLDER if placeholder else None,
        "patches": {} if placeholder else _patches(pin.version, clean=clean),
        "checks": checks,
    }


def _patches(version: str, *, clean: bool) -> dict[str, str]:
    """Return the state of every patch in a release."""
    states = {}
    for patch, (first, last, upstreamed) in PATCHES.items():
        inside = Version(first) <= Version(version) <= Version(last)
        theirs = upstreamed is not None and Version(version) >= Version(upstreamed)
        states[patch] = "pending" if inside else "upstreamed" if theirs else "excluded"
    if not clean and (version, "fits") in FAILED:
        states["loss_device"] = "broken"
    return states


def _checks(pin: Pin, *, clean: bool) -> dict[str, Any]:
    """Return the cells of a release: the static checks, and the dynamic ones of a representative."""
    dynamic = [check.id for check in CHECKS] if pin.version in REPRESENTATIVE else []
    cells: dict[str, Any] = {}
    for number, check in enumerate([*STATIC, *dynamic]):
        key = (pin.version, check)
        failure = None if clean else FAILED.get(key)
        skipped = None if clean else NOT_RUN.get(key)
        cells[check] = {
            "verdict": "FAIL" if failure else "not run" if skipped else "pass",
            "detail": failure or skipped or _passed(check, pin),
            "seconds": 0.0 if skipped else round(0.2 + number * 1.3, 1),
        }
        if check in dynamic:
            cells[check]["log"] = f"logs/{pin.version}/{check}.log" if failure else None
        if failure and check == "fits":
            break  # what does not fit cannot be applied
    return cells


def _passed(check: str, pin: Pin) -> str:
    """Return what a check says when it passed."""
    count = sum(state == "pending" for state in _patches(pin.version, clean=True).values())
    return {
        "fetch": f"{pin.size} bytes",
        "fits": f"{count} patches, {count + 1} files",
        "bytes": f"{count + 1} files",
        "compile": "3.11",
        "off": "355 tensors equal",
        "sparse": "median γ 0.98 → 0.71",
        "onnx": "largest difference 4.8e-7",
    }.get(check, "")
