"""`apply-patches verify --upstream-tests`: what it runs where, what it compares, and what it says.

The release of these tests is made up, with tests of its own that do what upstream's do: pass, fail for want of a
network, hang, kill their process, need NumPy 1, break by a patch.

Also of: `slimfork.inside.upstream_stand_ins_steps`, `slimfork.inside.upstream_tests_steps`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml

from slimfork.inside import upstream_site_steps, upstream_stand_ins
from slimfork.verify.upstream_tests import compare
from slimfork.verify.upstream_tests_run import PytestRun, Result, run_tests
from tests.tools.conftest import write
from tests.tools.small_release import CLONED

SITE = Path(upstream_site_steps.__file__).read_text()
TESTS = {
    "tests/__init__.py": b"",
    "ultralytics/cfg/__init__.py": b"""\
def entrypoint():
    import sys
    import ultralytics

    print(ultralytics.__file__, *sys.argv[1:])
""",
    "tests/test_broken.py": b"import nowhere\n\n\ndef test_never():\n    pass\n",
    "tests/test_cli.py": b"""\
import subprocess
from pathlib import Path


def test_yolo_is_the_tree():
    said = subprocess.run("yolo predict".split(), capture_output=True, text=True, check=True).stdout
    assert said == f"{Path.cwd() / 'ultralytics' / '__init__.py'} predict\\n"


def test_command_fails():
    subprocess.run(["sh", "-c", "echo the cause >&2; exit 3"], check=True)
""",
    "tests/test_python.py": b"""\
import os
import urllib.request
from pathlib import Path

import pytest

from ultralytics.engine.trainer import Trainer


class Quiet(Trainer):
    forward = backward = update = lambda self: None


def test_area():
    from ultralytics.utils.loss import area

    assert area([0, 1], [1, 1]) == 1


def test_step():
    Quiet().step()


@pytest.mark.parametrize("name", ["a file", "b"])
def test_nobody_was_here_before(name):
    assert not Path(name).exists() and not Path(os.environ["HOME"], name).exists()
    Path(name).touch()
    Path(os.environ["HOME"], name).touch()


def test_download():
    urllib.request.urlopen("http://github.com/weights.pt", timeout=60)


@pytest.mark.parametrize("path", [os.getcwd()])
def test_whose_name_has_the_folder(path):
    pass


@pytest.mark.skip(reason="no device")
def test_device():
    pass
""",
}


@pytest.fixture
def make(world, git, call, tmp_path):
    """Return a fork of a made-up release with other files than the small one."""
    assert world.is_dir()

    def make_it(files):
        path = tmp_path / "fork"
        path.mkdir()
        git(path, "init", "-q", "-b", "main")
        write(path, {**CLONED, **files})
        git(path, "add", "-A", "-f")
        git(path, "commit", "-q", "-m", "a release with tests")
        assert call("apply", path, "--allow-unpinned").code == 0
        return path

    return make_it


@pytest.fixture
def fork(make):
    """The release with tests, patched."""
    return make(TESTS)


@pytest.fixture
def compared(call, tmp_path):
    """Run the tests of a fork and compare them, in a folder that is kept."""
    return lambda fork, *more: call("verify", fork, "--upstream-tests", "--work", tmp_path / "work", *more)


def results(**statuses):
    reasons = {"passed": "", "skipped": "no device"}
    return {test: Result(status=status, reason=reasons.get(status, "why")) for test, status in statuses.items()}


@pytest.mark.parametrize(
    ("pristine", "baseline", "fork", "again", "verdict"),
    [
        ("passed", None, "passed", None, "passed"),
        ("passed", None, "failed", "failed", "regressed"),
        ("passed", None, "failed", "passed", "flaky"),
        ("passed", None, "error", "error", "regressed"),
        ("passed", None, "skipped", "skipped", "regressed"),
        ("passed", None, "timeout", "timeout", "regressed"),
        ("passed", None, None, None, "regressed"),
        ("failed", None, "failed", None, "failed"),
        ("failed", None, "error", None, "failed"),
        ("failed", None, "skipped", None, "skipped"),
        ("skipped", None, "skipped", None, "skipped"),
        ("failed", "passed", "passed", None, "mended"),
        ("failed", "failed", "passed", None, "mended"),
        ("failed", "passed", "failed", "failed", "regressed"),  # seen only because there is a baseline
        (None, "passed", None, None, "regressed"),
        (None, "passed", "passed", None, "mended"),
        ("passed", "failed", "failed", "failed", "regressed"),
        ("passed", "failed", "passed", None, "passed"),
        ("error", "timeout", "failed", None, "failed"),
    ],
)
def test_every_outcome_has_its_verdict(pristine, baseline, fork, again, verdict):
    runs = {"pristine": {} if pristine is None else results(t=pristine)}
    if baseline:
        runs["baseline"] = results(t=baseline)
    runs["fork"] = {} if fork is None else results(t=fork)
    (test,) = compare(runs, results(t=again) if again else {})
    assert test.verdict == verdict
    assert test.differs == (len({pristine, fork, *({baseline} if baseline else ())}) > 1)
    assert test.as_json()["fork"] == (fork or "missing")
    assert ("baseline" in test.as_json()) == bool(baseline)


def test_the_reason_is_the_fork_s_and_else_the_first_there_is():
    bad, good = Result(status="failed", reason="old NumPy"), Result(status="passed")
    assert [t.reason for t in compare({"pristine": {"t": bad}, "baseline": {"t": good}, "fork": {"t": good}}, {})] == [
        "old NumPy"
    ]
    assert [t.reason for t in compare({"pristine": {"t": good}, "fork": {"t": bad}}, {})] == ["old NumPy"]


def test_a_test_that_fails_on_the_fork_for_another_reason_is_a_difference():
    """What ends at a download here could pass where there is a network, and must not end earlier on the fork."""
    here, there = Result(status="failed", reason="no network"), Result(status="failed", reason="SyntaxError")
    (test,) = compare({"pristine": {"t": here}, "fork": {"t": there}}, {})
    assert (test.verdict, test.differs, test.reason) == ("failed", True, "SyntaxError (before: no network)")
    (test,) = compare({"pristine": {"t": there}, "baseline": {"t": here}, "fork": {"t": here}}, {})
    assert (test.differs, test.reason) == (False, "no network")  # a compatibility patch led so far


def test_regressions_come_first():
    runs = {
        "pristine": results(a="passed", b="failed", c="passed"),
        "fork": results(a="passed", b="passed", c="failed"),
    }
    assert [test.verdict for test in compare(runs, {})] == ["regressed", "mended", "passed"]


def test_tests_of_a_file_that_cannot_be_collected_are_missing_and_say_why():
    there, gone = "tests/test_a.py::test_it[x::y]", {"tests/test_a.py": Result(status="error", reason="no module")}
    tests = {test.id: test for test in compare({"pristine": results(**{there: "passed"}), "fork": gone}, {})}
    assert (tests[there].verdict, tests[there].reason) == ("regressed", "no module")
    assert tests["tests/test_a.py"].verdict == "failed"


def test_a_release_is_compared_with_its_fork(compared, fork, git, tmp_path):
    """End to end: the penalty that the small release's patch calls is not there, so `step` is a real regression."""
    before = sorted(fork.rglob("*"))
    outcome = compared(fork, "--json")
    assert outcome.code == 1, outcome.err
    tests = outcome.json["tests"]
    python = "tests/test_python.py::test_"
    assert {test: facts["verdict"] for test, facts in tests.items()} == {
        f"{python}step": "regressed",
        f"{python}area": "mended",
        f"{python}nobody_was_here_before[a file]": "passed",
        f"{python}nobody_was_here_before[b]": "passed",
        f"{python}whose_name_has_the_folder[…/tree]": "passed",
        "tests/test_cli.py::test_yolo_is_the_tree": "passed",
        "tests/test_cli.py::test_command_fails": "failed",
        f"{python}download": "failed",
        "tests/test_broken.py": "failed",
        f"{python}device": "skipped",
    }
    assert outcome.json["counts"] == {"regressed": 1, "flaky": 0, "mended": 1, "passed": 4, "failed": 3, "skipped": 1}
    assert outcome.json["ok"] is False

    step = tests[f"{python}step"]
    assert (step["pristine"], step["baseline"], step["fork"]) == ("passed", "passed", "failed")
    assert step["reason"] == "AttributeError: 'Quiet' object has no attribute 'penalty'"
    area = tests[f"{python}area"]
    assert (area["pristine"], area["baseline"], area["fork"]) == ("failed", "passed", "passed")
    assert "trapz" in area["reason"]
    assert tests["tests/test_broken.py"]["reason"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert tests["tests/test_cli.py::test_command_fails"]["reason"] == "the cause"
    assert "Connection refused" in tests[f"{python}download"]["reason"]

    log = tmp_path / "work" / "fork" / "log.txt"
    assert "1 of upstream's tests passed before and not on the fork" in outcome.err
    assert f"try: less {log}" in outcome.err
    assert "'Quiet' object has no attribute 'penalty'" in log.read_text()
    assert log.read_text().count("$ ") == 2  # the second time for what differed
    assert sorted(fork.rglob("*")) == before
    assert git(fork, "status", "--porcelain", "--ignored") == ""


def test_the_tables_have_the_counts_and_every_difference(compared, fork):
    outcome = compared(fork, "-k", "test_step or test_area or test_device")
    assert outcome.code == 1
    assert "fork against pristine and baseline" in outcome.out
    assert [line.split()[1] for line in outcome.out.splitlines() if "test_python.py" in line] == [
        "tests/test_python.py::test_step",
        "tests/test_python.py::test_area",
    ]
    assert "all logs and files" in outcome.err


def test_a_fork_on_which_all_passes_is_exit_code_0(compared, fork):
    outcome = compared(fork, "-k", "area or yolo", "--json")
    assert outcome.code == 0
    assert outcome.json["ok"] is True
    assert outcome.json["counts"]["passed"] == outcome.json["counts"]["mended"] == 1


def test_a_test_that_fails_once_is_flaky_and_not_a_regression(make, compared):
    shy = b"""\
import inspect
from pathlib import Path
from ultralytics.engine import trainer


def test_shy():
    if "penalty" in inspect.getsource(trainer) and not Path("seen").exists():
        Path("seen").touch()
        raise AssertionError
"""
    outcome = compared(make({"tests/test_shy.py": shy}), "--json")
    assert outcome.code == 0
    assert outcome.json["counts"]["flaky"] == 1
    assert outcome.json["tests"]["tests/test_shy.py::test_shy"]["fork"] == "failed"


def test_the_tests_are_the_release_s_whatever_the_fork_made_of_them(compared, fork):
    write(fork, {"tests/test_python.py": b"def test_step():\n    pass\n"})
    assert compared(fork, "-k", "step", "--json").json["counts"]["regressed"] == 1


def test_it_is_the_work_tree_that_is_tested(compared, fork):
    write(fork, {"ultralytics/cfg/__init__.py": b"def entrypoint():\n    print('mine')\n", "ultralytics/new.py": b""})
    outcome = compared(fork, "-k", "yolo", "--json")
    assert outcome.json["tests"]["tests/test_cli.py::test_yolo_is_the_tree"]["verdict"] == "regressed"


def test_a_package_that_would_come_from_elsewhere_is_not_tested(compared, fork):
    """Python would take the installed `ultralytics` for the fork's, and all would pass."""
    for path in (fork / "ultralytics").rglob("*"):
        if path.is_file():
            path.unlink()
    outcome = compared(fork, "-k", "yolo", "--json")
    assert outcome.code == 1
    (test,) = (t for t in outcome.json["tests"].values() if t["verdict"] == "regressed")
    assert test["fork"] == "missing"
    assert test["reason"].startswith("ultralytics would be imported from")


def test_a_release_without_tests_says_so(make, compared):
    outcome = compared(make({}))
    assert outcome.code == 0
    assert "this release carries no tests" in outcome.out


def test_a_release_without_tests_says_so_as_json(make, compared):
    outcome = compared(make({}), "--json")
    assert (outcome.code, outcome.json["ok"], outcome.json["tests"]) == (0, True, {})


def test_where_nothing_passes_nothing_is_shown(compared, fork):
    outcome = compared(fork, "-k", "download or device", "--json")
    assert (outcome.code, outcome.json["ok"]) == (1, False)
    assert "none of upstream's tests passes even without the fork" in outcome.err


@pytest.mark.parametrize(
    ("expression", "said"), [("nothing like that", "Wrong expression"), ("nowhere_to_be_found", "no test matches")]
)
def test_an_expression_that_selects_nothing_is_a_usage_error(compared, make, expression, said):
    fork = make({"tests/test_one.py": b"def test_one():\n    pass\n"})
    outcome = compared(fork, "-k", expression)
    assert outcome.code == 2
    assert said in outcome.err


def test_an_expression_without_the_flag_is_a_usage_error(call, tmp_path):
    outcome = call("verify", tmp_path, "-k", "train")
    assert outcome.code == 2
    assert "--upstream-tests -k" in outcome.err


def test_a_folder_in_a_repository_is_not_worked_in(call, git, fork, tmp_path):
    """Upstream would take that repository for its own checkout, and write beside it."""
    git(tmp_path, "init", "-q", "outer")
    outcome = call("verify", fork, "--upstream-tests", "--work", tmp_path / "outer" / "work")
    assert outcome.code == 2
    assert "is inside the repository" in outcome.err


def test_what_is_no_fork_is_refused(call, tmp_path):
    assert call("verify", tmp_path / "nowhere", "--upstream-tests").code == 2


@pytest.fixture
def run(tmp_path):
    """Return a run of a tree with these tests."""

    def make_it(timeout, **tests):
        write(
            tmp_path / "run" / "tree",
            {"ultralytics/__init__.py": b"", **{f"tests/{k}.py": v for k, v in tests.items()}},
        )
        seen = []
        whole = PytestRun(
            folder=tmp_path / "run",
            package="ultralytics",
            timeout=timeout,
            expression=None,
            on_test=lambda done, total: seen.append((done, total)),
        )
        return whole, seen

    return make_it


def test_after_a_test_that_hangs_or_dies_the_rest_is_run(run):
    hard = b"""\
import os
import subprocess
import time


def test_before():
    pass


def test_hangs():
    subprocess.run(["sleep", "1000"])


def test_dies():
    os._exit(3)


def test_after():
    pass
"""
    whole, seen = run(4, test_hard=hard)
    found = {test.partition("::")[2]: result for test, result in run_tests(whole).items()}
    assert {test: result.status for test, result in found.items()} == {
        "test_before": "passed",
        "test_hangs": "timeout",
        "test_dies": "error",
        "test_after": "passed",
    }
    assert found["test_hangs"].reason == "took longer than 4 s"
    assert found["test_dies"].reason == "the process died with status 3"
    assert seen[-1] == (4, 4)
    assert whole.log.read_text().count("$ ") == 3


def test_a_folder_that_cannot_be_collected_at_all_is_one_error(run):
    whole, _ = run(60, conftest=b"import nowhere\n", test_a=b"def test_a():\n    pass\n")
    (result,) = run_tests(whole).values()
    assert (result.status, result.reason) == ("error", "ModuleNotFoundError: No module named 'nowhere'")


def test_setup_teardown_and_expected_failures_have_their_status(run):
    phases = b"""\
import pytest


@pytest.fixture
def bad():
    raise RuntimeError("setup\\n and more")


@pytest.fixture
def late():
    yield
    raise RuntimeError("teardown")


def test_setup(bad):
    pass


def test_teardown(late):
    pass


@pytest.mark.xfail
def test_expected():
    raise AssertionError


def test_inner():
    pytest.skip("not here")
"""
    found = {test.partition("::")[2]: result for test, result in run_tests(run(60, test_p=phases)[0]).items()}
    assert (found["test_setup"].status, found["test_setup"].reason) == ("error", "RuntimeError: setup")
    assert (found["test_teardown"].status, found["test_teardown"].reason) == ("error", "RuntimeError: teardown")
    assert found["test_expected"].status == "skipped"
    assert (found["test_inner"].status, found["test_inner"].reason) == ("skipped", "Skipped: not here")


def test_no_process_of_the_tests_reaches_the_network(tmp_path):
    """In a process of its own: it is closed for good there."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    code = """\
import socket
refused = 0
for address in ("192.0.2.1", "example.com", "2001:db8::1"):
    try:
        socket.create_connection((address, 80), timeout=30)
    except OSError as error:
        refused += "no network" in str(error)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
socket.create_connection(("localhost", server.getsockname()[1])).close()
with socket.socket() as plain:
    print(refused, plain.connect_ex(("192.0.2.1", 80)) != 0)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == "3 True\n"


def test_figures_are_saved_and_not_drawn(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)
    code = """\
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.savefig("a.png", dpi=250)
plt.savefig("a.svg")
"""
    env = {"PYTHONPATH": str(tmp_path), "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)
    assert cv2.imread(str(tmp_path / "a.png")).shape == (64, 64, 3)
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


def test_checkpoints_that_tests_name_and_the_tree_can_build_are_stood_in_for(tmp_path):
    write(
        tmp_path,
        {
            "tests/test_a.py": b"MODEL, CFG = 'yolov8n', 'yolo11s.yaml'\nrun(f'{MODEL}-seg.pt {MODEL}.pt sam_b.pt')\n",
            "tests/__init__.py": b"A = 'yolo26n-cls.pt', 'yolo26x.pt', 'yolov9t.pt', 'yolov5n.pt'\n",
            "ultralytics/cfg/__init__.py": b"TASK2MODEL = {'pose': 'yolo26n-pose.pt'}\n",
            **{
                f"ultralytics/cfg/models/{name}.yaml": b""
                for name in ("yolov8", "yolov8-seg", "yolo26-cls", "yolo26", "yolo26-pose", "yolov9t", "yolo11")
            },
        },
    )
    assert upstream_stand_ins.stems(tmp_path) == ["yolo26n-cls", "yolo26n-pose", "yolov8n", "yolov8n-seg"]


def test_data_sets_are_drawn_as_they_are_described(tmp_path):
    common = {"train": "images/train", "val": "images/val"}
    described = {
        "coco8": {"path": "../datasets/coco8", **common},
        "coco8-pose": {"path": "coco8-pose", "kpt_shape": [17, 3], **common},
        "dota8": {"path": "dota8", **common},
        "coco8-multispectral": {"path": "coco8-multispectral", "channels": 10, **common},
        "cityscapes8": {"path": "cityscapes8", "masks_dir": "masks", **common},
        "depth8": {"path": "depth8-png", "depth_scale": 1000, **common},
        "coco": {"path": "coco", **common},
    }
    folder = "ultralytics/cfg/datasets"
    write(tmp_path, {f"{folder}/{name}.yaml": yaml.safe_dump(text).encode() for name, text in described.items()})
    out = tmp_path / "out"
    names = upstream_stand_ins.draw_sets(tmp_path, out)
    assert sorted(names) == sorted(p.name for p in out.iterdir())
    assert set(names) == {*(described.keys() - {"coco", "depth8"}), "depth8-png", "imagenet10"}

    def fields(name):
        (text, *_) = ((out / name / "labels" / "val" / f"{0:012d}.txt").read_text().splitlines(),)
        return [len(line.split()) for line in text]

    assert fields("coco8") == [5, 5]
    assert fields("coco8-pose") == [5 + 17 * 3] * 2
    assert fields("dota8") == [9, 9]
    assert len(list((out / "coco8" / "images" / "train").glob("*.jpg"))) == upstream_stand_ins.PICTURES
    pages = cv2.imreadmulti(str(out / "coco8-multispectral" / "images" / "train" / f"{0:012d}.tiff"))[1]
    assert len(pages) == 10
    for name, maps, kind in (("cityscapes8", "masks", "uint8"), ("depth8-png", "depth", "uint16")):
        values = cv2.imread(str(out / name / maps / "val" / f"{0:012d}.png"), cv2.IMREAD_UNCHANGED)
        assert values.dtype == kind
        assert values.min() > 0
    assert len(list((out / "imagenet10" / "val").iterdir())) == 10


def test_the_steps_import_nothing_of_slimfork(tmp_path):
    """They run in processes where only the tree may be looked at."""
    for name in ("upstream_site_steps", "upstream_tests_steps", "upstream_stand_ins_steps"):
        source = Path(upstream_site_steps.__file__).with_name(f"{name}.py")
        code = (
            f"import json, sys; sys.path.insert(0, {str(tmp_path)!r}); import step; print(json.dumps([*sys.modules]))"
        )
        (tmp_path / "step.py").write_text(source.read_text())
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "slimfork" not in json.loads(done.stdout)


def test_the_network_of_whoever_imports_it_stays_open():
    code = "import socket; before = socket.getaddrinfo, socket.socket.connect; "
    code += "import slimfork.inside.upstream_site_steps; "
    code += "assert before == (socket.getaddrinfo, socket.socket.connect)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
