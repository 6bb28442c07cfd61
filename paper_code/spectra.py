"""How collapsed is a matrix? Singular values and the measures made of them: pure functions of one matrix."""

import numpy as np
import torch

Matrix = np.ndarray | torch.Tensor


def singular_values(matrix: Matrix) -> np.ndarray:
    """Singular values of a (D, K) matrix, largest first: min(D, K) of them, in float64, exact to rounding.

    Raises ValueError if the matrix is not two-dimensional, is empty, or holds a value that is not finite.

    Example: `singular_values(np.eye(3))` is `[1., 1., 1.]`.
    """
    if not isinstance(matrix, torch.Tensor):
        matrix = torch.from_numpy(np.array(matrix, dtype=np.float64))  # a copy: it may be read-only or reversed
    tensor = matrix.detach()
    if tensor.ndim != 2 or tensor.numel() == 0:
        raise ValueError(f"expected a matrix with at least one row and one column, found shape {tuple(tensor.shape)}")
    tensor = tensor.to(torch.float64)
    if not torch.isfinite(tensor).all():
        row, column = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
        raise ValueError(f"expected finite numbers, found {tensor[row, column].item()} in row {row}, column {column}")
    return torch.linalg.svdvals(tensor).cpu().numpy()


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


def random_matrix(rows: int, columns: int, seed: int) -> np.ndarray:
    """A (rows, columns) matrix of independent uniform entries, as an embedding table before training.

    Its measures are what those of a learned matrix of the same shape are to be held against; they do not depend on the
    scale, so the bound of the initialisation does not matter.
    """
    return np.random.default_rng(seed).uniform(-1, 1, (rows, columns))


def checked_values(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"expected a list of finite singular values, none negative, found {values}")
    if values.max() == 0:
        raise ValueError("every singular value is zero: a matrix of zeros has no information abundance or rank")
    return values
