"""`fork.json`: an SPDX document in form, nothing of upstream's content, and the same bytes whenever it is written.

Also of: `slimfork.series.exporting`.
"""

from __future__ import annotations

import hashlib
import json

import pytest

from slimfork import __version__
from slimfork.series.fork_file import read_fork_file
from slimfork.terminal.errors import UsageError
from tests.tools.small_release import VERSION


@pytest.fixture
def export(fork, call, tmp_path):
    assert call("export", fork, "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


@pytest.fixture
def facts(export):
    return json.loads((export / "fork.json").read_bytes())


def test_it_names_release_patches_overlay_and_tool(facts, git, fork):
    ours = facts["slimfork"]
    assert (ours["version"], ours["release"]["spec"]) == (__version__, f"ultralytics=={VERSION}")
    assert len(ours["release"]["sha256"]) == 64
    span = ">=8.9,<=8.9.9"
    assert [(p["id"], p["versions"]) for p in ours["patches"]] == [(i, span) for i in ("old_numpy", "penalty", "zclip")]
    manifest = (fork / ours["overlay"]["manifest"]).read_bytes()
    assert ours["overlay"]["sha256"] == hashlib.sha256(manifest).hexdigest()
    assert (ours["head"], ours["tree"]) == tuple(git(fork, "rev-parse", "HEAD", "HEAD^{tree}").split())
    assert [c["kind"] for c in ours["commits"]] == ["import", "patch", "patch", "patch", "overlay"]


def test_its_spdx_part_has_what_spdx_asks_for(facts, export):
    assert facts["spdxVersion"] == "SPDX-2.3"
    assert facts["creationInfo"] == {"created": "2030-01-02T00:00:00Z", "creators": [f"Tool: slimfork-{__version__}"]}
    for package in facts["packages"]:
        assert {"SPDXID", "name", "downloadLocation", "versionInfo"} <= package.keys()
    known = {"SPDXRef-DOCUMENT", *(one["SPDXID"] for one in (*facts["packages"], *facts["files"]))}
    for one in facts["relationships"]:
        assert {one["spdxElementId"], one["relatedSpdxElement"]} <= known
    for file in facts["files"]:
        content = (export / file["fileName"]).read_bytes()
        for one in file["checksums"]:
            assert hashlib.new(one["algorithm"].lower(), content).hexdigest() == one["checksumValue"]
        assert [one["algorithm"] for one in file["checksums"]] == ["SHA1", "SHA256"]
    (release,) = [p for p in facts["packages"] if p["SPDXID"] == "SPDXRef-release"]
    assert release["externalRefs"][0]["referenceLocator"] == f"pkg:pypi/ultralytics@{VERSION}"


def test_it_holds_no_content_of_upstream_and_no_path_of_this_machine(export, fork, tmp_path):
    text = (export / "fork.json").read_text(encoding="ascii")
    assert "self.backward" not in text
    assert str(tmp_path) not in text
    assert fork.name not in json.loads(text)["slimfork"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"slimfork": 1}', b'{"slimfork": {"version": "1"}}', b"[" * 99999]
)
def test_what_is_none_is_refused(content):
    with pytest.raises(UsageError, match="is not what `apply-patches export` writes"):
        read_fork_file(content, "fork.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.update(commits=[]),
        lambda f: f.pop("commits"),
        lambda f: f.update(commits={"a": 1}),
        lambda f: f["commits"][1].update(text=None),
        lambda f: f["commits"][1].update(text="tree"),
        lambda f: f["commits"][1].update(text_base64="%%"),
        lambda f: f["commits"][1].update(text="\ud800"),
        lambda f: f["commits"].reverse(),
        lambda f: f.update(release=None),
    ],
)
def test_damage_is_named(facts, change):
    change(facts["slimfork"])
    with pytest.raises(UsageError, match="is damaged"):
        read_fork_file(json.dumps(facts).encode(), "fork.json")
