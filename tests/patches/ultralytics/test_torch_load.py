"""Checkpoints are loaded whole, whatever PyTorch's default is."""

from __future__ import annotations

from tests.patches.cases import Case, as_bytes, check_explained, patch_named, step

PATCH = patch_named("torch_load")

TASKS = "ultralytics/nn/tasks.py"
TORCH_UTILS = "ultralytics/yolo/utils/torch_utils.py"

CASES = (
    Case(
        version="8.0.100",
        before={
            TASKS: """\
def torch_safe_load(weight):
    try:
        return torch.load(file, map_location='cpu'), file  # load
    except ModuleNotFoundError as e:
        return torch.load(file, map_location='cpu'), file  # load
""",
            TORCH_UTILS: """\
def strip_optimizer(f='best.pt', s=''):
    x = torch.load(f, map_location=torch.device('cpu'))
    args = {**DEFAULT_CFG_DICT, **x['train_args']}
""",
        },
        after={
            TASKS: """\
def torch_safe_load(weight):
    try:
        return torch.load(file, map_location='cpu', weights_only=False), file  # load
    except ModuleNotFoundError as e:
        return torch.load(file, map_location='cpu', weights_only=False), file  # load
""",
            TORCH_UTILS: """\
def strip_optimizer(f='best.pt', s=''):
    x = torch.load(f, map_location=torch.device('cpu'), weights_only=False)
    args = {**DEFAULT_CFG_DICT, **x['train_args']}
""",
        },
    ),
)


def test_one_of_two_loads_is_explained() -> None:
    files = as_bytes(CASES[0].before)
    files[TASKS] = files[TASKS].replace(b"'cpu')", b"'cpu', weights_only=False)", 1)
    edit = PATCH.variants[0].edits[0]

    done = step(PATCH, files, "8.0.100")

    assert done.state == "broken"
    found = "expected 2 sites, found 1 without the edit, 1 with it"
    check_explained(PATCH, edit, "8.0.100", done.problems[0], found=found)


def test_load_that_asks_for_weights_only_would_not_compile() -> None:
    files = as_bytes(CASES[0].before)
    files[TORCH_UTILS] = b"x = torch.load(f, weights_only=True)\n"

    done = step(PATCH, files, "8.0.100")

    assert (done.state, dict(done.changes)) == ("broken", {})
    (problem,) = done.problems
    assert f"on ultralytics 8.0.100, the edited {TORCH_UTILS} would not compile: " in problem
    assert "next     correct the edit in patches/ultralytics/torch_load.py" in problem
