"""The paper's method in one file, to be read from top to bottom: what collapses, why, and the cure.

It needs PyTorch alone. The package has the same equations for more models, and faster; `tests/test_method.py` holds the
two together. There are N fields, field i with D_i values, the embedding size is K, and there are M embedding sets.

    python -m paper_code.method    # some seconds on a CPU
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# 1. What collapses: the embedding matrix E_i (D_i, K), which has a row for every value of field i (Sections 2 and 3)


def information_abundance(matrix: Tensor) -> float:
    """(1) IA(E) = sum_k sigma_k / max_k sigma_k, of the singular values of E (D, K); from 1, rank one, to min(D, K)."""
    sigma = torch.linalg.svdvals(matrix.detach().double())
    return (sigma.sum() / sigma.max()).item()


def random_information_abundance(rows: int, columns: int, draws: int = 20, seed: int = 0) -> float:
    """What to hold IA against, as it depends on the shape: the mean over matrices of standard normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    matrices = [torch.randn(rows, columns, generator=generator) for _ in range(draws)]
    return sum(map(information_abundance, matrices)) / draws


# 2. Why: the feature interaction passes collapse on from field to field (Section 4.1)


def pairwise_interaction(e: Tensor) -> Tensor:
    """(2) h = sum over i < j of e_i . e_j, as in a factorisation machine: (batch, fields, size) -> (batch,)."""
    return sum((e[:, i] * e[:, j]).sum(dim=1) for j in range(e.shape[1]) for i in range(j))


def toy_experiment(third_cardinality: int, iterations: int, embedding_size: int = 10, seed: int = 0) -> float:
    """IA(E_1) after E_1 alone was trained, beside fixed E_2 and E_3, on labels drawn at random (Appendix A).

    (3) dL/de_1 = sum over i > 1, k of alpha_ik sigma_ik v_ik, of the singular values and right singular vectors of E_i:
    E_1 grows along the main directions of its partners. An E_3 with D_3 = 3 rows has only three directions to offer.
    """
    generator = torch.Generator().manual_seed(seed)
    e1, e2 = (torch.randn(100, embedding_size, generator=generator) for _ in range(2))
    y = torch.randint(2, (100, 100), generator=generator).float().flatten()
    e3 = torch.randn(third_cardinality, embedding_size, generator=generator)
    x3 = torch.randint(third_cardinality, (100, 100), generator=generator).flatten()
    x1, x2 = torch.cartesian_prod(torch.arange(100), torch.arange(100)).unbind(dim=1)
    e1.requires_grad_()
    for _ in range(iterations):
        h = pairwise_interaction(torch.stack([e1[x1], e2[x2], e3[x3]], dim=1))
        (gradient,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(h, y), e1)
        e1.data -= gradient  # full-batch gradient descent with the learning rate 1
    return information_abundance(e1)


# 3. The cure: multi embedding, several embedding sets, each with an interaction of its own (Section 5.1)


class CrossLayer(nn.Linear):
    """(4) x_{l+1} = x_0 * (W x_l + b) + x_l, of DCNv2; `*` is the product of elements.

    W (N K, N K) consists of blocks (K, K): that in block row j, block column i is W_{i->j}, which projects field i for
    its interaction with field j.
    """

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """(batch, N K) -> the same."""
        return x0 * super().forward(x) + x


def hidden_block(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_features, out_features), nn.BatchNorm1d(out_features), nn.ReLU())


class EmbeddingSet(nn.Module):
    """(5) h^(m) = projection(I^(m)(e_1^(m), ..., e_N^(m))): a set's matrices, its cross layers and its projection.

    The projection is the non-linearity without which several sets would be a case of one larger set (Appendix B).
    """

    def __init__(self, cardinalities: Sequence[int], embedding_size: int, hidden: int, cross_layers: int):
        super().__init__()
        self.cardinalities = list(cardinalities)
        self.table = nn.Parameter(torch.empty(sum(cardinalities), embedding_size))  # E_1, ..., E_N, one below the other
        nn.init.xavier_uniform_(self.table)
        features = len(cardinalities) * embedding_size
        self.interaction = nn.ModuleList(CrossLayer(features, features) for _ in range(cross_layers))
        self.projection = hidden_block(features, hidden)

    def matrices(self) -> Sequence[Tensor]:
        return self.table.split(self.cardinalities)

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) -> (batch, hidden)."""
        e = [matrix[x] for matrix, x in zip(self.matrices(), ids.unbind(dim=1), strict=True)]
        x0 = x = torch.cat(e, dim=1)
        for layer in self.interaction:
            x = layer(x0, x)
        return self.projection(x)


class MultiEmbeddingDCNv2(nn.Module):
    """(6) y = F(h), h = (h^(1) + ... + h^(M)) / M. With M = 1 this is DCNv2 with single embedding."""

    def __init__(
        self, cardinalities: Sequence[int], embedding_size: int, num_sets: int, hidden: int = 32, cross_layers: int = 2
    ):
        super().__init__()
        sizes = cardinalities, embedding_size, hidden, cross_layers
        self.sets = nn.ModuleList(EmbeddingSet(*sizes) for _ in range(num_sets))
        self.postprocessing = nn.Sequential(hidden_block(hidden, hidden), nn.Linear(hidden, 1))  # F

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) ids from 0 -> (batch,) logits."""
        h = torch.stack([embedding_set(ids) for embedding_set in self.sets]).mean(dim=0)
        return self.postprocessing(h).squeeze(1)

    def matrices(self) -> list[Tensor]:
        """[field] -> [E_i^(1), ..., E_i^(M)], all sets side by side: (D_i, M K)."""
        of_sets = [embedding_set.matrices() for embedding_set in self.sets]
        return [torch.cat(of_field, dim=1) for of_field in zip(*of_sets, strict=True)]


# 4. Try it: a toy click log, and DCNv2 at the base size and at four times that, by one large set and by four small ones


def toy_click_log(cardinalities: Sequence[int], rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(rows, fields) ids, uniform, and (rows,) labels; their logit is (2) of latent vectors, to a deviation of 2."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(d, (rows,), generator=generator) for d in cardinalities], dim=1)
    latent = [torch.randn(d, 4, generator=generator) for d in cardinalities]
    logits = pairwise_interaction(torch.stack([z[x] for z, x in zip(latent, ids.unbind(dim=1), strict=True)], dim=1))
    return ids, torch.bernoulli(torch.sigmoid(2 * logits / logits.std()), generator=generator)


def train(model: nn.Module, ids: Tensor, labels: Tensor, epochs: int = 3, seed: int = 0) -> None:
    """Adam on the log loss of batches of 512 rows."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(ids), generator=generator).split(512):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(ids[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()


def auc(scores: Tensor, labels: Tensor) -> float:
    """The share of the pairs of a click and a non-click in which the click has the higher score."""
    return (scores[labels == 1].unsqueeze(1) > scores[labels == 0]).float().mean().item()


def main(rows: int = 40_000, iterations: int = 200, seed: int = 0) -> None:
    print(f"The toy experiment: IA(E_1) is {toy_experiment(3, 0, seed=seed):.2f} at the start. Trained beside")
    for third_cardinality in (3, 100):
        trained = toy_experiment(third_cardinality, iterations, seed=seed)
        print(f"a third field of {third_cardinality:3} values it is {trained:.2f}")

    cardinalities = [3, 10, 30, 100, 300]
    ids, labels = toy_click_log(cardinalities, rows + 5_000, seed)
    print("\nDCNv2 on a toy click log: IA(E_i) as a share of a random matrix's, by field")
    print("values of the field   " + "".join(f"{d:6}" for d in cardinalities) + "  test AUC")
    models = {"base": (4, 1), "single embedding, 4x": (16, 1), "multi embedding, 4x": (4, 4)}
    for label, (embedding_size, num_sets) in models.items():
        torch.manual_seed(seed)
        model = MultiEmbeddingDCNv2(cardinalities, embedding_size, num_sets)
        train(model, ids[:rows], labels[:rows], seed=seed)
        shares = [information_abundance(e) / random_information_abundance(*e.shape) for e in model.matrices()]
        with torch.no_grad():
            test_auc = auc(model(ids[rows:]), labels[rows:])
        print(f"{label:22}" + "".join(f"{share:6.2f}" for share in shares) + f"{test_auc:10.4f}")


if __name__ == "__main__":
    main()
