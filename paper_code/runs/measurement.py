"""What is measured of a model: spectra of its embeddings, and what its interaction does to them; JSON values."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paper_code.models.ctr_model import CTRModel
from paper_code.models.layers import CrossLayer
from paper_code.spectra import (
    effective_rank_of,
    information_abundance,
    pattern_measures,
    randomly_projected,
    singular_values,
    streamed_singular_values,
)

REPRESENTED_ROWS = 2048
"""Rows of the log on which what the layers give is measured."""


def field_information_abundance(model: CTRModel) -> dict:
    """Information abundance of every field, the matrices of all sets side by side."""
    matrices = model.side_by_side_matrices()
    return {"information_abundance": [rounded(information_abundance(matrix)) for matrix in matrices]}


def summary(model: CTRModel) -> dict:
    """A few numbers of a model at some moment of its training, to five digits.

    information_abundance: [field], all sets side by side. per_set: [set][field], only with several sets.
    embedding_norm: root mean square of all values of the embeddings.
    With projections W_{i->j} (Section 4.1), of the first layer that has them, also: projection_norm, the mean of
    ||W_{i->j}||_F; distance_to_unitary, the mean of `distance_to_unitary`; with one set projected_abundance, the mean
    over i other than j of IA(E_i W_{i->j}^T) / IA(E_i), one for projections that keep every singular value's share;
    with several pattern_correlation and pattern_spread, see `pattern_measures`.
    """
    found = field_information_abundance(model)
    if model.embedding.num_sets > 1:
        found["per_set"] = [
            [rounded(information_abundance(m)) for m in of_set] for of_set in model.embedding_matrices()
        ]
    found["embedding_norm"] = rounded(model.embedding.weight.detach().double().square().mean().sqrt().item())
    if not hasattr(model.interaction, "projections"):
        return found
    projections = model.interaction.projections().detach()
    found["projection_norm"] = rounded(torch.linalg.matrix_norm(projections).mean().item())
    if projections.shape[-1] == projections.shape[-2]:
        found["distance_to_unitary"] = rounded(distance_to_unitary(projections).mean().item())
    if model.embedding.num_sets == 1:
        of_pairs = np.array(sub_embedding_information_abundance(model), dtype=float)
        np.fill_diagonal(of_pairs, np.nan)
        ratios = of_pairs / np.array(found["information_abundance"])[:, None]
        found["projected_abundance"] = rounded(float(np.nanmean(ratios)))
    elif len(projections) > 1:
        norms = torch.linalg.matrix_norm(projections).cpu().numpy()
        found |= {f"pattern_{name}": rounded(value) for name, value in pattern_measures(norms).items()}
    return found


def distance_to_unitary(blocks: Tensor) -> Tensor:
    """|| W^T W - s I ||_F / || W^T W ||_F at its smallest over s, for W of shape (..., K, K): 0 for a multiple of a
    unitary matrix, sqrt(1 - 1 / K) for one of rank one.

    The smallest is at s = ||W||_F^2 / K. A block of zeros, which has no direction, is at 0.
    """
    products = (blocks.mT @ blocks).double()
    squares = products.square().sum(dim=(-2, -1))
    traces = products.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    left = (1 - traces.square() / (blocks.shape[-1] * squares)).clamp(min=0)
    return torch.where(squares > 0, left, 0.0).sqrt()


def measure(model: CTRModel, seed: int = 0) -> dict:
    """Spectra of a trained model, rounded to five digits.

    side_by_side: [field] -> singular values of the (D_i, M*K) matrix of all sets.
    row_normalised: as side_by_side, every row divided by its norm first.
    per_set: [set][field] -> singular values of the (D_i, K) matrix; only if there are several sets.
    sub_embedding_information_abundance: [i][j], None where there is none; only with sub-embeddings and one set
    (Section 4.1). randomly_projected_information_abundance: the same with random projections, of this seed.
    interaction_norms: [set][i][j] -> Frobenius norm of W_{i->j} (Section 5.3); only where the model has them.
    """
    matrices = model.side_by_side_matrices()
    spectra = {
        "side_by_side": [rounded(singular_values(matrix)) for matrix in matrices],
        "row_normalised": [rounded(singular_values(F.normalize(matrix.detach(), dim=1))) for matrix in matrices],
    }
    if model.embedding.num_sets > 1:
        spectra["per_set"] = [[rounded(singular_values(m)) for m in of_set] for of_set in model.embedding_matrices()]
    if hasattr(model.interaction, "projections"):
        norms = model.interaction_patterns().detach().cpu().numpy()
        spectra["interaction_norms"] = [[rounded(row) for row in of_set] for of_set in norms]
    if hasattr(model.interaction, "sub_embeddings") and model.embedding.num_sets == 1:
        spectra["sub_embedding_information_abundance"] = [
            [None if value is None else rounded(value) for value in of_field]
            for of_field in sub_embedding_information_abundance(model)
        ]
        spectra["randomly_projected_information_abundance"] = [
            [None if value is None else rounded(value) for value in of_field]
            for of_field in randomly_projected(spectra["side_by_side"], model.interaction.sub_size, seed)
        ]
    return spectra


def sub_embedding_information_abundance(model: CTRModel) -> list[list[float | None]]:
    """[i][j] -> IA(E_i^{->j}) of a model with one set, None where there is no sub-embedding (Section 4.1).

    With E_i = Q R, R of at most K rows, E_i^{->j} has the singular values of what the same projection makes of R.
    """
    interaction = deepcopy(model.interaction).double()
    small = [torch.linalg.qr(matrix.detach().double(), mode="r").R for matrix in model.embedding_matrices()[0]]
    return [
        [None if matrix is None else information_abundance(matrix) for matrix in of_field]
        for of_field in interaction.sub_embeddings([small])[0]
    ]


@torch.no_grad()
def representations(model: CTRModel, ids: Tensor) -> list[dict]:
    """What the rows `ids` (rows, fields) become: the embeddings, and what every layer of the interaction gives that
    keeps the fields apart.

    name: embeddings; cross 1, ... of DCNv2 and GDCN; tokens, mixing 1, block 1, ... of RankMixer.
    effective_rank: of the matrix with a row for each of `ids`, all fields and sets side by side (RankMe; arXiv
    2604.26489); only if it has no more columns than rows. fields_effective_rank: of each row's own (fields, size)
    matrix, sets side by side, the mean over the rows (arXiv 2605.23191).
    Leaves the model in evaluation mode.
    """
    found = []

    def keep(name: str, x: Tensor) -> None:
        """(rows, sets, fields, size)."""
        measures = {"name": name}
        if x[0].numel() <= len(x):
            measures["effective_rank"] = rounded(effective_rank_of(streamed_singular_values([x.flatten(1)])))
        shares = F.normalize(torch.linalg.svdvals(x.transpose(1, 2).flatten(2).double()), p=1, dim=1)
        measures["fields_effective_rank"] = rounded(torch.special.entr(shares).sum(dim=1).exp().mean().item())
        found.append(measures)

    def keep_of(name: str, number: int, layer: nn.Module, to_rows: Callable[[Tensor], Tensor]) -> None:
        handles.append(layer.register_forward_hook(lambda _, __, output: keep(f"{name} {number}", to_rows(output))))

    def of_tokens(x: Tensor) -> Tensor:
        """(sets, tokens, rows, size) -> (rows, sets, tokens, size)."""
        return x.permute(2, 0, 1, 3)

    handles = [model.embedding.register_forward_hook(lambda _, __, output: keep("embeddings", output))]
    for number, layer in enumerate(getattr(model.interaction, "layers", ()), start=1):
        if isinstance(layer, CrossLayer):
            keep_of("cross", number, layer, lambda x: x.unflatten(2, (ids.shape[1], -1)))
    for number, block in enumerate(getattr(model.interaction, "blocks", ()), start=1):
        if number == 1:
            handles.append(block.register_forward_pre_hook(lambda _, x: keep("tokens", of_tokens(x[0]))))
        keep_of("mixing", number, block.mixing_norm, of_tokens)
        keep_of("block", number, block, of_tokens)
    try:
        model.eval()(ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


def parameters_by_part(model: CTRModel) -> dict[str, int]:
    """Numbers of parameters: embedding (with the linear terms of FM and FFM), interaction, head."""
    numbers = {"embedding": 0, "interaction": 0, "head": 0}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        numbers["embedding" if part == "linear_terms" else part] += parameter.numel()
    return numbers


def rounded(values, digits: int = 5):
    """A number, or the numbers of an array as a list, to five significant digits."""
    if np.ndim(values):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}")
