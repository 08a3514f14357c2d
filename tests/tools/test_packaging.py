"""The wheel carries the patches and the overlay, finds them where it is installed, and so does a source tree."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from slimfork import __version__
from slimfork.forks.overlay import overlay_files
from slimfork.terminal.content import content_root, overlay_root, patches_root

ROOT = Path(__file__).resolve().parents[2]

# What an installation is asked: where it is, what it finds there, and what it would do with it.
ASK = """
import json, sys
import slimfork
from slimfork.terminal.content import content_root
from slimfork.forks.overlay import overlay_files
from slimfork.codemods.patch import load_series
from slimfork.codemods.patch_plan import plan_patches
from slimfork.releases import pins
series = load_series("ultralytics")
plan = plan_patches(
    {"ultralytics/__init__.py": b'__version__ = "8.4.190"\\n'},
    upstream="ultralytics", version="8.4.190", series=[p for p in series if p.id == "version"],
)
json.dump({
    "prefix": sys.prefix,
    "package": slimfork.__file__,
    "content": str(content_root()),
    "patches": [p.id for p in series],
    "changes": {path: content.decode() for path, content in plan.changes.items()},
    "overlay": {path: len(content) for path, content in overlay_files("ultralytics", "8.4.190").items()},
    "pins": len(pins.load("ultralytics")),
}, sys.stdout)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program as a user would: from another folder, with none of our own search path."""
    names = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # With the build backend at hand there is no need to fetch it into an environment of its own.
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    run(sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def new_environment(folder: Path) -> Path:
    """Make a virtual environment that sees what this one has installed, after its own, and return its Python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=folder).strip()
    # A plain path, not a site folder: the .pth file of our own editable installation is not followed.
    (Path(own) / "base.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--no-input")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", *what, cwd=cwd)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    python = new_environment(folder / "venv")
    install(python, "--ignore-installed", wheel, cwd=folder)
    return python


def ask(python: Path, folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(python, "-c", ASK, cwd=folder))
    return answer


def sources(folder: Path) -> set[str]:
    """Return the files of a folder that belong to the project, by their path in it."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.mark.parametrize("name", ["patches", "overlay"])
def test_wheel_holds_all_content(names: list[str], name: str) -> None:
    inside = f"slimfork/content/{name}/"
    packed = {path.removeprefix(inside) for path in names if path.startswith(inside)}
    assert packed == sources(ROOT / name)


def test_wheel_holds_the_program_and_its_type_marker(names: list[str]) -> None:
    assert {"slimfork/cli.py", "slimfork/py.typed", "slimfork/commands/__init__.py"} <= set(names)


def test_wheel_holds_nothing_else(names: list[str]) -> None:
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"slimfork", f"slimfork-{__version__}.dist-info"}


def test_wheel_declares_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"slimfork-{__version__}.dist-info/entry_points.txt").decode()
        licence = archive.read(f"slimfork-{__version__}.dist-info/licenses/LICENSE")
    assert "apply-patches = slimfork.cli:main" in entry_points
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    command = installed.with_name("apply-patches.exe" if os.name == "nt" else "apply-patches")
    assert run(command, "--version", cwd=tmp_path) == f"apply-patches, version {__version__}\n"


def test_installed_program_uses_its_own_content(installed: Path, tmp_path: Path) -> None:
    found = ask(installed, tmp_path)
    prefix = Path(found["prefix"])
    assert Path(found["package"]).is_relative_to(prefix)
    assert Path(found["content"]).is_relative_to(prefix)
    assert Path(found["content"]).name == "content"


def test_installed_program_plans_like_the_source_tree(installed: Path, tmp_path: Path) -> None:
    found = ask(installed, tmp_path)
    assert sorted(found["patches"]) == sorted(path.stem for path in (patches_root() / "ultralytics").glob("*.py"))
    assert found["changes"] == {"ultralytics/__init__.py": '__version__ = "8.4.190+slim1"\n'}
    assert found["pins"] > 800


def test_installed_overlay_is_that_of_the_source_tree(installed: Path, tmp_path: Path) -> None:
    found = ask(installed, tmp_path)
    # pip has compiled it; none of that may reach a fork
    assert list(Path(found["content"]).glob("overlay/slim/__pycache__/*.pyc"))
    assert found["overlay"] == {path: len(data) for path, data in overlay_files("ultralytics", "8.4.190").items()}


def test_editable_installation_uses_the_source_tree(tmp_path: Path) -> None:
    if not importlib.util.find_spec("hatchling"):
        pytest.skip("an editable installation without isolation needs the build backend: pip install hatchling")
    python = new_environment(tmp_path / "venv")
    install(python, "--ignore-installed", "--no-build-isolation", "--editable", ROOT, cwd=tmp_path)

    found = ask(python, tmp_path)

    assert Path(found["prefix"]).is_relative_to(tmp_path)
    assert Path(found["content"]) == ROOT
    assert Path(found["package"]) == ROOT / "tools" / "slimfork" / "__init__.py"
    assert found["changes"] == {"ultralytics/__init__.py": '__version__ = "8.4.190+slim1"\n'}


def test_source_tree_uses_itself() -> None:
    assert content_root() == ROOT
    assert (patches_root(), overlay_root()) == (ROOT / "patches", ROOT / "overlay")
