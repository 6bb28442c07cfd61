"""From a raw click log, a text file of one line a row, to an encoded one: read, check and encode as a stream."""

import errno
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from tqdm import tqdm

from paper_code.data.click_log import (
    ClickLog,
    Field,
    load_click_log,
    replaced_folder,
    split_rows,
    write_description,
)

CHUNK_BYTES = 1 << 22
"""Raw text is read and encoded this many bytes at a time."""

LONGEST_LINE = 1 << 20
"""A line of more bytes is malformed, so that a file without line ends does not fill the memory."""

MOST_EXPANSION, FREE_EXPANSION = 100, 1 << 28
"""A gzip file that gives more than so many times its bytes, and more than so many bytes, is no log: those compress to a
tenth or so. Thus a small file from a stranger does not fill the disk."""

BLOCK_ROWS = 1 << 13
"""Codes become ids this many rows at a time."""

T = TypeVar("T")

INTEGER = r"-?[0-9]{1,18}"
"""What counts as an integer, as a regular expression; 18 digits always fit 64 bits."""


class MalformedLogError(ValueError):
    """A raw log breaks its format; the message names file and line, what was found and what was expected."""


@dataclass(frozen=True)
class LogFormat:
    """The layout of a raw log.

    separator: the character between two columns; quotes have no special meaning.
    label: the name of the column that holds the label, 0 or 1.
    fields: the names of the columns to encode, in the order of the encoded fields.
    integer_fields: those of them that hold integers; see `integer_token`.
    has_header: whether line 1 names the columns, in any order and with others between; else they are label, *fields.
    """

    separator: str
    label: str
    fields: tuple[str, ...]
    integer_fields: tuple[str, ...] = ()
    has_header: bool = False


@dataclass(frozen=True)
class PreparedLog:
    """What preparing a raw log gives: the encoded log, how many data lines were read, how many of them skipped."""

    log: ClickLog
    lines_read: int
    skipped_lines: int


def prepare_log(
    path: str | Path,
    folder: str | Path,
    log_format: LogFormat,
    *,
    name: str,
    threshold: int,
    vocabulary: str = "all",
    split_seed: int = 0,
    on_bad_lines: str = "error",
    progress: bool = True,
) -> PreparedLog:
    """Encode the raw log at `path`, plain or gzip, and write it to `folder`, by the rules of the released code.

    Every value of a field, the empty one included, is a categorical token. Tokens seen fewer than `threshold` times
    share id 0 of their field, which is always there; the others have the ids 1, 2, ... by descending count, ties in
    the order of the tokens' text. An encoded log already in `folder` is replaced when all went well; on an error
    nothing has changed.

    vocabulary: "all" counts the tokens over all rows, "train" over the training rows of `split_rows(rows, split_seed)`.
    on_bad_lines: "error" stops at the first malformed line, "skip" leaves malformed lines out and counts them.
    progress: show bars of the bytes read and of the rows encoded, if the standard error is a terminal.

    The text is read once: each token gets a provisional code in order of appearance, and the codes wait in `ids.npy`,
    where they become ids when the counts are known. Memory holds one chunk, a few bytes a row and the distinct tokens,
    about 120 bytes each; the disk holds the encoded log, once, beside the earlier one. What a killed run leaves there
    is removed by the next one with the same `folder`.

    Raises OSError if a file cannot be read or written, ValueError for an option that is not one, MalformedLogError
    for a log that breaks its format, has no valid row or is a broken gzip file or one that decompresses to more than
    `MOST_EXPANSION` times its size (these also with "skip", which would else lose the rest without a word).
    """
    if threshold < 1:
        raise ValueError(f"threshold is {threshold}, expected 1 or more")
    if vocabulary not in ("all", "train"):
        raise ValueError(f"vocabulary is {vocabulary!r}, expected 'all' or 'train'")
    if on_bad_lines not in ("error", "skip"):
        raise ValueError(f"on_bad_lines is {on_bad_lines!r}, expected 'error' or 'skip'")
    path, folder = Path(path), Path(folder)
    if folder.resolve() in path.resolve().parents:
        raise ValueError(f"{path}: lies in {folder}, which is to be replaced; choose another folder")
    fields = log_format.fields
    with (
        RawLog(path, log_format, skip=on_bad_lines == "skip", progress=progress) as raw,
        full_disk_explained(folder, 4 * len(fields) + 1),
        replaced_folder(folder) as new,
    ):
        with (
            ArrayFile(new / "labels.npy", np.uint8) as labels,
            ArrayFile(new / "ids.npy", np.int32, len(fields)) as ids,
        ):
            coder = TokenCoder(fields)
            for chunk_labels, tokens in raw:
                labels.append(chunk_labels)
                ids.append(coder.codes(tokens))
            rows = ids.rows
            if not rows:
                raise malformed(
                    path, raw.line, f"the end of the file after {raw.skipped_lines} skipped lines", "a valid row"
                )

            counted = np.ones(rows, bool)
            source = {"file": path.name, "sha256": raw.sha256, "vocabulary": vocabulary}
            if vocabulary == "train":
                counted[:] = False
                counted[split_rows(rows, split_seed).train] = True
                source["split_seed"] = split_seed
            source["skipped_lines"] = raw.skipped_lines

            sizes = codes_to_ids(ids, coder, log_format, counted, threshold, progress)
        arrays = (np.load(new / name, mmap_mode="r") for name in ("ids.npy", "labels.npy"))
        log = ClickLog(name, tuple(map(Field, fields, sizes)), *arrays, threshold, source)
        write_description(new, log.description)
    return PreparedLog(load_click_log(folder), rows + raw.skipped_lines, raw.skipped_lines)


def integer_token(column: pl.Expr) -> pl.Expr:
    """The tokens of a column of integers as text: v > 2 becomes floor(ln(v)^2), v <= 2 and the empty text stay.

    This is the rule taken literally, so distinct integers can share a token: 1 and 3 are both "1", for ln(3)^2 is 1.2.
    """
    value = column.cast(pl.Int64, strict=False)
    bucket = value.clip(1).log().pow(2).floor().cast(pl.Int64)
    return pl.when(value > 2).then(bucket).otherwise(value).cast(pl.String).fill_null("")


def codes_to_ids(
    ids: "ArrayFile", coder: "TokenCoder", log_format: LogFormat, counted: np.ndarray, threshold: int, progress: bool
) -> list[int]:
    """Replace the coder's codes in `ids` by the ids, counting the tokens of the rows `counted` (rows,), bool.

    Returns the cardinality of each field.
    """
    # The codes of all fields count on through, so that all columns are looked up at once.
    *starts, end = np.cumsum([0, *coder.sizes])
    counts, id_of_code = np.zeros(end, np.int64), np.zeros(end, np.int32)
    for rows, codes in ids.blocks("counting", progress):
        np.add.at(counts, (codes + starts)[counted[rows]].ravel(), 1)
    cardinalities = []
    for field, part in zip(log_format.fields, map(slice, starts, [*starts[1:], end]), strict=True):
        tokens, of_field = coder.tokens(field), counts[part]
        if field in log_format.integer_fields:
            tokens, of_field = counted_as_integers(tokens, of_field)
        id_of_code[part] = ids_by_count(tokens, of_field, threshold)
        cardinalities.append(1 + int(id_of_code[part].max()))
    for rows, codes in ids.blocks("ids", progress):
        ids.overwrite(rows.start, id_of_code[codes + starts])
    return cardinalities


def counted_as_integers(texts: pl.Series, counts: np.ndarray) -> tuple[pl.Series, np.ndarray]:
    """The tokens of integers' `texts` (texts,), seen `counts` (texts,) times, and how often each token was seen."""
    table = pl.DataFrame({"token": texts, "count": counts}).with_columns(integer_token(pl.col("token")))
    table = table.with_columns(pl.col("count").sum().over("token"))
    return table["token"], table["count"].to_numpy()


def ids_by_count(tokens: pl.Series, counts: np.ndarray, threshold: int) -> np.ndarray:
    """The id, int32, of each of `tokens` (tokens,), seen `counts` (tokens,) times; see `prepare_log`.

    Equal tokens must have the same count and get the same id.
    """
    table = pl.DataFrame({"token": tokens, "count": counts, "code": np.arange(len(counts))})
    kept = table.filter(pl.col("count") >= threshold).sort("count", "token", descending=[True, False])
    ids = np.zeros(len(counts), np.int32)
    ids[kept["code"].to_numpy()] = kept["token"].rle_id().to_numpy() + 1
    return ids


class TokenCoder:
    """Numbers the tokens of each field in an order of its own, the same over all chunks."""

    def __init__(self, fields: tuple[str, ...]):
        self.categories = {field: pl.Categories.random() for field in fields}
        # Polars forgets the categories that no column uses: this empty table is their one lasting user.
        self.table = pl.DataFrame(schema={f: pl.Categorical(c) for f, c in self.categories.items()})
        self.sizes = np.zeros(len(fields), np.int64)

    def codes(self, tokens: pl.DataFrame) -> np.ndarray:
        """The codes (rows, fields), int32, of `tokens` (rows, fields)."""
        codes = tokens.cast(dict(self.table.schema)).select(pl.all().to_physical()).to_numpy(order="c").view(np.int32)
        self.sizes = np.maximum(self.sizes, codes.max(axis=0) + 1)
        return codes

    def tokens(self, field: str) -> pl.Series:
        """All tokens of a field, in the order of their codes."""
        codes = pl.Series(np.arange(self.sizes[self.table.columns.index(field)], dtype=np.uint32))
        return codes.cat.to(self.table.schema[field]).cast(pl.String)


class ArrayFile:
    """An array in an .npy file: (rows,), or (rows, columns) if given, appended to and then overwritten by blocks.

    A memory map would count as memory, and on a full disk end the process without a word.
    """

    def __init__(self, path: Path, dtype: type, *columns: int):
        self.dtype, self.columns, self.rows = np.dtype(dtype), columns, 0
        self.file = open(path, "w+b")  # noqa: SIM115, closed by __exit__
        self.write_header()
        self.start = self.file.tell()

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *exception) -> None:
        with self.file:
            self.write_header()

    def write_header(self) -> None:
        """Write or rewrite the header, which NumPy pads to the same length for any number of rows."""
        self.file.seek(0)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, *self.columns)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, rows: np.ndarray) -> None:
        self.file.write(rows)
        self.rows += len(rows)

    def blocks(self, purpose: str, progress: bool) -> Iterator[tuple[slice, np.ndarray]]:
        """The row numbers and the rows of each block; `purpose` is the name of the progress bar."""
        starts = range(0, self.rows, BLOCK_ROWS)
        bar = {"unit": " rows", "unit_scale": BLOCK_ROWS, "disable": None if progress else True}
        for start in tqdm(starts, purpose, **bar):
            block = np.empty((min(BLOCK_ROWS, self.rows - start), *self.columns), self.dtype)
            self.seek(start)
            self.file.readinto(block)
            yield slice(start, start + len(block)), block

    def overwrite(self, start: int, rows: np.ndarray) -> None:
        self.seek(start)
        self.file.write(rows)

    def seek(self, row: int) -> None:
        self.file.seek(self.start + row * self.dtype.itemsize * math.prod(self.columns))


@contextmanager
def full_disk_explained(folder: Path, row_bytes: int) -> Iterator[None]:
    """An error for a full disk in the block says where there is too little space, and how much a row takes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            error.errno,
            f"{error.strerror}: {folder} needs {row_bytes} bytes a row, beside an earlier log of that name until the "
            "new one is complete; free some space or choose another folder",
        ) from error


def in_background(items: Iterator[T]) -> Iterator[T]:
    """The items, each made in another thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(next, items, None)
            yield item


class RawLog:
    """One pass over a raw log; iterating gives the labels (rows,), uint8, and the tokens (rows, fields) by chunks.

    line: the number of the line after the last one read, from 1.
    skipped_lines: how many malformed lines were left out so far.
    """

    def __init__(self, path: Path, log_format: LogFormat, skip: bool, progress: bool):
        self.path, self.format, self.skip = path, log_format, skip
        self.line, self.skipped_lines = 1, 0
        self.file = open(path, "rb")  # noqa: SIM115, closed by __exit__
        self.digest = hashlib.sha256()
        self.bar = tqdm(
            desc=path.name,
            total=path.stat().st_size,
            unit="B",
            unit_scale=True,
            disable=None if progress else True,
        )

    def __enter__(self) -> "RawLog":
        return self

    def __exit__(self, *exception) -> None:
        self.bar.close()
        self.file.close()

    def __iter__(self) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
        return in_background(self.parsed_chunks())

    def parsed_chunks(self) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
        """As the iteration; runs in another thread, ahead of what is done with the rows."""
        rows = None if self.format.has_header else RowParser(self.format, (self.format.label, *self.format.fields))
        for first, chunk in in_background(self.chunks()):
            if rows is None:
                header, _, chunk = chunk.partition(b"\n")
                rows = self.parser_of_header(header)
                first += 1
            parsed = rows.parse(chunk)
            if parsed is None:
                parsed = rows.parse(self.well_formed_lines(chunk, first, rows))
            if len(parsed[0]):
                yield parsed
        self.bar.close()

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """The text as chunks of whole lines, each line ended by one newline character, and their first lines' numbers.

        May run in another thread, ahead of what is done with the chunks.
        """
        compressed = self.file.peek(2)[:2] == b"\x1f\x8b"
        # `read1` hands out what was decompressed before an error, `read` would lose it.
        read = gzip.GzipFile(fileobj=self, mode="rb").read1 if compressed else self.read
        text, broken, at_end, given = bytearray(), None, False, 0
        while not at_end:
            try:
                piece = read(CHUNK_BYTES)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                piece, broken = b"", error
            given += len(piece)
            if compressed and given > max(FREE_EXPANSION, MOST_EXPANSION * self.file.tell()):
                raise malformed(
                    self.path,
                    self.line,
                    f"more than {MOST_EXPANSION} times as much text as gzip file",
                    "a log, which compresses to a tenth or so; if it is one, decompress the file first",
                )
            at_end = not piece
            text += piece
            if at_end and not broken and text and not text.endswith(b"\n"):
                text += b"\n"
            if at_end or len(text) >= CHUNK_BYTES:
                lines = text.rfind(b"\n") + 1
                if lines:
                    whole = bytes(memoryview(text)[:lines])
                    first = self.line
                    self.line += count_character(whole, "\n")
                    yield first, whole.replace(b"\r\n", b"\n") if b"\r" in whole else whole
                # What remains has no line end; if it is too long already, its first bytes suffice to show that.
                text = text[lines : lines + LONGEST_LINE + 2]
        if broken:
            raise malformed(self.path, self.line, f"a broken gzip stream ({broken})", "a complete gzip file")

    def read(self, size: int) -> bytes:
        """The next `size` bytes as stored, counted and hashed."""
        piece = self.file.read(size)
        self.digest.update(piece)
        self.bar.update(len(piece))
        return piece

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, as stored."""
        return self.digest.hexdigest()

    def parser_of_header(self, header: bytes) -> "RowParser":
        """Find the columns by the names in line 1."""
        names = (self.format.label, *self.format.fields)
        expected = f"a header that names each of {', '.join(names)} once"
        problem = text_problem(header)
        if problem:
            raise malformed(self.path, 1, problem[0], expected)
        columns = header.decode().split(self.format.separator)
        wrong = [f"{columns.count(name)} columns named {name!r}" for name in names if columns.count(name) != 1]
        if wrong:
            raise malformed(self.path, 1, ", ".join(wrong), expected)
        return RowParser(self.format, columns)

    def well_formed_lines(self, chunk: bytes, first: int, rows: "RowParser") -> bytes:
        """`chunk`, whose first line has the number `first`, without its malformed lines; raises unless they may go."""
        kept = []
        for number, line in enumerate(chunk.split(b"\n")[:-1], first):
            problem = rows.problem(line)
            if problem is None:
                kept.append(line + b"\n")
            elif self.skip:
                self.skipped_lines += 1
            else:
                raise malformed(self.path, number, *problem)
        return b"".join(kept)


class RowParser:
    """Reads lines of known columns, many at a time (`parse`) or one, to say what is wrong with it (`problem`)."""

    def __init__(self, log_format: LogFormat, columns: tuple[str, ...] | list[str]):
        self.format, self.columns = log_format, columns
        self.positions = {name: columns.index(name) for name in (log_format.label, *log_format.fields)}
        names = (str(position) for position in range(len(columns)))
        # Numbers name the columns, for those not encoded may have any name. The line also keeps a byte order mark at
        # the start of a chunk a part of its value: polars drops one at the start of what it reads.
        self.first_line = log_format.separator.join(names).encode() + b"\n"

    def parse(self, chunk: bytes) -> tuple[np.ndarray, pl.DataFrame] | None:
        """The labels (rows,) and tokens (rows, fields) of whole lines, or None if any of them has a `problem`."""
        if not self.may_have_right_shape(chunk) or not is_text(chunk):
            return None
        try:
            frame = pl.read_csv(
                self.first_line + chunk,
                separator=self.format.separator,
                quote_char=None,
                infer_schema=False,
                empty_string_is_null=False,
            )
        except pl.exceptions.ComputeError:  # a line has too many columns
            return None
        frame = frame.select(pl.col(str(position)).alias(name) for name, position in self.positions.items())
        valid = [pl.col(self.format.label).is_in(["0", "1"])]
        valid += [pl.col(name).str.contains(f"^({INTEGER})?$") for name in self.format.integer_fields]
        if not all(frame.select(column.all() for column in valid).row(0)):
            return None
        labels = frame.drop_in_place(self.format.label).cast(pl.UInt8).to_numpy()
        return labels, frame

    def may_have_right_shape(self, chunk: bytes) -> bool:
        """Whether no line is too long and the lines together have all columns: unless one has too many, each has."""
        start = 0
        while start < len(chunk):
            start = chunk.rfind(b"\n", start, start + LONGEST_LINE + 1) + 1
            if not start:
                return False
        return count_character(chunk, self.format.separator) == count_character(chunk, "\n") * (len(self.columns) - 1)

    def problem(self, line: bytes) -> tuple[str, str] | None:
        """What was found and what was expected, or None for a well-formed line (without its newline character)."""
        problem = text_problem(line)
        if problem:
            return problem
        values = line.decode().split(self.format.separator)
        if len(values) != len(self.columns):
            found = f"{len(values)} columns" if line else "a blank line"
            return found, f"{len(self.columns)} columns separated by {self.format.separator!r}"
        label = values[self.positions[self.format.label]]
        if label not in ("0", "1"):
            return f"the label {abbreviated(label)}", "0 or 1"
        for name in self.format.integer_fields:
            value = values[self.positions[name]]
            if not re.fullmatch(f"({INTEGER})?", value):
                return f"{abbreviated(value)} in column {name}", "an integer of at most 18 digits or nothing"
        return None


def text_problem(line: bytes) -> tuple[str, str] | None:
    """What was found and what was expected if a line is too long or not text, else None."""
    if len(line) > LONGEST_LINE:
        return f"a line of more than {LONGEST_LINE} bytes", "a newline character before that"
    if not is_text(line):
        return f"bytes that are not text ({abbreviated(line)})", "UTF-8 without NUL and stray carriage returns"
    return None


def is_text(data: bytes) -> bool:
    """Whether `data` is UTF-8 without NUL and carriage return."""
    if b"\0" in data or b"\r" in data:
        return False
    try:
        data.isascii() or data.decode()
    except UnicodeDecodeError:
        return False
    return True


def count_character(data: bytes, character: str) -> int:
    """How often `data` has an ASCII character."""
    return np.count_nonzero(np.frombuffer(data, np.uint8) == ord(character))


def abbreviated(value: str | bytes) -> str:
    """How an error message shows a value."""
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


def malformed(path: Path, line: int, found: str, expected: str) -> MalformedLogError:
    """The error for a log that breaks its format."""
    return MalformedLogError(f"{path}: line {line}: found {found}, expected {expected}")
