"""`fork.json`: what a series is made of, by hashes. In the words of SPDX 2.3 where it has some; no upstream content."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from slimfork import __version__
from slimfork.codemods.patch import known_as, load_series
from slimfork.forks.overlay import digest, manifest_path
from slimfork.releases.origin import REPOSITORIES
from slimfork.series.raw_commits import RawCommit, parse_commit
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from slimfork.forks.fork import Fork
    from slimfork.releases.pins import Pin
    from slimfork.series.reading import Series, SeriesCommit

FORK_FILE = "fork.json"
FORMAT = 1
SERIES_FILE = re.compile(r"(?:merged/)?\d{4,}-[A-Za-z0-9._-]+\.patch")
EXPORT_AGAIN = "export it again: apply-patches export FORK --out DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A commit as `fork.json` lists it.

    Attributes:
        raw: The commit.
        kind: Whose it is, as `SeriesCommit` has it.
        file: The name of its mail, empty where it has none; `sha256` is the hash of that.
        spec: The release of an import, else empty; `proof` is its hash, of the source distribution or the commit.
    """

    raw: RawCommit
    kind: str
    file: str
    sha256: str
    spec: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkFile:
    """What `fork.json` says.

    Attributes:
        spec: The release that it stands on, `ultralytics==8.4.190` or `yolov5@v7.0`.
        tool: The version of slimfork that wrote it.
        head: The commit that the series leads to.
        commits: All commits, parents first.
    """

    spec: str
    tool: str
    head: str
    commits: tuple[Listed, ...]


def fork_file(fork: Fork, series: Series) -> bytes:
    """Return the content of `fork.json`, the same bytes every time."""
    pin, head = series.pin, series.head
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{pin.upstream}-{pin.version}-slim",
        "documentNamespace": f"https://slimfork.invalid/fork/{head.sha}",
        "creationInfo": {"created": _moment(head.when), "creators": [f"Tool: slimfork-{__version__}"]},
        "packages": _packages(fork, pin, head),
        "files": list(map(_spdx_file, series.mailed)),
        "relationships": _relationships(fork, series),
        "slimfork": {
            "format": FORMAT,
            "version": __version__,
            "release": _release(pin),
            "head": head.sha,
            "tree": head.tree,
            "patches": _patches(fork),
            "left_out": list(fork.choices),
            "overlay": _overlay(fork),
            "commits": list(map(_commit, series.entries)),
        },
    }
    return (json.dumps(document, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def _release(pin: Pin) -> dict[str, str | None]:
    return {"spec": pin.spec, "sha256": pin.sha256 or None, "commit": pin.commit or None}


def _moment(seconds: int) -> str:
    """Return the time of the newest commit: an export has none of its own, so that its bytes stay the same."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"


def _packages(fork: Fork, pin: Pin, head: RawCommit) -> list[dict[str, Any]]:
    unknown = {"filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION"}
    release = {"SPDXID": "SPDXRef-release", "name": pin.upstream, "versionInfo": pin.version, **unknown}
    if pin.is_tag:
        release["downloadLocation"] = f"git+{REPOSITORIES[pin.upstream]}@{pin.commit}"
    else:
        purl = f"pkg:pypi/{pin.upstream}@{pin.version}"
        ref = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
        release |= {"downloadLocation": "NOASSERTION", "packageFileName": pin.filename, "externalRefs": [ref]}
        release["checksums"] = [_checksum("SHA256", pin.sha256)]
    made = {"SPDXID": "SPDXRef-fork", "name": f"{pin.upstream}-slim", "versionInfo": head.sha, **unknown}
    overlay = {"SPDXID": "SPDXRef-overlay", "name": "slim", "versionInfo": __version__, **unknown}
    here = {"downloadLocation": "NOASSERTION"}
    sha256 = _overlay(fork)["sha256"]
    sums = {"checksums": [_checksum("SHA256", sha256)]} if sha256 else {}
    return [made | here, release, *([overlay | here | sums] if sums else [])]


def _checksum(algorithm: str, value: str) -> dict[str, str]:
    return {"algorithm": algorithm, "checksumValue": value}


def _spdx_file(entry: SeriesCommit) -> dict[str, Any]:
    sha1 = hashlib.sha1(entry.content, usedforsecurity=False).hexdigest()
    return {
        "SPDXID": _spdx_id(entry),
        "fileName": f"./{entry.file}",
        "checksums": [_checksum("SHA1", sha1), _checksum("SHA256", digest(entry.content))],
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def _spdx_id(entry: SeriesCommit) -> str:
    return f"SPDXRef-commit-{entry.raw.sha}"


def _relationships(fork: Fork, series: Series) -> list[dict[str, str]]:
    related = [
        _relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-fork"),
        _relationship("SPDXRef-fork", "DESCENDANT_OF", "SPDXRef-release"),
    ]
    if _overlay(fork)["sha256"]:
        related.append(_relationship("SPDXRef-fork", "CONTAINS", "SPDXRef-overlay"))
    for entry in series.mailed:
        related.append(_relationship(_spdx_id(entry), "PATCH_FOR", "SPDXRef-release"))
    return related


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _patches(fork: Fork) -> list[dict[str, Any]]:
    """Return the patches that stand in the fork, each with the releases that its variant is for."""
    release = known_as(load_series(fork.release.upstream), fork.release.version)
    listed = []
    for step in fork.plan.steps:
        if step.state != "applied":
            continue
        patch, variant = step.patch, step.patch.variant(release)
        listed.append({"id": patch.id, "title": patch.title, "versions": variant.span if variant else None})
    return listed


def _overlay(fork: Fork) -> dict[str, Any]:
    """Return the hash of the list of the overlay's files, which has the hash of each."""
    path = manifest_path(fork.release.upstream, fork.release.version)
    content = fork.tree.get(path)
    return {"manifest": path, "sha256": digest(content) if content else None, "state": fork.overlay.state}


def _commit(entry: SeriesCommit) -> dict[str, Any]:
    sha256 = digest(entry.content) if entry.file else None
    facts: dict[str, Any] = {"sha": entry.raw.sha, "kind": entry.kind, "patches": list(entry.patches)}
    facts |= {"release": _release(entry.pin)} if entry.pin else {}
    return {**facts, "file": entry.file or None, "sha256": sha256, **_text(entry.raw.text)}


def _text(text: bytes) -> dict[str, str]:
    try:
        return {"text": text.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text_base64": base64.b64encode(text).decode("ascii")}


def read_fork_file(content: bytes, where: str) -> ForkFile:
    """Parse `fork.json`; each commit must have the hash that its text has.

    Raises:
        UsageError: It is damaged, or of another version of slimfork.
    """
    try:
        facts = json.loads(content)["slimfork"]
        tool, form = str(facts["version"]), facts["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{where} is not what `apply-patches export` writes", hint=EXPORT_AGAIN) from None
    if form != FORMAT:
        what = f"{where} was written by slimfork {tool}, whose form {form} slimfork {__version__} does not know"
        raise UsageError(what, hint=f"pip install {typed(f'slimfork=={tool}')}, and run this again")
    try:
        made = ForkFile(
            spec=str(facts["release"]["spec"]),
            tool=tool,
            head=str(facts["head"]),
            commits=tuple(map(_listed, facts["commits"])),
        )
        _check(made)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{where} is damaged: {error}", hint=EXPORT_AGAIN) from None
    return made


def _listed(facts: dict[str, Any]) -> Listed:
    try:
        encoded = facts.get("text_base64")
        text = base64.b64decode(encoded, validate=True) if encoded else facts["text"].encode("utf-8")
    except binascii.Error:
        text = b""
    raw = parse_commit(text)
    if raw.sha != facts["sha"]:
        raise ValueError(f"the text of commit {facts['sha']} has the hash {raw.sha}")
    file = facts["file"] or ""
    if file and not SERIES_FILE.fullmatch(file):
        raise ValueError(f"{file!r} is no name of a patch file")
    release = facts.get("release") or {"spec": "", "commit": "", "sha256": ""}
    return Listed(
        raw=raw,
        kind=str(facts["kind"]),
        file=file,
        sha256=facts["sha256"] or "",
        spec=str(release["spec"]),
        proof=str(release["commit"] or release["sha256"]),
    )


def _check(made: ForkFile) -> None:
    """Raise when the commits are no history that begins with imports and leads to the head."""
    known: set[str] = set()
    specs: set[str] = set()
    for listed in made.commits:
        sha, parents = listed.raw.sha, listed.raw.parents
        if not (parents or listed.spec) or not known.issuperset(parents):
            raise ValueError(f"commit {sha} does not stand on those before it")
        known.add(sha)
        specs.add(listed.spec)
    if not made.commits or made.commits[-1].raw.sha != made.head:
        raise ValueError(f"its commits do not lead to {made.head}")
    if made.spec not in specs:
        raise ValueError(f"it has no import of {made.spec}")
