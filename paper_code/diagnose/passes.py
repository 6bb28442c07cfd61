"""One table is read once, block by block, and measured: as it is stored, and as it is used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, Stored, TableError, is_tensor
from paper_code.diagnose.measures import TableMeasures, measured
from paper_code.diagnose.report import LeftOut
from paper_code.diagnose.views import View, views_of
from paper_code.spectra import Matrix, random_spectrum, singular_values, streamed_triangle

STANDS_OUT = 10
"""A column is pointed at whose root mean square is so many times that of the next, and there are few such columns."""


@dataclass(frozen=True)
class Table:
    """A matrix that was taken, with the names and sizes of its fields and how often its rows are read, if known."""

    name: str
    array: Stored
    fields: dict[str, int] | None = None
    counts: np.ndarray | None = None


def measure(
    source: str, table: Table, count: Callable[[int], object], as_used: bool = False, directions: bool = False
) -> Iterator[TableMeasures | LeftOut]:
    """The measures of a table, or of each of its fields; of one that cannot be measured the reason.

    count: is told how many numbers were read. as_used: measure the `views` of it as well. directions: keep the main
    ones.

    Raises DiagnosisError if there are not as many rows as declared.
    """
    rows, columns = table.array.shape
    fields = table.fields or {None: rows}
    names, seen = list(fields), 0
    try:
        for number, pieces in groupby(pieces_of(table.array.blocks(()), list(fields.values())), key=itemgetter(0)):
            if number == len(names):
                seen = rows + 1
                break
            size = fields[names[number]]
            counts = None if table.counts is None else table.counts[seen : seen + size]
            views = views_of(size, columns, counts, as_used)
            numbers = Numbers(pieces=(piece for _, piece in pieces), count=count, views=views)
            triangle, problem = np.asarray(streamed_triangle(numbers)), None
            values = singular_values(triangle) if np.isfinite(triangle).all() else np.array([np.inf])
            seen += numbers.rows
            if numbers.bad:
                problem = (
                    f"{numbers.bad:,} of {size * columns:,} numbers are not finite or are missing, the first in row "
                    f"{numbers.first:,} (from 0); look into its training"
                )
            elif not np.isfinite(values).all():
                problem = "its numbers are too large for float64; divide them by a constant"
            if problem:
                title = table.name if names[number] is None else f"{table.name}, {names[number]}"
                yield LeftOut(title, (size, columns), problem, faulty=True)
            elif numbers.rows == size:
                random = random_spectrum(size, columns)
                yield TableMeasures(
                    name=table.name,
                    field=names[number],
                    dtype=table.array.dtype,
                    singular_values=tuple(values.tolist()),
                    random_singular_values=tuple(random.tolist()),
                    warning=standing_out(triangle, size, table.array.column_names),
                    as_used={kind: view.measures() for kind, view in views.items()},
                    directions=main_directions(triangle) if directions and values[0] else None,
                    **measured(values, size, columns),
                )
    except TableError as error:
        yield LeftOut(table.name, (rows, columns), str(error), faulty=True)
        return
    if seen != rows:
        found = f"{seen:,}" if seen < rows else "more"
        raise DiagnosisError(
            f"{source}: table {table.name!r} declares {rows:,} rows, {found} were found; the file is damaged"
        )


@dataclass
class Numbers:
    """The blocks of a table in float64, with what is to be known of them once they were read.

    views: what takes the blocks as well.
    bad: how many numbers are not finite, the first of them in this row; each is a zero in the blocks.
    """

    pieces: Iterator[Matrix]
    count: Callable[[int], object]
    views: Mapping[str, View]
    rows: int = 0
    bad: int = 0
    first: int | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        for piece in self.pieces:
            double = in_float64(piece)
            with np.errstate(over="ignore", invalid="ignore"):  # numbers too large are reported
                if not np.isfinite(double.sum()):
                    wrong = ~np.isfinite(double)
                    if self.first is None and wrong.any():
                        self.first = self.rows + int(wrong.any(axis=1).argmax())
                    self.bad += int(wrong.sum())
                    double = np.where(wrong, 0.0, double)
                for view in self.views.values():
                    view.add(double)
            self.rows += len(piece)
            self.count(piece.shape[0] * piece.shape[1])
            yield double


def pieces_of(blocks: Iterator[Matrix], sizes: Sequence[int]) -> Iterator[tuple[int, Matrix]]:
    """The blocks, cut where a field ends, with the number of the field; rows after the last have the next number."""
    number, left = 0, sizes[0]
    for block in blocks:
        while len(block):
            if not left:
                number += 1
                left = sizes[number] if number < len(sizes) else len(block)
            piece, block = block[:left], block[left:]
            left -= len(piece)
            yield number, piece


def in_float64(block: Matrix) -> np.ndarray:
    if is_tensor(block):
        return block.double().numpy()
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are not finite are counted
        return block.astype(np.float64)


def main_directions(triangle: np.ndarray) -> np.ndarray:
    """The right singular vectors (count, columns) of the largest singular values, half as many as columns: with more of
    them any two subspaces would overlap."""
    return np.linalg.svd(triangle, full_matrices=False)[2][: triangle.shape[1] // 2].copy()


def standing_out(triangle: np.ndarray, rows: int, names: Sequence[str] | None) -> str | None:
    """The few columns whose scale is far above that of the others, in words, from the factor R of a QR decomposition,
    whose columns have the norms of the matrix's."""
    largest = abs(triangle).max()
    if not largest:
        return None
    sizes = np.sqrt(((triangle / largest) ** 2).sum(axis=0)) * (largest / np.sqrt(rows))
    order = np.argsort(-sizes)
    for count in range(1, max(1, len(sizes) // 4) + 1):
        least, next_to_it = sizes[order[count - 1]], sizes[order[count]]
        if least and least >= STANDS_OUT * next_to_it:
            which = ", ".join(names[i] if names else str(i) for i in sorted(order[:count])[:5])
            subject = f"Column {which} stands" if count == 1 else f"{count} columns ({which}) stand"
            return (
                f"{subject} out: root mean square {least:.3g} or more, of each other column {next_to_it:.3g} or less. "
                "What is no part of the vectors can be left out with columns (--columns)."
            )
    return None
