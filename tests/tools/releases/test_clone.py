"""A tag is fetched by its commit into the cache, whole or not at all; each failure is one line.

Also of: `slimfork.releases.origin`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slimfork.releases import fetch as fetching
from slimfork.releases.fetch import fetch, release_files
from slimfork.releases.pins import find
from slimfork.terminal.errors import UsageError
from tests.tools import small_repository
from tests.tools.conftest import write

TOOLS = Path(fetching.__file__).parents[2]
NOWHERE = "https://127.0.0.1:1/yolov5"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "commits"


def left(cache):
    return [path.name for path in cache.iterdir()] if cache.exists() else []


def contents(files):
    return {path: file.content for path, file in files.items()}


def refusal(git, cache, spec="yolov5@v1.0"):
    """Return the one line of a refusal, and its hint; nothing may be left."""
    with pytest.raises(UsageError) as caught:
        fetch(find(spec), git=None if git is None else str(git))
    assert "\n" not in caught.value.message
    assert not left(cache)
    return f"{caught.value.message}  try: {caught.value.hint}"


@pytest.mark.parametrize("tag", small_repository.TAGS)
def test_a_tag_is_the_files_of_its_commit(tagged, cache, tag):
    files = release_files(find(f"yolov5@{tag}"))
    assert contents(files) == small_repository.files_of(tag)
    assert {path for path, file in files.items() if file.executable} == small_repository.EXECUTABLE
    assert left(cache) == [f"yolov5-{tag}-{tagged.commits[tag][:16]}.objects.gz"]


@pytest.mark.usefixtures("tagged")
def test_what_is_in_the_cache_needs_no_repository(monkeypatch):
    first = release_files(find("yolov5@v2.0"))
    monkeypatch.setenv("SLIMFORK_YOLOV5_GIT", NOWHERE)
    monkeypatch.setenv("PATH", "")
    assert release_files(find("yolov5@v2.0")) == first


def test_the_option_goes_before_the_variable_and_the_variable_before_the_official_one(tagged, cache, monkeypatch):
    monkeypatch.setenv("SLIMFORK_YOLOV5_GIT", NOWHERE)
    assert "127.0.0.1" in refusal(None, cache)
    assert fetch(find("yolov5@v1.0"), git=str(tagged.path)).is_file()


def test_the_official_repository_is_the_default(tagged, cache, monkeypatch, no_settings_of_this_machine):
    """The user's own `insteadOf` leads its address elsewhere, as it would in a company with a mirror."""
    monkeypatch.delenv("SLIMFORK_YOLOV5_GIT")
    mirror = f'[url "{tagged.path}"]\n insteadOf = https://github.com/ultralytics/yolov5\n'
    write(no_settings_of_this_machine, {".gitconfig": mirror.encode()})
    assert contents(release_files(find("yolov5@v1.0"))) == small_repository.files_of("v1.0")
    assert len(left(cache)) == 1


@pytest.mark.parametrize("form", ["relative", "home", "url", "bare", "worktree"])
def test_a_repository_can_be_named_in_any_way(tagged, tmp_path, monkeypatch, no_settings_of_this_machine, form):
    monkeypatch.delenv("SLIMFORK_YOLOV5_GIT")
    monkeypatch.chdir(tmp_path)
    (no_settings_of_this_machine / "clone").symlink_to(tagged.path)
    if form == "bare":
        small_repository.git(tmp_path, "clone", "-q", "--bare", str(tagged.path), "bare")
    if form == "worktree":
        small_repository.git(tagged.path, "worktree", "add", "-q", str(tmp_path / "worktree"), "v1.0")
    named = {"relative": "origin", "home": "~/clone", "url": f"file://{tagged.path}"}.get(form, form)
    assert contents(release_files(find("yolov5@trunk"), git=named)) == small_repository.files_of("trunk")


def test_a_server_of_before_protocol_2_gives_everything_or_nothing(
    tagged, no_settings_of_this_machine, monkeypatch, tmp_path
):
    monkeypatch.setenv("SLIMFORK_YOLOV5_GIT", f"file://{tagged.path}")
    write(no_settings_of_this_machine, {".gitconfig": b"[protocol]\n version = 0\n"})
    small_repository.git(tmp_path, "init", "-q", "empty")
    command = ["git", "-C", tmp_path / "empty", "fetch", f"file://{tagged.path}", tagged.commits["trunk"]]
    direct = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Server does not allow request for unadvertised object" in direct.stderr
    assert contents(release_files(find("yolov5@trunk"))) == small_repository.files_of("trunk")


def test_no_setting_of_the_user_changes_what_is_fetched(tagged, no_settings_of_this_machine):
    settings = "[core]\n autocrlf = true\n hooksPath = {0}/hooks\n[init]\n defaultObjectFormat = sha256\n"
    settings += " templateDir = {0}/template\n[fetch]\n recurseSubmodules = true\n prune = true\n"
    write(no_settings_of_this_machine, {".gitconfig": settings.format(no_settings_of_this_machine).encode()})
    assert tagged.path.is_dir()
    assert contents(release_files(find("yolov5@v2.0"))) == small_repository.files_of("v2.0")


def test_a_shallow_clone_serves_what_it_has_and_says_how_to_get_the_rest(tagged, tmp_path, cache):
    shallow = tmp_path / "shallow"
    small_repository.git(tmp_path, "clone", "-q", "--depth=1", "-b", "v2.0", f"file://{tagged.path}", "shallow")
    said = refusal(shallow, cache)
    assert f"{shallow} has no commit {tagged.commits['v1.0'][:12]} (what yolov5@v1.0 is pinned to)" in said
    assert f"git -C {shallow} fetch --unshallow" in said
    assert contents(release_files(find("yolov5@v2.0"), git=str(shallow))) == small_repository.files_of("v2.0")


def test_another_repository_has_no_such_commit(tagged, tmp_path, cache):
    other = tmp_path / "other"
    other.mkdir()
    small_repository.git(other, "init", "-q")
    small_repository.git(other, "commit", "-q", "--allow-empty", "-m", "x")
    said = refusal(other, cache)
    assert f"{other} has no commit {tagged.commits['v1.0'][:12]}" in said
    assert "--git URL_OR_PATH or SLIMFORK_YOLOV5_GIT" in said


def test_a_commit_that_is_no_commit_is_refused(tagged, tmp_path, cache):
    tree = small_repository.git(tagged.path, "rev-parse", "v1.0^{tree}")
    lock = tmp_path / "world" / "patches" / "yolov5.lock"
    lock.write_text(lock.read_text().replace(tagged.commits["v1.0"], tree))
    assert f"has no commit {tree[:12]}" in refusal(None, cache)


@pytest.mark.usefixtures("tagged")
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("plain", "plain is not a git repository"),
        ("plain/file", "plain/file is not a git repository"),
        ("nothing/there", "nothing/there does not exist"),
        (NOWHERE, "https://127.0.0.1:1/yolov5 cannot be reached: connection refused"),
        ("https://user:secret@127.0.0.1:1/yolov5", "https://127.0.0.1:1/yolov5 cannot be reached: connection refused"),
        ("https://nowhere.invalid/yolov5", "https://nowhere.invalid/yolov5 cannot be reached: its name cannot be res"),
        ("odd://somewhere/yolov5", "odd://somewhere/yolov5 does not give yolov5@v1.0: "),
    ],
)
def test_a_repository_that_cannot_be_had_is_one_line(tmp_path, monkeypatch, cache, address, words):
    write(tmp_path / "plain", {"file": b"x"})
    monkeypatch.chdir(tmp_path)
    said = refusal(address, cache)
    assert words in said
    assert "secret" not in said
    assert "SLIMFORK_YOLOV5_GIT" in said


@pytest.mark.usefixtures("tagged")
def test_a_damaged_file_is_fetched_again(cache, capsys):
    path = fetch(find("yolov5@v1.0"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert fetch(find("yolov5@v1.0")).read_bytes() == whole
    assert "is damaged; fetching it again" in capsys.readouterr().err
    assert left(cache) == [path.name]


@pytest.mark.usefixtures("tagged")
def test_two_at_once_fetch_it_once(cache):
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(find("yolov5@v1.0"), show=False))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert left(cache) == [found[0].name]


@pytest.fixture
def stalled():
    """A server that takes a request and never answers: its address, and what waits for a client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/yolov5", server


def start(address, tmp_path):
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from pathlib import Path; "
    program += "from slimfork.terminal import content; from slimfork.cli import main; "
    program += f"content.content_root = lambda: Path({str(tmp_path / 'world')!r}); main()"
    arguments = ["vendor", "yolov5@v2.0", "--into", tmp_path / "fork", "--git", address]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **pipes)


@pytest.mark.usefixtures("tagged")
def test_an_interrupt_while_the_server_is_silent_ends_at_once_and_leaves_nothing(stalled, tmp_path, cache):
    address, server = stalled
    run = start(address, tmp_path)
    connection, _ = server.accept()
    assert connection.recv(4) == b"GET "
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out) == (130, "")
    assert "Traceback" not in err
    connection.settimeout(20)
    while connection.recv(1 << 16):  # git is gone, too: it hangs up
        pass
    assert left(cache) == []
    assert not (tmp_path / "fork").exists()


@pytest.mark.usefixtures("tagged")
def test_a_kill_while_the_server_is_silent_is_cleaned_up_by_the_next_run(stalled, tmp_path, cache):
    address, server = stalled
    run = start(address, tmp_path)
    connection, _ = server.accept()
    run.kill()
    run.communicate(timeout=20)
    assert not [name for name in left(cache) if not name.startswith(".")]
    connection.close()
    path = fetch(find("yolov5@v2.0"))
    assert left(cache) == [path.name]


@pytest.mark.usefixtures("tagged")
def test_a_cache_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot use the cache"):
        fetch(find("yolov5@v1.0"), cache_dir=tmp_path / "file" / "cache")


@pytest.mark.usefixtures("tagged")
def test_without_git_that_is_what_it_says(tmp_path):
    """GitPython looks for the program when it is imported, so this is asked of a process of its own."""
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from slimfork.cli import main; main()"
    arguments = ["vendor", "yolov5@v7.0", "--into", str(tmp_path / "fork")]
    env = {**os.environ, "PATH": str(tmp_path), "SLIMFORK_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "git is not installed, or not on PATH" in done.stderr
    assert shutil.which("git")
