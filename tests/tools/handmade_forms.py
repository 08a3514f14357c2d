"""What people type into a release by hand, after the two write-ups: in their wording, and in other words."""

# ruff: noqa: E501 - a form is a line of its table

from __future__ import annotations

import re

BACKWARD = r"self\.scaler\.scale\(self\.loss\)\.backward\(\)"
GET_MODEL = r"self\.model = self\.get_model\("
TRAINER_MODEL = r"self\.trainer\.model = self\.trainer\.get_model\("
FIRST_LINE = "l1_lambda = 1e-2 * (1 - 0.9 * epoch / self.epochs)\n"
LOOP = """\
for k, m in self.model.named_modules():
    if isinstance(m, nn.BatchNorm2d):
        m.weight.grad.data.add_(l1_lambda * torch.sign(m.weight.data))
"""
BIAS = "        m.bias.grad.data.add_(1e-2 * torch.sign(m.bias.data))\n"
RULE = "# ========== 新增 ==========\n"

# What goes behind `backward()`, by name.
PENALTIES = {
    "as written": f"\n{RULE}\n{FIRST_LINE}{LOOP}{BIAS}\n{RULE}",
    "without blank lines": f"{RULE}{FIRST_LINE}{LOOP}{BIAS}{RULE}",
    "without marks": FIRST_LINE + LOOP + BIAS,
    "without bias": FIRST_LINE + LOOP,
    "modules": FIRST_LINE + LOOP.replace("for k, m in self.model.named_modules", "for m in self.model.modules"),
    "sign method": FIRST_LINE + LOOP.replace("torch.sign(m.weight.data)", "m.weight.sign()"),
    "no data": FIRST_LINE + LOOP.replace("grad.data", "grad").replace("weight.data", "weight"),
    "alpha": FIRST_LINE + LOOP.replace("l1_lambda * torch.sign(m.weight.data)", "m.weight.sign(), alpha=l1_lambda"),
    "augmented": FIRST_LINE
    + LOOP.replace(".data.add_(l1_lambda * torch.sign(m.weight.data))", " += l1_lambda * m.weight.sign()"),
    "a number": LOOP.replace("l1_lambda", "0.01"),
    "under an if": "if self.args.sl > 0:  # sparse\n"
    + "".join(f"    {x}\n" for x in LOOP.replace("l1_lambda", "self.args.sl").splitlines()),
    "a local model": "model = de_parallel(self.model)\n" + FIRST_LINE + LOOP.replace("self.model", "model"),
    "a list": "bn_layers = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]\nfor bn in bn_layers:\n    bn.weight.grad.add_(1e-3 * torch.sign(bn.weight))\n",
    "no_grad": "with torch.no_grad():\n" + "".join(f"    {x}\n" for x in (FIRST_LINE + LOOP).splitlines()),
    "an early continue": FIRST_LINE
    + "for m in self.model.modules():\n    if not isinstance(m, nn.BatchNorm2d):\n        continue\n    m.weight.grad.data.add_(l1_lambda * torch.sign(m.weight.data))\n",
    "by name": "for name, p in self.model.named_parameters():\n    if '.bn.weight' in name:\n        p.grad.add_(1e-2 * p.sign())\n",
    "printed": FIRST_LINE + "print(f'l1 {l1_lambda}')\n" + LOOP,
    "with its old self commented": FIRST_LINE + LOOP + BIAS.replace("m.bias", "# m.bias"),
    "both at once": "for m in self.model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        m.weight.grad = m.weight.grad + 1e-2 * torch.sign(m.weight)\n",
    "foreach": "bns = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]\ntorch._foreach_add_([m.weight.grad for m in bns], [1e-2 * m.weight.sign() for m in bns])\n",
}


def indented(text: str, depth: str) -> str:
    """Indent the lines of a text that are not blank."""
    return "".join(depth + line if line.strip() else line for line in text.splitlines(keepends=True))


def behind(content: bytes, anchor: str, text: str, *, before: bool = False) -> bytes:
    """Put lines behind, or before, the one line that has an anchor, at its depth and with its line end."""
    lines = content.decode().splitlines(keepends=True)
    (at,) = [i for i, line in enumerate(lines) if re.match(rf"\s*{anchor}", line)]
    depth = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    new = indented(text, depth)
    if lines[at].endswith("\r\n"):
        new = new.replace("\n", "\r\n")
    lines.insert(at if before else at + 1, new)
    return "".join(lines).encode()


def commented(content: bytes, *anchors: str) -> bytes:
    """Comment out the one line that has each anchor."""
    for anchor in anchors:
        content, count = re.subn(rf"(?m)^(\s*)({anchor})".encode(), rb"\1# \2", content)
        assert count == 1, anchor
    return content


def deleted(content: bytes, *anchors: str) -> bytes:
    """Delete the one line that has each anchor."""
    for anchor in anchors:
        content, count = re.subn(rf"(?m)^\s*{anchor}.*\n".encode(), b"", content)
        assert count == 1, anchor
    return content
