"""Sizes, initial weights, parts and errors of the models; test_equations.py has what they compute."""

import numpy as np
import pytest
import torch

from paper_code.models import MODELS, base_embedding_size, build_model, model_options, number_of_parameters
from paper_code.models.layers import Dropout, HiddenBlock, mix_tokens
from paper_code.runs.measurement import measure, sub_embedding_information_abundance
from paper_code.spectra import information_abundance

CARDINALITIES = [5, 7, 40, 11]
N = len(CARDINALITIES)
K = 3
HIDDEN = (6, 5)
MULTI = [name for name, architecture in MODELS.items() if not architecture.factorization_machine]
PAPER_CARDINALITIES = [27_692] * 38 + [27_704]  # 39 fields, 1.08 million values as in Table 2


def small_model(name, num_sets, seed=1, **options):
    if name in MULTI:
        options = {"hidden": HIDDEN, "dropout": 0.0} | options
    return build_model(name, CARDINALITIES, K, num_sets, seed, **options).double()


def randomise(model) -> None:
    """Parameters and running statistics away from special values."""
    generator = torch.Generator().manual_seed(0)
    for tensor in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
        tensor.data += 0.3 * torch.rand(tensor.shape, generator=generator, dtype=torch.float64)


def random_ids(rows, generator):
    return torch.stack([torch.randint(d, (rows,), generator=generator) for d in CARDINALITIES], dim=1)


def mlp_parameters(sets: int, features: int, hidden=(400, 400)) -> int:
    """A hidden block per set, one after the mean, one output; a block is linear and batch normalisation."""
    return sets * (features * hidden[0] + 3 * hidden[0]) + hidden[0] * hidden[1] + 3 * hidden[1] + hidden[1] + 1


def parameters_besides_embeddings(name: str, n: int, k: int, m: int) -> int:
    """By hand, for n fields, embedding size k, m sets and the paper's hyperparameters."""
    if name in ("fm", "ffm"):
        return sum(PAPER_CARDINALITIES) + 1
    if name == "finalmlp":  # two streams of two hidden blocks, and the fusion's two vectors, bias and matrix
        return m * 2 * (n * k * 400 + 3 * 400 + 400 * 400 + 3 * 400) + 2 * 400 + 1 + 400 * 400
    if name == "ipnn":
        return mlp_parameters(m, n * k + n * (n - 1) // 2)
    if name == "nfwfm":  # weights of ordered pairs, batch normalisation
        return m * (n * n + 2 * k) + mlp_parameters(m, k)
    if name == "rankmixer":  # tokens; of two blocks the FFNs' two layers and twice the layer normalisation
        d = n * (k // 5)
        block = n * (d * 2 * d + 2 * d + 2 * d * d + d) + 2 * 2 * d
        return m * (n * (k * d + d) + 2 * block) + mlp_parameters(m, d)
    own = {
        "dnn": 0,
        "xdeepfm": m * (16 * (n * n + 1) + 16 * (16 * n + 1)) + 33,
        "dcnv2": m * 4 * (n * k * n * k + n * k),
        "gdcn": m * 4 * (2 * n * k * n * k + n * k),
    }
    return own[name] + mlp_parameters(m, n * k)


@pytest.mark.parametrize(("scale", "sets"), [(1, 1), (10, 1), (1, 10)])
@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts_at_the_papers_sizes(name, scale, sets):
    if sets > 1 and name not in MULTI:
        pytest.skip("single embedding only")
    size = scale * base_embedding_size(name, 39)
    with torch.device("meta"):
        model = build_model(name, PAPER_CARDINALITIES, size, sets)
    expected = sum(PAPER_CARDINALITIES) * size * sets + parameters_besides_embeddings(name, 39, size, sets)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_apart_for_the_embeddings_and_all_else(name):
    sets = 2 if name in MULTI else 1
    model = small_model(name, sets)
    options = {"hidden": HIDDEN} if name in MULTI else {}
    of_embeddings = sum(CARDINALITIES) * K * sets
    of_all = sum(parameter.numel() for parameter in model.parameters())
    assert number_of_parameters(name, CARDINALITIES, K, sets, **options) == (of_embeddings, of_all - of_embeddings)


def test_base_sizes_are_the_papers():
    sizes = {name: base_embedding_size(name, 39) for name in MODELS}
    assert sizes.pop("nfwfm") == 50
    assert sizes.pop("ffm") == 8 * 38
    assert set(sizes.values()) == {10}


def test_a_factor_per_projection_is_a_parameter_each():
    plain, scaled = (build_model("dcnv2", CARDINALITIES, K, 2, block_scales=scales) for scales in (False, True))
    further = sum(p.numel() for p in scaled.parameters()) - sum(p.numel() for p in plain.parameters())
    assert further == 2 * 4 * N * N
    assert torch.equal(scaled.interaction.layers[0].scales, torch.ones(2, N, N))


@pytest.mark.parametrize("name", MULTI)
def test_one_set_has_the_parameters_of_several_sets_without_the_others(name):
    """Of four sets that all hold the one set's weights, the output is the one set's."""
    one, four = small_model(name, 1).eval(), small_model(name, 4).eval()
    assert [key for key, _ in one.named_parameters()] == [key for key, _ in four.named_parameters()]
    randomise(one)
    state = {}
    for (key, a), b in zip(one.state_dict().items(), four.state_dict().values(), strict=True):
        repeats = [y // x for x, y in zip(a.shape, b.shape, strict=True)]
        assert set(repeats) <= {1, 4}
        assert repeats.count(4) <= 1
        state[key] = a.repeat(repeats)
    four.load_state_dict(state)
    ids = random_ids(6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(four(ids), one(ids), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MULTI)
def test_a_shared_interaction_has_the_parameters_of_one_set_beside_the_embeddings(name):
    one, shared = small_model(name, 1), build_model(name, CARDINALITIES, K, 4, hidden=HIDDEN, shared_interaction=True)
    of_one, of_shared = ({k: p.shape for k, p in m.named_parameters()} for m in (one, shared))
    assert of_one.pop("embedding.weight") == (sum(CARDINALITIES), K)
    assert of_shared.pop("embedding.weight") == (sum(CARDINALITIES), 4 * K)
    assert of_one == of_shared


@pytest.mark.parametrize("name", MODELS)
def test_int32_and_int64_ids_give_the_same_logits(name):
    model = small_model(name, 2 if name in MULTI else 1).eval()
    ids = random_ids(5, torch.Generator().manual_seed(0))
    assert torch.equal(model(ids), model(ids.int()))


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone(name):
    before = torch.random.get_rng_state()
    models = [small_model(name, 1, seed) for seed in (0, 0, 1)]
    states = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_set_is_initialised_as_a_table_of_its_own():
    """Xavier-uniform over (sum D_i, K), whatever the number of sets."""
    model = build_model("dnn", [20_000, 10_000], 10, 4)
    bound = (6 / (30_000 + 10)) ** 0.5
    largest = model.embedding.weight.abs().max().item()
    assert 0.999 * bound < largest <= bound


@pytest.mark.parametrize("std", [1.0, 1e-4])
def test_embeddings_start_normal_if_asked(std):
    weight = build_model("dnn", [20_000, 10_000], 10, 4, embedding_std=std).embedding.weight
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=0.01 * std)


def test_an_ensemble_has_the_parameters_of_its_members():
    one, four = (build_model("dcnv2", CARDINALITIES, K, m, hidden=HIDDEN, ensemble=m > 1) for m in (1, 4))
    assert sum(p.numel() for p in four.parameters()) == 4 * sum(p.numel() for p in one.parameters())


def test_an_ensemble_gives_the_mean_of_the_logits_that_it_is_trained_on():
    model = build_model("dnn", CARDINALITIES, K, 3, hidden=HIDDEN, dropout=0.0, ensemble=True)
    ids = random_ids(5, torch.Generator().manual_seed(0))
    logits = model.eval().member_logits(ids)
    assert logits.shape == (5, 3)
    torch.testing.assert_close(model(ids), logits.mean(dim=1))
    one = build_model("dnn", CARDINALITIES, K, 3, hidden=HIDDEN).eval()
    assert torch.equal(one.member_logits(ids), one(ids).unsqueeze(1))


def test_cross_layers_start_as_the_authors_do():
    layer = build_model("dcnv2", CARDINALITIES, 50, 2).interaction.layers[0]
    bound = (6 / (2 * N * 50)) ** 0.5
    assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    assert 0.99 * bound < layer.weight.abs().max().item() <= bound


def test_the_gate_of_gdcn_starts_as_the_cross_layer_does():
    layer = build_model("gdcn", CARDINALITIES, 50, 2).interaction.layers[0]
    bound = (6 / (2 * N * 50)) ** 0.5
    assert 0.99 * bound < layer.gate.abs().max().item() <= bound
    assert not torch.equal(layer.gate, layer.weight)


def test_tokens_and_their_ffns_start_as_torch_linear_does_and_layer_normalisation_as_torch_does():
    interaction = build_model("rankmixer", CARDINALITIES, 50, 2).interaction
    for block in interaction.blocks:
        for layer, size in ((interaction.tokenisation, 50), (block.inner, N * 10), (block.outer, 2 * N * 10)):
            assert layer.weight.shape[:2] == (2 * N, size)
            assert 0.99 * size**-0.5 < layer.weight.abs().max().item() <= size**-0.5
            assert 0 < layer.bias.abs().max().item() <= size**-0.5
        for norm in (block.mixing_norm, block.ffn_norm):
            assert torch.equal(norm.weight, torch.ones(2, N * 10))
            assert torch.equal(norm.bias, torch.zeros(2, N * 10))


@pytest.mark.parametrize(("size", "of_head"), [(1, 1), (4, 1), (5, 1), (10, 2), (40, 8)])
def test_the_tokens_grow_with_the_embeddings(size, of_head):
    """RankMixer: a head has a fifth of the embedding size, at least 1, and a token a head for every field."""
    interaction = build_model("rankmixer", CARDINALITIES, size).interaction
    assert interaction.tokenisation.weight.shape == (N, size, N * of_head)
    assert interaction.out_features == N * of_head


def test_field_weights_start_standard_normal():
    weight = build_model("nfwfm", [3] * 60, 2, 4).interaction.weight
    assert weight.shape == (4, 60, 60)
    assert weight.mean().item() == pytest.approx(0, abs=0.05)
    assert weight.std().item() == pytest.approx(1, abs=0.05)


def test_the_compressed_layers_start_as_torch_conv1d_does():
    """The bound is 1 / sqrt(inputs), inputs being the products of the layer's rows and the fields."""
    for layer, rows in zip(build_model("xdeepfm", [3] * 30, 2, 4).interaction.layers, (30, 16), strict=True):
        bound = (rows * 30) ** -0.5
        assert layer.weight.shape == (4, 16, rows, 30)
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound
        assert 0 < layer.bias.abs().max().item() <= bound


def test_bilinear_fusion_and_linear_terms_start_at_zero():
    assert not build_model("finalmlp", CARDINALITIES, K).head.weight.any()
    for name in ("fm", "ffm"):
        terms = build_model(name, CARDINALITIES, K).linear_terms
        assert not terms.weight.any()
        assert not terms.bias.any()


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


def test_projections_are_those_applied_with_their_factors():
    """Evidence III in the authors' form: E_i^{->j} is of s_ij W_{i->j}."""
    model = small_model("gdcn", 2, block_scales=True)
    randomise(model)
    layer = model.interaction.layers[0]
    block = layer.weight[1].T[3 * K :, 2 * K : 3 * K]  # from field 2 to field 3
    expected = model.embedding_matrices()[1][2] @ (layer.scales[1, 2, 3] * block).T
    torch.testing.assert_close(model.sub_embeddings()[1][2][3], expected)


def test_sets_that_share_an_interaction_share_its_projections():
    model = small_model("dcnv2", 3, shared_interaction=True)
    sub, matrices = model.sub_embeddings(), model.embedding_matrices()
    assert len(sub) == 3
    assert model.interaction_patterns().shape == (1, N, N)
    for m in range(3):
        torch.testing.assert_close(sub[m][1][2], matrices[m][1] @ model.interaction.projections()[0, 1, 2].T)


@pytest.mark.parametrize("shared", [False, True])
def test_sub_embeddings_are_the_heads_of_the_first_tokens(shared):
    """RankMixer: head j of field i's token, which goes to token j, is E_i^{->j} at the row's value, and a bias."""
    model = build_model("rankmixer", CARDINALITIES, 15, 2, shared_interaction=shared).double()
    inputs, interaction = [], model.interaction
    interaction.blocks[0].register_forward_pre_hook(lambda block, x: inputs.append(*x))
    ids = random_ids(5, torch.Generator().manual_seed(0))
    model(ids)
    (given,), sub = inputs, model.sub_embeddings()
    # (sets, tokens, rows, size); with one interaction the sets are further rows
    assert given.shape == ((1, N, 10, N * 3) if shared else (2, N, 5, N * 3))
    tokens = given.permute(2, 0, 1, 3).reshape(5, 2, N, N * 3)
    mixed = mix_tokens(given).permute(2, 0, 1, 3).reshape(5, 2, N, N * 3)
    assert len(sub) == 2
    for m in range(2):
        for i in range(N):
            for j in range(N):
                assert sub[m][i][j].shape == (CARDINALITIES[i], 3)
                head = slice(3 * j, 3 * (j + 1))
                found = sub[m][i][j][ids[:, i]] + interaction.tokenisation.bias[i + (0 if shared else m * N), head]
                torch.testing.assert_close(found, tokens[:, m, i, head], rtol=1e-12, atol=1e-12)
                place = slice(3 * i, 3 * (i + 1))
                assert torch.equal(mixed[:, m, j, place], tokens[:, m, i, head])


def test_projections_of_tokens_give_sub_embeddings():
    model = build_model("rankmixer", CARDINALITIES, 15, 2).double()
    projections, matrices = model.interaction.projections(), model.embedding_matrices()
    assert projections.shape == (2, N, N, 3, 15)
    torch.testing.assert_close(model.sub_embeddings()[1][2][3], matrices[1][2] @ projections[1, 2, 3].T)
    norms = model.interaction_patterns()
    assert norms.shape == (2, N, N)
    assert norms[1, 2, 3].item() == pytest.approx(projections[1, 2, 3].square().sum().sqrt().item())


def test_the_sub_embeddings_of_rankmixer_are_measured():
    """Their information abundance, from factors of the embedding matrices, and the norms of the projections."""
    model = build_model("rankmixer", CARDINALITIES, 10)
    of_factors = sub_embedding_information_abundance(model)
    for i, of_field in enumerate(model.double().sub_embeddings()[0]):
        for j, matrix in enumerate(of_field):
            assert of_factors[i][j] == pytest.approx(information_abundance(matrix.detach()), rel=1e-6)
    assert np.shape(measure(model)["interaction_norms"]) == (1, N, N)


def test_ffm_splits_its_embeddings_among_the_other_fields():
    """Evidence I: E_i = [E_i^{->1}, ..., E_i^{->i-1}, E_i^{->i+1}, ..., E_i^{->N}]."""
    model = build_model("ffm", CARDINALITIES, 2 * (N - 1))
    (sub,), (matrices,) = model.sub_embeddings(), model.embedding_matrices()
    for i in range(N):
        assert sub[i][i] is None
        parts = [sub[i][j] for j in range(N) if j != i]
        assert {part.shape for part in parts} == {(CARDINALITIES[i], 2)}
        assert torch.equal(torch.cat(parts, dim=1), matrices[i])


def test_the_interaction_pattern_is_the_norm_of_every_projection():
    model = small_model("dcnv2", 2)
    patterns, weight = model.interaction_patterns(), model.interaction.layers[0].weight
    for m in range(2):
        for i in range(N):
            for j in range(N):
                block = weight[m].T[j * K : (j + 1) * K, i * K : (i + 1) * K]
                assert patterns[m, i, j].item() == pytest.approx(block.square().sum().sqrt().item())


def test_side_by_side_matrices_have_the_columns_of_every_set():
    model = small_model("dnn", 3)
    per_set = model.embedding_matrices()
    for i, matrix in enumerate(model.side_by_side_matrices()):
        assert torch.equal(matrix, torch.cat([per_set[m][i] for m in range(3)], dim=1))


@pytest.mark.parametrize("name", ["dnn", "ipnn", "nfwfm", "xdeepfm", "finalmlp", "fm", "ffm"])
def test_a_model_without_projections_says_so(name):
    model = small_model(name, 1)
    with pytest.raises(TypeError, match="has no projections W_i->j; DCNv2, GDCN and RankMixer have"):
        model.interaction_patterns()
    if name != "ffm":
        with pytest.raises(TypeError, match="has no sub-embeddings; DCNv2, GDCN, RankMixer and FFM have"):
            model.sub_embeddings()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "deepfm"}, f"model 'deepfm' does not exist; the models are {', '.join(MODELS)}"),
        ({"name": "dnn", "cross_layers": 2}, "dnn has no option cross_layers; its options are hidden, dropout"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"num_sets": 0}, "num_sets"),
        ({"cardinalities": []}, "cardinalities"),
        ({"cardinalities": [3, 0]}, "cardinalities"),
        ({"hidden": ()}, "hidden"),
        ({"name": "xdeepfm", "cin_layers": ()}, "cin_layers"),
        ({"name": "xdeepfm", "cin_layers": (3, 0)}, "cin_layers"),
        ({"cross_layers": 0}, "cross_layers is 0"),
        ({"name": "rankmixer", "blocks": 0}, "blocks is 0"),
        ({"name": "rankmixer", "expansion": 0}, "expansion is 0"),
        (
            {"name": "ffm", "embedding_size": 10},
            "10: FFM splits it evenly among the 3 other fields; expected a multiple of 3",
        ),
        ({"name": "ffm", "cardinalities": [3]}, "among the 0 other fields"),
        ({"name": "ffm", "num_sets": 4}, "ffm has no multi-embedding form"),
        ({"name": "fm", "num_sets": 2}, "fm has no multi-embedding form"),
        ({"name": "fm", "shared_interaction": True}, "no option shared_interaction; its options are hidden, dropout"),
        ({"dnn": "beside"}, "dnn is 'beside', expected one of alone, parallel, stacked"),
        ({"name": "dnn", "dnn": "alone"}, "dnn has no option dnn"),
        ({"dnn": "parallel", "ensemble": True, "num_sets": 2}, "dcnv2 has no ensemble; expected dnn='stacked'"),
    ],
)
def test_impossible_models_are_refused_by_name(arguments, message):
    arguments = {"name": "dcnv2", "cardinalities": CARDINALITIES, "embedding_size": K} | arguments
    with pytest.raises(ValueError, match=message):
        build_model(**arguments)


def test_the_defaults_are_the_papers():
    every = {"hidden": (400, 400), "dropout": 0.2, "shared_interaction": False}
    further = {
        "ipnn": {"released_form": False},
        "xdeepfm": {"cin_layers": (16, 16)},
        "dcnv2": {"cross_layers": 4, "block_scales": False, "groups": None, "dnn": None},
        "fm": {"hidden": (400, 400), "dropout": 0.2, "ensemble": False, "dnn": None},
        "gdcn": {"cross_layers": 4, "block_scales": False, "groups": None},
        "rankmixer": {"blocks": 2, "expansion": 2},
    }
    for name in MODELS:
        of_head = {} if name in ("xdeepfm", "finalmlp") else {"ensemble": False}
        expected = (every | of_head if name in MULTI else {}) | further.get(name, {})
        assert model_options(name) == expected | {"embedding_std": None}


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.999])
def test_dropout_drops_that_share_and_keeps_the_mean(p):
    x = torch.ones(1001, 999, requires_grad=True)
    torch.manual_seed(0)
    y = Dropout(p)(x)
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=4 * (p * (1 - p) / x.numel()) ** 0.5)
    assert y.detach()[y != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=2e-2 if p > 0.99 else 1e-4)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.999])
def test_of_all_values_that_16_bits_have_dropout_drops_the_share_p(p, monkeypatch):
    def every_value(bits, *limits):
        bits.view(torch.int16).copy_(torch.arange(-(2**15), 2**15))
        return bits

    monkeypatch.setattr(torch.Tensor, "random_", every_value)
    assert (Dropout(p)(torch.ones(2**16)) == 0).sum() == round(p * 2**16)


def test_dropout_drops_neighbours_independently():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(400_000)) == 0).float().reshape(-1, 8)
    correlation = torch.corrcoef(dropped.T)[~torch.eye(8, dtype=torch.bool)]
    assert correlation.abs().max() < 5 / 50_000**0.5


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_none_and_all(p, expected):
    assert Dropout(p)(torch.ones(10)).unique().tolist() == [expected]


def test_dropout_does_nothing_in_evaluation():
    x = torch.rand(10)
    assert torch.equal(Dropout(0.5).eval()(x), x)


# An interaction that is switched off


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dnn"])
@pytest.mark.parametrize("sets", [1, 2])
def test_without_its_interaction_fields_meet_in_the_mlp_alone(name, sets):
    """FM and FFM are then additive in the fields; of the others the interaction's output, FinalMLP's fusion aside,
    changes with a field as it would if the other fields held anything else."""
    if MODELS[name].factorization_machine and sets > 1:
        pytest.skip("has one set")
    size = 2 * (N - 1) if name == "ffm" else K
    model = build_model(name, CARDINALITIES, size, sets, seed=1).eval().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.switch_off_interaction()
    a, b = (torch.tensor([[row] * N]) for row in (0, 1))
    if name == "finalmlp":
        streams = model.interaction(model.embedding(a))
        expected = model.head.linear(torch.cat([stream.mean(dim=1) for stream in streams], dim=1)).flatten()
        torch.testing.assert_close(model(a), expected)
        return

    def out(ids):
        found = model.interaction(model.embedding(ids))
        return torch.cat([part.flatten(1) for part in found], dim=1) if isinstance(found, tuple) else found.flatten(1)

    if name == "nfwfm":  # its normalisation is affine in evaluation mode
        model.interaction.dropout.p = 0.0
    first = [torch.cat([x[:, :1], y[:, 1:]], dim=1) for x in (a, b) for y in (a, b)]
    aa, ab, ba, bb = map(out, first)
    torch.testing.assert_close(aa - ba, ab - bb, rtol=1e-9, atol=1e-12)


def test_dnn_has_no_interaction_to_switch_off():
    with pytest.raises(TypeError, match=r"^Concatenation has no interaction besides its MLP"):
        build_model("dnn", CARDINALITIES, K).switch_off_interaction()


def test_a_cross_network_that_is_switched_off_is_the_identity():
    model = build_model("dcnv2", CARDINALITIES, K, 2)
    model.switch_off_interaction()
    embeddings = torch.randn(5, 2, N, K)
    assert torch.equal(model.interaction(embeddings), embeddings.flatten(2))


# Cross layers in groups


def test_cross_layers_in_groups_are_those_of_as_many_sets():
    """Appendix B: a single embedding of size M K whose projections are block diagonal is M sets of size K."""
    groups, size = 3, 2
    single = build_model("dcnv2", CARDINALITIES, groups * size, groups=groups).double()
    multi = build_model("dcnv2", CARDINALITIES, size, groups).double()
    multi.interaction.load_state_dict(single.interaction.state_dict())
    embeddings = torch.randn(7, 1, N, groups * size, dtype=torch.float64)
    of_sets = embeddings.unflatten(3, (groups, size)).squeeze(1).transpose(1, 2)
    expected = multi.interaction(of_sets).unflatten(2, (N, size)).transpose(1, 2).flatten(1)
    torch.testing.assert_close(single.interaction(embeddings).squeeze(1), expected)


def test_projections_of_groups_are_block_diagonal():
    model = build_model("dcnv2", CARDINALITIES, 6, groups=3, cross_layers=1).double()
    projections = model.interaction.projections()
    assert projections.shape == (1, N, N, 6, 6)
    blocks = torch.block_diag(*[torch.ones(2, 2)] * 3).bool()
    assert (projections[..., ~blocks] == 0).all()
    assert (projections[..., blocks] != 0).all()
    x = torch.randn(4, 1, N, 6, dtype=torch.float64)
    sums = torch.einsum("bik,ijlk->bjl", x[:, 0], projections[0])
    expected = x[:, 0] * sums + x[:, 0]
    torch.testing.assert_close(model.interaction(x)[:, 0], expected.flatten(1))


def test_groups_divide_the_embedding_size():
    with pytest.raises(ValueError, match="groups is 4, expected a divisor of the embedding size, 10"):
        build_model("dcnv2", CARDINALITIES, 10, groups=4)
