"""Tables in a Parquet file: columns of lists, or columns of numbers side by side."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import Found, PassedOver, Stored, TableError, block_rows, check_unpacked_size, extra

DTYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}


def read_parquet(path: Path, chosen: Sequence[str] | None = None) -> Found:
    """Every column of lists of floating-point numbers is a table. Without one, columns of one type whose names differ
    in a number alone, such as d0 to d7, are the columns of one; without these, all floating-point columns are.

    chosen: names or patterns of columns, which are those of one table then.
    """
    pa, pq = (extra(name, "parquet", f"{path}: a Parquet file") for name in ("pyarrow", "pyarrow.parquet"))

    def has_lists(kind) -> bool:
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        return any(is_lists(kind) for is_lists in lists) and pa.types.is_floating(kind.value_type)

    found, shown = {}, set()
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        if rows < 0:
            raise ValueError(f"declares {rows} rows")
        numbers = {field.name: field.type for field in schema if pa.types.is_floating(field.type)}
        groups = numbered(numbers)
        named = [name for name in numbers if chosen and any(fnmatchcase(name, pattern) for pattern in chosen)]
        if named:
            groups = {path.stem: named}
        else:
            for field in schema:
                if has_lists(field.type):
                    columns = first_length(file, field.name)
                    dtype = DTYPES.get(str(field.type.value_type), str(field.type.value_type))
                    found[field.name] = Stored((rows, columns), dtype, lists_of(path, field.name, columns))
                    shown.add(field.name)
            if not found and not groups and numbers:
                groups = {path.stem: list(numbers)}
        if not found:
            for name, names in groups.items():
                dtype = DTYPES.get(str(numbers[names[0]]), str(numbers[names[0]]))
                found[name] = Stored((rows, len(names)), dtype, columns_of(path, names), column_names=tuple(names))
                shown.update(names)
    sizes = (it.shape[0] * it.shape[1] * 8 for it in found.values())
    check_unpacked_size(path, sum(sizes))
    others = [PassedOver(f.name, f"a column of {f.type} beside the table's") for f in schema if f.name not in shown]
    return Found(found, tuple(others), whole=True)


def numbered(types: dict[str, object]) -> dict[str, list[str]]:
    """Groups of two names or more of one type that differ in a number alone, which counts from 0 or 1, by what they
    have in common."""
    groups = {}
    for name, kind in types.items():
        if match := re.fullmatch(r"(.*?)(\d{1,5})(\D*)", name):
            groups.setdefault((match[1], match[3], kind), {})[int(match[2])] = name
    found = {}
    for names in groups.values():
        numbers = sorted(names)
        if len(numbers) > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1:
            found[f"{names[numbers[0]]} to {names[numbers[-1]]}"] = [names[number] for number in numbers]
    return found


def first_length(file, name: str) -> int:
    """The length of the first list of a column that is not missing."""
    import pyarrow.compute as pc

    for batch in file.iter_batches(1 << 10, columns=[name], use_threads=False):
        for length in pc.list_value_length(batch.column(0)).drop_null()[:1].to_pylist():
            return length
    return 0


def lists_of(path: Path, name: str, columns: int) -> Callable:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def blocks(_: tuple[int, ...]) -> Iterator[np.ndarray]:
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            rows = 0
            for batch in file.iter_batches(block_rows(columns), columns=[name], use_threads=False):
                lengths = pc.list_value_length(batch.column(0)).to_numpy(zero_copy_only=False)
                for row in np.flatnonzero(lengths != columns)[:1]:
                    length = "none, the list is missing" if np.isnan(lengths[row]) else int(lengths[row])
                    raise TableError(f"row {rows + row} (from 0): expected {columns} numbers, found {length}")
                rows += len(lengths)
                yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(-1, columns)

    return blocks


def columns_of(path: Path, names: list[str]) -> Callable:
    import pyarrow.parquet as pq

    def blocks(_: tuple[int, ...]) -> Iterator[np.ndarray]:
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            for batch in file.iter_batches(block_rows(len(names)), columns=names, use_threads=False):
                of_name = dict(zip(batch.schema.names, batch.columns, strict=True))
                yield np.column_stack([of_name[name].to_numpy(zero_copy_only=False) for name in names])

    return blocks
