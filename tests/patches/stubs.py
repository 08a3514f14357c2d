"""Running a module of upstream's by itself: whatever it imports is a stand-in that takes part in anything."""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any

OUR_MODULES = ("ultralytics.slim", "yolov5.slim", "slim")


class Meta(type):
    """The class of stand-ins: every attribute is one more, and so is what any operator gives."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        made = Meta(name, (Stub,), {"origin": f"{cls.origin}.{name}"})
        setattr(cls, name, made)
        return made

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        one = arguments[0] if len(arguments) == 1 and not keywords else None
        return one if isinstance(one, (types.FunctionType, type)) and not isinstance(one, Meta) else cls  # a decorator

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *_: object) -> None:
        return None

    def __iter__(cls) -> Any:
        return iter(())

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, _: object) -> Any:
        return cls

    def __setitem__(cls, *_: object) -> None:
        return None

    def __contains__(cls, _: object) -> bool:
        return False

    def __lt__(cls, _: object) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__

    def __or__(cls, _: object) -> Any:
        return cls

    __ror__ = __and__ = __add__ = __radd__ = __sub__ = __mul__ = __truediv__ = __rtruediv__ = __or__
    __mod__ = __floordiv__ = __rmul__ = __rsub__ = __or__

    def __int__(cls) -> int:
        return 1

    def __fspath__(cls) -> str:
        return "stub"


class Stub(metaclass=Meta):
    """A stand-in."""

    origin = ""


def run(content: bytes, name: str) -> dict[str, Any]:
    """Run a module and return what it defines; what it takes from `slim` says so by `origin`."""

    def fake_import(module: str, _g: Any = None, _l: Any = None, names: Any = (), level: int = 0) -> Any:
        if level == 0 and not names and module.partition(".")[0] in sys.stdlib_module_names:
            return builtins.__import__(module)
        if level == 0 and module in sys.stdlib_module_names:
            return builtins.__import__(module, fromlist=names)
        if names and tuple(names) == ("*",):
            return types.SimpleNamespace(__all__=[])
        return Meta("module", (Stub,), {"origin": module if names else module.partition(".")[0]})

    space: dict[str, Any] = {
        "__builtins__": {**vars(builtins), "__import__": fake_import},
        "__name__": name,
        "__file__": "/nowhere/file.py",
    }
    exec(compile(content, name, "exec", dont_inherit=True), space)  # noqa: S102 - a release's own source
    return space
