"""A table as it is used: centred, its rows normalised, weighted by how often they are read, or its columns shuffled.

Each view is added up block by block as the table is read once, and compared with random matrices seen the same way.
"""

import math

import numpy as np

from paper_code.diagnose.measures import DRAWS, Measures, measured, random_interval, range_of
from paper_code.spectra import normalised_singular_values, random_information_abundance

MOST_NUMBERS_DRAWN = 1 << 18
"""Most numbers of a random matrix that is drawn as a whole."""

MOST_COLUMNS_WEIGHTED = 128
"""Random matrices with more columns and weighted rows are drawn three times, and give no interval."""

WEIGHT_STEP = 1.05
"""Weights within this factor of each other are taken as equal when random matrices are drawn."""


class View:
    """The rows seen so far, by the factor R of a QR decomposition; this one changes nothing."""

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self.triangle = np.zeros((0, columns))

    def add(self, block: np.ndarray) -> None:
        """Take the next rows (block rows, columns), in float64."""
        self.push(block)

    def push(self, *parts: np.ndarray) -> None:
        self.triangle = np.linalg.qr(np.concatenate([self.triangle, *parts]), mode="r")

    def random(self) -> tuple[float, tuple[float, float] | None]:
        """The information abundance of random matrices seen in this way: its mean and the range of 39 draws."""
        return random_information_abundance(self.rows, self.columns), random_interval(self.rows, self.columns)

    def measures(self) -> Measures:
        known = self.triangle.size and np.isfinite(self.triangle).all()
        values = np.linalg.svd(self.triangle, compute_uv=False) if known else np.zeros(1)
        return Measures(**measured(values, self.rows, self.columns, *self.random()))


class Centred(View):
    """The mean row is taken from every row: what rows have in common, as a popularity, is no use of a dimension.

    The centred parts are joined as Chan, Golub and LeVeque (1983) join variances, so that one pass is enough.
    """

    def __init__(self, rows: int, columns: int):
        super().__init__(rows, columns)
        self.seen, self.mean = 0, np.zeros(columns)

    def add(self, block: np.ndarray) -> None:
        mean, count = block.mean(axis=0), len(block)
        between = math.sqrt(self.seen * count / (self.seen + count)) * (mean - self.mean)
        self.push(block - mean, between[None])
        self.seen += count
        self.mean = self.mean + (mean - self.mean) * (count / self.seen)

    def random(self) -> tuple[float, tuple[float, float] | None]:
        rows = max(self.rows - 1, 1)  # a centred normal matrix has the singular values of one with a row less
        return random_information_abundance(rows, self.columns), random_interval(rows, self.columns)


class RowNormalised(View):
    """Every row is divided by its norm, as cosine similarity does; rows of zeros are left out of account."""

    def add(self, block: np.ndarray) -> None:
        largest = abs(block).max(axis=1, keepdims=True)
        block = block[largest[:, 0] > 0] / largest[largest[:, 0] > 0, :]
        self.push(block / np.linalg.norm(block, axis=1, keepdims=True))

    def random(self) -> tuple[float, tuple[float, float] | None]:
        return random_normalised(self.rows, self.columns)


class Shuffled(View):
    """The numbers of each column change places at random: what is left is due to the columns' scales and means alone.

    The places change within a block of rows, which is the whole of a small table.
    """

    def __init__(self, rows: int, columns: int):
        super().__init__(rows, columns)
        self.generator = np.random.default_rng(0)

    def add(self, block: np.ndarray) -> None:
        self.push(self.generator.permuted(block, axis=0))


class Weighted(View):
    """A row counts as often as it is read: it is multiplied by the square root of its count.

    counts: (rows,) of the table or the field, none negative. Their scale does not matter.
    """

    def __init__(self, rows: int, columns: int, counts: np.ndarray):
        super().__init__(rows, columns)
        self.counts, self.seen = counts, 0
        self.largest = max(float(counts.max()), np.finfo(float).tiny)

    def add(self, block: np.ndarray) -> None:
        weights = np.asarray(self.counts[self.seen : self.seen + len(block)], np.float64) / self.largest
        self.push(block * np.sqrt(weights)[:, None])
        self.seen += len(block)

    def random(self) -> tuple[float, tuple[float, float] | None]:
        return random_weighted(np.asarray(self.counts, np.float64) / self.largest, self.columns)


def random_normalised(rows: int, columns: int) -> tuple[float, tuple[float, float] | None]:
    """Mean and range of the information abundance of 39 normal matrices whose rows were divided by their norms.

    Of more than 2^18 numbers they are taken as normal ones of rows (columns + 2) / columns: for unit rows the sums of
    the products of two columns vary as those of so many normal rows, relative to the sums of squares.
    """
    if rows * columns > MOST_NUMBERS_DRAWN:
        rows = round(rows * (columns + 2) / columns)
        return random_information_abundance(rows, columns), random_interval(rows, columns)
    spectra = np.concatenate([normalised_singular_values(rows, columns, 1, seed) for seed in range(DRAWS)])
    return mean_of(spectra), range_of(spectra)


def random_weighted(weights: np.ndarray, columns: int) -> tuple[float, tuple[float, float] | None]:
    """Mean and range of the information abundance of 39 normal matrices whose rows were multiplied by the square roots
    of the weights (rows,); without a range the mean of 3 for more than 128 columns.

    Rows of the same weight are a normal matrix, of which no more than `columns` rows need be drawn.
    """
    weights = np.sort(weights[weights > 0])
    steps = np.floor(np.log(weights / weights[0]) / math.log(WEIGHT_STEP) + 1e-9)
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    sizes = np.diff([*starts, len(weights)])
    means = np.add.reduceat(weights, starts) / sizes
    draws = DRAWS if columns <= MOST_COLUMNS_WEIGHTED else 3
    spectra = np.array([weighted_draw(means, sizes, columns, np.random.default_rng(seed)) for seed in range(draws)])
    return mean_of(spectra), range_of(spectra) if draws == DRAWS else None


def weighted_draw(weights: np.ndarray, sizes: np.ndarray, columns: int, generator: np.random.Generator) -> np.ndarray:
    """Singular values (columns,) of a normal matrix with so many rows of each weight; see `random_singular_values`."""
    triangle = np.zeros((columns, columns))
    for weight, size in zip(weights, sizes, strict=True):
        if size > columns:
            rows = np.triu(generator.standard_normal((columns, columns)), 1)
            np.fill_diagonal(rows, np.sqrt(generator.chisquare(size - np.arange(columns))))
        else:
            rows = generator.standard_normal((size, columns))
        triangle = np.linalg.qr(np.concatenate([triangle, rows * math.sqrt(weight)]), mode="r")
    return np.linalg.svd(triangle, compute_uv=False)


def mean_of(spectra: np.ndarray) -> float:
    """The mean information abundance of spectra (draws, values), largest first."""
    return float((spectra.sum(axis=1) / spectra[:, 0]).mean())


def views_of(rows: int, columns: int, counts: np.ndarray | None, as_used: bool) -> dict[str, View]:
    """The views of a table, or a field of one, by name: those in `VIEWS` if it is to be measured as it is used, and
    weighted if there are counts (rows,) that are not all zero."""
    found = {kind: view(rows, columns) for kind, view in VIEWS.items()} if as_used else {}
    read = counts is not None and counts.max() > 0
    return found | ({"weighted": Weighted(rows, columns, counts)} if read else {})


VIEWS = {"centred": Centred, "row_normalised": RowNormalised, "shuffled": Shuffled}
