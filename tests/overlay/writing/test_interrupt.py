"""Ctrl-C and SIGTERM end prune.py in one line and with 130, wherever it stands, and leave no half file."""
# ruff: noqa: F811 - fixtures of another module are arguments here

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from slim.command import Line, main
from slim.writing.interrupt import interruptible
from tests.overlay.prune_script import script  # noqa: F401 - a fixture
from tests.overlay.test_command import export, files, load, weights  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

# Python for the script's process: it signals itself when a function is called for the n-th time.
AT = """
import os, signal, sys, threading
def at(module, name, number, calls=1):
    import importlib
    owner = importlib.import_module(module)
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    real, seen = getattr(owner, name.split(".")[-1]), [0]
    def called(*arguments, **options):
        seen[0] += 1
        if seen[0] == calls:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)
    setattr(owner, name.split(".")[-1], called)
"""
WRITTEN = ["last-pruned-channels.png", "last-pruned-gamma.png", "last-pruned.json", "last-pruned.pt"]


@pytest.mark.parametrize(
    ("place", "number", "left"),
    [
        ("'torch', 'load', {n}", signal.SIGINT, []),
        ("'torch.nn.functional', 'conv2d', {n}, 40", signal.SIGTERM, []),
        pytest.param("'torch', 'save', {n}", signal.SIGINT, [], marks=pytest.mark.slow),
        ("'os', 'fsync', {n}", signal.SIGINT, []),
        pytest.param("'matplotlib.figure', 'Figure.savefig', {n}", signal.SIGTERM, [], marks=pytest.mark.slow),
        ("'torch.onnx', 'export', {n}", signal.SIGTERM, WRITTEN),
        pytest.param("'onnxruntime', 'InferenceSession', {n}, 2", signal.SIGINT, WRITTEN, marks=pytest.mark.slow),
    ],
    ids=["loading", "computing", "saving", "landing", "drawing", "exporting", "timing"],
)
def test_it_ends_in_one_line(script, weights, place, left, number):
    done = script("--weights", weights, "--ratio", 0.5, before=f"{AT}at({place.format(n=int(number))})")
    out, err = done.communicate(timeout=300)
    assert done.returncode == 130, (out, err)
    (line,) = [text for text in err.splitlines() if not text.startswith(("WARNING", "Ultralytics"))]
    assert line.startswith("interrupted; " + ("written is " if left else "nothing was written"))
    assert all(str(weights.with_name(name)) in line for name in left)
    assert files(weights.parent) == sorted(["last.pt", *left])


def test_while_pytorch_is_imported(script, weights):
    before = "import os, signal, threading; threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()"
    done = script("--weights", weights, "--ratio", 0.5, before=before)
    _, err = done.communicate(timeout=300)
    assert (done.returncode, err) == (130, "interrupted\n")


def pressed(*_):
    raise KeyboardInterrupt


def swallowed(*_):
    """As a library that catches everything, or makes another error of it."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**6):
            pass
    except BaseException:  # noqa: BLE001 - on purpose
        raise RuntimeError("what a library makes of it") from None


@pytest.mark.parametrize("how", [pressed, swallowed])
def test_called_as_a_function_it_returns_130_and_leaves_the_handlers(weights, capfd, how):
    before, hook = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook
    assert main(Line(load=load, export=how), ["--weights", str(weights), "--ratio", "0.5"]) == 130
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("interrupted; written is ")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert sys.unraisablehook is hook


def test_a_shell_that_keeps_signals_from_a_job_is_heeded():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_there_is_nothing_to_hear():
    seen = []

    def inside():
        with interruptible() as interruption:
            seen.append(interruption.pressed)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [False]
