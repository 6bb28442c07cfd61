"""Output and gradients of every model equal a loop over rows, sets, fields and pairs that is written as the paper's
equations are, in float64."""

import pytest
import torch
from torch import nn

from paper_code.models import MODELS, build_model
from paper_code.models.layers import CompressedSum
from paper_code.models.registry import DNN

CARDINALITIES = [5, 7, 40, 11]
N, K = len(CARDINALITIES), 12
MULTI = [name for name, architecture in MODELS.items() if not architecture.factorization_machine]
CASES = [
    *((name, num_sets, {}) for name in MODELS for num_sets in (1, 4) if num_sets == 1 or name in MULTI),
    *((name, 4, {"shared_interaction": True}) for name in MULTI),
    ("ipnn", 1, {"released_form": True}),
    ("ipnn", 4, {"released_form": True}),
    ("dcnv2", 1, {"block_scales": True}),
    ("dcnv2", 4, {"block_scales": True, "cross_layers": 1}),
    ("gdcn", 4, {"block_scales": True}),
    ("rankmixer", 1, {"blocks": 1, "expansion": 1}),
    ("rankmixer", 4, {"blocks": 3, "expansion": 3}),
    ("xdeepfm", 1, {"cin_layers": (3,)}),
    ("xdeepfm", 4, {"cin_layers": (4, 2, 3)}),
    *(("fm", 1, {"dnn": dnn, "hidden": (6, 5), "dropout": 0.0}) for dnn in DNN),
    *(("dcnv2", num_sets, {"dnn": dnn}) for num_sets in (1, 4) for dnn in DNN),
    *(("dcnv2", 4, {"dnn": dnn, "shared_interaction": True}) for dnn in DNN),
    *(
        (name, num_sets, {"hidden": hidden})
        for name in ("dnn", "finalmlp")
        for num_sets in (1, 4)
        for hidden in [(6,), (6, 5, 4)]
    ),
]


def random_model(name, num_sets, cardinalities=CARDINALITIES, **options):
    """In float64 without dropout, its parameters and running statistics away from special values such as zero."""
    defaults = {"hidden": (6, 5), "dropout": 0.0} if name in MULTI else {}
    model = build_model(name, cardinalities, K, num_sets, seed=1, **(defaults | options)).double()
    generator = torch.Generator().manual_seed(0)
    for tensor in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
        tensor.data += 0.3 * torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
    return model


def random_ids(rows=9, cardinalities=CARDINALITIES):
    generator = torch.Generator().manual_seed(2)
    return torch.stack([torch.randint(d, (rows,), generator=generator) for d in cardinalities], dim=1)


# Parts


def batch_norm(norm, m: int, x: torch.Tensor) -> torch.Tensor:
    """Set m's part of a batch normalisation, of (rows, features)."""
    part = slice(m * x.shape[1], (m + 1) * x.shape[1])
    mean, variance = (
        (x.mean(0), x.var(0, correction=0)) if norm.training else (norm.running_mean[part], norm.running_var[part])
    )
    return (x - mean) / (variance + norm.eps).sqrt() * norm.weight[part] + norm.bias[part]


def hidden_block(block, m: int, x: torch.Tensor) -> torch.Tensor:
    """Linear, batch normalisation, ReLU of set m, of (rows, features)."""
    linear, norm = block[0], block[1]
    return batch_norm(norm, m, x @ linear.weight[m] + linear.bias[m]).relu()


def of_every_set(function, xs: list[torch.Tensor], shared: bool) -> list[torch.Tensor]:
    """function(m, rows) of every set's rows; if it is shared, all sets' rows go through it together."""
    if shared:
        return list(function(0, torch.cat(xs)).split(len(xs[0])))
    return [function(m, x) for m, x in enumerate(xs)]


def mean_head(head, xs: list[torch.Tensor], shared: bool) -> torch.Tensor:
    projected = of_every_set(lambda m, x: hidden_block(head.projection, m, x), xs, shared)
    h = sum(projected) / len(projected)
    for block in head.mlp[:-1]:
        h = hidden_block(block, 0, h)
    return (h @ head.mlp[-1].weight[0] + head.mlp[-1].bias[0]).flatten()


# Interactions of one row, from its N embeddings in set m


def inner_products(interaction, m, e):
    products = [(e[i] * e[j]).sum() for i in range(N) for j in range(i + 1, N)]
    return torch.stack(products) if interaction.products_only else torch.cat([*e, torch.stack(products)])


def field_weighted_sum(interaction, m, e):
    return sum(interaction.weight[m, i, j] * e[i] * e[j] for i in range(N) for j in range(N))


def compressed_interaction(interaction, m, e):
    x, sums = e, []
    for layer in interaction.layers:
        w, b = layer.weight[m], layer.bias[m]
        x = [
            (sum(w[h, i, j] * x[i] * e[j] for i in range(len(x)) for j in range(N)) + b[h]).relu()
            for h in range(len(w))
        ]
        sums += [row.sum() for row in x]
    return torch.stack(sums)


def cross_network(interaction, m, e):
    x0 = x = torch.cat(e)
    for layer in interaction.layers:
        w = layer.weight[m].T.clone()
        if layer.scales is not None:
            for i in range(N):
                for j in range(N):
                    w[j * K : (j + 1) * K, i * K : (i + 1) * K] *= layer.scales[m, i, j]
        product = x0 * (w @ x + layer.bias[m])
        if hasattr(layer, "gate"):
            product = product * torch.sigmoid(layer.gate[m].T @ x)
        x = product + x
    return x


def layer_norm(norm, m: int, x: torch.Tensor) -> torch.Tensor:
    """Of one token in set m."""
    mean = x.mean()
    return (x - mean) / ((x - mean).square().mean() + 1e-5).sqrt() * norm.weight[m] + norm.bias[m]


def token_mixer(interaction, m, e):
    def linear(layer, t, x):
        return layer.weight[m * N + t].T @ x + layer.bias[m * N + t]

    def gelu(x):
        return x * (1 + torch.erf(x / 2**0.5)) / 2

    size = max(1, K // 5)
    tokens = [linear(interaction.tokenisation, i, e[i]) for i in range(N)]
    for block in interaction.blocks:
        mixed = [torch.cat([token[h * size : (h + 1) * size] for token in tokens]) for h in range(N)]
        s = [layer_norm(block.mixing_norm, m, a + b) for a, b in zip(mixed, tokens, strict=True)]
        ffn = [linear(block.outer, t, gelu(linear(block.inner, t, s[t]))) for t in range(N)]
        tokens = [layer_norm(block.ffn_norm, m, a + b) for a, b in zip(ffn, s, strict=True)]
    return sum(tokens) / N


def pairwise_sum(interaction, m, e):
    return sum(e[i] * e[j] for i in range(N) for j in range(i + 1, N))


def field_aware_sum(interaction, m, e):
    size = K // (N - 1)
    others = [[j for j in range(N) if j != i] for i in range(N)]
    sub = [{j: e[i][n * size : (n + 1) * size] for n, j in enumerate(others[i])} for i in range(N)]
    return sum((sub[i][j] * sub[j][i]).sum() for i in range(N) for j in range(i + 1, N)).reshape(1)


INTERACTIONS = {
    "dnn": lambda interaction, m, e: torch.cat(e),
    "ipnn": inner_products,
    "nfwfm": field_weighted_sum,
    "xdeepfm": compressed_interaction,
    "dcnv2": cross_network,
    "gdcn": cross_network,
    "rankmixer": token_mixer,
    "finalmlp": lambda interaction, m, e: torch.cat(e),
    "fm": pairwise_sum,
    "ffm": field_aware_sum,
}


def obvious_logits(name: str, model, ids: torch.Tensor, shared: bool, dnn: str | None) -> torch.Tensor:
    interaction, head = model.interaction, model.head
    starts = [sum(CARDINALITIES[:i]) for i in range(N)]

    def combined(interact) -> list[torch.Tensor]:
        """[set] -> (rows, features)."""
        return [
            torch.stack(
                [
                    interact(
                        interaction,
                        0 if shared else m,
                        [model.embedding.weight[starts[i] + x, m * K : (m + 1) * K] for i, x in enumerate(row)],
                    )
                    for row in ids
                ]
            )
            for m in range(model.embedding.num_sets)
        ]

    h = combined(INTERACTIONS[name])
    if name == "nfwfm":
        h = of_every_set(lambda m, x: batch_norm(interaction.norm, m, x), h, shared)
    mean = sum(h) / len(h)
    if name == "finalmlp":
        return finalmlp_logits(interaction, head, h, shared)
    if name == "xdeepfm" or dnn == "parallel":
        embeddings = combined(lambda interaction, m, e: torch.cat(e))
        logits = mean_head(head.dnn, embeddings, shared) + head.linear(mean).flatten()
    elif name in ("fm", "ffm") and dnn != "stacked":
        logits = mean.sum(dim=1)
    elif dnn == "alone":
        logits = mean @ head.linear.weight[0] + head.linear.bias
    else:
        logits = mean_head(head, h, shared)
    if name in ("fm", "ffm"):
        linear = [sum(model.linear_terms.weight[starts[i] + x, 0] for i, x in enumerate(row)) for row in ids]
        logits = logits + torch.stack(linear) + model.linear_terms.bias
    return logits


def finalmlp_logits(interaction, head, h, shared):
    means = []
    for stream in (0, 1):

        def mlp(m, x, stream=stream):
            linear, norm = interaction.first[0], interaction.first[1]
            width = linear.bias.shape[1] // 2
            columns = slice(stream * width, (stream + 1) * width)
            x = batch_norm(norm, 2 * m + stream, x @ linear.weight[m][:, columns] + linear.bias[m][columns]).relu()
            for block in interaction.others:
                x = hidden_block(block, 2 * m + stream, x)
            return x

        outputs = of_every_set(mlp, h, shared)
        means.append(sum(outputs) / len(outputs))
    x, y = means
    weight_x, weight_y = head.linear.weight[0].chunk(2)
    bilinear = torch.stack([a @ head.weight @ b for a, b in zip(x, y, strict=True)])
    return x @ weight_x + y @ weight_y + head.linear.bias + bilinear


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "num_sets", "options"), CASES)
def test_output_and_gradients_equal_the_loop(name, num_sets, options, training):
    model, ids = random_model(name, num_sets, **options).train(training), random_ids()
    weights = torch.rand(len(ids), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = obvious_logits(name, model, ids, options.get("shared_interaction", False), options.get("dnn"))
    expected_gradients = torch.autograd.grad((expected * weights).sum(), list(model.parameters()))
    found = model(ids)
    found_gradients = torch.autograd.grad((found * weights).sum(), list(model.parameters()))
    assert found.shape == (len(ids),)
    assert found.std() > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for (parameter, _), a, b in zip(model.named_parameters(), found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=parameter)


def test_the_running_statistics_of_a_shared_layer_are_those_of_all_sets_rows():
    model, ids = random_model("dnn", 4, shared_interaction=True).train(), random_ids()
    linear, norm = model.head.projection[0], model.head.projection[1]
    rows = torch.cat(list(model.embedding(ids).flatten(2).unbind(dim=1))) @ linear.weight[0] + linear.bias[0]
    expected = 0.9 * norm.running_mean + 0.1 * rows.mean(dim=0)
    model(ids)
    torch.testing.assert_close(norm.running_mean, expected.detach())


# Permutation of the fields

ORDER = [2, 0, 3, 1]  # new field a is old field ORDER[a]; not its own inverse


def permuted(name: str, model) -> nn.Module:
    """The model of the permuted fields with the same weights, moved to where they belong."""
    cardinalities = [CARDINALITIES[i] for i in ORDER]
    starts = [sum(CARDINALITIES[:i]) for i in range(N)]
    rows = torch.tensor([starts[i] + x for i in ORDER for x in range(CARDINALITIES[i])])
    features = torch.tensor([i * K + k for i in ORDER for k in range(K)])  # of concatenated embeddings
    fields = torch.tensor(ORDER)
    pairs = [(i, j) for i in range(N) for j in range(i + 1, N)]
    moved_pairs = [N * K + pairs.index(tuple(sorted((ORDER[a], ORDER[b])))) for a, b in pairs]
    state = dict(model.state_dict())

    def move(key: str, axis: int, index: torch.Tensor) -> None:
        state[key] = state[key].index_select(axis, index)

    move("embedding.weight", 0, rows)
    if name in ("fm", "ffm"):
        move("linear_terms.weight", 0, rows)
    if name == "ffm":
        move_sub_embeddings(state, cardinalities)
    if name in ("dnn", "dcnv2", "gdcn"):
        move("head.projection.0.weight", 1, features)
    if name == "ipnn":
        move("head.projection.0.weight", 1, torch.cat([features, torch.tensor(moved_pairs)]))
    if name == "nfwfm":
        move("interaction.weight", 1, fields)
        move("interaction.weight", 2, fields)
    if name == "xdeepfm":
        move("interaction.layers.0.weight", 2, fields)
        for number in range(len(model.interaction.layers)):
            move(f"interaction.layers.{number}.weight", 3, fields)
        move("head.dnn.projection.0.weight", 1, features)
    if name == "finalmlp":
        move("interaction.first.0.weight", 1, features)
    if name in ("dcnv2", "gdcn"):
        for number in range(len(model.interaction.layers)):
            for part in ("weight", "gate") if name == "gdcn" else ("weight",):
                move(f"interaction.layers.{number}.{part}", 1, features)
                move(f"interaction.layers.{number}.{part}", 2, features)
            move(f"interaction.layers.{number}.bias", 1, features)
    if name == "rankmixer":
        move_tokens(state, model.embedding.num_sets)
    other = random_model(name, model.embedding.num_sets, cardinalities)
    other.load_state_dict(state)
    return other


def move_tokens(state: dict, num_sets: int) -> None:
    """RankMixer: every field's layers, and the heads of every token of size D, of which fields are the order too."""
    layers = torch.tensor([m * N + i for m in range(num_sets) for i in ORDER])
    heads = torch.tensor([i * (K // 5) + k for i in ORDER for k in range(K // 5)])
    for key in state:
        if "tokenisation" in key or "inner" in key or "outer" in key:
            state[key] = state[key][layers]
        if "inner.weight" in key or "head.projection.0.weight" in key:
            state[key] = state[key][:, heads]
        if "tokenisation" in key or "outer" in key or "_norm" in key:
            state[key] = state[key][..., heads]


def move_sub_embeddings(state: dict, cardinalities: list[int]) -> None:
    """FFM: new field a's sub-embedding for new field b is old field ORDER[a]'s for old field ORDER[b]."""
    size, start, old = K // (N - 1), 0, state["embedding.weight"].clone()
    for a in range(N):
        rows = slice(start, start + cardinalities[a])
        start += cardinalities[a]
        for b in range(N):
            if a != b:
                place_new, place_old = b - (b > a), ORDER[b] - (ORDER[b] > ORDER[a])
                columns = [slice(place * size, (place + 1) * size) for place in (place_new, place_old)]
                state["embedding.weight"][rows, columns[0]] = old[rows, columns[1]]


@pytest.mark.parametrize(("name", "num_sets"), [(n, m) for n in MODELS for m in (1, 4) if m == 1 or n in MULTI])
def test_a_permutation_of_fields_with_their_weights_changes_nothing(name, num_sets):
    model, ids = random_model(name, num_sets).eval(), random_ids()
    other = permuted(name, model).eval()
    torch.testing.assert_close(other(ids[:, ORDER]), model(ids), rtol=1e-11, atol=1e-11)
    other.load_state_dict(model.state_dict())  # unmoved, they give something else
    lowest = ids.clamp(max=min(CARDINALITIES) - 1)
    assert not torch.allclose(other(lowest[:, ORDER]), model(lowest), rtol=1e-4)


# Blocks of columns


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("fields", "columns"), [(3, 1), (12, 1000), (12, 2 * 896), (40, 1037)])
def test_a_compressed_sum_and_its_gradients_are_those_of_one_einsum(fields, columns, first):
    """Of a part of a block of columns, of whole blocks, and of whole ones and a part; of the smallest block."""
    generator = torch.Generator().manual_seed(0)
    rows = fields if first else fields + 1
    shapes = (2, 4, rows, fields), (2, fields, columns), (2, rows, columns), (2, 4, columns)
    weight, x0, x, g = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    weight.requires_grad_(), x0.requires_grad_(), x.requires_grad_()
    inputs, distinct = ((weight, x0, x0), (weight, x0)) if first else ((weight, x, x0), (weight, x, x0))
    found, expected = CompressedSum.apply(*inputs), torch.einsum("mhij,mic,mjc->mhc", *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad((sums * g).sum(), distinct) for sums in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_compressed_sum_has_the_gradients_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 2, 2, 3), (2, 2, 4), (2, 3, 4)
    inputs = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(CompressedSum.apply, inputs)


def test_a_compressed_sum_is_of_float32_under_autocast_too():
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 4, 5, 5), (2, 5, 9)
    weight, x = (torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes)
    usual = CompressedSum.apply(weight, x, x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = CompressedSum.apply(weight, x, x)
    assert torch.equal(mixed, usual)
    gradients = [torch.autograd.grad(sums.square().sum(), (weight, x)) for sums in (usual, mixed)]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)
