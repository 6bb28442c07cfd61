"""Find the embedding tables of a source, and measure how collapsed each is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from paper_code.diagnose.arrays import DiagnosisError, Found, Stored, TableError, flattened, is_tensor, stored
from paper_code.diagnose.choice import below, choose, matrices_of, positions_of, problem_of_shape
from paper_code.diagnose.readers import read_source
from paper_code.diagnose.report import LeftOut, Report, TableMeasures
from paper_code.spectra import (
    Matrix,
    effective_rank_of,
    energy_dimensions_of,
    information_abundance_of,
    random_information_abundance,
    random_spectrum,
    singular_values,
    stable_rank_of,
    streamed_triangle,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

STANDS_OUT = 10
"""A column is pointed at whose root mean square is so many times that of the next, and there are few such columns."""


@dataclass(frozen=True)
class Table:
    """A matrix that was taken, with the names and sizes of its fields, if known."""

    name: str
    array: Stored
    fields: dict[str, int] | None = None


def diagnose(
    source: "nn.Module | Mapping[str, object] | str | Path",
    *,
    tables: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    key: str | None = None,
    columns: str | Sequence[str] | None = None,
    fields: Sequence[int] | Mapping[str, int] | None = None,
    progress: bool = False,
) -> Report:
    """Find the embedding tables of a model, measure how collapsed each is, and say what that means.

    source: a module; a mapping of names to matrices (rows, columns), arrays or tensors, such as a state dict or a
    loaded checkpoint, which is treated as the file that holds it; a file of one of the forms in `readers.READERS`,
    recognised by content, of which no code is executed and which may be larger than the memory; or a folder of them.
    tables: take the matrices whose name matches this pattern, or one of these (`*` and `?` as in a shell). Without it
    a module's tables are the weights of its embedding layers. Of a checkpoint, or of a module without such layers, they
    are the matrices whose name has "emb", "table" or "lookup" in it, and those with at least 100 rows and 8 times as
    many rows as columns, but for those that look like layers by a bias beside them, or by name and shape. Where there
    is nothing but matrices and none of these rules applies, and of collections of arrays (.npy, .npz, .parquet, a
    mapping of NumPy arrays) it is all. The slices of an array with three axes or more are matrices of their own.
    exclude: leave out those whose name matches.
    key: look only at what is below this key of a checkpoint, such as "net" or "model.ema".
    columns: take these columns only: positions such as "0-7", or names or patterns of those of a Parquet file.
    fields: the sizes of the fields, by name or in order, that lie one below the other in a table with as many rows as
    they have together; each field is then measured by itself. A `MultiEmbedding` knows its own.
    progress: show a bar of the numbers read, if the standard error is a terminal.

    A table that cannot be measured, as one with a number that is not finite, is among those left out, with the reason.

    Memory: a few blocks in float64, each of about 2^18 numbers or, if that is more, of as many rows as columns,
    whatever the number of rows. A matrix in Fortran order in an .npz file, and a checkpoint in the form from before
    PyTorch 1.6, are read at once. The pages of mapped files (all but .npz and .npy in C order) count as resident while
    there is room for them.

    Raises DiagnosisError, a ValueError, if nothing can be measured, no table fits the fields or columns, or a file
    cannot be read; OSError if it cannot be opened.

    Example: `print(diagnose(model))`, `diagnose("model.pt").to_html()`.
    """
    tables, exclude, columns = as_list(tables), as_list(exclude) or [], as_list(columns)
    name, found, layers = look_into(source, columns)
    if key is not None:
        found = below(key, found, name)
        layers = {layer: sizes for layer, sizes in layers.items() if layer in found.arrays}
    matrices, no_tables = matrices_of(found.arrays)
    taken, found_by, reasons = choose(found, matrices, layers, tables, exclude)
    chosen, left_out = [], [LeftOut(it, found.arrays[it].shape, reason) for it, reason in no_tables.items()]
    for matrix in dict.fromkeys([*taken, *matrices]):
        array = matrices[matrix]
        problem = array.problem or problem_of_shape(*array.shape) or twin(array, chosen)
        if matrix not in taken and not (problem or "").startswith(SHARED):
            problem = f"not chosen: {reasons.get(matrix) or f'taken were {found_by}'}"
        if problem:
            left_out.append(LeftOut(matrix, array.shape, problem))
        else:
            chosen.append(Table(matrix, array, layers.get(matrix)))
    left_out = stacks_together(left_out, found.arrays)
    if not chosen:
        raise DiagnosisError(nothing_to_measure(name, left_out, found))
    chosen.sort(key=lambda table: list(matrices).index(table.name))
    if columns is not None:
        chosen = [replace(it, array=with_columns(it, columns)) for it in chosen]
    if fields is not None:
        chosen = with_fields(name, chosen, fields)
    total = sum(table.array.shape[0] * table.array.shape[1] for table in chosen)
    with tqdm(total=total, unit=" numbers", unit_scale=True, disable=None if progress else True) as bar:
        outcomes = [outcome for table in chosen for outcome in measure(name, table, bar)]
    measured = tuple(outcome for outcome in outcomes if isinstance(outcome, TableMeasures))
    left_out = [outcome for outcome in outcomes if isinstance(outcome, LeftOut)] + left_out
    if not measured:
        raise DiagnosisError(nothing_to_measure(name, left_out, found))
    return Report(name, found_by, measured, tuple(left_out), found.passed_over)


def as_list(value: str | Sequence[str] | None) -> list[str] | None:
    return [value] if isinstance(value, str) else None if value is None else list(value)


def look_into(source: object, columns: Sequence[str] | None) -> tuple[str, Found, dict[str, dict[str, int] | None]]:
    """The source's name, its arrays, and those that are the weights of embedding layers with the fields, if known."""
    if isinstance(source, str | Path):
        return str(source), read_source(Path(source), columns), {}
    if hasattr(source, "named_modules"):
        arrays, layers = arrays_of_module(source)
        return type(source).__name__, Found(arrays), layers
    if isinstance(source, Mapping):
        return "the mapping", flattened(source, "the mapping"), {}
    raise TypeError(
        f"expected a module, a mapping of names to matrices or a file's name, found {type(source).__name__}"
    )


def arrays_of_module(module: "nn.Module") -> tuple[dict[str, Stored], dict[str, dict[str, int] | None]]:
    """The arrays of a module's state, and of those that are the weights of an embedding layer the fields, if known.

    A weight that several layers share is there once. An embedding layer is one of PyTorch's, or what has cardinalities
    that are the rows of its weight together, as this package's `MultiEmbedding` has.
    """
    from torch import nn

    arrays, layers, seen = {}, {}, set()
    for name, layer in module.named_modules():
        weight, sizes = getattr(layer, "weight", None), getattr(layer, "cardinalities", None)
        of_fields = sizes is not None and is_tensor(weight) and weight.ndim == 2 and sum(sizes) == len(weight)
        if (of_fields or isinstance(layer, nn.Embedding | nn.EmbeddingBag)) and id(weight) not in seen:
            seen.add(id(weight))
            key = f"{name}.weight".removeprefix(".")
            arrays[key] = stored(weight)
            layers[key] = {f"field {i}": size for i, size in enumerate(sizes)} if of_fields else None
    for key, value in module.state_dict(keep_vars=True).items():
        if is_tensor(value) and id(value) not in seen:
            arrays.setdefault(key, stored(value))
    return arrays, layers


SHARED = "the same numbers in memory as "


def twin(array: Stored, chosen: Sequence[Table]) -> str | None:
    """That the array's numbers are those of a table that was chosen already, or part of them."""
    for table in chosen:
        whole = table.array.memory
        if not (array.memory and whole) or array.memory[0] != whole[0]:
            continue
        if whole[1] <= array.memory[1] and array.memory[2] <= whole[2]:
            return f"{SHARED}{table.name}, or a part of them, which count once"
    return None


def stacks_together(left_out: Sequence[LeftOut], arrays: Mapping[str, Stored]) -> list[LeftOut]:
    """What was left out, a stack as one if that holds for all its slices, for one reason."""
    found = []
    for stack, group in groupby(left_out, key=lambda it: it.name if it.name in arrays else it.name.rpartition("[")[0]):
        parts = list(group)
        shape = arrays[stack].shape
        if len(parts) == np.prod(shape[:-2]) and len({it.reason for it in parts}) == 1 and len(shape) > 2:
            parts = [LeftOut(stack, shape, f"{len(shape)} axes; {parts[0].reason}")]
        found += parts
    return found


def nothing_to_measure(source: str, left_out: Sequence[LeftOut], found: Found) -> str:
    there = "; ".join(f"{it.name} {it.shape}: {it.reason}" for it in left_out[:8])
    more = "; ".join(f"{it.name}: {it.reason}" for it in found.passed_over[:8])
    return (
        f"{source}: no embedding table to measure. Matrices found: {there or 'none'}. "
        + (f"Not looked into: {more}. " if more else "")
        + "Choose others by their names with tables (--tables)"
    )


def with_columns(table: Table, columns: Sequence[str]) -> Stored:
    positions = positions_of(columns, table.array, table.name)
    if len(positions) < 2:
        raise DiagnosisError(f"{table.name}: columns {', '.join(columns)} (--columns): expected two or more, found one")
    return table.array.with_columns(positions)


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
    return [replace(it, fields=dict(fields)) if it.array.shape[0] == rows else it for it in tables]


def measure(source: str, table: Table, bar: tqdm) -> Iterator[TableMeasures | LeftOut]:
    """The measures of a table, or of each of its fields; of one that cannot be measured the reason.

    Raises DiagnosisError if there are not as many rows as declared.
    """
    import torch

    rows, columns = table.array.shape
    fields = table.fields or {None: rows}
    names, seen = list(fields), 0
    try:
        for number, pieces in groupby(pieces_of(table.array.blocks(()), list(fields.values())), key=itemgetter(0)):
            if number == len(names):
                seen = rows + 1
                break
            size, numbers = fields[names[number]], Numbers(pieces=(piece for _, piece in pieces), bar=bar)
            triangle, problem = streamed_triangle(numbers), None
            values = singular_values(triangle) if torch.isfinite(triangle).all() else np.array([np.inf])
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
                yield LeftOut(title, (size, columns), problem)
            elif numbers.rows == size:
                warning = standing_out(triangle.numpy(), size, table.array.column_names)
                yield measures_of(table, names[number], size, values, warning)
    except TableError as error:
        yield LeftOut(table.name, (rows, columns), str(error))
        return
    if seen != rows:
        found = f"{seen:,}" if seen < rows else "more"
        raise DiagnosisError(
            f"{source}: table {table.name!r} declares {rows:,} rows, {found} were found; the file is damaged"
        )


@dataclass
class Numbers:
    """The blocks of a table in float64, with what is to be known of them once they were read.

    bad: how many numbers are not finite, the first of them in this row; each is a zero in the blocks.
    """

    pieces: Iterator[Matrix]
    bar: tqdm
    rows: int = 0
    bad: int = 0
    first: int | None = None

    def __iter__(self) -> "Iterator[torch.Tensor]":
        import torch

        for piece in self.pieces:
            double = in_float64(piece)
            if not torch.isfinite(double.sum()):
                wrong = ~torch.isfinite(double)
                if self.first is None and wrong.any():
                    self.first = self.rows + int(wrong.any(dim=1).int().argmax())
                self.bad += int(wrong.sum())
                double = double.masked_fill(wrong, 0)
            self.rows += len(piece)
            self.bar.update(piece.shape[0] * piece.shape[1])
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


def in_float64(block: Matrix) -> "torch.Tensor":
    import torch

    if isinstance(block, torch.Tensor):
        return block.to(torch.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are not finite are counted
        return torch.from_numpy(block.astype(np.float64))


def measures_of(table: Table, field: str | None, rows: int, values: np.ndarray, warning: str | None) -> TableMeasures:
    """The measures of singular values (min(rows, columns),), largest first."""
    columns = table.array.shape[1]
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
        name=table.name,
        field=field,
        rows=rows,
        columns=columns,
        dtype=table.array.dtype,
        random_information_abundance=random_abundance,
        singular_values=tuple(values.tolist()),
        random_singular_values=tuple(random.tolist()),
        warning=warning,
        **measured,
    )


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
