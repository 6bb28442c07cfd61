"""Find the embedding tables of a source, and measure how collapsed each is."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, Found, Stored, flattened, is_tensor, stored
from paper_code.diagnose.choice import below, choose, matrices_of, positions_of, problem_of_shape
from paper_code.diagnose.measures import TableMeasures
from paper_code.diagnose.passes import Table, measure
from paper_code.diagnose.quantised import with_scales
from paper_code.diagnose.readers import read_source
from paper_code.diagnose.report import LeftOut, Report
from paper_code.diagnose.representations import measure_layers

if TYPE_CHECKING:
    from torch import nn


def diagnose(
    source: "nn.Module | Mapping[str, object] | str | Path",
    *,
    tables: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    key: str | None = None,
    columns: str | Sequence[str] | None = None,
    fields: Sequence[int] | Mapping[str, int] | None = None,
    batch: object = None,
    counts: "np.ndarray | Mapping[str, np.ndarray] | None" = None,
    as_used: bool = False,
    directions: bool = False,
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
    batch: what the module takes, a tensor or several; what each of its layers gives for it is then measured as well,
    see `representations.measure_layers`. The module need not have a table.
    counts: how often each row is read (rows,), of all tables with so many rows, or by the tables' names. Each is then
    measured as it is used too, with its rows weighted by their counts.
    as_used: measure the tables as they are used as well: centred, with rows of norm one, with shuffled columns.
    directions: keep the directions that carry most of the energy, to compare them with others'.
    progress: show a bar of the numbers read, if the standard error is a terminal and tqdm is installed.

    A table that cannot be measured, as one with a number that is not finite, is among those left out, with the reason.

    Memory: a few blocks in float64, each of about 2^18 numbers or, if that is more, of as many rows as columns,
    whatever the number of rows. A matrix in Fortran order in an .npz file, and a checkpoint in the form from before
    PyTorch 1.6, are read at once. The pages of mapped files (all but .npz and .npy in C order) count as resident while
    there is room for them.

    Raises DiagnosisError, a ValueError, if nothing can be measured, no table fits the fields or columns, or a file
    cannot be read; OSError if it cannot be opened.

    Example: `print(diagnose(model))`, `diagnose("model.pt").to_html()`.
    """
    if batch is not None and not hasattr(source, "named_modules"):
        raise TypeError(f"batch: expected a module as the source, found {type(source).__name__}")
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
    if not chosen and batch is None:
        raise DiagnosisError(nothing_to_measure(name, left_out, found))
    chosen.sort(key=lambda table: list(matrices).index(table.name))
    if columns is not None:
        chosen = [replace(it, array=with_columns(it, columns)) for it in chosen]
    if fields is not None:
        chosen = with_fields(name, chosen, fields)
    if counts is not None:
        chosen = with_counts(name, chosen, counts)
    total = sum(table.array.shape[0] * table.array.shape[1] for table in chosen)
    with counter(total, progress) as count:
        outcomes = [outcome for table in chosen for outcome in measure(name, table, count, as_used, directions)]
    measured = tuple(outcome for outcome in outcomes if isinstance(outcome, TableMeasures))
    left_out = [outcome for outcome in outcomes if isinstance(outcome, LeftOut)] + left_out
    if not measured and batch is None:
        raise DiagnosisError(nothing_to_measure(name, left_out, found))
    layers, no_layers = ([], []) if batch is None else measure_layers(source, batch)
    found_by = found_by if measured else "no tables"
    return Report(name, found_by, measured, (*left_out, *no_layers), found.passed_over, tuple(layers))


@contextmanager
def counter(total: int, progress: bool) -> Iterator[Callable[[int], object]]:
    """What is told how many numbers were read; see `diagnose`."""
    if progress and sys.stderr and sys.stderr.isatty() and find_spec("tqdm"):
        from tqdm import tqdm

        with tqdm(total=total, unit=" numbers", unit_scale=True) as bar:
            yield bar.update
    else:
        yield lambda numbers: None


def as_list(value: str | Sequence[str] | None) -> list[str] | None:
    return [value] if isinstance(value, str) else None if value is None else list(value)


def look_into(source: object, columns: Sequence[str] | None) -> tuple[str, Found, dict[str, dict[str, int] | None]]:
    """The source's name, its arrays, and those that are the weights of embedding layers with the fields, if known."""
    if isinstance(source, str | Path):
        return str(source), with_scales(read_source(Path(source), columns)), {}
    if hasattr(source, "named_modules"):
        arrays, layers = arrays_of_module(source)
        return type(source).__name__, Found(arrays), layers
    if isinstance(source, Mapping):
        return "the mapping", with_scales(flattened(source, "the mapping")), {}
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
    """Why an array is left out: its numbers are those of a table that was chosen already, or part of them."""
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


def with_counts(source: str, tables: Sequence[Table], counts: "np.ndarray | Mapping[str, np.ndarray]") -> list[Table]:
    """The tables, those that the counts are of with them."""
    of_names = counts if isinstance(counts, Mapping) else {"counts": counts}
    for name, numbers in of_names.items():
        if problem := problem_of_counts(np.asarray(numbers)):
            raise DiagnosisError(f"counts (--counts): {name}: {problem}; expected a number of reads for each row")
    there = ", ".join(f"{table.array.shape[0]:,} ({table.name})" for table in tables[:8])
    if not isinstance(counts, Mapping):
        counts = np.asarray(counts)
        if all(table.array.shape[0] != len(counts) for table in tables):
            raise DiagnosisError(f"{source}: {len(counts):,} counts (--counts), the tables have as many rows: {there}")
        return [replace(it, counts=counts) if it.array.shape[0] == len(counts) else it for it in tables]
    rows = {table.name: table.array.shape[0] for table in tables}
    for name, numbers in counts.items():
        if rows.get(name) != len(numbers):
            raise DiagnosisError(
                f"{source}: counts (--counts) of {name!r}, {len(numbers):,} of them; expected those of the tables "
                f"measured, one for each row: {there}"
            )
    return [replace(it, counts=np.asarray(counts[it.name])) if it.name in counts else it for it in tables]


def problem_of_counts(numbers: np.ndarray) -> str | None:
    """Why an array cannot be numbers of reads, or None."""
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf" or not len(numbers):
        return f"found {numbers.dtype} of shape {numbers.shape}"
    if not np.isfinite(numbers).all() or numbers.min() < 0 or not numbers.max():
        return f"found numbers from {numbers.min()} to {numbers.max()}"
    return None
