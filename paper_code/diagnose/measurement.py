"""Which matrices are embedding tables, and how collapsed each is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from paper_code.diagnose.readers import DiagnosisError, Stored, read_file, stored
from paper_code.diagnose.report import LeftOut, Report, TableMeasures
from paper_code.models.embedding import MultiEmbedding
from paper_code.spectra import (
    Matrix,
    effective_rank_of,
    energy_dimensions_of,
    information_abundance_of,
    random_information_abundance,
    random_spectrum,
    stable_rank_of,
    streamed_singular_values,
)

LAYERS = (nn.Embedding, nn.EmbeddingBag, MultiEmbedding)
NAMES = re.compile(r"(?<![a-z])(emb|tables?(?![a-z])|lookup)|embed|Emb(?!l)|Table|Lookup")
ROWS_PER_COLUMN, FEWEST_ROWS = 8, 100
MOST_COLUMNS = 4096
"""Of a table that is measured: its blocks and R are that many squared."""

WHOLE_FILES = (".npy", ".npz", ".parquet")


@dataclass(frozen=True)
class Table:
    """A matrix that was taken, with the names and sizes of its fields, if known."""

    name: str
    array: Stored
    fields: dict[str, int] | None = None


def diagnose(
    source: nn.Module | Mapping[str, Matrix] | str | Path,
    *,
    tables: str | Sequence[str] | None = None,
    fields: Sequence[int] | Mapping[str, int] | None = None,
    progress: bool = False,
) -> Report:
    """Find the embedding tables of a model, measure how collapsed each is, and say what that means.

    source: a module; a mapping of names to matrices (rows, columns), arrays or tensors, such as a state dict; or a file
    of one of the forms in `readers.READERS`, of which no code is executed and which may be larger than the memory.
    tables: take the matrices whose name matches this pattern, or one of these (`*` and `?` as in a shell). Without it
    a module's tables are the weights of its `LAYERS`. Of a file, or of a module without such layers, they are the
    matrices whose name has "emb", "table" or "lookup" in it; if none has, all of them if there is nothing but matrices,
    else those with at least 100 rows and 8 times as many rows as columns. A mapping of nothing but matrices is taken
    whole, and so are the files that hold nothing else: .npy, .npz and .parquet.
    fields: the sizes of the fields, by name or in order, that lie one below the other in a table with as many rows as
    they have together; each field is then measured by itself. A `MultiEmbedding` knows its own.
    progress: show a bar of the numbers read, if the standard error is a terminal.

    Memory: a few blocks in float64, each of about 2^18 numbers or, if that is more, of as many rows as columns,
    whatever the number of rows. A matrix in Fortran order in an .npz file is read at once. The pages of mapped files
    (all but .npz and .npy in C order) count as resident while there is room for them.

    Raises DiagnosisError, a ValueError, if nothing can be measured, a table holds a number that is not finite, no table
    fits the fields, or a file cannot be read; OSError if it cannot be opened.

    Example: `print(diagnose(model))`, `diagnose("model.pt").to_html()`.
    """
    if isinstance(source, str | Path):
        name, whole = str(source), Path(source).suffix.lower() in WHOLE_FILES
        arrays, layers = read_file(Path(source)), {}
    elif isinstance(source, nn.Module):
        name, whole = type(source).__name__, False
        arrays, layers = arrays_of_module(source)
    elif isinstance(source, Mapping):
        name, whole = "the mapping", True
        arrays, layers = {str(key): stored(matrix) for key, matrix in source.items()}, {}
    else:
        raise TypeError(
            f"expected a module, a mapping of names to matrices or a file's name, found {type(source).__name__}"
        )
    matrices = {key: array for key, array in arrays.items() if len(array.shape) == 2}
    patterns = [tables] if isinstance(tables, str) else tables
    taken, found_by = choose(matrices, len(arrays), layers, patterns, whole)
    chosen, left_out = [], []
    for key, array in matrices.items():
        problem = array.problem or problem_of_shape(*array.shape)
        if key not in taken:
            problem = f"not chosen: taken were {found_by}"
        if problem:
            left_out.append(LeftOut(key, array.shape, problem))
        else:
            chosen.append(Table(key, array, layers.get(key)))
    if not chosen:
        there = "; ".join(f"{it.name} {it.shape}: {it.reason}" for it in left_out[:8])
        raise DiagnosisError(
            f"{name}: no embedding table to measure. Matrices found: {there or 'none'}. "
            "Choose others by their names with tables (--tables)"
        )
    if fields is not None:
        chosen = with_fields(name, chosen, fields)
    total = sum(table.array.shape[0] * table.array.shape[1] for table in chosen)
    with tqdm(total=total, unit=" numbers", unit_scale=True, disable=None if progress else True) as bar:
        measured = tuple(measures for table in chosen for measures in measure(name, table, bar))
    return Report(name, found_by, measured, tuple(left_out))


def arrays_of_module(module: nn.Module) -> tuple[dict[str, Stored], dict[str, dict[str, int] | None]]:
    """The arrays of a module's state, and of those that are the weights of an embedding layer the fields, if known.

    A weight that several layers share is there once.
    """
    arrays, layers, seen = {}, {}, set()
    for name, layer in module.named_modules():
        weight = layer.weight if isinstance(layer, LAYERS) else None
        if weight is not None and id(weight) not in seen:
            seen.add(id(weight))
            key = f"{name}.weight".removeprefix(".")
            arrays[key] = stored(weight)
            sizes = getattr(layer, "cardinalities", None)
            layers[key] = sizes and {f"field {i}": size for i, size in enumerate(sizes)}
    for key, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, torch.Tensor) and id(value) not in seen:
            arrays.setdefault(key, stored(value))
    return arrays, layers


def choose(
    matrices: Mapping[str, Stored],
    arrays: int,
    layers: Mapping[str, object],
    patterns: Sequence[str] | None,
    whole: bool,
) -> tuple[set[str], str]:
    """The names of the matrices that are embedding tables, of so many arrays, and the rule by which they are."""
    only_matrices = len(matrices) == arrays
    if patterns is not None:
        matching = {key for key in matrices if any(fnmatchcase(key, pattern) for pattern in patterns)}
        return matching, f"the matrices named like {' or '.join(patterns)}"
    if layers:
        return set(layers), "the weights of the embedding layers"
    if whole and only_matrices:
        return set(matrices), "all matrices"
    if named := {key for key in matrices if NAMES.search(key)}:
        return named, 'the matrices with "emb", "table" or "lookup" in their names'
    if only_matrices:
        return set(matrices), "all matrices, there being nothing else"
    tall = {key for key, it in matrices.items() if it.shape[0] >= max(FEWEST_ROWS, ROWS_PER_COLUMN * it.shape[1])}
    return tall, f"the matrices with {FEWEST_ROWS} rows or more and {ROWS_PER_COLUMN} times as many as columns"


def problem_of_shape(rows: int, columns: int) -> str | None:
    """Why a matrix of that shape is not measured, or None."""
    if columns < 2:
        return "one column, where nothing can collapse"
    return f"more than {MOST_COLUMNS:,} columns" if columns > MOST_COLUMNS else None


def with_fields(source: str, tables: Sequence[Table], fields: Sequence[int] | Mapping[str, int]) -> list[Table]:
    """The tables, those with as many rows as the fields have together with these fields."""
    if not isinstance(fields, Mapping):
        fields = {f"field {i}": size for i, size in enumerate(fields)}
    if not fields or min(fields.values()) < 1:
        raise DiagnosisError(f"fields: expected sizes of 1 or more, found {list(fields.values())}")
    rows = sum(fields.values())
    if all(table.array.shape[0] != rows for table in tables):
        there = ", ".join(f"{table.array.shape[0]:,} ({table.name})" for table in tables[:8])
        raise DiagnosisError(
            f"{source}: the {len(fields)} fields have {rows:,} rows together, the tables {there}; expected the sizes "
            "of the fields that lie one below the other in a table"
        )
    return [
        Table(table.name, table.array, dict(fields) if table.array.shape[0] == rows else table.fields)
        for table in tables
    ]


def measure(source: str, table: Table, bar: tqdm) -> Iterator[TableMeasures]:
    """The measures of a table, or of each of its fields."""
    rows, columns = table.array.shape
    fields = table.fields or {None: rows}
    names = list(fields)
    cut = pieces_of(checked_blocks(source, table, bar), list(fields.values()))
    for number, pieces in groupby(cut, key=itemgetter(0)):
        try:
            values = streamed_singular_values(piece for _, piece in pieces)
        except torch.linalg.LinAlgError:
            values = np.array([np.inf])
        if not np.isfinite(values).all():
            raise DiagnosisError(
                f"{source}: the numbers of table {table.name!r} are too large for float64; divide them by a constant"
            )
        yield measures_of(table.name, names[number], fields[names[number]], columns, table.array.dtype, values)


def pieces_of(blocks: Iterator[Matrix], sizes: Sequence[int]) -> Iterator[tuple[int, Matrix]]:
    """The blocks, cut where a field ends, with the number of the field."""
    number, left = 0, sizes[0]
    for block in blocks:
        while len(block):
            if not left:
                number, left = number + 1, sizes[number + 1]
            piece, block = block[:left], block[left:]
            left -= len(piece)
            yield number, piece


def checked_blocks(source: str, table: Table, bar: tqdm) -> Iterator[Matrix]:
    """The blocks of a table.

    Raises DiagnosisError in the end if a number was not finite or there were not as many rows as declared.
    """
    rows, columns = table.array.shape
    seen = bad = 0
    first = None
    for block in table.array.blocks():
        double = in_float64(block)
        if not torch.isfinite(double.sum()):
            wrong = ~torch.isfinite(double)
            if first is None and wrong.any():
                first = seen + int(wrong.any(dim=1).int().argmax())
            bad += int(wrong.sum())
        seen += len(block)
        bar.update(block.shape[0] * block.shape[1])
        if not bad and seen <= rows:
            yield double
    if bad:
        raise DiagnosisError(
            f"{source}: of table {table.name!r} {bad:,} of {rows * columns:,} numbers are not finite or are missing, "
            f"the first in row {first:,} (from 0); leave it out with tables (--tables), or look into its training"
        )
    if seen != rows:
        raise DiagnosisError(
            f"{source}: table {table.name!r} declares {rows:,} rows, {seen:,} were found; the file is damaged"
        )


def in_float64(block: Matrix) -> torch.Tensor:
    if isinstance(block, torch.Tensor):
        return block.to(torch.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are not finite are counted
        return torch.from_numpy(block.astype(np.float64))


def measures_of(name: str, field: str | None, rows: int, columns: int, dtype: str, values: np.ndarray) -> TableMeasures:
    """The measures of singular values (min(rows, columns),), largest first."""
    random = random_spectrum(rows, columns)
    random_abundance = random_information_abundance(rows, columns)
    scaled = values / values[0] if values[0] else values
    measured = {}
    if values[0]:
        abundance = information_abundance_of(scaled)
        measured = {
            "information_abundance": abundance,
            "effective_rank": effective_rank_of(scaled),
            "stable_rank": stable_rank_of(scaled),
            "energy_dimensions": energy_dimensions_of(scaled),
            "share_of_random": abundance / random_abundance,
        }
    return TableMeasures(
        name=name,
        field=field,
        rows=rows,
        columns=columns,
        dtype=dtype,
        random_information_abundance=random_abundance,
        singular_values=tuple(values.tolist()),
        random_singular_values=tuple(random.tolist()),
        **measured,
    )
