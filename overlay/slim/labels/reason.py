"""Why channels stay, or why they go together: a sentence for people, and what it is made of for programs."""

from __future__ import annotations

from typing import Literal

Kind = Literal["operator", "unscored", "asked", "other"]


class Reason(str):  # noqa: SLOT000 - its parts are attributes, so that a deep copy keeps them
    """A sentence, such as "add in model.11", and its parts; equal to, and hashed as, what it says.

    Attributes:
        kind: "operator" where an operator froze them, "unscored" where their own layer has no BatchNorm after it,
            "asked" where the user did, "other" for the rest, which words say.
        operator: What froze them, such as "add" or "no BatchNorm before matmul"; "" where no operator did.
        layer: The module in which it stands; "" for none.
    """

    kind: Kind
    operator: str
    layer: str

    def __new__(cls, said: str, kind: Kind = "other", operator: str = "", layer: str = "") -> Reason:  # noqa: PYI034
        """Keep the parts beside what is said."""
        made = super().__new__(cls, said)
        made.kind, made.operator, made.layer = kind, operator, layer
        return made

    @classmethod
    def at(cls, operator: str, layer: str) -> Reason:
        """Return that of an operator, or of what a few words name, in a module."""
        return cls(f"{operator} in {layer}", "operator", operator, layer)

    @classmethod
    def after(cls, layer: str) -> Reason:
        """Return that of channels that no BatchNorm gives a scale."""
        return cls(f"no BatchNorm after {layer}", "unscored", "", layer)

    def grouped(self) -> Reason:
        """Return that of channels which a grouped operator tells apart."""
        return Reason.at(f"grouped {self.operator}", self.layer)

    def beside(self, other: Reason) -> Reason:
        """Return that of channels which stay because those beside them do."""
        return Reason(f"{self} beside {other}", self.kind, self.operator, self.layer)

    def before(self) -> Reason:
        """Return that of channels that meet an operator without a scale of their own."""
        return Reason.at(f"no BatchNorm before {self.operator}", self.layer)
