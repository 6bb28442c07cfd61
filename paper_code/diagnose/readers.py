"""The matrices in a module, a mapping or a file, read block by block.

Files come from strangers: no pickle is executed, and what a file says of its sizes is checked before it is believed.
"""

import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paper_code.spectra import Matrix

NUMBERS_AT_ONCE = 1 << 18
"""A block has about this many numbers, and at least as many rows as columns."""

UNPACKED_TIMES, UNPACKED_BYTES = 100, 1 << 30
"""A compressed file may declare so many times its own size, and so many bytes more."""

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "module")
"""Where a checkpoint keeps the state dict among other things."""

TYPES = ("float16", "bfloat16", "float32", "float64")
SAFETENSORS_TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


class DiagnosisError(ValueError):
    """Something cannot be read or measured; the message names file or table, what was found and what to do."""

    def __init__(self, message: str):
        super().__init__(printable(message))


def printable(text: str) -> str:
    """The text with control characters and the like spelled out: names come from strangers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True)
class Stored:
    """An array that is read when it is measured.

    blocks: gives the rows in order, as matrices (block rows, columns), anew at every call; only if it has two axes.
    """

    shape: tuple[int, ...]
    dtype: str
    blocks: Callable[[], Iterator[Matrix]]

    @property
    def problem(self) -> str | None:
        """Why it cannot be a table of numbers, or None."""
        if self.dtype not in TYPES:
            return f"{self.dtype}, expected dense {', '.join(TYPES[:-1])} or {TYPES[-1]}"
        return None if all(self.shape) else "empty"


def stored(array: Matrix) -> Stored:
    """An array or a tensor in memory, or in a memory map."""
    if not isinstance(array, Tensor):
        array = np.asarray(array)
        return Stored(array.shape, array.dtype.name, lambda: sliced(array))
    dtype = str(array.dtype).removeprefix("torch.")
    if array.layout != torch.strided or array.is_meta:
        dtype = f"{'without values' if array.is_meta else array.layout} {dtype}"
    array = array.detach()
    return Stored(tuple(array.shape), dtype, lambda: (block.cpu() for block in sliced(array)))


def sliced(matrix, rows: int | None = None, columns: int | None = None) -> Iterator:
    """Blocks of the rows of whatever has a shape and takes slices."""
    rows, columns = matrix.shape if rows is None else (rows, columns)
    step = block_rows(columns)
    return (matrix[start : start + step] for start in range(0, rows, step))


def block_rows(columns: int) -> int:
    return max(columns, NUMBERS_AT_ONCE // columns)


def read_file(path: Path) -> dict[str, Stored]:
    """Name -> array of a file, by its suffix; see `READERS`.

    Raises OSError or DiagnosisError with the file's name, also when a block is read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DiagnosisError(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(READERS)}")
    with errors_named(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old or unusual form that can be read all the same
        if not path.stat().st_size:
            raise DiagnosisError(f"{path}: the file is empty")
        found = reader(path)
    return {
        name: Stored(array.shape, array.dtype, lambda array=array: read_blocks(path, array))
        for name, array in found.items()
    }


def read_blocks(path: Path, array: Stored) -> Iterator[Matrix]:
    with errors_named(path):
        yield from array.blocks()


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Whatever a parser raises on a broken file becomes an error with the file's name."""
    try:
        yield
    except DiagnosisError:
        raise
    except Exception as error:  # the libraries' parsers raise nearly everything
        if isinstance(error, OSError) and error.filename is not None:
            raise
        text = " ".join(str(error).split())
        text = text if len(text) <= 200 else text[:200] + "..."
        raise DiagnosisError(
            f"{path}: cannot be read as {path.suffix.lower()} ({type(error).__name__}: {text}); "
            "it may be cut short, damaged or of another kind"
        ) from error


def read_checkpoint(path: Path) -> dict[str, Stored]:
    """A state dict written by `torch.save`, memory-mapped, by itself or below one of `STATE_DICT_KEYS`."""
    if not zipfile.is_zipfile(path):
        raise DiagnosisError(
            f"{path}: not a checkpoint as torch.save writes it since PyTorch 1.6 (a zip archive); load it where it was "
            "made and save its state_dict again"
        )
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed or sum(member.file_size for member in members) > path.stat().st_size:
        raise DiagnosisError(f"{path}: its members are compressed or overlap, which torch.save never does; not read")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise DiagnosisError(
            f"{path}: is damaged or holds more than tensors ({kind[1] if kind else 'unknown'}); loading that could run "
            "any code, so it is not read. Where the model is from, do torch.save(model.state_dict(), ...)"
        ) from error
    found = {}
    for name, tensor in state_dict_of(path, checkpoint).items():
        if tensor.layout == torch.strided and tensor.numel() * tensor.element_size() > path.stat().st_size:
            raise DiagnosisError(f"{path}: {name} has shape {tuple(tensor.shape)}, more than the file can hold")
        found[name] = stored(tensor)
    return found


def state_dict_of(path: Path, checkpoint: object) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name."""
    if isinstance(checkpoint, Tensor):
        return {path.stem: checkpoint}
    for _ in range(3):
        if not isinstance(checkpoint, Mapping):
            break
        below = [checkpoint[key] for key in STATE_DICT_KEYS if isinstance(checkpoint.get(key), Mapping)]
        if not below:
            tensors = {str(name): value for name, value in checkpoint.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
            break
        checkpoint = below[0]
    keys = f" with the keys {', '.join(map(str, list(checkpoint)[:8]))}" if isinstance(checkpoint, Mapping) else ""
    raise DiagnosisError(
        f"{path}: found a {type(checkpoint).__name__}{keys}, expected tensors by name, there or below one of "
        f"{', '.join(STATE_DICT_KEYS)}; save the model's state_dict"
    )


def read_safetensors(path: Path) -> dict[str, Stored]:
    from safetensors import safe_open

    def of(name: str, shape: tuple[int, ...]) -> Callable[[], Iterator[Tensor]]:
        def blocks() -> Iterator[Tensor]:
            with safe_open(path, framework="pt") as file:
                yield from sliced(file.get_slice(name), *shape)

        return blocks

    found = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118, it is no mapping
            part = file.get_slice(name)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            found[name] = Stored(shape, SAFETENSORS_TYPES.get(dtype, dtype.lower()), of(name, shape))
    return found


def read_npy(path: Path) -> dict[str, Stored]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)

    def blocks() -> Iterator[np.ndarray]:
        if not array.flags.c_contiguous:
            yield from sliced(array)
            return
        columns = array.shape[1]
        with open(path, "rb") as file:  # mapped pages would count as memory
            file.seek(array.offset)
            for start in range(0, len(array), block_rows(columns)):
                rows = min(block_rows(columns), len(array) - start)
                yield np.fromfile(file, array.dtype, rows * columns).reshape(rows, columns)

    return {path.stem: Stored(array.shape, array.dtype.name, blocks)}


def read_npz(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file, plain or compressed; one in Fortran order is read at once, the others by blocks."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_unpacked_size(path, sum(member.file_size for member in members))
        arrays = {member: array_header(archive, member) for member in members if member.filename.endswith(".npy")}

    def of(member: zipfile.ZipInfo, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype) -> Callable:
        def blocks() -> Iterator[np.ndarray]:
            if fortran_order:
                with np.load(path, allow_pickle=False) as arrays:
                    yield from sliced(arrays[member.filename])
                return
            rows, columns = shape
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                file.read(member.file_size - math.prod(shape) * dtype.itemsize)  # the header
                for start in range(0, rows, block_rows(columns)):
                    size = min(block_rows(columns), rows - start) * columns
                    yield np.frombuffer(file.read(size * dtype.itemsize), dtype).reshape(-1, columns)

        return blocks

    found = {}
    for member, (shape, fortran_order, dtype) in arrays.items():
        if fortran_order and member.file_size > UNPACKED_BYTES:
            raise DiagnosisError(
                f"{path}: {member.filename} is in Fortran order and larger than {UNPACKED_BYTES:,} bytes; save "
                "np.ascontiguousarray of it, or an .npy file"
            )
        found[member.filename.removesuffix(".npy")] = Stored(shape, dtype.name, of(member, shape, fortran_order, dtype))
    return found


def array_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and type of an .npy member, which must be of the size that these make."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise DiagnosisError(f"{archive.filename}: {member.filename} has the unknown .npy version {version}")
        shape, fortran_order, dtype = headers[version](file)
        size = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and file.tell() + size != member.file_size:
            raise DiagnosisError(
                f"{archive.filename}: {member.filename} has {member.file_size:,} bytes, its header declares {size:,}"
            )
    return shape, fortran_order, dtype


def check_unpacked_size(path: Path, size: int) -> None:
    """Raise DiagnosisError if a compressed file declares far more than it has: it could fill the memory."""
    most = UNPACKED_TIMES * path.stat().st_size + UNPACKED_BYTES
    if size > most:
        raise DiagnosisError(
            f"{path}: declares {size:,} bytes in a file of {path.stat().st_size:,}; at most {most:,} are believed. "
            "If it is right, save it without compression"
        )


def read_parquet(path: Path) -> dict[str, Stored]:
    """Every column of lists of floating-point numbers is a table; without one, all floating-point columns are one."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def has_lists(kind: pa.DataType) -> bool:
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        return any(is_lists(kind) for is_lists in lists) and pa.types.is_floating(kind.value_type)

    def of(names: list[str], columns: int, lists: bool) -> Callable[[], Iterator[np.ndarray]]:
        def blocks() -> Iterator[np.ndarray]:
            with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
                rows = 0
                for batch in file.iter_batches(block_rows(columns), columns=names, use_threads=False):
                    if not lists:
                        yield np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
                        continue
                    lengths = pc.list_value_length(batch.column(0)).to_numpy(zero_copy_only=False)
                    for row in np.flatnonzero(lengths != columns)[:1]:
                        raise DiagnosisError(
                            f"{path}: column {names[0]!r}, row {rows + row}: expected {columns} numbers as in the "
                            f"first row, found {lengths[row]}"
                        )
                    rows += len(lengths)
                    yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(-1, columns)

        return blocks

    found = {}
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        rows = file.metadata.num_rows
        schema = file.schema_arrow
        for field in schema:
            if has_lists(field.type) and rows:
                first = next(file.iter_batches(1, columns=[field.name], use_threads=False))
                columns = len(first.column(0)[0].as_py() or ())
                found[field.name] = (field.type.value_type, [field.name], columns, True)
        numbers = [field for field in schema if pa.types.is_floating(field.type)]
        if not found and numbers:
            found[path.stem] = (numbers[0].type, [field.name for field in numbers], len(numbers), False)
    check_unpacked_size(path, sum(rows * columns * kind.bit_width // 8 for kind, _, columns, _ in found.values()))
    dtypes = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return {
        name: Stored((rows, columns), dtypes.get(str(kind), str(kind)), of(names, columns, lists))
        for name, (kind, names, columns, lists) in found.items()
    }


READERS = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), read_checkpoint),
    ".safetensors": read_safetensors,
    ".npy": read_npy,
    ".npz": read_npz,
    ".parquet": read_parquet,
}
"""Suffix of a file -> what reads it."""
