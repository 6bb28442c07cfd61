"""Appendix B: what its mathematics says comes out of the package's own interactions."""

import pytest
import torch

from paper_code.chapters import appendix_b
from paper_code.chapters.appendix_b import appendix_b_table
from paper_code.chapters.appendix_b_models import block_diagonal, by_field, interactions, unexplained

N, K, M = len(appendix_b.CARDINALITIES), appendix_b.EMBEDDING_SIZE, appendix_b.NUM_SETS


@pytest.fixture(scope="module")
def table():
    return appendix_b_table([0, 1])


def test_there_is_a_row_per_seed_interaction_and_projection(table):
    assert len(table) == len(table.drop_duplicates(["seed", "interaction", "projection"])) == 2 * 2 * 3


def test_linear_multi_embedding_is_single_embedding_to_rounding(table):
    linear = table[table["projection"] != "ReLU"]
    assert (linear["digits"] == 12).all()
    assert (linear["unexplained"].dropna() < 1e-20).all()


def test_a_relu_ends_it_and_no_other_weights_bring_it_back(table):
    relu = table[table["projection"] == "ReLU"]
    assert (relu["digits"] <= 1).all()
    assert (relu["unexplained"] > 0.05).all()


def test_by_field_puts_the_sets_of_a_field_together():
    """Entry (m, i, k) comes to (i, m, k)."""
    x = torch.arange(M * N * K).view(M, N * K)
    y = by_field(x)
    for m in range(M):
        for i in range(N):
            for k in range(K):
                assert y[(i * M + m) * K + k] == x[m, i * K + k]


def test_block_diagonal_has_the_sets_matrices_and_zeros():
    weight = torch.rand(M, N * K, N * K)
    whole = block_diagonal(weight).view(N, M, K, N, M, K)
    for m in range(M):
        for other in range(M):
            block = whole[:, m, :, :, other, :].reshape(N * K, N * K)
            assert torch.equal(block, weight[m] if m == other else torch.zeros_like(block))


def test_the_papers_form_of_dcnv2_is_equivalent_too():
    """Without bias and residual, as the appendix writes it: e_i * sum over j of W_{j->i} e_j, by loops."""
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(M, N, K, generator=generator, dtype=torch.float64)
    w = torch.randn(M, N, N, K, K, generator=generator, dtype=torch.float64)  # [m][j][i] maps field j to field i
    of_sets = [torch.cat([e[m, i] * sum(w[m, j, i] @ e[m, j] for j in range(N)) for i in range(N)]) for m in range(M)]
    wide = [torch.cat([e[m, i] for m in range(M)]) for i in range(N)]
    of_single = []
    for i in range(N):
        total = torch.zeros(M * K, dtype=torch.float64)
        for j in range(N):
            projection = torch.zeros(M * K, M * K, dtype=torch.float64)
            for m in range(M):
                projection[m * K : (m + 1) * K, m * K : (m + 1) * K] = w[m, j, i]
            total += projection @ wide[j]
        of_single.append(wide[i] * total)
    torch.testing.assert_close(by_field(torch.stack(of_sets)), torch.cat(of_single), rtol=1e-13, atol=1e-13)


def test_the_interactions_are_not_trivial():
    """Rows differ, the sets differ, and DCNv2's interaction is not the embeddings."""
    of_dnn, of_dcnv2 = interactions("dnn", 0)[0], interactions("dcnv2", 0)[0]
    assert of_dcnv2.shape == (appendix_b.ROWS, M, N * K)
    assert of_dcnv2.std(dim=0).min() > 0.1
    assert (of_dnn[:, 0] - of_dnn[:, 1]).abs().mean() > 0.1
    assert (of_dcnv2 - of_dnn).abs().mean() > 0.1


def test_the_fit_finds_a_single_embedding_where_there_is_one():
    """The measure of what is unexplained is not simply bad at fitting: a ReLU of one projection is found."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 6, generator=generator, dtype=torch.float64)
    target = (x @ torch.randn(6, 2, generator=generator, dtype=torch.float64)).relu()
    assert unexplained(x, target, relu=True) < 1e-8
    assert unexplained(x, target, relu=False) > 0.1
