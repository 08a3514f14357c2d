"""A mode of PyTorch's that is handed every operator of a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from ..labels.tracked import Operator, Value


class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's own __init_subclass__
    """Hands each operator over with its arguments; a subclass runs it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, two seconds, only to keep it away from this mode

    def __torch_dispatch__(
        self, func: Operator, types: object, args: tuple[Value, ...] = (), kwargs: dict[str, Value] | None = None
    ) -> Value:
        """Hand an operator over."""
        del types
        return self.meet(func, args, kwargs or {})

    def meet(self, func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """Run an operator and return what it gives."""
        raise NotImplementedError
