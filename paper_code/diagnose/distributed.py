"""Distributed checkpoints of PyTorch: a folder with `.metadata`, a pickle, and shards, each of archives of torch.save.

No pickle is executed: those of the folder are read with stand-ins for the few classes that they name, all others are
refused, and the numbers are mapped. PyTorch need not be installed.
"""

import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import (
    OPTIMIZER,
    DiagnosisError,
    Found,
    PassedOver,
    Stored,
    TableError,
    block_rows,
    from_bfloat16,
    rows_and_columns,
)

METADATA = ".metadata"
MOST_BYTES = 1 << 28
"""Most bytes of the metadata."""

NUMBERS = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "float64": "<f8"}
OTHER_TYPES = ("int8", "uint8", "int16", "int32", "int64", "bool", "complex64", "complex128", "quint8", "qint8")


class Record:
    """Stands in for a class of PyTorch: keeps what the pickle says of an object."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


METADATA_CLASSES = (
    *("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "TensorProperties", "ChunkStorageMetadata"),
    *("MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING"),
)
KNOWN = {
    **{("torch.distributed.checkpoint.metadata", name): Record for name in METADATA_CLASSES},
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"): Record,
    ("torch.serialization", "_get_layout"): str,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments,
    ("torch", "Size"): tuple,
    ("collections", "OrderedDict"): dict,
    **{("pathlib", name): lambda *parts: "/".join(parts) for name in ("Path", "PosixPath", "WindowsPath")},
    **{("torch", name): name for name in (*NUMBERS, *OTHER_TYPES)},
    **{("torch", f"{name}Storage"): name for name in ("Half", "BFloat16", "Float", "Double")},
}
"""Module and name of what a distributed checkpoint names -> what stands in for it."""


class StandIns(pickle.Unpickler):
    """Reads a pickle whose globals are all replaced; one that is not known is an error."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise DiagnosisError(
                f"names {module}.{name}, which no distributed checkpoint needs; loading it could run any code, so it "
                "is not read. Where it was made, convert it: python -m torch.distributed.checkpoint.format_utils "
                "dcp_to_torch"
            )
        return KNOWN[module, name]

    def persistent_load(self, pid: object) -> object:
        return pid


@dataclass(frozen=True)
class Chunk:
    """A part of a tensor: from these indices on, of this size; where it is in which file."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    path: Path
    start: int
    length: int

    def mapped(self, dtype: str) -> np.ndarray:
        """Its numbers, mapped; TableError unless the archive has as many, row after row."""
        window = Window(self.path, self.start, self.length)
        with zipfile.ZipFile(window) as archive:
            of_name = {member.filename.partition("/")[2]: member for member in archive.infolist()}
            tensor = StandIns(BytesIO(archive.read(of_name["data.pkl"]))).load()
            _, offset, size, stride = tensor[:4]
            data = of_name["data/0"]
            header = data_start(window, data)
        expected = tuple(math.prod(self.sizes[i + 1 :]) for i in range(len(self.sizes)))
        numbers = math.prod(self.sizes) * np.dtype(NUMBERS[dtype]).itemsize
        if tuple(size) != self.sizes or offset or tuple(stride) != expected or data.compress_type:
            raise TableError(f"the part in {self.path.name} is not stored row after row")
        if data.file_size != numbers or header + numbers > self.length:
            raise TableError(f"the part in {self.path.name} has {data.file_size:,} bytes, expected {numbers:,}")
        return np.memmap(self.path, NUMBERS[dtype], "r", self.start + header, self.sizes)


class Window:
    """A part of a file as a file of its own, to be read."""

    def __init__(self, path: Path, start: int, length: int):
        self.file = np.memmap(path, np.uint8, "r", start, (length,))
        self.length, self.position = length, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, offset + (0, self.position, self.length)[whence])
        return self.position

    def read(self, size: int = -1) -> bytes:
        stop = self.length if size is None or size < 0 else min(self.length, self.position + size)
        found = self.file[self.position : stop].tobytes()
        self.position += len(found)
        return found


def data_start(window: Window, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin."""
    window.seek(member.header_offset)
    header = window.read(30)
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def read_distributed(folder: Path) -> Found:
    """The tensors of a distributed checkpoint, put together of their parts as they are read."""
    path = folder / METADATA
    if path.stat().st_size > MOST_BYTES:
        raise DiagnosisError(f"{path}: has {path.stat().st_size:,} bytes, more than metadata have")
    try:
        metadata = StandIns(BytesIO(path.read_bytes())).load()
    except DiagnosisError as error:
        raise DiagnosisError(f"{path}: {error}") from None
    parts = {}
    for index, info in metadata.storage_data.items():
        parts.setdefault(index.fqn, {})[tuple(getattr(index, "offset", None) or ())] = info
    found, passed_over = {}, []
    for name, tensor in metadata.state_dict_metadata.items():
        if not hasattr(tensor, "size"):
            continue  # a number or an object, which stays unread
        if any(part.lower().startswith(OPTIMIZER) for part in name.split(".")):
            passed_over.append(PassedOver(name, "the state of an optimizer or a schedule"))
            continue
        shape, dtype = tuple(map(int, tensor.size)), tensor.properties.state[0]
        chunks = [chunk_of(folder, name, it, parts.get(name, {})) for it in tensor.chunks]
        if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(shape):
            raise DiagnosisError(f"{folder}: the parts of {name} are not all there, or overlap; fetch the folder again")
        found[name] = Stored(shape, dtype, blocks_of(shape, dtype, chunks))
    return Found(found, tuple(passed_over))


def chunk_of(folder: Path, name: str, chunk: Record, parts: dict[tuple, Record]) -> Chunk:
    offsets, sizes = tuple(map(int, chunk.offsets)), tuple(map(int, chunk.sizes))
    info = parts.get(offsets)
    if info is None:
        raise DiagnosisError(
            f"{folder}: the part of {name} from {offsets} on is in none of the files; fetch them again"
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", info.relative_path) or ".." in Path(info.relative_path).parts:
        raise DiagnosisError(f"{folder}: names the file {info.relative_path!r}, expected one of the folder")
    if getattr(info, "transform_descriptors", None):
        raise DiagnosisError(f"{folder}: {name} is stored with {info.transform_descriptors}; save it without")
    path = folder / info.relative_path
    if not path.is_file():
        raise DiagnosisError(f"{folder}: {info.relative_path} with {name} is not there; fetch it too")
    if not 0 <= info.offset <= info.offset + info.length <= path.stat().st_size:
        raise DiagnosisError(f"{path}: is too short for {name}; it may be cut short or damaged")
    return Chunk(offsets, sizes, path, info.offset, info.length)


def blocks_of(shape: tuple[int, ...], dtype: str, chunks: list[Chunk]) -> Callable:
    def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
        mapped = [(chunk, chunk.mapped(dtype)) for chunk in chunks if all(chunk.sizes)]
        rows, columns = rows_and_columns(shape)
        low, high = [*index, 0, 0][: len(shape)], [*(i + 1 for i in index), *shape[len(index) :]]
        axis = len(index)
        for start in range(0, rows, block_rows(columns)):
            low[axis], high[axis] = start, min(start + block_rows(columns), rows)
            block = np.zeros([b - a for a, b in zip(low, high, strict=True)], NUMBERS[dtype])
            for chunk, numbers in mapped:
                ends = [sum(it) for it in zip(chunk.offsets, chunk.sizes, strict=True)]
                first = [max(it) for it in zip(low, chunk.offsets, strict=True)]
                last = [min(it) for it in zip(high, ends, strict=True)]
                if all(a < b for a, b in zip(first, last, strict=True)):
                    here, there = (
                        tuple(slice(a - c, b - c) for a, b, c in zip(first, last, base, strict=True))
                        for base in (low, chunk.offsets)
                    )
                    block[here] = numbers[there]
            block = block.reshape(high[axis] - start, columns)
            yield from_bfloat16(block) if dtype == "bfloat16" else block

    return blocks
