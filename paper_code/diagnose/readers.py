"""The arrays in a file or a folder, recognised by content and read block by block.

Files come from strangers: no pickle is executed, and what a file says of its sizes is checked before it is believed.
"""

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import (
    DiagnosisError,
    Found,
    PassedOver,
    Stored,
    block_rows,
    check_unpacked_size,
    rows_and_columns,
    rows_in_file,
    sliced,
)
from paper_code.diagnose.checkpoint import LEGACY_MAGIC, read_checkpoint
from paper_code.diagnose.distributed import METADATA, read_distributed
from paper_code.diagnose.hdf5 import KERAS_WEIGHTS, read_hdf5
from paper_code.diagnose.onnx_models import read_onnx
from paper_code.diagnose.parquet import read_parquet
from paper_code.diagnose.safetensors_files import read_safetensors
from paper_code.spectra import Matrix

READ_AT_ONCE = 1 << 30
"""Bytes of an array in Fortran order in an archive, at most."""

MAGIC = [
    (LEGACY_MAGIC, "checkpoint"),
    (b"\x93NUMPY", "NumPy array"),
    (b"PAR1", "Parquet"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
]
"""How files of a kind begin."""

ONNX = re.compile(rb"\x08[\x01-\x1e](\x12[\x00-\x40]|\x1a[\x00-\x40]\w|\x3a)")
"""How ONNX models begin: the version of the format, and the name of the producer, its version or the graph."""

SAVE = "and save its tables as .npy, .npz or .safetensors"

FOREIGN = [
    (0, b"GGUF", "a GGUF file of llama.cpp", "take the model that it was made from"),
    (0, b"ARROW1", "an Arrow or Feather file", "write its table with pyarrow.parquet.write_table"),
    (0, b"\x1f\x8b", "compressed with gzip", "unpack it"),
    (0, b"BZh", "compressed with bzip2", "unpack it"),
    (0, b"\xfd7zXZ\x00", "compressed with xz", "unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"\xba\x16\x4f\x2f", "a model of fastText", f"load it with fasttext {SAVE}"),
    (0, b"MATLAB 5.0 MAT-file", "a file of MATLAB", f"load it with scipy.io.loadmat {SAVE}"),
    (0, b"SQLite format 3\x00", "an SQLite database", f"read its tables {SAVE}"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file", "fetch the file with git lfs pull"),
    (4, b"TFL3", "a model of TensorFlow Lite", "take the model that it was made from"),
]
"""Where these bytes stand -> what the file is, and what to do."""


def read_source(path: Path, columns: Sequence[str] | None = None) -> Found:
    """The arrays of a file or a folder of them, by content; see `READERS`. columns: of a Parquet table.

    Raises OSError or DiagnosisError with the file's name, also when a block is read.
    """
    if path.is_dir():
        return read_folder(path, columns)
    with errors_named(path, "an archive"):
        kind = recognised(path)
    with errors_named(path, kind), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old or unusual form that can be read all the same
        found = READERS[kind](path, columns) if kind == "Parquet" else READERS[kind](path)
    return with_errors_named(found, path, kind)


def with_errors_named(found: Found, path: Path, kind: str) -> Found:
    """The arrays, with the file's name in what is raised when they are read."""
    arrays = {
        name: replace(array, blocks=lambda index, array=array: read_blocks(path, kind, array, index))
        for name, array in found.arrays.items()
    }
    return replace(found, arrays=arrays)


def read_blocks(path: Path, kind: str, array: Stored, index: tuple[int, ...]) -> Iterator[Matrix]:
    with errors_named(path, kind):
        yield from array.blocks(index)


@contextmanager
def errors_named(path: Path, kind: str) -> Iterator[None]:
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
            f"{path}: cannot be read as {kind} ({type(error).__name__}: {text}); it may be cut short or damaged"
        ) from error


def recognised(path: Path) -> str:
    """The key of `READERS` whose content the file has; raises DiagnosisError that says what it is instead."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
        file.seek(-min(len(head), 8), os.SEEK_END)
        tail = file.read()
    if not head:
        raise DiagnosisError(f"{path}: the file is empty")
    if head.startswith(b"PK"):
        return kind_of_archive(path)
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    if head[5:9] == b"\0\0\0{":  # the length of the header, and the header
        return "safetensors"
    if head.lstrip()[:1] == b"{" and b'"weight_map"' in head:
        return "index of shards"
    if ONNX.match(head):
        return "ONNX"
    what, advice = foreign(head, tail)
    raise DiagnosisError(
        f"{path}: is {what}; expected a checkpoint of PyTorch, or a safetensors, NumPy, Parquet, HDF5 or ONNX file. To "
        f"do: {advice}"
    )


def is_readable(path: Path) -> bool:
    """Whether a file, or one in a folder, is of a kind that is read."""
    if path.is_dir():
        return (path / METADATA).is_file() or any(is_readable(it) for it in path.iterdir() if it.is_file())
    try:
        return bool(recognised(path))
    except (DiagnosisError, zipfile.BadZipFile):
        return False


def kind_of_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "checkpoint"
    if any(name.endswith(".npy") for name in names):
        return "NumPy archive"
    if KERAS_WEIGHTS in names:
        return "HDF5"
    first = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise DiagnosisError(f"{path}: is a zip archive of {len(names)} files ({first}); unpack it")


def foreign(head: bytes, tail: bytes) -> tuple[str, str]:
    """What a file that begins and ends so is, and what to do with it."""
    for start, magic, what, advice in FOREIGN:
        if head[start:].startswith(magic):
            return what, advice
    if tail == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        return "the index of a checkpoint of TensorFlow", f"load it with tf.train.load_checkpoint {SAVE}"
    first, _, rest = head.partition(b"\n")
    counts = re.fullmatch(rb"(\d{1,12}) (\d{1,6})\r?", first)
    vectors = counts and f"{int(counts[1]):,} vectors of {int(counts[2])} numbers"
    if is_text(head):
        words = first.replace(b",", b" ").split()
        if counts and len(rest.partition(b"\n")[0].split()) == int(counts[2]) + 1:
            return f"word2vec's text of {vectors}", f"load it with gensim's KeyedVectors {SAVE}"
        if len(words) > 1 and all(map(is_number, words)):
            return "text, a row of numbers a line", f"load it with np.loadtxt or pandas.read_csv {SAVE}"
        if len(words) > 2 and all(map(is_number, words[1:])):
            return "text, a word and its vector a line, as GloVe's", f"load it with gensim or pandas {SAVE}"
        if head.lstrip()[:1] in (b"{", b"["):
            return "JSON", f"name the file of the weights, or load it {SAVE}"
        if head.lstrip()[:1] == b"<":
            return "a page of HTML or XML, perhaps of a download that failed", "fetch the file again"
        return "text", f"load it {SAVE}"
    if counts:
        return f"word2vec's binary form of {vectors}", f"load it with gensim's KeyedVectors {SAVE}"
    if re.match(rb"\x80[\x02-\x05]", head):
        return "a Python pickle, whose loading could run any code", f"load it where it was made {SAVE}"
    return f"of no known kind (it begins with {head[:8].hex(' ')})", f"see whether it is damaged, or load it {SAVE}"


def is_text(head: bytes) -> bool:
    try:
        text = head[: head.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_folder(folder: Path, columns: Sequence[str] | None) -> Found:
    """The weights in a folder: all shards of an index, or else the files of the first kind that there is any of."""
    if (folder / METADATA).is_file():
        return read_distributed_folder(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    kinds = {}
    for path in files:
        try:
            kinds.setdefault(recognised(path), []).append(path)
        except (DiagnosisError, zipfile.BadZipFile):
            continue
    for kind, chosen in ((kind, kinds[kind]) for kind in READERS if kind in kinds):
        if kind == "index of shards":
            chosen = chosen[:1]
        elif kind == "checkpoint":  # beside the weights a Trainer leaves its own state
            chosen = [path for path in chosen if re.search(r"model|weights|embed", path.name, re.I)] or chosen
        found = joined(chosen, columns)
        read = {path.name for path in chosen} | (set(shards_of(chosen[0])) if kind == "index of shards" else set())
        others = [path.name for of_kind in kinds.values() for path in of_kind if path.name not in read]
        more = tuple(PassedOver(name, "another file of the folder") for name in sorted(others))
        return replace(found, passed_over=found.passed_over + more)
    there = ", ".join(path.name for path in files[:8]) or "none"
    raise DiagnosisError(
        f"{folder}: a folder without a file that can be read; found {there}; name the file of the weights"
    )


def read_distributed_folder(folder: Path) -> Found:
    kind = "a distributed checkpoint of PyTorch"
    with errors_named(folder, kind):
        return with_errors_named(read_distributed(folder), folder, kind)


def joined(paths: Sequence[Path], columns: Sequence[str] | None = None) -> Found:
    """The arrays of several files, with the file's name before if two have one of the same name."""
    found = {path.name: read_source(path, columns) for path in paths}
    names = [name for of_file in found.values() for name in of_file.arrays]
    prefixed = len(set(names)) < len(names)
    arrays = {
        f"{file}: {name}" if prefixed else name: array
        for file, of_file in found.items()
        for name, array in of_file.arrays.items()
    }
    passed_over = [it for of_file in found.values() for it in of_file.passed_over if it.name not in found]
    return Found(arrays, tuple(passed_over), all(of_file.whole for of_file in found.values()))


def shards_of(index: Path) -> list[str]:
    """The names of the files that an index of shards names."""
    weight_map = json.loads(index.read_bytes())["weight_map"]
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DiagnosisError(f"{index}: names the shard {name!r}, expected a file beside the index")
    return names


def read_index(path: Path) -> Found:
    """All shards of a model.safetensors.index.json or pytorch_model.bin.index.json."""
    names = shards_of(path)
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise DiagnosisError(
            f"{path}: {len(missing)} of {len(names)} shards are not beside it: {', '.join(missing[:5])}; fetch them too"
        )
    found = joined([path.parent / name for name in names])
    if lost := sorted(set(json.loads(path.read_bytes())["weight_map"]) - set(found.arrays)):
        raise DiagnosisError(f"{path}: {', '.join(lost[:5])} is in none of the shards; fetch them again")
    return found


def read_npy(path: Path) -> Found:
    array = np.load(path, mmap_mode="r", allow_pickle=False)

    def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
        if not array.flags.c_contiguous:
            return sliced(array[index])
        return rows_in_file(path, array.offset, array.dtype, array.shape, index)

    return Found({path.stem: Stored(array.shape, array.dtype.name, blocks)}, whole=True)


def read_npz(path: Path) -> Found:
    """The arrays of an .npz file, plain or compressed; one in Fortran order is read at once, the others by blocks."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_unpacked_size(path, sum(member.file_size for member in members))
        arrays = {member: array_header(archive, member) for member in members if member.filename.endswith(".npy")}

    def of(member: zipfile.ZipInfo, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype) -> Callable:
        def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
            if fortran_order:
                with np.load(path, allow_pickle=False) as arrays:
                    yield from sliced(arrays[member.filename][index])
                return
            rows, columns = rows_and_columns(shape)
            before = int(np.ravel_multi_index(index, shape[:-2])) if index else 0
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                file.seek(member.file_size - (math.prod(shape) - before * rows * columns) * dtype.itemsize)
                for start in range(0, rows, block_rows(columns)):
                    size = min(block_rows(columns), rows - start) * columns
                    yield np.frombuffer(file.read(size * dtype.itemsize), dtype).reshape(-1, columns)

        return blocks

    found = {}
    for member, (shape, fortran_order, dtype) in arrays.items():
        if fortran_order and member.file_size > READ_AT_ONCE:
            raise DiagnosisError(
                f"{path}: {member.filename} is in Fortran order and larger than {READ_AT_ONCE:,} bytes; save "
                "np.ascontiguousarray of it, or an .npy file"
            )
        found[member.filename.removesuffix(".npy")] = Stored(shape, dtype.name, of(member, shape, fortran_order, dtype))
    return Found(found, whole=True)


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


READERS = {
    "index of shards": read_index,
    "safetensors": read_safetensors,
    "checkpoint": read_checkpoint,
    "NumPy archive": read_npz,
    "NumPy array": read_npy,
    "Parquet": read_parquet,
    "HDF5": read_hdf5,
    "ONNX": read_onnx,
}
"""What a file is -> what reads it; of a folder those of the first kind are read that there is any of."""
