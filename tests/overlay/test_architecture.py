"""A pruned checkpoint keeps its architecture; any other goes upstream's way.

Also of: `slim.models.image_inputs`, `slim.models.class_outputs`, `slim.models.pruned`, `slim.models.rebuilding`,
`slim.models.rounds`.
"""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from ultralytics.nn import tasks
from ultralytics.utils import DEFAULT_CFG

from slim.analysis.channels import analyse
from slim.architecture import ArchitectureError, is_pruned, keep_architecture
from slim.models.refitting import resize
from slim.models.sign import WORDS
from slim.pruning.apply import apply_plan
from slim.pruning.plan import make_plan
from tests.overlay.networks import photo, randomise

BACKBONE = [
    [-1, 1, "Conv", [8, 3, 2]],
    [-1, 1, "Conv", [16, 3, 2]],
    [-1, 1, "C2f", [16, True]],
    [-1, 1, "Conv", [24, 3, 2]],
    [-1, 1, "C2f", [24, True]],
    [-1, 1, "Conv", [32, 3, 2]],
]
LEVELS = [4, 5]
END2END = {"end2end": True, "reg_max": 1}  # as YOLO26
# Upstream's heads on a small backbone: name -> (model class, the head's line in the YAML, more keys of it)
HEADS = {
    "Detect": (tasks.DetectionModel, [LEVELS, 1, "Detect", ["nc"]], {}),
    "Detect, end to end": (tasks.DetectionModel, [LEVELS, 1, "Detect", ["nc"]], END2END),
    "v10Detect": (tasks.DetectionModel, [LEVELS, 1, "v10Detect", ["nc"]], {}),
    "Segment": (tasks.SegmentationModel, [LEVELS, 1, "Segment", ["nc", 8, 16]], {}),
    "Segment26": (tasks.SegmentationModel, [LEVELS, 1, "Segment26", ["nc", 8, 16]], END2END),
    "Pose": (tasks.PoseModel, [LEVELS, 1, "Pose", ["nc", [4, 3]]], {"kpt_shape": [4, 3]}),
    "OBB": (tasks.OBBModel, [LEVELS, 1, "OBB", ["nc", 1]], {}),
    "SemanticSegment": (tasks.SemanticSegmentationModel, [LEVELS, 1, "SemanticSegment", ["nc"]], {}),
    "Classify": (tasks.ClassificationModel, [-1, 1, "Classify", ["nc"]], {}),
    "RTDETRDecoder": (tasks.RTDETRDetectionModel, [LEVELS, 1, "RTDETRDecoder", ["nc", 32, 20, 2, 2, 1, 64]], {}),
    "WorldDetect": (tasks.WorldModel, [LEVELS, 1, "WorldDetect", ["nc", 512, False]], {}),
}
detection = pytest.mark.parametrize("head", ["Detect", "Detect, end to end"])


def build(head="Detect", nc=1, *, key=1, narrow=False, channels=3):
    """Build a model as upstream does: its YAML says one number of classes, the data set another."""
    model, line, more = HEADS[head]
    backbone = copy.deepcopy(BACKBONE)
    if narrow:
        backbone[1][3][0] = 8
    yaml = {"nc": key, "scale": "", **more, "backbone": backbone, "head": [copy.deepcopy(line)]}
    return model(yaml, ch=channels, nc=nc, verbose=False)


@functools.cache
def _pruned(head, nc):
    torch.manual_seed(3)
    model = randomise(build(head, nc))
    before = sum(p.numel() for p in model.parameters())
    apply_plan(model, make_plan(model, channels := analyse(model), ratio=0.4), channels)
    assert sum(p.numel() for p in model.parameters()) < before
    for parameter in model.parameters():
        parameter.requires_grad = False  # as checkpoints are saved
    return model


def pruned(head="Detect", nc=1):
    return copy.deepcopy(_pruned(head, nc))


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def changed(ours, theirs):
    """Name the tensors that differ."""
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours.keys() == theirs.keys()
    return {k for k in ours if ours[k].shape != theirs[k].shape or not torch.equal(ours[k], theirs[k])}


class TestUnpruned:
    """What upstream built is handed back, the very object."""

    @pytest.mark.parametrize("head", HEADS)
    @pytest.mark.parametrize("nc", [1, 3])
    def test_is_built_by_upstream_whatever_the_classes(self, head, nc):
        built = build(head, nc)
        assert keep_architecture(built, build(head, 1)) is built

    @pytest.mark.parametrize("head", HEADS)
    @pytest.mark.parametrize("channels", [1, 4])
    def test_is_built_by_upstream_whatever_the_pictures(self, head, channels):
        built = build(head, channels=channels)
        assert keep_architecture(built, build(head)) is built

    def test_where_upstream_has_written_the_other_number_into_the_yaml_of_the_weights(self):
        """The dictionary is shared: upstream's own test of grey images trains so."""
        weights = build()
        built = tasks.DetectionModel(weights.yaml, ch=1, nc=1, verbose=False)
        built.yaml["channels"] = weights.yaml["channels"] = 1
        assert keep_architecture(built, weights) is built

    def test_even_where_a_hidden_width_depends_on_the_classes(self):
        """Detect's class branch is as wide as there are classes, up to 100, so more than outputs differ."""
        built, weights = build(nc=60), build(nc=90)
        assert built.model[-1].cv3[0][0].conv.out_channels != weights.model[-1].cv3[0][0].conv.out_channels
        assert keep_architecture(built, weights) is built

    def test_leaves_the_random_numbers_alone(self):
        """The comparison builds another model; training then goes on with the numbers that upstream's would have."""
        built, weights = build(nc=60), build(nc=90)
        torch.manual_seed(5)
        keep_architecture(built, weights)
        drawn = torch.rand(4)
        torch.manual_seed(5)
        assert torch.equal(drawn, torch.rand(4))

    @pytest.mark.parametrize("weights", [None, {}, {"model": None, "ema": None}])
    def test_no_weights(self, weights):
        built = build()
        assert keep_architecture(built, weights) is built

    def test_a_model_without_a_yaml_says_nothing_of_what_it_was(self):
        built, weights = build(nc=3), pruned()
        del weights.yaml
        assert keep_architecture(built, weights) is built

    def test_folded_by_predict(self):
        """Early releases fold BatchNorms in the very model that `predict` is called on; that is no pruning."""
        built = build()
        assert keep_architecture(built, build().fuse(verbose=False)) is built


class TestAnotherArchitecture:
    """`model=other.yaml pretrained=weights.pt` asks for the other one, however the weights differ from it."""

    @pytest.mark.parametrize("nc", [1, 3])
    def test_is_built_from_unpruned_weights(self, nc):
        built = build(nc=nc, narrow=True)
        assert keep_architecture(built, build()) is built

    @pytest.mark.parametrize("nc", [1, 3])
    def test_is_built_from_pruned_weights_and_said_so(self, nc, caplog):
        built = build(nc=nc, narrow=True)
        assert keep_architecture(built, pruned()) is built
        assert "a pruned model of another architecture than the YAML's" in caplog.text


class TestPruned:
    @pytest.mark.parametrize("head", HEADS)
    def test_is_kept_to_the_bit(self, head):
        weights = pruned(head)
        kept = keep_architecture(build(head), weights)

        assert kept is not weights
        assert changed(kept, weights) == set()
        assert shapes(kept) != shapes(build(head))

    @pytest.mark.parametrize("form", [lambda m: {"model": m}, lambda m: {"ema": m, "model": None}])
    def test_out_of_a_checkpoint(self, form):
        weights = pruned()
        assert changed(keep_architecture(build(), form(weights)), weights) == set()

    def test_in_half_precision_comes_back_in_float(self):
        kept = keep_architecture(build(), pruned().half())
        assert {t.dtype for t in kept.state_dict().values() if t.is_floating_point()} == {torch.float32}

    @pytest.mark.parametrize("head", HEADS)
    def test_everything_that_upstream_trains_can_be_trained_again(self, head):
        kept, built = keep_architecture(build(head), pruned(head)), build(head)
        assert kept.training
        assert {n for n, p in kept.named_parameters() if not p.requires_grad} == {
            n for n, p in built.named_parameters() if not p.requires_grad
        }
        assert all(".dfl." in name for name, p in kept.named_parameters() if not p.requires_grad)

    def test_trains_in_ddp_without_looking_for_unused_parameters(self, tmp_path):
        """So 8.0.100 wraps it; a constant of the head that asks for a gradient would stop the second step."""
        kept = keep_architecture(build(), pruned())
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
        try:
            model = DistributedDataParallel(kept)
            for _ in range(2):
                sum(v.sum() for v in _leaves(model(photo(64, 2)))).backward()
        finally:
            distributed.destroy_process_group()
        assert all(p.grad is not None for p in kept.parameters() if p.requires_grad)

    def test_forgets_the_last_runs_criterion(self):
        weights = pruned()
        weights.args = DEFAULT_CFG
        weights.criterion = weights.init_criterion()
        assert getattr(keep_architecture(build(), weights), "criterion", None) is None
        assert weights.criterion is not None

    def test_takes_over_the_dropout_of_the_run(self):
        built = build("Classify")
        built.model[-1].drop.p = 0.3  # as the trainer of classifiers does for `dropout=0.3`
        assert keep_architecture(built, pruned("Classify")).model[-1].drop.p == 0.3

    def test_a_second_round_keeps_the_second_architecture(self):
        once = pruned()
        twice = keep_architecture(build(), once)
        apply_plan(twice, make_plan(twice, channels := analyse(twice), ratio=0.3), channels)
        assert shapes(twice) != shapes(once)
        assert shapes(keep_architecture(build(), twice)) == shapes(twice)

    def test_folded_by_predict_is_sent_back_to_the_file(self):
        with pytest.raises(ArchitectureError, match=r"folded this pruned model's BatchNorms: load its \.pt anew"):
            keep_architecture(build(), pruned().fuse(verbose=False))


OUTPUTS = {
    "RTDETRDecoder": r"denoising_class_embed enc_score_head dec_score_head",
    "Detect": r"cv3",
    "Detect, end to end": r"cv3 one2one_cv3",
    "v10Detect": r"cv3 one2one_cv3",
    "Segment": r"cv3",
    "Segment26": r"cv3 one2one_cv3 proto.semseg",
    "Pose": r"cv3",
    "OBB": r"cv3",
    "SemanticSegment": r"classifier aux_head",
    "Classify": r"linear",
}


class TestOtherClasses:
    """A pruned model for a data set with other classes: fresh class outputs, and nothing else."""

    @pytest.mark.parametrize("head", OUTPUTS)
    def test_only_the_class_outputs_are_new(self, head):
        weights, built = pruned(head), build(head, 3)
        kept = keep_architecture(built, weights)

        last = f"model.{len(BACKBONE)}."
        groups = {name.removeprefix(last).rpartition(".")[0] for name in changed(kept, weights)}
        assert {g.split(".")[0] if not g.startswith("proto") else "proto.semseg" for g in groups} == set(
            OUTPUTS[head].split()
        )
        for group in groups:
            layer = kept.model[-1].get_submodule(group)
            assert layer.weight.shape[0] == 3
            assert layer.weight.requires_grad

    @pytest.mark.parametrize("head", OUTPUTS)
    def test_it_knows_its_classes_and_the_checkpoint_keeps_its_own(self, head):
        weights, built = pruned(head), build(head, 3)
        kept = keep_architecture(built, weights)
        assert (kept.yaml["nc"], kept.nc) == (f"3 ({WORDS})", 3)  # what stock upstream reads out
        assert weights.yaml["nc"] == 1
        assert getattr(kept.model[-1], "no", 0) == getattr(built.model[-1], "no", 0)
        assert not is_pruned(built)
        assert is_pruned(kept)

    @detection
    def test_scores_start_as_low_as_upstream_starts_them_and_boxes_stay(self, head):
        weights, built = pruned(head), build(head, 3)
        for branch in weights.model[-1].cv2:
            branch[-1].bias.data.normal_()
        kept = keep_architecture(built, weights)
        for mine, theirs, old in zip(kept.model[-1].cv3, build(head, 3).model[-1].cv3, weights.model[-1].cv2):
            assert torch.equal(mine[-1].bias, theirs[-1].bias)
            assert mine[-1].bias.max() < -4
            assert old[-1].bias.abs().max() > 0

    @detection
    def test_it_trains(self, head):
        kept = keep_architecture(build(head, 3), pruned(head))
        kept.args = DEFAULT_CFG
        batch = {
            "img": photo(64, 2),
            "cls": torch.tensor([[2.0], [1.0]]),
            "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.5, 0.3, 0.4]]),
            "batch_idx": torch.tensor([0.0, 1.0]),
        }
        loss, _ = kept(batch)
        loss.sum().backward()
        assert all(branch[-1].weight.grad.abs().sum() > 0 for branch in kept.model[-1].cv3)

    def test_the_same_classes_under_another_count_in_the_yaml(self):
        """A checkpoint's YAML may still say 80 classes, or another model's number: the dictionary is shared."""
        weights = pruned()
        weights.yaml["nc"] = 80
        assert changed(keep_architecture(build(), weights), weights) == set()

    def test_something_else_than_a_layer_is_an_error(self):
        """A head of the user's own whose classes are a parameter: nobody knows what its rows are."""
        weights, built = pruned(), build(nc=3)
        for model, classes in ((weights, 1), (built, 3)):
            model.model[-1].own = nn.Bilinear(2, 2, classes)
        made = build()
        made.model[-1].own = nn.Bilinear(2, 2, 1)
        with pytest.raises(ArchitectureError, match="own of the pruned model, a Bilinear, cannot be made for another"):
            resize(weights, made, built)


class TestOtherPictures:
    """A pruned model for images with other channels: a new first convolution, and nothing else."""

    @detection
    @pytest.mark.parametrize("channels", [1, 4])
    def test_only_the_first_convolution_is_new(self, head, channels):
        weights, built = pruned(head), build(head, channels=channels)
        kept = keep_architecture(built, weights)
        assert changed(kept, weights) == {"model.0.conv.weight"}
        new, old = kept.model[0].conv, weights.model[0].conv
        common = min(channels, 3)
        carried = old.weight.sum(1, keepdim=True) if channels == 1 else old.weight[:, :common]
        assert torch.equal(new.weight[:, :common], carried)
        assert all(extra.abs().sum() > 0 for extra in new.weight[:, common:].unbind(1))
        assert new.weight.requires_grad
        assert (kept.yaml["channels"], weights.yaml["channels"]) == (channels, 3)
        kept.eval()(torch.rand(1, channels, 64, 64))
        assert is_pruned(kept)

    def test_with_other_classes_as_well(self):
        kept = keep_architecture(build(nc=3, channels=1), pruned())
        assert (kept.nc, kept.model[0].conv.in_channels) == (3, 1)


class TestIsPruned:
    @pytest.mark.parametrize("head", HEADS)
    def test_tells_pruned_from_unpruned(self, head):
        assert is_pruned(pruned(head))
        assert not is_pruned(build(head))

    @pytest.mark.parametrize("nc", [1, 3])
    def test_against_a_model_that_is_there_already(self, nc):
        assert is_pruned(pruned(), build(nc=nc))
        assert not is_pruned(build(), build(nc=nc))


def _leaves(value):
    if isinstance(value, torch.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    return [leaf for item in values for leaf in _leaves(item)]
