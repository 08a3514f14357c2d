"""What patched files mean, found out without the engine: by running them, by bytecode, by the YAML parser."""

from __future__ import annotations

import ast
import dis
import inspect
from typing import TYPE_CHECKING, Any

import yaml

from tests.patches.stubs import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FunctionType

    Judge = Callable[[bytes, bytes], Iterator[str]]

PENALIZE, KEEP = "slim_penalize", "slim_keep_architecture"
YOLOV5 = "slim_yolov5"
ORIGINS = {
    YOLOV5: "yolov5.slim.yolov5",
    PENALIZE: "ultralytics.slim.sparsity.penalize",
    KEEP: "ultralytics.slim.architecture.keep_architecture",
}
VALUES = ("CFG_FLOAT_KEYS", "CFG_FRACTION_KEYS", "CFG_INT_KEYS", "CFG_BOOL_KEYS")


def added_lines_only(before: bytes, after: bytes, names: Sequence[str]) -> Iterator[str]:
    """Complain of any byte that is not of a line with one of our names."""
    if _without(after, names) != _without(before, names):
        yield "bytes outside of the edit have changed"


def _without(content: bytes, names: Sequence[str]) -> bytes:
    """Return a file without the lines that have one of these names, and without line ends at its end."""
    lines = content.splitlines(keepends=True)
    return b"".join(line for line in lines if not _has_any(line, names)).rstrip(b"\r\n")


def _has_any(line: bytes, names: Sequence[str]) -> bool:
    return any(name.encode() in line for name in names)


def trainer(before: bytes, after: bytes) -> Iterator[str]:
    """Judge a trainer with a penalty."""
    yield from added_lines_only(before, after, [PENALIZE])
    space = run(after, "trainer")
    function = _plain(getattr(space["BaseTrainer"], "_do_train", None))
    if function is None:
        yield "there is no _do_train"
        return
    yield from _ours(space, function, after, PENALIZE, 1)
    followed = [(s, following) for s, following in _pairs(function) if ast.unparse(s).endswith(".backward()")]
    if [ast.unparse(following) if following else "" for _, following in followed] != [f"{PENALIZE}(self)"]:
        yield "the penalty does not follow the backward pass"


def setup_model(before: bytes, after: bytes) -> Iterator[str]:
    """Judge a trainer that keeps architectures."""
    yield from added_lines_only(before, after, [KEEP])
    space = run(after, "trainer")
    yield from _kept(space, getattr(space["BaseTrainer"], "setup_model", None), after, "self.get_model(")


def model(before: bytes, after: bytes) -> Iterator[str]:
    """Judge `Model.train`."""
    yield from added_lines_only(before, after, [KEEP])
    space = run(after, "model")
    holder = next(
        name for name in ("Model", "YOLO") if isinstance(space.get(name), type) and "train" in vars(space[name])
    )
    yield from _kept(space, space[holder].train, after, "self.trainer.get_model(")


def _kept(space: dict[str, Any], method: Any, after: bytes, build: str) -> Iterator[str]:
    function = _plain(method)
    if function is None:
        yield "the method is gone"
        return
    built = [
        (s, following)
        for s, following in _pairs(function)
        if isinstance(s, ast.Assign) and ast.unparse(s.value).startswith(build)
    ]
    yield from _ours(space, function, after, KEEP, len(built))
    if not built:
        yield "no model is built"
    for statement, following in built:
        target = ast.unparse(statement.targets[0])
        call = statement.value
        assert isinstance(call, ast.Call)
        by_name = [k.value for k in call.keywords if k.arg == "weights"]
        weights = ast.unparse((by_name or call.args[1:2])[0])
        if following is None or ast.unparse(following) != f"{target} = {KEEP}({target}, {weights})":
            yield f"the line behind `{ast.unparse(statement)}` does not keep the architecture of {weights}"


def _ours(space: dict[str, Any], function: FunctionType, after: bytes, name: str, count: int) -> Iterator[str]:
    """Demand that a function reads our name from the module, reached and as often as it must; nothing else does."""
    if getattr(function.__globals__.get(name), "origin", "") != ORIGINS[name]:
        yield f"{name} is not our function"
    if space.get(name) is not function.__globals__.get(name):
        yield "the method is of another module"
    module = compile(after, "whole", "exec", dont_inherit=True)
    if _uses(function.__code__, name, "LOAD_GLOBAL") != count:
        yield f"the function reaches {name} {_uses(function.__code__, name, 'LOAD_GLOBAL')} times"
    if sum(_uses(code, name, "LOAD_GLOBAL") for code in _codes(module)) != count or _uses(module, name, "LOAD_NAME"):
        yield f"{name} is called elsewhere, too"
    if _uses(module, name, "STORE_NAME") != 1 or any(_uses(code, name, "STORE_GLOBAL") for code in _codes(module)):
        yield f"{name} is bound more than once"


def _uses(code: CodeType, name: str, operation: str) -> int:
    """Return on how many lines a code object does something with a name; a `finally` is there several times."""
    lines = {offset: line for start, end, line in code.co_lines() for offset in range(start, end)}
    return len({lines[i.offset] for i in dis.get_instructions(code) if i.argval == name and i.opname == operation})


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _plain(method: Any) -> FunctionType | None:
    function = inspect.unwrap(method) if method is not None else None
    return function if inspect.isfunction(function) else None


def _pairs(function: FunctionType) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    """Yield each statement of a function and what follows it in its block, from the source that it was made of."""
    tree = ast.parse(CURRENT[-1])
    line = function.__code__.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == line and node.name == function.__name__:
                yield from _in_blocks(node)


def _in_blocks(node: ast.AST) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    for part in ast.walk(node):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(part, field, None)
            if isinstance(block, list) and block:
                yield from zip(block, [*block[1:], None], strict=True)


CURRENT: list[bytes] = []


def judged(judge: Judge, before: bytes, after: bytes) -> list[str]:
    """Return what is wrong with a patched file."""
    CURRENT.append(after)
    try:
        return list(judge(before, after))
    finally:
        CURRENT.pop()


def loss(before: bytes, after: bytes) -> Iterator[str]:
    """Judge a file with decoders of boxes."""
    move = "self.proj = self.proj.to(pred_dist.device)"
    yield from added_lines_only(before, after, [move])
    space = run(after, "loss")
    classes = [c for c in space.values() if isinstance(c, type) and "bbox_decode" in vars(c)]
    for each in classes:
        function = _plain(vars(each)["bbox_decode"])
        if function is None:
            continue
        decodes = [
            (a, b) for a, b in _pairs(function) if isinstance(b, ast.Assign) and "matmul(self.proj" in ast.unparse(b)
        ]
        if [ast.unparse(a) for a, _ in decodes] != [move] * len(decodes):
            yield f"{each.__name__} decodes without a move"
        if _uses(function.__code__, "proj", "STORE_ATTR") != len(decodes):
            yield f"{each.__name__} never reaches the move"


def keys(lines: Sequence[str]) -> Judge:
    """Return the judge of a YAML file that gains lines."""

    def judge(before: bytes, after: bytes) -> Iterator[str]:
        ours = yaml.safe_load("\n".join(lines))
        old, new = yaml.safe_load(before), yaml.safe_load(after)
        if {**old, **ours} != new or set(old) & set(ours):
            yield f"it says {new}, which is not what it said and our keys"
        yield from added_lines_only(before, after, [f"{key}:" for key in ours])

    return judge


def version(before: bytes, after: bytes) -> Iterator[str]:
    """Judge a module that states a version."""
    old, new = run(before, "init"), run(after, "init")
    if new["__version__"] != old["__version__"] + "+slim1":
        yield f"the version is {new['__version__']!r}"
    if after.replace(b"+slim1", b"") != before:
        yield "bytes outside of the edit have changed"
    if _other_texts(old) != _other_texts(new):
        yield "another text has changed"


def _other_texts(space: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in space.items() if isinstance(value, str) and name != "__version__"}


def members(before: bytes, after: bytes) -> Iterator[str]:
    """Judge the constants of a configuration."""
    old, new = run(before, "cfg"), run(after, "cfg")
    ours = {"CFG_FLOAT_KEYS": {"sparsity_bias", "sparsity_warmup"}, "CFG_FRACTION_KEYS": {"sparsity_decay"}}
    for name in VALUES:
        wanted = set(old.get(name, ())) | ours.get(name, set())
        if set(new.get(name, ())) != wanted or type(new.get(name)) is not type(old.get(name)):
            yield f"{name} is {new.get(name)}"
    stripped = after
    for name in sorted(set().union(*ours.values())):
        for quote in (b"'", b'"'):
            stripped = stripped.replace(quote + name.encode() + quote + b",", b"")
    if b"".join(stripped.split()) != b"".join(before.split()):
        yield "bytes outside of the edit have changed"


def train_script(before: bytes, after: bytes) -> Iterator[str]:
    """Judge a train script of YOLOv5: the penalty on its loss, the options, and what `--evolve` leaves alone."""
    yield from added_lines_only(before, after, [YOLOV5])
    space = run(after, "train")
    function = _plain(space.get("train"))
    if function is None:
        yield "there is no train"
        return
    if getattr(space.get(YOLOV5), "origin", "") != ORIGINS[YOLOV5]:
        yield f"{YOLOV5} is not our module"
    behind = [
        following for s, following in _pairs(function) if ast.unparse(s).startswith("loss, loss_items = compute_loss")
    ]
    calls = [s for s in behind if isinstance(s, ast.Assign) and ast.unparse(s.value).startswith(f"{YOLOV5}.penalize(")]
    if len(calls) != 1 or _uses(function.__code__, YOLOV5, "LOAD_GLOBAL") != 1:
        yield "the penalty does not follow the loss, once"
        return
    call = calls[0].value
    assert isinstance(call, ast.Call)
    names = [ast.unparse(argument) for argument in call.args]
    code = function.__code__
    yield from (f"{n} is no local" for n in names if n not in {*code.co_varnames, *code.co_cellvars, *code.co_freevars})
    forward = [
        s for s, _ in _pairs(function) if isinstance(s, ast.Assign) and ast.unparse(s.value).startswith("model(")
    ]
    if [f"model({names[7]})"] != [ast.unparse(s.value) for s in forward]:
        yield f"{names[7]} is not the batch"
    whole = ast.unparse(ast.parse(after))
    for wanted in (f"{YOLOV5}.sparse_arguments(parser)", f"{YOLOV5}.keep_out_of_evolution(meta, hyp)"):
        if whole.count(wanted) != 1:
            yield f"{wanted} stands {whole.count(wanted)} times"
