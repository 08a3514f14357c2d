"""The write-ups' edits made by hand are found in every wording; taken out, they leave the release, byte for byte.

Also of: `slimfork.forks.handwork`, `slimfork.handmade.tracing`, `slimfork.handmade.forms`, `slimfork.handmade.keys`,
`slimfork.handmade.model`, `slimfork.handmade.norms`, `slimfork.handmade.penalty_code`, `slimfork.handmade.penalty_flow`,
`slimfork.handmade.penalty_needs`, `slimfork.handmade.script`.
"""

# ruff: noqa: E501 - a form is a line of its table

from __future__ import annotations

import pytest

from slimfork.codemods.patch import load_series
from slimfork.handmade.handmade import find, without
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from tests.tools.handmade_forms import (
    BACKWARD,
    FIRST_LINE,
    GET_MODEL,
    LOOP,
    PENALTIES,
    TRAINER_MODEL,
    behind,
    commented,
    deleted,
)

OTHERS = ("8.0.0", "8.0.110", "8.0.200", "8.2.50", "8.3.59", "8.4.13")
RELEASES = ("8.0.50", "8.4.50", "8.4.190", *(pytest.param(version, marks=pytest.mark.slow) for version in OTHERS))


@pytest.fixture(scope="module")
def release():
    files = {}

    def of(spec):
        if spec not in files:
            files[spec] = {
                p: f.content for p, f in release_files(pins.find(spec)).items() if p.endswith((".py", ".yaml"))
            }
        return files[spec]

    return of


def place(files, name):
    """Return the one file of that name in the package, in the layout of its release."""
    (path,) = [p for p in files if p.endswith(f"/{name}") and p.startswith("ultralytics/")]
    return path


def back(files, pristine, upstream="ultralytics"):
    """Take everything out that was done by hand, and return the files; nothing may be left to find."""
    series = load_series(upstream)
    found = find(series, files, pristine)
    assert found
    assert not [str(f) for f in found if f.refusal]
    out = {**files, **without(files, found, pristine)}
    assert find(series, out, pristine) == ()
    return out


def same(out, wanted, path):
    assert out[path].decode().splitlines() == wanted[path].decode().splitlines()
    assert out == wanted


@pytest.mark.parametrize("known", [True, False], ids=["with the release", "by structure"])
@pytest.mark.parametrize("form", PENALTIES)
@pytest.mark.parametrize("version", ["8.0.50", "8.4.190"])
def test_the_loop_behind_backward(release, version, form, known):
    pristine = release(f"ultralytics=={version}")
    path = place(pristine, "engine/trainer.py")
    files = {**pristine, path: behind(pristine[path], BACKWARD, PENALTIES[form])}
    same(back(files, pristine if known else None), pristine, path)


@pytest.mark.parametrize("version", RELEASES)
def test_the_whole_first_write_up(release, version):
    pristine = release(f"ultralytics=={version}")
    trainer, model = place(pristine, "engine/trainer.py"), place(pristine, "engine/model.py")
    files = dict(pristine)
    files[trainer] = behind(files[trainer], BACKWARD, PENALTIES["as written"])
    files[trainer] = behind(
        files[trainer],
        GET_MODEL,
        "\n# ===== 新增该行代码 =====\n\nself.model = weights\n\n# ===== 新增该行代码 =====\n",
    )
    new = "######上面两行注释掉,添加下面一行#####\nself.trainer.model = self.model.train()\n##########修改####\n"
    files[model] = behind(
        commented(files[model], TRAINER_MODEL, r"self\.model = self\.trainer\.model"),
        r"# self\.model = self\.trainer\.model",
        new,
    )
    losses = [p for p in files if b"def bbox_decode" in files[p]]
    for path in losses:
        text = files[path].decode()
        line = "            b, a, c = pred_dist.shape  # batch, anchors, channels\n"
        assert line in text
        added = "            ####添加\n            device = pred_dist.device\n            self.proj = self.proj.to(device)\n            #####\n\n"
        files[path] = text.replace(line, line + added).encode()
    same(back(files, pristine), pristine, trainer)


@pytest.mark.parametrize("version", RELEASES)
def test_upstreams_lines_are_restored_where_they_were_deleted(release, version):
    pristine = release(f"ultralytics=={version}")
    path = place(pristine, "engine/model.py")
    text = behind(pristine[path], TRAINER_MODEL, "self.trainer.model = self.model.train()\n", before=True)
    files = {**pristine, path: deleted(text, TRAINER_MODEL, r"self\.model = self\.trainer\.model")}
    same(back(files, pristine), pristine, path)
    assert [f.refusal for f in find(load_series("ultralytics"), files)] == ["the release's own lines are gone"]


@pytest.mark.parametrize(
    "line", ["self.model = weights", "self.model = ckpt['model'].float()", "self.model = weights.train()"]
)
def test_the_checkpoints_model_in_place_of_get_model(release, line):
    pristine = release("ultralytics==8.2.50")
    path = place(pristine, "engine/trainer.py")
    files = {**pristine, path: behind(commented(pristine[path], GET_MODEL), f"# {GET_MODEL}", f"{line}  # mine\n")}
    same(back(files, None), pristine, path)


def test_requires_grad_and_a_renamed_local(release):
    pristine = release("ultralytics==8.0.110")
    path = place(pristine, "engine/trainer.py")
    text = pristine[path].replace(b"weights", b"loaded")
    added = "for p in self.model.parameters():\n    p.requires_grad = True\nself.model = loaded\n"
    files = {**pristine, path: behind(text, GET_MODEL, added)}
    same(back(files, None), {**pristine, path: text}, path)


def test_helpers_and_their_strength_go_with_their_calls(release):
    pristine = release("ultralytics==8.1.20")
    path = place(pristine, "engine/trainer.py")
    text = behind(pristine[path], BACKWARD, "self.add_l1(epoch)\n")
    body = FIRST_LINE.replace("1e-2", "self.sl") + LOOP
    helper = (
        'def add_l1(self, epoch):\n    """Sparse training."""\n'
        + "".join(f"    {x}\n" for x in body.splitlines())
        + "\n"
    )
    text = behind(text, r"def optimizer_step\(self\)", helper, before=True)
    text = behind(text, r"self\.validator = None", "self.sl = 1e-3  # strength\n")
    same(back({**pristine, path: text}, None), pristine, path)


def test_a_setting_that_gave_the_strength_goes_too(release):
    pristine = release("ultralytics==8.3.59")
    path = place(pristine, "engine/trainer.py")
    files = {**pristine, path: behind(pristine[path], BACKWARD, PENALTIES["under an if"])}
    settings, kinds = place(pristine, "cfg/default.yaml"), place(pristine, "cfg/__init__.py")
    files[settings] = behind(files[settings], "nbs:", "sl: 0.01  # sparse\n")
    files[kinds] = behind(files[kinds], '"warmup_epochs",', '"sl",\n')
    same(back(files, None), pristine, path)


def test_a_helper_in_a_file_of_the_users_own_stays(release):
    pristine = release("ultralytics==8.3.59")
    path = place(pristine, "engine/trainer.py")
    own = "import torch.nn as nn\n\n\ndef update_bn(model, s):\n    for m in model.modules():\n        if isinstance(m, nn.BatchNorm2d):\n            m.weight.grad.add_(s * m.weight.sign())\n"
    text = behind(pristine[path], BACKWARD, "update_bn(self.model, 1e-4)\n")
    text = behind(text, "from ultralytics.utils.autobatch import", "from ultralytics.utils.sparse import update_bn\n")
    files = {**pristine, path: text, "ultralytics/utils/sparse.py": own.encode()}
    same(back(files, None), {**pristine, "ultralytics/utils/sparse.py": own.encode()}, path)


MIXED = {
    "mixed with another term": "l1 = sum(m.weight.abs().sum() for m in self.model.modules() if isinstance(m, nn.BatchNorm2d))\nself.loss = self.loss * 2 + l1\n",
    "a loss of its own": "total = self.loss + sum(m.weight.norm(1) for m in self.model.modules() if isinstance(m, nn.BatchNorm2d))\nself.scaler.scale(total).backward()\n",
    "shares its loop": "for m in self.model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        m.weight.grad.add_(m.weight.sign())\n    else:\n        m.extra_state = 1\n",
    "shares a line": "x = 1; [m for m in ()]; self.model.model[0].bn.weight.grad.add_(1e-3 * self.model.model[0].bn.weight.sign())\n",
    "a proximal step": "for m in self.model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        m.weight.data.sub_(1e-3 * m.weight.data.sign())\n        m.track = True\n",
}


@pytest.mark.parametrize("form", MIXED)
def test_what_is_of_no_documented_form_is_never_passed_over(release, form):
    pristine = release("ultralytics==8.3.150")
    path = place(pristine, "engine/trainer.py")
    files = {**pristine, path: behind(pristine[path], BACKWARD, MIXED[form])}
    found = find(load_series("ultralytics"), files)
    lines = files[path].decode().splitlines()
    assert found
    for one in found:
        assert one.path == path
        if one.refusal:
            assert any(word in lines[one.line - 1] for word in ("BatchNorm", "weight", "loss", "backward"))
        else:
            out = {**files, **without(files, found)}
            compile(out[path], path, "exec")


OWN = {
    "gradient noise": "for p in self.model.parameters():\n    p.grad.add_(torch.randn_like(p) * 1e-3)\n",
    "a plot of scales": "gammas = [m.weight.abs().mean().item() for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]\nLOGGER.info(f'{gammas}')\n",
    "L1 on convolutions": "for m in self.model.modules():\n    if isinstance(m, nn.Conv2d):\n        self.loss += 1e-5 * m.weight.abs().sum()\n",
    "BatchNorm in eval": "for m in self.model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        m.eval()\n",
    "commented out": "# for k, m in self.model.named_modules():\n#     if isinstance(m, nn.BatchNorm2d):\n#         m.weight.grad.data.add_(1e-2 * torch.sign(m.weight.data))\n",
    "clipping": "for p in self.model.parameters():\n    if p.grad is not None:\n        p.grad.data.clamp_(-1, 1)\n",
    "a wrapped model": "self.model = torch.compile(self.model)\n",
}


@pytest.mark.parametrize("form", OWN)
def test_the_users_other_edits_are_their_own(release, form):
    pristine = release("ultralytics==8.3.150")
    path = place(pristine, "engine/trainer.py")
    files = {**pristine, path: behind(pristine[path], BACKWARD, OWN[form])}
    assert find(load_series("ultralytics"), files) == ()


def test_the_users_other_edits_beside_it_stay(release):
    pristine = release("ultralytics==8.3.150")
    path = place(pristine, "engine/trainer.py")
    own = behind(pristine[path], BACKWARD, "# watch the scales\n" + OWN["a plot of scales"] + OWN["gradient noise"])
    files = {**pristine, path: behind(own, BACKWARD, PENALTIES["without blank lines"])}
    same(back(files, pristine), {**pristine, path: own}, path)


@pytest.mark.parametrize("version", RELEASES)
def test_no_release_holds_anything_made_by_hand(release, version):
    assert find(load_series("ultralytics"), release(f"ultralytics=={version}")) == ()
