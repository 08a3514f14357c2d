"""What PyPI's yolov5 asks of services as it starts is asked only where it must be, and refused as it expects."""

from __future__ import annotations

import sys
import urllib.error

import pytest

from slim import compat, services


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module of this name importable, whose source is given."""

    def make(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield make
    for name in ("huggingface_hub", "roboflow"):
        sys.modules.pop(name, None)


HUB = """\
asked = []
def list_repo_files(repo_id, **_):
    asked.append(repo_id)
    if repo_id == "nobody/nothing":
        raise LookupError("404")
    return ["config.json", "best.pt"]
def hf_hub_download(repo_id, filename, **_):
    return f"/cache/{repo_id}/{filename}"
"""


def test_hub_is_not_asked_for_a_file_of_this_machine(module, tmp_path):
    module("huggingface_hub", HUB)
    checkpoint = tmp_path / "last.pt"
    checkpoint.touch()
    download, files = services.hub_for(checkpoint)
    for ask in (download, files):
        with pytest.raises(services.RepositoryNotFoundError):
            ask(repo_id=str(checkpoint))
    assert "huggingface_hub" not in sys.modules


def test_hub_is_not_asked_for_nothing():
    _, files = services.hub_for("")  # `--weights ''` trains from scratch
    with pytest.raises(services.HFValidationError):
        files(repo_id="")


def test_hub_is_asked_for_a_name(module):
    module("huggingface_hub", HUB)
    download, files = services.hub_for("me/detector")
    assert files(repo_id="me/detector", token=None) == ["config.json", "best.pt"]
    assert download(repo_id="me/detector", filename="best.pt") == "/cache/me/detector/best.pt"


@pytest.mark.parametrize("source", [HUB, "raise ImportError('no hub')"])
def test_whatever_the_hub_refuses_is_what_upstream_catches(module, source):
    module("huggingface_hub", source)
    _, files = services.hub_for("nobody/nothing")
    with pytest.raises(services.NotOnHub, match="nobody/nothing"):
        files(repo_id="nobody/nothing")


def test_client_is_imported_when_it_is_called(module):
    module("roboflow", "def Roboflow(api_key): return f'client of {api_key}'\n")
    assert "roboflow" not in sys.modules
    assert services.Roboflow(api_key="me") == "client of me"


def test_client_that_is_missing_is_named_when_it_is_called():
    with pytest.raises(ModuleNotFoundError, match="roboflow"):
        services.Roboflow(api_key="me")


def test_requirement_that_is_not_met_is_said_and_not_raised(caplog):
    compat.report("torch")
    assert not caplog.messages
    compat.report("no-such-package>=2")
    compat.report("torch<1")
    missing, held = caplog.messages
    assert missing == (
        "requirements: no-such-package>=2 is not installed; where a command needs it: pip install 'no-such-package>=2'"
    )
    assert "torch<1 is needed" in held
    assert "pip install" not in held


@pytest.mark.parametrize(
    ("asked", "said"),
    [((), 0), (("no-such-package",), 1), ((["no-such-package", "torch"],), 1), ((("no-such", "nor-this"),), 2)],
)
def test_requirements_are_checked_as_ultralytics_takes_them(caplog, asked, said):
    assert compat.check_requirements(*asked, exclude=("thop",))
    assert len(caplog.messages) == said


def test_font_of_matplotlib_stands_in_where_there_is_no_network(tmp_path, monkeypatch, caplog):
    def refuse(_url, timeout):
        assert timeout <= 10
        raise urllib.error.URLError("unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    compat.fetch_font("https://example.org/Arial.ttf", str(tmp_path / "Arial.ttf"), progress=True)
    assert (tmp_path / "Arial.ttf").read_bytes()[:4] == b"\x00\x01\x00\x00"  # TrueType
    assert "plots use DejaVu Sans" in caplog.messages[0]


def test_font_is_what_the_server_sends(tmp_path):
    (tmp_path / "served.ttf").write_bytes(b"font")
    compat.fetch_font((tmp_path / "served.ttf").as_uri(), str(tmp_path / "Arial.ttf"))
    assert (tmp_path / "Arial.ttf").read_bytes() == b"font"
