"""An array that is read block by block when it is measured, and the errors of those who read and measure."""

import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from paper_code.spectra import Matrix

NUMBERS_AT_ONCE = 1 << 18
"""A block has about this many numbers, and at least as many rows as columns."""

TYPES = (
    *("float16", "bfloat16", "float32", "float64", "longdouble", "float128"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    *("int8, scaled", "uint8, scaled"),
)
"""What can be cast to float64."""

MOST_SLICES = 1024
"""Most tables in an array with more than two axes that is taken as a stack of tables."""


class DiagnosisError(ValueError):
    """Something cannot be read or measured; the message names file or table, what was found and what to do."""

    def __init__(self, message: str):
        super().__init__(printable(message))


class TableError(DiagnosisError):
    """One table cannot be measured, the others can; the message says why."""


def printable(text: str) -> str:
    """The text with control characters and the like spelled out: names come from strangers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True)
class Stored:
    """An array that is read when it is measured.

    blocks: of a matrix gives the rows in order, as matrices (block rows, columns), anew at every call; of an array with
    more axes the same of the matrix of the last two at these indices of the others.
    memory: the device, the first byte of its numbers there and the one after the last, if there are no gaps.
    column_names: those of a table that has been put together of named columns.
    """

    shape: tuple[int, ...]
    dtype: str
    blocks: Callable[[tuple[int, ...]], Iterator[Matrix]]
    memory: tuple[str, int, int] | None = None
    column_names: tuple[str, ...] | None = None

    @property
    def problem(self) -> str | None:
        """Why it cannot be a table of numbers, or None."""
        if self.dtype not in TYPES:
            return f"{self.dtype}, expected dense floating-point numbers"
        return None if all(self.shape) else "empty"

    def slices(self, name: str) -> dict[str, "Stored"]:
        """The matrices of the last two axes, by name and indices."""
        found = {}
        size = math.prod(self.shape[-2:])
        for number, index in enumerate(np.ndindex(self.shape[:-2])):
            part = replace(self, shape=self.shape[-2:], blocks=lambda _, index=index: self.blocks(index), memory=None)
            if self.memory:
                device, start, stop = self.memory
                step = (stop - start) // math.prod(self.shape) * size
                part = replace(part, memory=(device, start + number * step, start + (number + 1) * step))
            found[f"{name}[{', '.join(map(str, index))}]"] = part
        return found

    def with_columns(self, positions: list[int]) -> "Stored":
        """A matrix with these of its columns."""
        return replace(
            self,
            shape=(self.shape[0], len(positions)),
            blocks=lambda index: (block[:, positions] for block in self.blocks(index)),
            memory=None,
            column_names=self.column_names and tuple(self.column_names[i] for i in positions),
        )


@dataclass(frozen=True)
class PassedOver:
    """Something in a source that was not looked into, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Found:
    """The arrays of a source by name.

    whole: it is a collection of arrays, not the state of a model.
    strays: the names of arrays that stand beside mappings with further arrays, as what is kept beside a model's state.
    """

    arrays: dict[str, Stored]
    passed_over: tuple[PassedOver, ...] = ()
    whole: bool = False
    strays: frozenset[str] = frozenset()


def stored(array: object) -> Stored:
    """An array or a tensor in memory, or in a memory map."""
    if not is_tensor(array):
        array = np.asarray(array)
        start = array.__array_interface__["data"][0]
        dense = array.flags.c_contiguous or array.flags.f_contiguous
        memory = ("cpu", start, start + array.nbytes) if dense and array.nbytes else None
        return Stored(array.shape, array.dtype.name, lambda index: sliced(array[index]), memory)
    import torch

    if array.is_quantized:
        from paper_code.diagnose.quantised import quantised_tensor

        return quantised_tensor(array)
    dtype = str(array.dtype).removeprefix("torch.")
    if array.layout != torch.strided or array.is_meta:
        dtype = f"{'without values' if array.is_meta else array.layout} {dtype}"
        return Stored(tuple(array.shape), dtype, lambda index: iter(()))
    array = array.detach()
    return Stored(tuple(array.shape), dtype, lambda index: (b.cpu() for b in sliced(array[index])), memory_of(array))


def memory_of(tensor) -> tuple[str, int, int] | None:
    """See `Stored`."""
    reach = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    if not tensor.numel() or reach != tensor.numel():
        return None
    return str(tensor.device), tensor.data_ptr(), tensor.data_ptr() + tensor.numel() * tensor.element_size()


def is_tensor(value: object) -> bool:
    """Whether it is a tensor of PyTorch, which need not have been imported."""
    return hasattr(value, "layout") and hasattr(value, "is_meta") and hasattr(value, "detach")


def sliced(matrix, *shape: int, index: tuple[int, ...] = ()) -> Iterator:
    """Blocks of the rows of whatever has a shape, or this one, and takes slices; index: of the axes before. A vector
    is a matrix of one column."""
    shape = shape or tuple(matrix.shape)
    rows, columns = rows_and_columns(shape)
    step = block_rows(columns)
    if len(shape) < 2:
        return iter([matrix[:].reshape(rows, 1) if shape else matrix.reshape(1, 1)])
    return (matrix[(*index, slice(start, min(start + step, rows)))] for start in range(0, rows, step))


def rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """The size of the last two axes; a vector is a matrix of one column, and so is a number."""
    return (shape[-2], shape[-1]) if len(shape) > 1 else (math.prod(shape), 1)


def rows_in_file(
    path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...], index: tuple[int, ...]
) -> Iterator[np.ndarray]:
    """Blocks of the rows of an array that lies in a file row after row from that byte on; index: of the axes before."""
    rows, columns = rows_and_columns(shape)
    before = int(np.ravel_multi_index(index, shape[:-2])) if index else 0
    with open(path, "rb") as file:  # mapped pages would count as memory
        file.seek(offset + before * rows * columns * dtype.itemsize)
        for start in range(0, rows, block_rows(columns)):
            count = min(block_rows(columns), rows - start)
            yield np.fromfile(file, dtype, count * columns).reshape(count, columns)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Numbers in float32 from the bits (uint16) of bfloat16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def extra(package: str, name: str, what: str) -> ModuleType:
    """An optional package; raises DiagnosisError that names the extra of this package that brings it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DiagnosisError(f"{what}, which needs {package}: pip install 'paper-code[{name}]' ({error})") from None


def block_rows(columns: int) -> int:
    return max(columns, NUMBERS_AT_ONCE // columns)


UNPACKED_TIMES, UNPACKED_BYTES = 100, 1 << 30
"""A compressed file may declare so many times its own size, and so many bytes more."""

MOST_LEVELS = 50

OPTIMIZER = ("optim", "lr_sched", "scheduler")
"""How the key of a training process's state begins, of which no array is a table."""


def flattened(source: object, name: str, *stand_ins: type) -> Found:
    """The arrays in nested mappings and sequences of any keys, under their keys with dots between.

    stand_ins: types whose method `stored` gives the array that they stand for. A mapping of arrays that are no tensors
    is whole, as the .npz file that holds it is.
    """
    arrays, places, passed_over, seen = {}, {}, [], set()

    def look(value: object, path: str, place: str) -> None:
        if is_tensor(value) or is_array(value) or isinstance(value, stand_ins):
            key = unique(path or name, arrays)
            arrays[key], places[key] = value.stored() if isinstance(value, stand_ins) else stored(value), place
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))  # one that refers to itself has an end, and none is read twice
            last = path.rpartition(".")[2].lower()
            if last.startswith(OPTIMIZER) or (isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)):
                if value:
                    passed_over.append(PassedOver(path, "the state of an optimizer or a schedule"))
                return
            if path.count(".") > MOST_LEVELS:
                passed_over.append(PassedOver(path, f"more than {MOST_LEVELS} levels deep"))
                return
            for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
                look(part, f"{path}.{key}" if path else str(key), path)
        elif hasattr(value, "state_dict") or hasattr(value, "__dataframe__"):
            passed_over.append(PassedOver(path, f"a {type(value).__name__}, expected arrays or tensors"))

    look(source, "", "")
    around = {place[: dot.start()] for place in places.values() for dot in re.finditer(r"^(?=.)|\.", place)}
    strays = frozenset(key for key, place in places.items() if place in around)
    whole = isinstance(source, Mapping) and all(map(is_array, source.values()))
    return Found(arrays, tuple(passed_over), whole, strays)


def is_array(value: object) -> bool:
    """Whether NumPy takes it as an array, and not as a number: also a frame of pandas."""
    kept = getattr(value, "ndim", 0) > 0 or isinstance(value, np.ndarray)
    return hasattr(value, "__array__") and kept and not is_tensor(value)


def unique(name: str, names: Mapping[str, object]) -> str:
    """The name, with a number if it is taken: no array may hide another."""
    number, found = 2, name
    while found in names:
        number, found = number + 1, f"{name} ({number})"
    return found


def check_unpacked_size(path: Path, size: int) -> None:
    """Raise DiagnosisError if a compressed file declares far more than it has: it could fill the memory."""
    most = UNPACKED_TIMES * path.stat().st_size + UNPACKED_BYTES
    if size > most:
        raise DiagnosisError(
            f"{path}: declares {size:,} bytes in a file of {path.stat().st_size:,}; at most {most:,} are believed. "
            "If it is right, save it without compression"
        )
