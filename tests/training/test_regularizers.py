"""The regularizers equal loop-written versions of their formulas, with their gradients, and do what they are for."""

import numpy as np
import pytest
import torch
from torch import nn

from paper_code.data import ClickLog
from paper_code.data.click_log import Field
from paper_code.models import build_model
from paper_code.training.config import RegularizerConfig, TrainingConfig
from paper_code.training.fitting import fit
from paper_code.training.regularizers import REGULARIZERS, Penalty

CARDINALITIES = [5, 7, 40, 11]
N, K = len(CARDINALITIES), 3
CASES = [
    ("unitary", "dcnv2", 1, {}),
    ("unitary", "dcnv2", 4, {}),
    ("unitary", "gdcn", 2, {}),
    ("unitary", "dcnv2", 2, {"block_scales": True}),
    ("unitary", "dcnv2", 4, {"shared_interaction": True}),
    ("norm_divergence", "dcnv2", 2, {}),
    ("norm_divergence", "dcnv2", 4, {}),
    ("norm_divergence", "dcnv2", 3, {"block_scales": True}),
    ("subspace_similarity", "dcnv2", 2, {}),
    ("subspace_similarity", "dnn", 4, {}),
    ("singular_value_spread", "dcnv2", 1, {}),
    ("singular_value_spread", "ipnn", 3, {}),
]


def model_and_ids(name="dcnv2", num_sets=1, **options):
    """A float64 model away from special values, and 12 rows of ids."""
    options = {"hidden": (6,), "dropout": 0.0} | ({"cross_layers": 2} if name in ("dcnv2", "gdcn") else {}) | options
    model = build_model(name, CARDINALITIES, K, num_sets, seed=1, **options).double()
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    ids = torch.stack([torch.randint(d, (12,), generator=generator) for d in CARDINALITIES], dim=1)
    return model, ids


def block(layer, m: int, i: int, j: int) -> torch.Tensor:
    """W_{i->j}^(m): the part of W that maps field i's embedding to field j's place, without a scale."""
    return layer.weight[m].T[j * K : (j + 1) * K, i * K : (i + 1) * K]


def norm_squared(matrix: torch.Tensor) -> torch.Tensor:
    return sum(entry**2 for row in matrix for entry in row)


def batch_embeddings(model, ids, m: int, i: int) -> torch.Tensor:
    return torch.stack([model.embedding_matrices()[m][i][row[i]] for row in ids])


def unitary(model, regularizer, ids):
    total, released = 0, model.interaction.layers[0].scales is not None
    for number, layer in enumerate(model.interaction.layers):
        for m in range(len(layer.weight)):
            for i in range(N):
                for j in range(N):
                    w = block(layer, m, i, j)
                    scale = 1.0 if released else regularizer.scales[number, m, i, j]
                    total = total + norm_squared(w.T @ w - scale * torch.eye(K, dtype=w.dtype))
    return total


def norm_divergence(model, regularizer, ids):
    variances = []
    for layer in model.interaction.layers:
        for i in range(N):
            for j in range(N):
                norms = []
                for m in range(model.embedding.num_sets):
                    scale = 1.0 if layer.scales is None else layer.scales[m, i, j]
                    norms.append(norm_squared(scale * block(layer, m, i, j)))
                mean = sum(norms) / len(norms)
                variances.append(sum((norm - mean) ** 2 for norm in norms) / len(norms))
    return sum(variances) / len(variances)


def subspace_similarity(model, regularizer, ids):
    squares = []
    for a in range(model.embedding.num_sets):
        for b in range(a):
            values = []
            for i in range(N):
                cross = batch_embeddings(model, ids, a, i).T @ batch_embeddings(model, ids, b, i)
                values.append(torch.linalg.svd(cross).S)
            squares += list((sum(values) / N) ** 2)
    return sum(squares) / len(squares)


def singular_value_spread(model, regularizer, ids):
    spreads = []
    for m in range(model.embedding.num_sets):
        for i in range(N):
            values = torch.linalg.svd(batch_embeddings(model, ids, m, i)).S
            shares = values / (sum(values) / K)
            spreads.append(sum((share - 1) ** 2 for share in shares) / (K - 1))
    return sum(spreads) / len(spreads)


LOOPS = {f.__name__: f for f in (unitary, norm_divergence, subspace_similarity, singular_value_spread)}


@pytest.mark.parametrize(("name", "model_name", "num_sets", "options"), CASES)
def test_value_and_gradients_equal_the_loop(name, model_name, num_sets, options):
    model, ids = model_and_ids(model_name, num_sets, **options)
    regularizer = REGULARIZERS[name](model)
    for p in regularizer.parameters():
        p.data += 0.1
    parameters = [*model.parameters(), *regularizer.parameters()]
    found, expected = regularizer(model, ids), LOOPS[name](model, regularizer, ids)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    of_found = torch.autograd.grad(found, parameters, allow_unused=True, materialize_grads=True)
    of_expected = torch.autograd.grad(expected, parameters, allow_unused=True, materialize_grads=True)
    assert any(gradient.abs().max() > 1e-3 for gradient in of_found)
    for a, b in zip(of_found, of_expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_every_regularizer_is_among_the_cases():
    assert {case[0] for case in CASES} == REGULARIZERS.keys() == LOOPS.keys()


# What they are for


def test_unitary_is_zero_for_multiples_of_unitary_blocks_and_only_then():
    model, ids = model_and_ids(num_sets=2)
    regularizer = REGULARIZERS["unitary"](model)
    generator = torch.Generator().manual_seed(3)
    for number, layer in enumerate(model.interaction.layers):
        for m in range(2):
            for i in range(N):
                for j in range(N):
                    unitary_matrix = torch.linalg.qr(torch.randn(K, K, generator=generator, dtype=torch.float64)).Q
                    factor = 0.5 + i + 2 * j
                    layer.weight.data[m, i * K : (i + 1) * K, j * K : (j + 1) * K] = factor * unitary_matrix.T
                    regularizer.scales.data[number, m, i, j] = factor**2
    assert regularizer(model, ids).item() == pytest.approx(0, abs=1e-18)
    model.interaction.layers[1].weight.data[1, 0, 0] += 0.1
    assert regularizer(model, ids).item() > 1e-3


def test_the_learnable_scales_start_where_the_penalty_is_least():
    model, ids = model_and_ids(num_sets=2)
    regularizer = REGULARIZERS["unitary"](model)
    (gradient,) = torch.autograd.grad(regularizer(model, ids), regularizer.scales)
    assert regularizer.scales.shape == (2, 2, N, N)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def test_with_block_scales_the_target_is_one_and_nothing_further_is_learnt():
    model, ids = model_and_ids(block_scales=True)
    regularizer = REGULARIZERS["unitary"](model)
    assert not list(regularizer.parameters())
    before = regularizer(model, ids)
    model.interaction.layers[0].scales.data *= 2
    assert torch.equal(regularizer(model, ids), before)


def test_equal_interactions_do_not_diverge_and_others_do():
    model, ids = model_and_ids(num_sets=3)
    regularizer = REGULARIZERS["norm_divergence"](model)
    assert regularizer(model, ids).item() > 1e-3
    for layer in model.interaction.layers:
        layer.weight.data[:] = layer.weight.data[:1]
    assert regularizer(model, ids).item() == pytest.approx(0, abs=1e-20)


def test_subspaces_that_share_no_direction_have_no_similarity():
    """Of rows of one field, set 1 uses values for which set 2 is zero."""
    model, ids = model_and_ids(num_sets=2)
    regularizer = REGULARIZERS["subspace_similarity"](model)
    assert regularizer(model, ids).item() > 1e-3
    weight, halves = model.embedding.weight.data, (slice(0, K), slice(K, 2 * K))
    for row in range(len(weight)):
        weight[row, halves[row % 2]] = 0
    assert regularizer(model, ids).item() == pytest.approx(0, abs=1e-20)


def test_orthonormal_columns_have_no_spread():
    model, _ = model_and_ids()
    ids = torch.arange(5)[:, None].expand(5, N)
    start = 0
    for number, d in enumerate(CARDINALITIES):
        columns = torch.linalg.qr(torch.randn(5, K, generator=torch.Generator().manual_seed(number)).double()).Q
        model.embedding.weight.data[start : start + 5] = 7 * columns
        start += d
    assert REGULARIZERS["singular_value_spread"](model)(model, ids).item() == pytest.approx(0, abs=1e-20)


# In training

ROWS = 600
PROTOCOL = TrainingConfig(batch_size=50, max_epochs=2, learning_rate=0.01)


@pytest.fixture(scope="module")
def log() -> ClickLog:
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(d, size=ROWS) for d in CARDINALITIES], axis=1).astype(np.int32)
    labels = (rng.random(ROWS) < 0.3 + 0.4 * (ids[:, 0] == ids[:, 1])).astype(np.uint8)
    return ClickLog("log", tuple(Field(f"field_{d}", d) for d in CARDINALITIES), ids, labels, 1, {})


@pytest.mark.parametrize("name", REGULARIZERS)
def test_training_with_the_penalty_lowers_it_more_than_training_without(log, name):
    num_sets = 1 if name == "singular_value_spread" else 3
    values = {}
    for weight in (None, 3.0):
        model = build_model("dcnv2", CARDINALITIES, K, num_sets, seed=0, hidden=(6,), cross_layers=2)
        penalty = None if weight is None else Penalty(RegularizerConfig(name, weight), model)
        fit(model, log, log.split(0), PROTOCOL, seed=0, penalty=penalty)
        regularizer = REGULARIZERS[name](model) if penalty is None else penalty.regularizer
        values[weight] = regularizer(model, torch.from_numpy(log.ids[:100])).item()
    assert values[3.0] < 0.8 * values[None]


def test_the_penaltys_own_parameters_are_trained(log):
    model = build_model("dcnv2", CARDINALITIES, K, seed=0, hidden=(6,), cross_layers=2)
    penalty = Penalty(RegularizerConfig("unitary", 1.0), model)
    before = penalty.regularizer.scales.detach().clone()
    fit(model, log, log.split(0), PROTOCOL, seed=0, penalty=penalty)
    assert (penalty.regularizer.scales - before).abs().max() > 1e-3


def test_the_losses_reported_are_without_the_penalty(log):
    """A constant penalty changes nothing: neither the training nor what is reported of it."""

    class Constant(nn.Module):
        def forward(self, model, ids):
            return torch.tensor(1000.0)

    curves = []
    for penalty in (None, Constant()):
        model = build_model("dnn", CARDINALITIES, K, seed=0, hidden=(6,))
        result = fit(model, log, log.split(0), PROTOCOL, seed=0, penalty=penalty)
        curves.append([(epoch.training_loss, epoch.validation_auc) for epoch in result.epochs])
    assert curves[0] == curves[1]


# Settings


def test_the_weight_not_given_is_the_authors():
    weights = {name: RegularizerConfig(name).weight for name in REGULARIZERS}
    assert weights == {
        "unitary": 1e-5,
        "norm_divergence": 1.0,
        "subspace_similarity": 1e-4,
        "singular_value_spread": 1e-4,
    }
    assert RegularizerConfig("unitary", 0.5).weight == 0.5


def test_the_penalty_is_the_weight_times_the_regularizer():
    model, ids = model_and_ids(num_sets=2)
    penalty = Penalty(RegularizerConfig("norm_divergence", 0.25), model)
    assert penalty(model, ids).item() == pytest.approx(0.25 * REGULARIZERS["norm_divergence"](model)(model, ids).item())


@pytest.mark.parametrize(
    ("name", "weight"), [("ridge", 1.0), ("unitary", 0.0), ("unitary", -1.0), ("unitary", float("nan"))]
)
def test_impossible_settings_are_refused(name, weight):
    with pytest.raises(ValueError, match=f"{name}.*expected"):
        RegularizerConfig(name, weight)


@pytest.mark.parametrize(
    ("name", "model_name", "num_sets", "options", "message"),
    [
        ("unitary", "dnn", 1, {}, "cross layers' projections W_i->j, of dcnv2 and gdcn"),
        ("unitary", "rankmixer", 1, {}, "cross layers' projections W_i->j, of dcnv2 and gdcn"),
        ("norm_divergence", "rankmixer", 2, {}, "cross layers' projections W_i->j, of dcnv2 and gdcn"),
        ("norm_divergence", "ipnn", 2, {}, "cross layers' projections W_i->j, of dcnv2 and gdcn"),
        ("norm_divergence", "dcnv2", 1, {}, "expected num_sets > 1"),
        ("norm_divergence", "dcnv2", 4, {"shared_interaction": True}, "no shared_interaction"),
        ("subspace_similarity", "dcnv2", 1, {}, "expected num_sets > 1"),
    ],
)
def test_a_model_that_has_not_what_is_penalised_is_named(name, model_name, num_sets, options, message):
    model, _ = model_and_ids(model_name, num_sets, **options)
    with pytest.raises(ValueError, match=message):
        REGULARIZERS[name](model)


def test_the_spread_of_one_singular_value_is_refused():
    model = build_model("dnn", CARDINALITIES, 1)
    with pytest.raises(ValueError, match="expected embedding_size > 1"):
        REGULARIZERS["singular_value_spread"](model)
