"""Models opened with the tree's own ultralytics; copied beside the steps that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch

SLIM = "ultralytics.slim"


class UltralyticsTrainer(Protocol):
    """What the steps ask of upstream's trainer, which hands itself to its callbacks."""

    epoch: int  # from 0
    epochs: int
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer


def yolo(weights: str | Path) -> Any:
    """Open a model: a YOLO of the release under test."""
    from ultralytics import YOLO

    return YOLO(str(weights))


def load(weights: Path) -> torch.nn.Module:
    """Return the model of a checkpoint."""
    model: torch.nn.Module = yolo(weights).model
    return model
