"""The method in one file gives the numbers of the package, and the same numbers every time."""

import ast
import sys
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

from paper_code import method, spectra
from paper_code.models import build_model
from paper_code.models.interactions import PairwiseProducts
from paper_code.toy import run_toy

CARDINALITIES = [3, 7, 40]
N, K, M, HIDDEN, LAYERS = len(CARDINALITIES), 4, 3, 6, 2


@pytest.fixture
def pair():
    """The package's DCNv2 and the file's, with the same weights, in float64."""
    options = {"hidden": (HIDDEN, HIDDEN), "dropout": 0.0, "cross_layers": LAYERS}
    package = build_model("dcnv2", CARDINALITIES, K, M, **options).double()
    ours = method.MultiEmbeddingDCNv2(CARDINALITIES, K, M, HIDDEN, LAYERS).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in package.parameters():
        parameter.data += 0.3 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64)

    def copy(module, linear, norm=None, m=0):
        """Set m's linear layer, transposed as SetLinear keeps it, and normalisation."""
        target = module[0] if norm else module
        target.weight.data, target.bias.data = linear.weight[m].detach().T, linear.bias[m].detach()
        if norm:
            part = slice(m * HIDDEN, (m + 1) * HIDDEN)
            module[1].weight.data, module[1].bias.data = norm.weight.detach()[part], norm.bias.detach()[part]

    for m, embedding_set in enumerate(ours.sets):
        embedding_set.table.data = torch.cat(package.embedding_matrices()[m]).detach()
        for layer, of_package in zip(embedding_set.interaction, package.interaction.layers, strict=True):
            copy(layer, of_package, m=m)
        copy(embedding_set.projection, *list(package.head.projection)[:2], m=m)
    copy(ours.postprocessing[0], *list(package.head.mlp[0])[:2])
    copy(ours.postprocessing[1], package.head.mlp[1])
    return package, ours


def random_ids(rows=9):
    generator = torch.Generator().manual_seed(2)
    return torch.stack([torch.randint(d, (rows,), generator=generator) for d in CARDINALITIES], dim=1)


@pytest.mark.parametrize("training", [True, False])
def test_multi_embedding_gives_the_logits_and_gradients_of_the_package(pair, training):
    ids = random_ids()
    for model in pair:
        model.train()(ids)  # so that the running statistics are not those of the start
        model.train(training)
        model(ids).square().sum().backward()
    package, ours = pair
    torch.testing.assert_close(ours(ids), package(ids), rtol=1e-10, atol=1e-10)
    gradients = torch.cat([embedding_set.table.grad for embedding_set in ours.sets], dim=1)
    torch.testing.assert_close(gradients, package.embedding.weight.grad, rtol=1e-8, atol=1e-10)
    for found, expected in zip(ours.matrices(), package.side_by_side_matrices(), strict=True):
        assert torch.equal(found, expected)


def test_a_cross_layer_is_that_of_the_package_and_has_its_projections_as_blocks(pair):
    package, ours = pair
    x0, x = torch.randn(2, 5, M, N * K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected, projections = package.interaction.layers[0](x0, x), package.interaction.projections()
    for m, embedding_set in enumerate(ours.sets):
        layer = embedding_set.interaction[0]
        torch.testing.assert_close(layer(x0[:, m], x[:, m]), expected[:, m])
        for i in range(N):
            for j in range(N):
                block = layer.weight[j * K : (j + 1) * K, i * K : (i + 1) * K]
                torch.testing.assert_close(block, projections[m, i, j])


def test_the_pairwise_interaction_is_that_of_fm():
    e = torch.randn(5, N, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = PairwiseProducts(1, N, K)(e.unsqueeze(1)).sum(dim=(1, 2))
    torch.testing.assert_close(method.pairwise_interaction(e), expected)


@pytest.mark.parametrize("shape", [(3, 16), (300, 16)])
def test_information_abundance_is_that_of_the_package(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert method.information_abundance(matrix) == pytest.approx(spectra.information_abundance(matrix), rel=1e-12)
    # of 20 draws, where the package has thousands
    assert method.random_information_abundance(*shape) == pytest.approx(
        spectra.random_information_abundance(*shape), rel=0.05
    )


@pytest.mark.parametrize("third_cardinality", [3, 100])
def test_the_toy_experiment_is_that_of_the_package(third_cardinality):
    expected = run_toy(third_cardinality, seeds=[1], iterations=20, points=1).information_abundance[0]
    for iterations, value in zip((0, 20), expected, strict=True):
        found = method.toy_experiment(third_cardinality, iterations, seed=1)
        assert found == pytest.approx(value, rel=1e-5)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(200, generator=generator), torch.randint(2, (200,), generator=generator).float()
    assert method.auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), rel=1e-6)


def test_it_prints_the_same_every_time(capsys):
    printed = []
    for _ in range(2):
        method.main(rows=1024, iterations=2)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "multi embedding, 4x" in printed[0]


def test_it_needs_pytorch_and_the_standard_library_alone():
    nodes = list(ast.walk(ast.parse(Path(method.__file__).read_text(encoding="utf-8"))))
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} <= {"torch", *sys.stdlib_module_names}
