"""How collapsed is a matrix? Singular values and the measures made of them: pure functions of one matrix."""

import math
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:  # it takes seconds to import and need not be installed
    import torch

Matrix: TypeAlias = "np.ndarray | torch.Tensor"

ROWS_PER_COLUMN = 4
"""Pieces of so many times as many rows as columns are decomposed one by one: they fit in the processor's cache."""

RANDOM_NUMBERS, MOST_RANDOM_DRAWS = 1_000_000, 10_000
"""Random matrices of a shape are drawn until they have so many numbers together, at most so many matrices."""


def singular_values(matrix: Matrix) -> np.ndarray:
    """Singular values of a (D, K) matrix, largest first: min(D, K) of them, in float64, exact to rounding.

    Raises ValueError if the matrix is not two-dimensional, is empty, or holds a value that is not finite.

    Example: `singular_values(np.eye(3))` is `[1., 1., 1.]`.
    """
    matrix = checked_matrix(matrix)
    if isinstance(matrix, np.ndarray):
        return np.linalg.svd(matrix, compute_uv=False)
    import torch

    return torch.linalg.svdvals(matrix).cpu().numpy()


def streamed_singular_values(blocks: Iterable[Matrix]) -> np.ndarray:
    """Singular values of the matrix whose rows come in blocks, each (rows, K): those of `singular_values`, to rounding.

    Raises ValueError as `streamed_triangle` does.
    """
    return singular_values(streamed_triangle(blocks))


def streamed_triangle(blocks: Iterable[Matrix]) -> Matrix:
    """The factor R (at most (K, K), float64) of a QR decomposition of the matrix whose rows come in blocks,
    each (rows, K).

    Kept are one block and the R of the rows so far, whatever D is. R has the matrix's singular values and the norms of
    its columns. E'E would be faster to add up, but its condition is the square: singular values below 1e-8 of the
    largest would be lost.

    Raises ValueError if there is no block, the blocks differ in K, or as `singular_values` does for one of them.
    """
    triangle = None
    for block in blocks:
        rows = checked_matrix(block)
        if triangle is not None and rows.shape[1] != triangle.shape[1]:
            raise ValueError(f"expected {triangle.shape[1]} columns as in the first block, found {rows.shape[1]}")
        triangle = triangle_of(rows, triangle)
    if triangle is None:
        raise ValueError("expected at least one block of rows, found none")
    return triangle


def triangle_of(rows: Matrix, before: "Matrix | None") -> Matrix:
    """The factor R of the rows (rows, K) below those whose R is `before`."""
    if isinstance(rows, np.ndarray):
        columns = rows.shape[1]
        whole = len(rows) - len(rows) % (ROWS_PER_COLUMN * columns)
        pieces = rows[:whole].reshape(-1, ROWS_PER_COLUMN * columns, columns)
        triangles = np.linalg.qr(pieces, mode="r").reshape(-1, columns)
        parts = [triangles, rows[whole:]] if before is None else [before, triangles, rows[whole:]]
        return np.linalg.qr(np.concatenate(parts), mode="r")
    import torch

    rows = rows if before is None else torch.cat([before.to(rows.device), rows])
    return torch.linalg.qr(rows, mode="r").R


def checked_matrix(matrix: Matrix) -> Matrix:
    """The matrix in float64, an array unless PyTorch has been imported, whose decompositions are faster; raises
    ValueError as `singular_values` does."""
    torch = sys.modules.get("torch")
    if torch and isinstance(matrix, torch.Tensor):
        matrix = matrix.detach()
    elif torch:
        matrix = torch.from_numpy(np.array(matrix, dtype=np.float64))  # a copy: it may be read-only or reversed
    else:
        matrix = np.asarray(matrix, dtype=np.float64)
    if len(matrix.shape) != 2 or 0 in matrix.shape:
        raise ValueError(f"expected a matrix with at least one row and one column, found shape {tuple(matrix.shape)}")
    if torch:
        matrix = matrix.to(torch.float64)
    finite = (torch or np).isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~np.asarray(finite.cpu() if torch else finite))[0].tolist()
        raise ValueError(f"expected finite numbers, found {float(matrix[row, column])} in row {row}, column {column}")
    return matrix


def information_abundance(matrix: Matrix) -> float:
    """Sum of the singular values over the largest one (Definition 1): from 1, rank one, to min(D, K), all equal.

    Raises ValueError as `singular_values` does, and if every entry of the (D, K) matrix is zero.
    """
    return information_abundance_of(singular_values(matrix))


def effective_rank(matrix: Matrix) -> float:
    """exp of the entropy of the singular values taken as a distribution (Roy and Vetterli, 2007): 1 to min(D, K).

    Raises ValueError as `information_abundance` does.
    """
    return effective_rank_of(singular_values(matrix))


def stable_rank(matrix: Matrix) -> float:
    """Sum of the squared singular values over the largest square: 1 to min(D, K), never above the rank.

    Raises ValueError as `information_abundance` does.
    """
    return stable_rank_of(singular_values(matrix))


def information_abundance_of(values: np.ndarray) -> float:
    """Information abundance from singular values in any order (Definition 1)."""
    values = checked_values(values)
    return float(values.sum() / values.max())


def effective_rank_of(values: np.ndarray) -> float:
    """Effective rank from singular values in any order; see `effective_rank`."""
    values = checked_values(values)
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank_of(values: np.ndarray) -> float:
    """Stable rank from singular values in any order; see `stable_rank`."""
    values = checked_values(values)
    return float(((values / values.max()) ** 2).sum())


def energy_dimensions_of(values: np.ndarray, share: float = 0.99) -> int:
    """The fewest singular values whose squares are that share of the sum of all squares; values in any order.

    The sum of squares, the energy, is the squared Frobenius norm: this is the rank of the best approximation that
    leaves out 1 - share of it.
    """
    values = np.sort(checked_values(values))[::-1]
    energies = np.cumsum((values / values[0]) ** 2)
    return int(np.searchsorted(energies, share * energies[-1])) + 1


@cache
def random_spectrum(rows: int, columns: int, row_normalised: bool = False) -> np.ndarray:
    """Singular values of a random matrix, over the largest: what all shares of random are taken against.

    (min(rows, columns),), the first 1: the mean of `random_singular_values` of that shape, every draw divided by its
    largest first, so that the information abundance of this is the mean of those of the draws. Draws are by seed 0, and
    so many that they have a million numbers together, at most 10,000: the standard error of the information abundance
    is below half a per cent. Measures do not depend on the scale.

    row_normalised: the same of matrices whose rows were divided by their norms.
    """
    draws = min(MOST_RANDOM_DRAWS, math.ceil(RANDOM_NUMBERS / (rows * columns)))
    if row_normalised:
        values = normalised_singular_values(rows, columns, draws, seed=0)
    else:
        values = random_singular_values(rows, columns, draws, seed=0)
    spectrum = (values / values[:, :1]).mean(axis=0)
    spectrum.flags.writeable = False  # one array for all who ask
    return spectrum


def random_information_abundance(rows: int, columns: int) -> float:
    """Information abundance of a random matrix: the mean over the draws of `random_spectrum`."""
    return information_abundance_of(random_spectrum(rows, columns))


def randomly_projected(spectra: Sequence[Sequence[float]], size: int, seed: int) -> list[list[float | None]]:
    """[i][j] -> information abundance of what a random projection of its own makes of E_i, None for i = j.

    spectra: [i] -> the singular values of E_i. The projections are Gaussian, to `size` columns: with E_i = U S V^T,
    E_i W^T has the singular values of S G, G as random as W.
    """
    generator, found = np.random.default_rng(seed), []
    for i, values in enumerate(spectra):
        gaussian = generator.standard_normal((len(spectra) - 1, len(values), size))
        of_field = np.linalg.svd(np.array(values)[:, None] * gaussian, compute_uv=False)
        abundance = (of_field.sum(axis=1) / of_field[:, 0]).tolist()
        found.append([*abundance[:i], None, *abundance[i:]])
    return found


def random_singular_values(rows: int, columns: int, draws: int, seed: int) -> np.ndarray:
    """Singular values (draws, min(rows, columns)), largest first, of matrices of independent standard normal entries.

    The matrices are not drawn, so that any number of rows is cheap. A tall Gaussian (D, K) matrix is QR with the
    entries of R independent: standard normal above the diagonal, and on it the i-th, counted from 0, of a chi
    distribution with D - i degrees of freedom (Bartlett's decomposition of the Wishart matrix R'R). R has the same
    singular values, and is K by K. A wide matrix has those of its transpose.
    """
    most, least = max(rows, columns), min(rows, columns)
    generator = np.random.default_rng(seed)
    triangles = np.triu(generator.standard_normal((draws, least, least)), 1)
    diagonal = np.arange(least)
    triangles[:, diagonal, diagonal] = np.sqrt(generator.chisquare(most - diagonal, (draws, least)))
    return np.linalg.svd(triangles, compute_uv=False)


def normalised_singular_values(rows: int, columns: int, draws: int, seed: int) -> np.ndarray:
    """As `random_singular_values`, every row divided by its norm first; the matrices are drawn."""
    matrices = np.random.default_rng(seed).standard_normal((draws, rows, columns))
    return np.linalg.svd(matrices / np.linalg.norm(matrices, axis=2, keepdims=True), compute_uv=False)


def checked_values(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"expected a list of finite singular values, none negative, found {values}")
    if values.max() == 0:
        raise ValueError("every singular value is zero: a matrix of zeros has no information abundance or rank")
    return values


def pattern_measures(norms: np.ndarray) -> dict[str, float]:
    """How alike the sets' norms ||W_{i->j}^(m)||_F (sets, i, j) are, i = j aside (Section 5.3, Figure 9c).

    correlation: of two sets' norms, mean over the pairs of sets. spread: the standard deviation of a norm over the
    sets, over its mean over them, mean over i and j.
    """
    flat = np.asarray(norms, dtype=float)[:, ~np.eye(np.shape(norms)[1], dtype=bool)]
    upper = np.triu_indices(len(flat), k=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # norms of all zeros
        correlation, spread = np.corrcoef(flat)[upper].mean(), (flat.std(axis=0) / flat.mean(axis=0)).mean()
    return {"correlation": float(np.nan_to_num(correlation)), "spread": float(np.nan_to_num(spread))}
