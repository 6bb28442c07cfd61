"""`check_model` passes every interaction of the registry, and says what is wrong with one that breaks a rule."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from paper_code.models import MODELS, check_model
from paper_code.models.building import interaction_of
from paper_code.models.check import CHECKS, CheckFailed
from paper_code.models.layers import SetLinear, zero_and_freeze

CONTRIBUTING = Path(__file__).parents[2] / ".github" / "CONTRIBUTING.md"


@pytest.mark.parametrize("name", MODELS)
def test_the_interactions_of_the_registry_pass(name):
    report = check_model(interaction_of(name))
    assert report.checks.keys() == CHECKS.keys()
    assert (report.checks["switch_off"] == "it has none") == (name in ("dnn", "finalmlp"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcnv2", {"cross_layers": 1, "block_scales": True}),
        ("dcnv2", {"groups": 3}),
        ("gdcn", {"cross_layers": 2, "groups": 2}),
        ("xdeepfm", {"cin_layers": (4, 2, 3)}),
        ("rankmixer", {"blocks": 1, "expansion": 3}),
        ("finalmlp", {"hidden": (6, 5, 4)}),
    ],
)
def test_they_pass_with_other_options(name, options):
    assert check_model(interaction_of(name), num_fields=3, num_sets=2, **options)


class WeightedSquare(nn.Module):
    """h = factor * w * (e_1 + ... + e_N)^2, of elements: an interaction as small as one can be."""

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, factor: float = 1.0):
        super().__init__()
        self.out_features, self.factor, self.off = embedding_size, factor, False
        self.weight = nn.Parameter(torch.rand(num_sets, embedding_size))

    def forward(self, embeddings):
        squares = embeddings.square().sum(dim=2) if self.off else embeddings.sum(dim=2).square()
        return self.factor * self.weight * squares

    def switch_off(self):
        self.off = True


def test_the_report_has_the_sizes_and_what_holds():
    report = check_model(WeightedSquare, num_fields=5, embedding_size=7, num_sets=2, factor=0.5)
    assert (report.interaction, report.out_features, report.parameters) == ("WeightedSquare", 7, 7)
    assert report.checks["options"] == "factor=0.5"
    assert report.checks["shape"] == "(6, 2, 5, 7) -> (6, 2, 7)"
    assert report.checks["parameters"] == "14 = 2 x 7"
    assert str(report).startswith("WeightedSquare: out_features 7, 7 parameters a set; it passes\n  options ")


def test_the_interaction_that_the_recipe_shows_passes():
    code = re.search(
        r"^```python\n(class .*?)^```$", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    names = {"nn": nn, "Tensor": torch.Tensor, "SetLinear": SetLinear, "zero_and_freeze": zero_and_freeze}
    exec(code[1], names)
    report = check_model(names["BilinearPooling"], embedding_size=10)
    assert (report.out_features, report.parameters) == (10, 110)


def test_a_check_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    check_model(WeightedSquare)
    assert torch.equal(before, torch.random.get_rng_state())


# Interactions that break one rule each


class OptionWithoutDefault(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size, depth=2):
        super().__init__(num_sets, num_fields, embedding_size)


class NoSize(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__(num_sets, num_fields, embedding_size)
        del self.out_features


class OtherSize(WeightedSquare):
    def forward(self, embeddings):
        return super().forward(embeddings).repeat(1, 1, 2)


class WeightsOfItsOwnSeed(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__(num_sets, num_fields, embedding_size)
        generator = torch.Generator()
        generator.seed()
        nn.init.uniform_(self.weight, generator=generator)


class DropoutInEvaluation(WeightedSquare):
    def forward(self, embeddings):
        return F.dropout(super().forward(embeddings), 0.5)


class SetsInAList(nn.Module):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__()
        self.out_features = embedding_size
        self.sets = nn.ModuleList(nn.Linear(embedding_size, embedding_size) for _ in range(num_sets))

    def forward(self, embeddings):
        sums = embeddings.sum(dim=2).unbind(dim=1)
        return torch.stack([linear(x) for linear, x in zip(self.sets, sums, strict=True)], dim=1)


class OneLayerForAllSets(nn.Module):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__()
        self.out_features = embedding_size
        self.linear = nn.Linear(embedding_size, embedding_size)

    def forward(self, embeddings):
        return self.linear(embeddings).sum(dim=2).relu()


class PairsOfSets(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__(num_sets, num_fields, embedding_size)
        self.pairs = nn.Parameter(torch.rand(num_sets, num_sets))

    def forward(self, embeddings):
        return self.pairs @ super().forward(embeddings)


class Centred(WeightedSquare):
    def forward(self, embeddings):
        h = super().forward(embeddings)
        return h - h.mean(dim=1, keepdim=True)


class NormalisedOverSets(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__(num_sets, num_fields, embedding_size)
        self.norm = nn.BatchNorm1d(embedding_size, affine=False)

    def forward(self, embeddings):
        return self.norm(super().forward(embeddings).flatten(0, 1)).unflatten(0, embeddings.shape[:2])


class WeightsOfAnotherSet(WeightedSquare):
    def forward(self, embeddings):
        return self.weight.flip(0) * embeddings.sum(dim=2).square()


class MeanIfShared(WeightedSquare):
    def forward(self, embeddings):
        h = super().forward(embeddings)
        return h if len(self.weight) == h.shape[1] else h.mean(dim=1, keepdim=True).expand_as(h)


class StatisticsOfTheBatch(WeightedSquare):
    def forward(self, embeddings):
        h = super().forward(embeddings)
        return h - h.mean(dim=0)


class UnusedParameter(WeightedSquare):
    def __init__(self, num_sets, num_fields, embedding_size):
        super().__init__(num_sets, num_fields, embedding_size)
        self.bias = nn.Parameter(torch.zeros(num_sets, embedding_size))


class WithoutTheLastField(WeightedSquare):
    def forward(self, embeddings):
        return super().forward(embeddings[:, :, :-1])


class RootOfWhatMayBeNegative(WeightedSquare):
    def forward(self, embeddings):
        sums = embeddings.sum(dim=2)
        return torch.where(sums > 0, (self.weight * sums).sqrt(), self.weight * sums)


class StaysOn(WeightedSquare):
    def switch_off(self):
        pass


class Additive(WeightedSquare):
    def forward(self, embeddings):
        return self.weight * embeddings.square().sum(dim=2)


BROKEN = [
    ("options", OptionWithoutDefault, r"depth of __init__ is not an option; expected __init__\(self, num_sets"),
    ("shape", NoSize, "it has no out_features"),
    ("shape", OtherSize, r"of embeddings \(6, 1, 4, 12\) the output is \(6, 1, 24\), expected \(6, 1, 12\)"),
    ("seed", WeightsOfItsOwnSeed, "parameter 'weight' differs by 0"),
    ("seed", DropoutInEvaluation, "the output in evaluation mode differs by"),
    (
        "parameters",
        SetsInAList,
        r"either one set or 3 sets have no sets\.1\.bias, sets\.1\.weight, sets\.2\.bias, sets\.2\.weight; expected "
        "the same names with both, each with an axis for the sets, as SetLinear has",
    ),
    (
        "parameters",
        OneLayerForAllSets,
        r"linear.weight has shape \(12, 12\) with 3 sets and \(12, 12\) with one; expected",
    ),
    (
        "parameters",
        PairsOfSets,
        r"pairs has shape \(3, 3\) with 3 sets and \(1, 1\) with one; expected one axis to be 3",
    ),
    ("set axis", Centred, "the output of set 0 differs by"),
    ("set axis", NormalisedOverSets, "the output of set 0 differs by"),
    (
        "loop over sets",
        WeightsOfAnotherSet,
        r"with the weights of set 0, the output of set 0 differs by .* at \(\d, 0, ",
    ),
    ("shared interaction", MeanIfShared, "built for one set and given 3, from set 0 alone the output of set 0 differs"),
    ("rows", StatisticsOfTheBatch, r"of rows \[4, 1\] alone, the output differs from theirs in a batch of 6 by"),
    ("gradients", UnusedParameter, "'bias': all 36 gradients are zero"),
    ("gradients", WithoutTheLastField, "embeddings of set 0, field 3: all 72 gradients are zero"),
    ("gradients", RootOfWhatMayBeNegative, r"'weight': in training mode \d+ of 36 gradients are not finite"),
    ("switch_off", StaysOn, "after it two fields still change the output together by"),
    ("switch_off", Additive, "before it two fields change the output together by .*e-1.: nothing to switch off"),
]


@pytest.mark.parametrize(
    ("check", "interaction", "problem"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_broken_interaction_is_told_which_rule_it_breaks(check, interaction, problem):
    with pytest.raises(CheckFailed, match=f"^{interaction.__name__}: {re.escape(check)}: .*{problem}"):
        check_model(interaction)


def test_every_check_has_a_broken_interaction():
    assert {check for check, *_ in BROKEN} == CHECKS.keys()


def test_of_a_large_output_rounding_is_no_joint_effect():
    assert "two fields change" in check_model(WeightedSquare, factor=1e8).checks["switch_off"]


def test_parameters_may_be_shared_if_that_is_meant():
    report = check_model(OneLayerForAllSets, shared=["linear.weight", "linear.bias"])
    assert report.checks["parameters"] == "156 = 3 x 0 + 156 that all sets share"
    with pytest.raises(CheckFailed, match="shared names wieght; its parameters are weight"):
        check_model(WeightedSquare, shared=["wieght"])
    with pytest.raises(
        CheckFailed, match=r"weight has shape \(3, 12\) with 3 sets and \(1, 12\) with one; it is not shared"
    ):
        check_model(WeightedSquare, shared=["weight"])


def test_an_error_of_the_class_comes_with_what_was_asked():
    class OfOneSet(WeightedSquare):
        def forward(self, embeddings):
            (e,) = embeddings.unbind(dim=1)
            return self.weight * e.sum(dim=1, keepdim=True)

    with pytest.raises(ValueError, match="too many values to unpack") as raised:
        check_model(OfOneSet)
    assert raised.value.__notes__ == [
        "OfOneSet: shape: raised in check_model, with {'num_fields': 4, 'embedding_size': 12, 'num_sets': 3}"
    ]


@pytest.mark.parametrize("size", ["num_fields", "embedding_size", "num_sets"])
def test_sizes_that_tell_nothing_are_refused(size):
    with pytest.raises(ValueError, match=f"{size} is 0, expected at least"):
        check_model(WeightedSquare, **{size: 0})
