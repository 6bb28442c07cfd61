"""The text of a raw log, whatever it is wrapped in: compressed, in an archive of one file, Parquet, UTF-16."""

import bz2
import codecs
import errno
import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

MOST_EXPANSION, FREE_EXPANSION = 100, 1 << 28
"""A file that gives more than so many times its bytes, and more than so many bytes, is no log: those compress to a
tenth or so. Thus a small file from a stranger does not fill the disk."""

MOST_LAYERS = 3
"""How often a file may be wrapped: a gzip file in a tar archive in an xz file is so three times."""

HEAD_BYTES = 1 << 16
"""What a file is and how its lines end is told by so many of its first bytes."""

PARQUET_ROWS = 1 << 14
"""Rows of a Parquet file that become text at a time."""

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x5d\0\0": "lzma",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "Parquet",
}
NO_TEXT = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a RAR archive: unpack it",
    b"\x1f\x9d": "a file of `compress`: unpack it",
    b"ARROW1": "an Arrow file: write it as Parquet or as text",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: write its table as Parquet or as text",
    b"\x93NUMPY": "a NumPy array: write it as Parquet or as text",
    b"SQLite format 3\0": "an SQLite database: write its table as Parquet or as text",
    b"<!doctype html": "a web page, which a site gives to who is not logged in: download the file with a browser",
    b"<html": "a web page, which a site gives to who is not logged in: download the file with a browser",
    b"version https://git-lfs": "a pointer of Git LFS: get the file itself with `git lfs pull`",
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LEFT_BY_SYSTEMS = ("._", ".DS_Store", "Thumbs.db", "desktop.ini")
FORMAT_ERRORS = (
    *(EOFError, OSError, ValueError, RuntimeError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile, pa.ArrowException, pl.exceptions.PolarsError),
)

Read = Callable[[int], bytes]
"""Gives the next bytes, about so many, and none at the end."""


class MalformedLogError(ValueError):
    """A raw log breaks its format; the message names file and line, what was found and what was expected."""


class BrokenFileError(Exception):
    """What a log is wrapped in is damaged here; what came before has been given.

    kind: of the file, such as "gzip".
    """

    def __init__(self, kind: str, error: Exception):
        super().__init__(f"a broken {kind} stream ({error})")
        self.kind = kind


class RawFile:
    """A raw log as it is stored.

    read_bytes: how many bytes were read so far. sha256: of them.
    read_otherwise: what of the text is written otherwise than the log's format has it, and was read -> how often.
    is_table: whether the text was made of a Parquet file.
    """

    def __init__(self, path: Path, progress: bool):
        if path.is_dir():
            held = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
            raise IsADirectoryError(f"{path}: is a folder (of {held}), expected the file that holds the log")
        self.path, self.file = path, open(path, "rb")  # noqa: SIM115, closed by close
        self.is_regular = stat.S_ISREG(path.stat().st_mode)
        self.digest, self.read_bytes, self.read_otherwise, self.is_table = hashlib.sha256(), 0, Counter(), False
        self.bar = tqdm(
            desc=path.name,
            total=path.stat().st_size if self.is_regular else None,
            unit="B",
            unit_scale=True,
            disable=None if progress else True,
        )

    def close(self) -> None:
        self.bar.close()
        self.file.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, counted and hashed."""
        piece = self.file.read(size)
        self.digest.update(piece)
        self.read_bytes += len(piece)
        self.bar.update(len(piece))
        return piece

    def whole(self, kind: str) -> BinaryIO:
        """The file, at its start, for a reader that jumps in it; counted and hashed as a whole."""
        if not self.is_regular:
            raise MalformedLogError(
                f"{self.path}: is a {kind} file through a pipe, which cannot be read in order; give the file, or text"
            )
        self.file.seek(0)
        self.digest = hashlib.file_digest(self.file, "sha256")
        self.read_bytes = self.file.tell()
        self.bar.update(self.read_bytes - self.bar.n)
        self.file.seek(0)
        return self.file

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


class Stream(io.RawIOBase):
    """A file made of what reads it."""

    def __init__(self, read: Read):
        self.read = read

    def readable(self) -> bool:
        return True


def open_text(raw: RawFile, separator: str) -> Read:
    """What reads the text of a raw log: UTF-8, if it is text at all, without a byte-order mark at its start.

    Lines end as in the file, but with "\\n" where the file knows "\\r" alone.
    separator: between the columns of a Parquet file, whose text has a header.
    Raises MalformedLogError, then or when it is read, for a kind of file that is not read and for one that expands to
    more than `MOST_EXPANSION` times its size; BrokenFileError when it is read, where it is damaged.
    """
    return plain_line_ends(raw, decoded(raw, unwrapped(raw, raw.read, separator)))


def peeked(read: Read, enough: Callable[[bytes], bool]) -> tuple[bytes, Read]:
    """The first bytes, read until they are `enough` or all, and what reads from the start again."""
    head, error = b"", None
    try:
        while not enough(head) and (piece := read(HEAD_BYTES)):
            head += piece
    except BrokenFileError as broken:
        error = broken
    rest = head

    def from_start(size: int) -> bytes:
        nonlocal rest
        piece, rest = rest[:size], rest[size:]
        if not piece and error:
            raise error
        return piece or read(size)

    return head, from_start


def unwrapped(raw: RawFile, read: Read, separator: str, outer: tuple[str, ...] = ()) -> Read:
    """What reads the file inside of the compressed files and archives; `outer` are those already opened, inside out."""
    head, read = peeked(read, lambda head: len(head) >= tarfile.BLOCKSIZE)
    kind = kind_of(head)
    if kind is None:
        if what := next((what for magic, what in NO_TEXT.items() if head.lower().startswith(magic.lower())), None):
            raise MalformedLogError(f"{raw.path}: is {what}")
        return read
    layers = (kind, *outer)
    misplaced = (kind in ("zip", "Parquet") and outer) or (kind == "tar" and not {*outer} <= DECOMPRESSED.keys())
    if misplaced or len(layers) > MOST_LAYERS:
        raise MalformedLogError(f"{raw.path}: is {' in '.join(layers)}: unpack the {outer[-1]} file first")
    if kind == "zip":
        inner = lazy(member_of_zip(raw))
    elif kind == "tar":
        inner = lazy(member_of_tar(raw, outer))
    elif kind == "Parquet":
        inner = lazy(text_of_parquet(raw, separator))
    else:
        inner = DECOMPRESSED[kind](read)
    return unwrapped(raw, guarded(raw, inner, kind), separator, layers)


def kind_of(head: bytes) -> str | None:
    """How a file that begins with `head` is compressed or archived; None if it is not."""
    for magic, kind in MAGIC.items():
        if head.startswith(magic) and (kind != "bzip2" or head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
            return kind
    if head[1:4] == b"*M\x18" and head[0] >> 4 == 5:  # zstd of several threads begins with a frame to be skipped
        return "zstd"
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return "tar"


def guarded(raw: RawFile, read: Read, kind: str) -> Read:
    """`read`, whose errors of format are BrokenFileError, and which may not give much more than the file has."""
    given = 0

    def checked(size: int) -> bytes:
        nonlocal given
        try:
            piece = read(size)
        except MalformedLogError:
            raise
        except FORMAT_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of the file system
                raise
            raise BrokenFileError(kind, error) from error
        given += len(piece)
        if given > max(FREE_EXPANSION, MOST_EXPANSION * raw.read_bytes):
            raise MalformedLogError(
                f"{raw.path}: found more than {MOST_EXPANSION} times as much text as {kind} file, expected a log, "
                "which compresses to a tenth or so; if it is one, unpack it first"
            )
        return piece

    return checked


def lazy(pieces: Iterator[bytes]) -> Read:
    """What gives the pieces, whatever their size."""
    return lambda _: next((piece for piece in pieces if piece), b"")


def one_after_the_other(new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], read: Read) -> Read:
    """What decompresses all streams of a file. (The library's own readers end quietly where a later one is damaged.)"""
    stream = new()

    def decompressed(size: int) -> bytes:
        nonlocal stream
        while True:
            data = b""
            if stream.eof:
                data = (stream.unused_data or read(HEAD_BYTES)).lstrip(b"\0")  # xz may be padded
                while not data:
                    if not (data := read(HEAD_BYTES)):
                        return b""
                    data = data.lstrip(b"\0")
                stream = new()
            elif stream.needs_input and not (data := read(HEAD_BYTES)):
                raise EOFError("it ends before its end mark")
            if text := stream.decompress(data, size):
                return text

    return decompressed


def by_arrow(codec: str) -> Callable[[Read], Read]:
    return lambda read: pa.CompressedInputStream(pa.PythonFile(Stream(read), mode="r"), codec).read


DECOMPRESSED: dict[str, Callable[[Read], Read]] = {
    # `read1` gives what was decompressed before an error, `read` would lose it
    "gzip": lambda read: gzip.GzipFile(fileobj=Stream(read), mode="rb").read1,
    "bzip2": lambda read: one_after_the_other(bz2.BZ2Decompressor, read),
    "xz": lambda read: one_after_the_other(lzma.LZMADecompressor, read),
    "lzma": lambda read: one_after_the_other(lzma.LZMADecompressor, read),
    "zstd": by_arrow("zstd"),
    "lz4": by_arrow("lz4"),
}
"""The kind of a compressed file -> what makes a reader of the text from one of the file."""


def only_file(raw: RawFile, kind: str, names: list[str]) -> str:
    """The name of an archive's one file. Raises MalformedLogError, which names some, if there are none or several."""
    paths = {name: PurePosixPath(name) for name in names}
    files = [name for name in names if "__MACOSX" not in paths[name].parts]
    files = [name for name in files if not paths[name].name.startswith(LEFT_BY_SYSTEMS)]
    if len(files) != 1:
        shown = ", ".join([*files[:4], *(["..."] if len(files) > 4 else [])])
        raise MalformedLogError(
            f"{raw.path}: is a {kind} archive with {len(files)} files{f' ({shown})' if files else ''}, expected one: "
            "unpack it and give the file that holds the log"
        )
    raw.read_otherwise[f"{files[0]} in a {kind} archive"] = 1
    return files[0]


def member_of_zip(raw: RawFile) -> Iterator[bytes]:
    with zipfile.ZipFile(raw.whole("zip")) as archive:
        name = only_file(raw, "zip", [entry.filename for entry in archive.infolist() if not entry.is_dir()])
        with archive.open(name) as member:
            while piece := member.read1(HEAD_BYTES):
                yield piece


def member_of_tar(raw: RawFile, outer: tuple[str, ...]) -> Iterator[bytes]:
    """Goes through the archive twice, for only its end tells how many files it has."""
    file = raw.whole(" in ".join(["tar", *outer]))

    def members() -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
        file.seek(0)
        read = file.read
        for kind in reversed(outer):
            read = guarded(raw, DECOMPRESSED[kind](read), kind)
        with tarfile.open(fileobj=Stream(read), mode="r|") as archive:
            yield from ((entry, archive.extractfile(entry)) for entry in archive if entry.isfile())

    name = only_file(raw, "tar", [entry.name for entry, _ in members()])
    for entry, member in members():
        if entry.name == name:
            while piece := member.read(HEAD_BYTES):
                yield piece


def text_of_parquet(raw: RawFile, separator: str) -> Iterator[bytes]:
    """The rows of a Parquet file as text, under a header; a value that is null is empty."""
    raw.is_table = True
    table = pq.ParquetFile(raw.whole("Parquet"))
    groups = (table.metadata.row_group(i).total_byte_size for i in range(table.metadata.num_row_groups))
    if sum(groups) > max(FREE_EXPANSION, MOST_EXPANSION * raw.read_bytes):
        raise ValueError(f"it declares more than {MOST_EXPANSION} times its size")
    raw.read_otherwise["Parquet"] = 1
    yield separator.join(table.schema_arrow.names).encode() + b"\n"
    for batch in table.iter_batches(PARQUET_ROWS):
        frame = pl.DataFrame(batch)
        for name, kind in frame.schema.items():
            if kind.is_nested():
                raise MalformedLogError(f"{raw.path}: column {name} holds {kind}, expected one value a row")
        text = io.BytesIO()
        frame = frame.select(pl.all().cast(pl.String).fill_null(""))
        frame.write_csv(text, separator=separator, include_header=False, quote_style="never")
        yield text.getvalue()


def decoded(raw: RawFile, read: Read) -> Read:
    """`read`, as UTF-8 if it is UTF-16 or UTF-32, without the byte-order mark."""
    head, read = peeked(read, lambda head: len(head) >= 4)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if encoding == "utf-8-sig":
        raw.read_otherwise["byte-order mark"] += 1
        read(len(codecs.BOM_UTF8))
        return read
    if encoding is None:
        # without a mark: the first two characters of a log are ASCII
        encoding = {(False, True) * 2: "utf-16-le", (True, False) * 2: "utf-16-be"}.get(tuple(b == 0 for b in head[:4]))
        if encoding is None:
            return read
    raw.read_otherwise[f"{encoding.upper()} text"] = 1
    decoder = codecs.getincrementaldecoder(encoding)()

    def as_utf8(size: int) -> bytes:
        text = ""
        while not text:
            piece = read(size)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                raise BrokenFileError(encoding.upper(), error) from error
            if not piece:
                break
        return text.encode()

    return as_utf8


def plain_line_ends(raw: RawFile, read: Read) -> Read:
    """`read`, with "\\n" for "\\r" if there is no other end of a line in the first bytes."""
    head, read = peeked(read, lambda head: b"\n" in head or len(head) >= HEAD_BYTES)
    if b"\n" in head or b"\r" not in head:
        return read
    raw.read_otherwise["line ends of a carriage return alone"] = 1
    return lambda size: read(size).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
