"""What records keep of a model at a moment of its training."""

import numpy as np
import pytest
import torch

from paper_code.diagnose.representations import measure_layers
from paper_code.models import MODELS, build_model
from paper_code.runs.measurement import (
    distance_to_unitary,
    measure,
    parameters_by_part,
    pattern_measures,
    representations,
    summary,
)
from paper_code.spectra import effective_rank, information_abundance

CARDINALITIES = [12, 30, 9]


def test_a_multiple_of_a_unitary_matrix_is_at_distance_zero():
    unitary, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    blocks = torch.stack([unitary, 3.7 * unitary, torch.zeros(6, 6, dtype=torch.float64)])
    torch.testing.assert_close(distance_to_unitary(blocks), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-7)


def test_rank_one_is_as_far_as_can_be():
    block = torch.outer(torch.arange(1.0, 6), torch.arange(2.0, 7))
    torch.testing.assert_close(distance_to_unitary(block), torch.tensor(1 - 1 / 5, dtype=torch.float64).sqrt())


def test_the_distance_is_the_smallest_over_all_multiples():
    block = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    product = block.T @ block
    scales = torch.linspace(0, 20, 4_001, dtype=torch.float64)
    distances = torch.linalg.matrix_norm(product - scales[:, None, None] * torch.eye(5, dtype=torch.float64))
    expected = distances.min() / torch.linalg.matrix_norm(product)
    assert distance_to_unitary(block).item() == pytest.approx(expected.item(), abs=1e-5)


def test_equal_patterns_correlate_fully_and_do_not_spread():
    pattern = np.random.default_rng(0).uniform(1, 2, (4, 4))
    assert pattern_measures(np.stack([pattern] * 3)) == pytest.approx({"correlation": 1.0, "spread": 0.0})


def test_patterns_leave_out_the_diagonal():
    rng = np.random.default_rng(0)
    norms = rng.uniform(1, 2, (3, 4, 4))
    changed = norms + 100 * rng.uniform(size=(3, 1, 1)) * np.eye(4)
    assert pattern_measures(norms) == pytest.approx(pattern_measures(changed))


def test_the_spread_is_the_deviation_over_the_sets_relative_to_the_mean():
    norms = np.ones((2, 3, 3))
    norms[1] = 3.0
    assert pattern_measures(norms)["spread"] == pytest.approx(0.5)


def test_norms_of_zeros_have_measures():
    assert pattern_measures(np.zeros((2, 3, 3))) == {"correlation": 0.0, "spread": 0.0}


def test_projections_that_are_unitary_keep_information_abundance():
    model = build_model("dcnv2", CARDINALITIES, 5, hidden=(4,), cross_layers=1)
    unitary, _ = torch.linalg.qr(torch.randn(5, 5))
    with torch.no_grad():
        model.interaction.layers[0].blocks().copy_(unitary.expand(1, 3, 3, 5, 5))
    found = summary(model)
    assert found["projected_abundance"] == pytest.approx(1, rel=1e-4)
    assert found["distance_to_unitary"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("sets", [1, 3])
def test_a_summary_has_the_abundance_of_every_field_and_set(sets):
    model = build_model("dcnv2", CARDINALITIES, 4, sets, hidden=(4,))
    found = summary(model)
    expected = [information_abundance(matrix) for matrix in model.side_by_side_matrices()]
    assert found["information_abundance"] == pytest.approx(expected, rel=1e-4)
    of_interaction = {"projection_norm", "distance_to_unitary"}
    of_sets = {"per_set", "pattern_correlation", "pattern_spread"} if sets > 1 else {"projected_abundance"}
    assert found.keys() == {"information_abundance", "embedding_norm"} | of_interaction | of_sets
    rms = model.embedding.weight.square().mean().sqrt().item()
    assert found["embedding_norm"] == pytest.approx(rms, rel=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_measured(name):
    size = 8 if name == "ffm" else 10
    model = build_model(name, CARDINALITIES, size)
    assert summary(model)["information_abundance"]
    assert measure(model)["side_by_side"]
    assert sum(parameters_by_part(model).values()) == sum(p.numel() for p in model.parameters())


def random_ids(rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(d, (rows,), generator=generator) for d in CARDINALITIES], dim=1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sets", [1, 2])
def test_the_ranks_of_embeddings_are_those_of_their_matrices_written_out(name, sets):
    if MODELS[name].factorization_machine and sets > 1:
        pytest.skip("it has no several sets")
    model, ids = build_model(name, CARDINALITIES, 8, sets), random_ids(60)
    e = model.embedding(ids).detach()  # (rows, sets, fields, size)
    found = representations(model, ids)[0]
    rows = torch.stack([torch.cat([e[row, m, i] for m in range(sets) for i in range(3)]) for row in range(60)])
    fields = [torch.stack([torch.cat([e[row, m, i] for m in range(sets)]) for i in range(3)]) for row in range(60)]
    assert found["name"] == "embeddings"
    assert found["effective_rank"] == pytest.approx(effective_rank(rows), rel=1e-4)
    assert found["fields_effective_rank"] == pytest.approx(np.mean([*map(effective_rank, fields)]), rel=1e-4)


@pytest.mark.parametrize(("name", "layers"), [("dcnv2", "cross"), ("gdcn", "cross"), ("rankmixer", "block")])
@pytest.mark.parametrize("sets", [1, 2])
def test_the_ranks_of_layers_are_those_of_what_they_give(name, layers, sets):
    model, ids = build_model(name, CARDINALITIES, 5, sets), random_ids(50)
    found = {of_layer["name"]: of_layer for of_layer in representations(model, ids)}
    part, number = (model.interaction.layers, 4) if layers == "cross" else (model.interaction.blocks, 2)
    given = {}
    for i, layer in enumerate(part, start=1):
        layer.register_forward_hook(lambda _, __, output, i=i: given.__setitem__(i, output.detach()))
    model.eval()(ids)
    assert [name for name in found if name.startswith(layers)] == [f"{layers} {i}" for i in range(1, number + 1)]
    for i, output in given.items():
        x = output.unflatten(2, (3, -1)) if layers == "cross" else output.permute(2, 0, 1, 3)
        fields = [effective_rank(x[row].transpose(0, 1).flatten(1)) for row in range(50)]
        of_layer = found[f"{layers} {i}"]
        assert of_layer["effective_rank"] == pytest.approx(effective_rank(x.flatten(1)), rel=1e-4)
        assert of_layer["fields_effective_rank"] == pytest.approx(np.mean(fields), rel=1e-4)


def test_the_rank_of_a_layer_is_that_of_diagnose():
    model, ids = build_model("dcnv2", CARDINALITIES, 5), random_ids(50)
    of_diagnose = {layer.name: layer.effective_rank for layer in measure_layers(model, ids)[0]}
    found = [layer["effective_rank"] for layer in representations(model, ids) if "cross" in layer["name"]]
    expected = [of_diagnose[f"interaction.layers.{i}"] for i in range(4)]
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_matrix_wider_than_the_rows_has_no_rank_over_them_and_hooks_are_gone():
    model = build_model("rankmixer", CARDINALITIES, 10)
    found = representations(model, random_ids(15))
    assert [layer["name"] for layer in found] == ["embeddings", "tokens", "mixing 1", "block 1", "mixing 2", "block 2"]
    assert not any("effective_rank" in layer for layer in found)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_parameters_by_part():
    """DCNv2: 51 values of size 4; two cross layers on 12 features; hidden layers of 5 and 6, an output."""
    model = build_model("dcnv2", CARDINALITIES, 4, hidden=(5, 6), cross_layers=2)
    head = 5 * (12 + 3) + 6 * (5 + 3) + 7
    assert parameters_by_part(model) == {"embedding": 51 * 4, "interaction": 2 * 12 * 13, "head": head}
    assert parameters_by_part(build_model("fm", CARDINALITIES, 4))["embedding"] == 51 * 5 + 1
