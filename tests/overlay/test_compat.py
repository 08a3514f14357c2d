"""The stand-ins do what the old names did, as far as old releases ask."""

from __future__ import annotations

import inspect
from importlib import metadata

import pytest
import torch

from slim import compat


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("8.0.99", "8.0.100"), ("2.0.0", "2.0.1+cu118"), ("1.9", "1.10"), ("2.0.0rc1", "2.0.0"), ("1.13.0a0", "1.13")],
)
def test_versions_compare_as_versions(lower, higher):
    assert compat.parse_version(lower) < compat.parse_version(higher)
    assert compat.parse_version(lower) == compat.parse_version(lower)


REQUIREMENTS = """\
# Ultralytics requirements
matplotlib>=3.2.2

torch>=1.7.0,!=1.8.0  # see the notes
# tensorboard>=2.13.0
ray[tune]
"""


def test_requirements_of_a_file_lose_comments_and_blank_lines(tmp_path):
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    with (tmp_path / "requirements.txt").open() as lines:
        found = [(r.name, str(r.specifier)) for r in compat.parse_requirements(lines)]
    assert [name for name, _ in found] == ["matplotlib", "torch", "ray"]
    assert found[0] == ("matplotlib", ">=3.2.2")
    assert set(found[1][1].split(",")) == {">=1.7.0", "!=1.8.0"}


def test_requirements_of_a_text_are_the_same():
    assert [r.name for r in compat.parse_requirements(REQUIREMENTS)] == ["matplotlib", "torch", "ray"]
    assert next(compat.parse_requirements("numpy<2")).name == "numpy"


def test_what_is_installed_is_not_asked_for():
    compat.require("torch>=1.7.0")
    compat.require("torch")
    compat.require(f"numpy=={metadata.version('numpy')}")


def test_another_version_and_none_at_all_are_told_apart():
    """Upstream catches both by name, and only them."""
    with pytest.raises(compat.VersionConflict, match=r"numpy .* is installed, numpy<1 is needed"):
        compat.require("numpy<1")
    with pytest.raises(compat.DistributionNotFound):
        compat.require("no-such-distribution-anywhere>=1.0")


def test_onnx_export_is_asked_to_trace(tmp_path):
    """PyTorch 2.9 made the other exporter its default; releases before 2.5 know no such argument."""
    arguments = compat.legacy_exporter()
    assert set(arguments) <= set(inspect.signature(torch.onnx.export).parameters)
    torch.onnx.export(
        torch.nn.Conv2d(3, 4, 1), torch.rand(1, 3, 8, 8), tmp_path / "x.onnx", opset_version=17, **arguments
    )
    assert (tmp_path / "x.onnx").stat().st_size > 0


def test_the_opset_is_one_that_the_tracing_exporter_writes_and_onnx_runtime_reads(tmp_path):
    import onnxruntime

    opset = compat.latest_opset()
    assert opset >= compat.MATURE_OPSET
    torch.onnx.export(
        torch.nn.Conv2d(3, 4, 1),
        torch.rand(1, 3, 8, 8),
        tmp_path / "x.onnx",
        opset_version=opset,
        **compat.legacy_exporter(),
    )
    onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
