"""The models equal an obvious, loop-written version of the paper's equations."""

import pytest
import torch
from torch import nn

from paper_code.models import MODELS, build_model, model_options
from paper_code.models.layers import HiddenBlock

CARDINALITIES = [5, 7, 40, 11]
N = len(CARDINALITIES)
K = 3
HIDDEN = (6, 5)
PAPER_CARDINALITIES = [27_692] * 38 + [27_704]  # 39 fields, 1.08 million values as in Table 2


def small_model(name, num_sets, dropout=0.0, seed=1):
    return build_model(name, CARDINALITIES, K, num_sets, seed, hidden=HIDDEN, dropout=dropout).double()


def random_ids(rows, generator):
    return torch.stack([torch.randint(d, (rows,), generator=generator) for d in CARDINALITIES], dim=1)


def hidden_block(block: HiddenBlock, m: int, x: torch.Tensor, training: bool) -> torch.Tensor:
    """Set m of a hidden block (dropout 0) by torch.nn's own linear layer and batch normalisation."""
    linear, norm = block[0], block[1]
    width = linear.bias.shape[1]
    columns = slice(m * width, (m + 1) * width)
    x = nn.functional.linear(x, linear.weight[m].T, linear.bias[m])
    mean, variance = norm.running_mean[columns].clone(), norm.running_var[columns].clone()
    x = nn.functional.batch_norm(x, mean, variance, norm.weight[columns], norm.bias[columns], training=training)
    return x.relu()


def interact(name: str, model, m: int, embeddings: list[torch.Tensor]) -> torch.Tensor:
    """h^(m) of one row from its N embeddings of set m, as the paper writes it."""
    x0 = torch.cat(embeddings)
    if name == "dnn":
        return x0
    x = x0
    for layer in model.interaction.layers:  # x_{l+1} = x_0 * (W x_l + b) + x_l
        x = x0 * (layer.weight[m].T @ x + layer.bias[m]) + x
    return x


def obvious_forward(name: str, model, ids: torch.Tensor) -> torch.Tensor:
    projected = []
    for m in range(model.embedding.num_sets):
        combined = []
        for row in ids:
            embeddings = []
            for i, x in enumerate(row):
                first_row = sum(CARDINALITIES[:i])
                embeddings.append(model.embedding.weight[first_row + x, m * K : (m + 1) * K])
            combined.append(interact(name, model, m, embeddings))
        projected.append(hidden_block(model.head.projection, m, torch.stack(combined), model.training))
    h = sum(projected) / len(projected)
    for block in model.head.mlp[:-1]:
        h = hidden_block(block, 0, h, model.training)
    output = model.head.mlp[-1]
    return (h @ output.weight[0] + output.bias[0]).flatten()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_sets", [1, 4])
@pytest.mark.parametrize("name", MODELS)
def test_output_and_gradients_equal_the_loop_over_sets(name, num_sets, training):
    generator = torch.Generator().manual_seed(0)
    ids, weights = random_ids(9, generator), torch.rand(9, generator=generator, dtype=torch.float64)
    model = small_model(name, num_sets).train(training)
    for p in model.parameters():  # away from special values such as zero biases
        p.data += 0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    expected = obvious_forward(name, model, ids)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), list(model.parameters()))
    found = model(ids)
    found_gradients = torch.autograd.grad((found * weights).sum(), list(model.parameters()))
    assert found.shape == (9,)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for (parameter, _), a, b in zip(model.named_parameters(), found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10, msg=parameter)


def mlp_parameters(sets: int, features: int, hidden=(400, 400)) -> int:
    """A hidden block per set, one after the mean, one output; a block is linear and batch normalisation."""
    return sets * (features * hidden[0] + 3 * hidden[0]) + hidden[0] * hidden[1] + 3 * hidden[1] + hidden[1] + 1


@pytest.mark.parametrize(("size", "sets"), [(10, 1), (100, 1), (10, 10)])
@pytest.mark.parametrize("name", ["dnn", "dcnv2"])
def test_parameter_counts_at_the_papers_sizes(name, size, sets):
    with torch.device("meta"):
        model = build_model(name, PAPER_CARDINALITIES, size, sets)
    features = 39 * size
    expected = sum(PAPER_CARDINALITIES) * size * sets + mlp_parameters(sets, features)
    if name == "dcnv2":
        expected += sets * 4 * (features * features + features)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("name", MODELS)
def test_one_set_has_the_parameters_of_several_sets_without_the_others(name):
    one, four = small_model(name, 1), small_model(name, 4)
    shapes_one = {key: p.shape for key, p in one.named_parameters()}
    shapes_four = {key: p.shape for key, p in four.named_parameters()}
    assert shapes_one.keys() == shapes_four.keys()
    assert four.embedding.weight.shape == (sum(CARDINALITIES), 4 * K)


@pytest.mark.parametrize("name", MODELS)
def test_int32_and_int64_ids_give_the_same_logits(name):
    model = small_model(name, 2).eval()
    ids = random_ids(5, torch.Generator().manual_seed(0))
    assert torch.equal(model(ids), model(ids.int()))


def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    weights = [build_model("dcnv2", CARDINALITIES, K, 2, seed).embedding.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_set_is_initialised_as_a_table_of_its_own():
    """Xavier-uniform over (sum D_i, K), whatever the number of sets."""
    model = build_model("dnn", [20_000, 10_000], 10, 4)
    bound = (6 / (30_000 + 10)) ** 0.5
    largest = model.embedding.weight.abs().max().item()
    assert 0.999 * bound < largest <= bound


def test_cross_layers_start_as_the_authors_do():
    layer = build_model("dcnv2", CARDINALITIES, 50, 2).interaction.layers[0]
    bound = (6 / (2 * N * 50)) ** 0.5
    assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    assert 0.99 * bound < layer.weight.abs().max().item() <= bound


def test_hidden_layers_start_as_torch_linear_does():
    weight = HiddenBlock(3, 100, 50, 0.2)[0].weight
    assert 0.099 < weight.abs().max().item() <= 0.1


def test_embedding_matrices_are_the_rows_that_the_ids_look_up():
    model = small_model("dnn", 3)
    ids = torch.tensor([[4, 0, 39, 10]])
    embeddings = model.embedding(ids)
    assert embeddings.shape == (1, 3, N, K)
    matrices = model.embedding_matrices()
    for m in range(3):
        for i in range(N):
            assert matrices[m][i].shape == (CARDINALITIES[i], K)
            assert torch.equal(embeddings[0, m, i], matrices[m][i][ids[0, i]])


def test_sub_embeddings_are_what_enters_the_first_cross_layer():
    """Evidence II: the part of (W x_0) in the space of field j is the sum over i of E_i^{->j} at the row's values."""
    model = small_model("dcnv2", 2)
    ids = torch.tensor([[4, 0, 39, 10]])
    x0 = model.embedding(ids).flatten(2)
    layer = model.interaction.layers[0]
    sub = model.sub_embeddings()
    for m in range(2):
        product = layer.weight[m].T @ x0[0, m]
        for j in range(N):
            expected = sum(sub[m][i][j][ids[0, i]] for i in range(N))
            torch.testing.assert_close(product[j * K : (j + 1) * K], expected)


def test_projections_give_sub_embeddings():
    model = small_model("dcnv2", 2)
    projections, matrices = model.interaction.projections(), model.embedding_matrices()
    assert projections.shape == (2, N, N, K, K)
    torch.testing.assert_close(model.sub_embeddings()[1][2][3], matrices[1][2] @ projections[1, 2, 3].T)


def test_a_model_without_sub_embeddings_says_so():
    with pytest.raises(TypeError, match="Concatenation has no sub-embeddings"):
        small_model("dnn", 1).sub_embeddings()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "deepfm"}, "model 'deepfm' does not exist; the models are dnn, dcnv2"),
        ({"name": "dnn", "cross_layers": 2}, "dnn has no option cross_layers; its options are hidden, dropout"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"num_sets": 0}, "num_sets"),
        ({"cardinalities": []}, "cardinalities"),
        ({"cardinalities": [3, 0]}, "cardinalities"),
        ({"hidden": ()}, "hidden"),
    ],
)
def test_impossible_models_are_refused_by_name(arguments, message):
    arguments = {"name": "dcnv2", "cardinalities": CARDINALITIES, "embedding_size": K} | arguments
    with pytest.raises(ValueError, match=message):
        build_model(**arguments)


def test_the_defaults_are_the_papers():
    assert model_options("dcnv2") == {"hidden": (400, 400), "dropout": 0.2, "cross_layers": 4}
