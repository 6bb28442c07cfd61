"""What is measured of a spectrum, against random matrices and against noise: pure functions of singular values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache

import numpy as np

from paper_code.diagnose.arrays import printable
from paper_code.spectra import (
    effective_rank_of,
    energy_dimensions_of,
    information_abundance_of,
    random_information_abundance,
    random_singular_values,
    stable_rank_of,
)

COLLAPSED_BELOW = 0.5
"""Share of random below which a table is called collapsed: the bound of the ledger's claim "embedding-collapse"."""

DRAWS = 39
"""Random matrices whose range is an interval: a further one is outside of it in 2 of 40 cases, 5 %."""

MOST_COLUMNS_DRAWN = 256
"""Columns: of matrices with more no interval is drawn, which would take minutes."""

FEWEST_OF_TAIL = 10
"""Eigenvalues in the tail to which a power law is fitted."""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of a spectrum; None if all numbers are zero, or as said.

    random_information_abundance: the mean of random matrices. random_interval: the range of that of 39 draws, in which
    a further one lies with 95 %; None for more than 256 columns. share_of_random: information_abundance over the mean.
    effective_rank: of activations it is RankMe (Garrido et al., 2023), without its epsilon, which double precision does
    not need. energy_dimensions: how many dimensions carry 99 % of the energy, the sum of the squared singular values.
    alpha: see `power_law_alpha`. noise_edge: see `noise_edge`, over the largest singular value. above_noise: how many
    singular values are above it.
    """

    rows: int
    columns: int
    random_information_abundance: float
    random_interval: tuple[float, float] | None = None
    information_abundance: float | None = None
    share_of_random: float | None = None
    effective_rank: float | None = None
    stable_rank: float | None = None
    energy_dimensions: int | None = None
    alpha: float | None = None
    noise_edge: float | None = None
    above_noise: int | None = None

    @property
    def interval_of_share(self) -> tuple[float, float] | None:
        """The shares of random that 95 % of random matrices have."""
        return self.random_interval and tuple(end / self.random_information_abundance for end in self.random_interval)


NAMES = tuple(it.name for it in fields(Measures) if it.name != "random_interval")
"""Names of the measures that are one number."""


@dataclass(frozen=True, kw_only=True)
class TableMeasures(Measures):
    """The measures of one table, or of one field of a table.

    singular_values: (min(rows, columns),), largest first.
    random_singular_values, random_information_abundance: `random_spectrum` of the same shape, and that of it.
    warning: what to look at before believing the measures, a sentence or two, or None.
    as_used: the measures of the table as it is used, by the names in `views.VIEWS`, or weighted.
    directions: right singular vectors (count, columns) of the largest singular values, if they were asked for.
    """

    name: str
    field: str | None
    dtype: str
    singular_values: tuple[float, ...]
    random_singular_values: tuple[float, ...]
    warning: str | None = None
    as_used: Mapping[str, Measures] = field(default_factory=dict)
    directions: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def verdict(self) -> str:
        """collapsed, not collapsed, too few rows (fewer than columns), or all zeros."""
        if self.share_of_random is None:
            return "all zeros"
        if self.rows < self.columns:
            return "too few rows"
        return "collapsed" if self.share_of_random < COLLAPSED_BELOW else "not collapsed"

    @property
    def title(self) -> str:
        """The name, with the field's if it is one of several, as it can be shown."""
        return printable(self.name if self.field is None else f"{self.name}, {self.field}")

    def reading(self) -> str:
        """What the numbers say, in a sentence or two."""
        if self.share_of_random is None:
            return "All numbers are zero, so there is nothing to measure."
        most = min(self.rows, self.columns)
        sentence = (
            f"{self.energy_dimensions} of {most} dimensions carry 99 % of the energy. The information abundance is "
            f"{self.information_abundance:.2f}, {self.share_of_random:.2f} of that of random matrices of this shape."
        )
        return (
            sentence
            + {
                "collapsed": f" This table is collapsed: the share is below {COLLAPSED_BELOW}.",
                "not collapsed": f" This table is not collapsed: the share is {COLLAPSED_BELOW} or more.",
                "too few rows": " There are fewer rows than columns, too few to tell.",
            }[self.verdict]
            + (f" {printable(self.warning)}" if self.warning else "")
        )


@dataclass(frozen=True, kw_only=True)
class LayerMeasures(Measures):
    """The measures of what a layer gives for a batch: rows are samples, columns features.

    kind: the layer's class. singular_values: (min(rows, columns),), largest first.
    """

    name: str
    kind: str
    singular_values: tuple[float, ...]

    @property
    def title(self) -> str:
        """The name, as it can be shown."""
        return printable(self.name)


def measured(
    values: np.ndarray,
    rows: int,
    columns: int,
    random: float | None = None,
    interval: tuple[float, float] | None = None,
) -> dict[str, object]:
    """The fields of `Measures` from the singular values (min(rows, columns),) of a (rows, columns) matrix.

    random, interval: the information abundance of random matrices to compare with; by default those of that shape.
    """
    if random is None:
        random, interval = random_information_abundance(rows, columns), random_interval(rows, columns)
    found = {
        "rows": rows,
        "columns": columns,
        "random_information_abundance": random,
        "random_interval": interval,
    }
    if not values.max():
        return found
    scaled = values / values.max()
    abundance, edge = information_abundance_of(scaled), noise_edge(scaled, rows, columns)
    return found | {
        "information_abundance": abundance,
        "share_of_random": abundance / random,
        "effective_rank": effective_rank_of(scaled),
        "stable_rank": stable_rank_of(scaled),
        "energy_dimensions": energy_dimensions_of(scaled),
        "alpha": power_law_alpha(scaled),
        "noise_edge": edge,
        "above_noise": int((scaled > max(edge, np.finfo(float).eps * max(rows, columns))).sum()),
    }


@cache
def random_interval(rows: int, columns: int) -> tuple[float, float] | None:
    """The least and the largest information abundance of 39 normal random matrices of that shape, by seed 0.

    A further one is outside with a probability of 2/40. None for more than 256 columns, if there are as many rows.
    """
    if min(rows, columns) > MOST_COLUMNS_DRAWN:
        return None
    return range_of(random_singular_values(rows, columns, DRAWS, seed=0))


def range_of(spectra: np.ndarray) -> tuple[float, float]:
    """The least and the largest information abundance of spectra (draws, values), largest first."""
    abundances = spectra.sum(axis=1) / spectra[:, 0]
    return float(abundances.min()), float(abundances.max())


def marchenko_pastur_edge(rows: int, columns: int, variance: float) -> float:
    """The largest singular value that noise has: of a (rows, columns) matrix of independent entries with mean zero and
    that variance it tends to sqrt(variance) (sqrt(rows) + sqrt(columns)) as both grow (Marchenko and Pastur, 1967; Bai
    and Yin, 1988). Of finite matrices it is a little below in five of six cases."""
    return math.sqrt(variance) * (math.sqrt(rows) + math.sqrt(columns))


def noise_variance(values: np.ndarray, rows: int, columns: int) -> float:
    """The variance of the entries of the noise in a (rows, columns) matrix with these singular values, by their median,
    which a few directions of signal do not move: median^2 / (n mu), n the longer side and mu the median of the
    Marchenko-Pastur distribution (Gavish and Donoho, 2014, Section III.E)."""
    shorter, longer = sorted((rows, columns))
    return float(np.median(values)) ** 2 / (longer * marchenko_pastur_median(shorter / longer))


def noise_edge(values: np.ndarray, rows: int, columns: int) -> float:
    """The singular value above which a dimension stands out of noise: `marchenko_pastur_edge` of `noise_variance`."""
    return marchenko_pastur_edge(rows, columns, noise_variance(values, rows, columns))


@cache
def marchenko_pastur_median(ratio: float) -> float:
    """The median of the Marchenko-Pastur distribution of the squared singular values over the longer side, the entries
    of variance one. ratio: the shorter side over the longer, above 0 and at most 1.

    Its density at x is sqrt((b - x)(x - a)) / (2 pi ratio x) between a and b, the squares of 1 - sqrt(ratio) and of
    1 + sqrt(ratio).
    """
    least, most = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    steps = 20_000
    angles = (np.arange(steps) + 0.5) * (math.pi / 2 / steps)  # x = a + (b - a) sin^2: smooth at both ends
    x = least + (most - least) * np.sin(angles) ** 2
    mass = np.cumsum((np.sin(angles) * np.cos(angles)) ** 2 / x)
    return float(np.interp(mass[-1] / 2, mass, x))


def power_law_alpha(values: np.ndarray) -> float | None:
    """The exponent alpha of a power law p(x) ~ x^-alpha fitted to the tail of the eigenvalues x = value^2 of E'E: a
    heavy tail has a small one (Martin and Mahoney, 2021).

    The estimator is that of Clauset, Shalizi and Newman (2009): the maximum likelihood 1 + n / sum ln(x_i / x_min) of
    the n eigenvalues from x_min on, x_min being that for which the Kolmogorov-Smirnov distance of the two is smallest.
    The tail has at least 10 eigenvalues: None if fewer are above zero, or all are equal.
    """
    values = np.sort(np.asarray(values, dtype=np.float64))
    logs = 2 * np.log(values[values > values.max(initial=0) * 1e-12])
    best = (np.inf, None)
    for start in range(len(logs) - FEWEST_OF_TAIL + 1):
        tail = logs[start:] - logs[start]
        if tail[-1] <= 1e-9:
            break
        rate, count = len(tail) / tail.sum(), len(tail)
        fitted = -np.expm1(-rate * tail)
        steps = np.arange(count + 1) / count
        best = min(best, (max((steps[1:] - fitted).max(), (fitted - steps[:-1]).max()), 1 + rate))
    return None if best[1] is None else float(best[1])


def subspace_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The mean squared cosine of the principal angles between two subspaces of the same dimension (Bjorck and Golub,
    1973): 1 if they are the same, 0 if orthogonal, count / columns on average if one is random.

    one, other: (count, columns), each with orthonormal rows.
    """
    return float((np.linalg.svd(one @ other.T, compute_uv=False) ** 2).mean())
