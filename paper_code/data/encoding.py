"""From a raw click log, a text file of one line a row, to an encoded one: read, check and encode as a stream."""

import gzip
import hashlib
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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

CHUNK_BYTES = 1 << 24
"""Raw text is read and encoded this many bytes at a time."""

LONGEST_LINE = 1 << 20
"""A line of more bytes is malformed, so that a file without line ends does not fill the memory."""

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
    progress: show a bar of the bytes read, if the standard error is a terminal.

    The rows are read once: each token gets a provisional code in order of appearance, the codes wait in a temporary
    file in place of the text, and become ids when the counts are known. Memory holds one chunk, one byte a row and
    the distinct tokens.

    Raises OSError if a file cannot be read or written, ValueError for an option that is not one, MalformedLogError
    for a log that breaks its format, has no valid row or is a broken gzip file (also with "skip", which would else
    lose the rest without a word).
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
    with (
        RawLog(path, log_format, skip=on_bad_lines == "skip", progress=progress) as raw,
        replaced_folder(folder) as new,
        tempfile.TemporaryFile(dir=new) as codes_file,
    ):
        coder = TokenCoder(log_format.fields)
        label_chunks = []
        for labels, tokens in raw:
            label_chunks.append(labels)
            np.save(codes_file, coder.codes(tokens))
        if not label_chunks:
            raise malformed(
                path, raw.line, f"the end of the file after {raw.skipped_lines} skipped lines", "a valid row"
            )

        labels = np.concatenate(label_chunks)
        counted = np.ones(len(labels), bool)
        source = {"file": path.name, "sha256": raw.sha256, "vocabulary": vocabulary}
        if vocabulary == "train":
            counted[:] = False
            counted[split_rows(len(labels), split_seed).train] = True
            source["split_seed"] = split_seed
        source["skipped_lines"] = raw.skipped_lines

        tokens = coder.tokens()
        counts = [np.zeros(len(column), np.int64) for column in tokens]
        for rows, codes in saved_codes(codes_file, len(label_chunks)):
            for count, column in zip(counts, codes, strict=True):
                np.add.at(count, column[counted[rows]], 1)
        ids_of_codes = [ids_by_count(*pair, threshold) for pair in zip(tokens, counts, strict=True)]

        ids = np.lib.format.open_memmap(new / "ids.npy", "w+", np.int32, (len(labels), len(tokens)))
        for rows, codes in saved_codes(codes_file, len(label_chunks)):
            for field, column in enumerate(codes):
                ids[rows, field] = ids_of_codes[field][column]
        ids.flush()
        np.save(new / "labels.npy", labels)
        fields = tuple(Field(f, 1 + int(i.max())) for f, i in zip(log_format.fields, ids_of_codes, strict=True))
        write_description(new, ClickLog(name, fields, ids, labels, threshold, source).description)
    return PreparedLog(load_click_log(folder), len(labels) + raw.skipped_lines, raw.skipped_lines)


def integer_token(column: pl.Expr) -> pl.Expr:
    """The tokens of a column of integers as text: v > 2 becomes floor(ln(v)^2), v <= 2 and the empty text stay.

    This is the rule taken literally, so distinct integers can share a token: 1 and 3 are both "1", for ln(3)^2 is 1.2.
    """
    value = column.cast(pl.Int64, strict=False)
    bucket = value.clip(1).log().pow(2).floor().cast(pl.Int64)
    return pl.when(value > 2).then(bucket).otherwise(value).cast(pl.String).fill_null("")


def ids_by_count(tokens: pl.Series, counts: np.ndarray, threshold: int) -> np.ndarray:
    """The id, int32, of each of `tokens` (tokens,), seen `counts` (tokens,) times; see `prepare_log`."""
    kept = (
        pl.DataFrame({"token": tokens, "count": counts, "code": np.arange(len(counts))})
        .filter(pl.col("count") >= threshold)
        .sort("count", "token", descending=[True, False])
    )
    ids = np.zeros(len(counts), np.int32)
    ids[kept["code"].to_numpy()] = np.arange(1, len(kept) + 1)
    return ids


class TokenCoder:
    """Numbers the tokens of each field in an order of its own, the same over all chunks."""

    def __init__(self, fields: tuple[str, ...]):
        self.categories = {field: pl.Categories.random() for field in fields}
        # Polars forgets the categories that no column uses: this empty table is their one lasting user.
        self.table = pl.DataFrame(schema={f: pl.Categorical(c) for f, c in self.categories.items()})

    def codes(self, tokens: pl.DataFrame) -> np.ndarray:
        """The codes (fields, rows), uint32, of `tokens` (rows, fields)."""
        return tokens.cast(dict(self.table.schema)).select(pl.all().to_physical()).to_numpy().T

    def tokens(self) -> list[pl.Series]:
        """All tokens of each field, in the order of their codes."""
        return [categories.to_series() for categories in self.categories.values()]


def saved_codes(file: IO[bytes], chunks: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows and the codes (fields, rows) of each chunk saved to `file`."""
    file.seek(0)
    start = 0
    for _ in range(chunks):
        codes = np.load(file)
        yield slice(start, start + codes.shape[1]), codes
        start += codes.shape[1]


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
        rows = None if self.format.has_header else RowParser(self.format, (self.format.label, *self.format.fields))
        for chunk in self.chunks():
            first = self.line
            self.line += chunk.count(b"\n")
            if rows is None:
                header, _, chunk = chunk.partition(b"\n")
                rows = self.parser_of_header(header)
                first += 1
            parsed = rows.parse(chunk)
            if parsed is None:
                parsed = rows.parse(self.well_formed_lines(chunk, first, rows))
            if len(parsed[0]):
                yield parsed

    def chunks(self) -> Iterator[bytes]:
        """The text as chunks of whole lines, each line ended by one newline character."""
        compressed = self.file.peek(2)[:2] == b"\x1f\x8b"
        # `read1` hands out what was decompressed before an error, `read` would lose it.
        read = gzip.GzipFile(fileobj=self, mode="rb").read1 if compressed else self.read
        text, broken, at_end = bytearray(), None, False
        while not at_end:
            try:
                piece = read(CHUNK_BYTES)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                piece, broken = b"", error
            at_end = not piece
            text += piece
            if at_end and not broken and text and not text.endswith(b"\n"):
                text += b"\n"
            if at_end or len(text) >= CHUNK_BYTES:
                lines = text.rfind(b"\n") + 1
                if lines:
                    yield bytes(text[:lines]).replace(b"\r\n", b"\n")
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
        if not self.has_right_shape(chunk) or not is_text(chunk):
            return None
        frame = pl.read_csv(
            self.first_line + chunk,
            separator=self.format.separator,
            quote_char=None,
            infer_schema=False,
            empty_string_is_null=False,
        ).select(pl.col(str(position)).alias(name) for name, position in self.positions.items())
        valid = [pl.col(self.format.label).is_in(["0", "1"])]
        valid += [pl.col(name).str.contains(f"^({INTEGER})?$") for name in self.format.integer_fields]
        if not all(frame.select(column.all() for column in valid).row(0)):
            return None
        labels = frame.drop_in_place(self.format.label).cast(pl.UInt8).to_numpy()
        return labels, frame.with_columns(integer_token(pl.col(name)) for name in self.format.integer_fields)

    def has_right_shape(self, chunk: bytes) -> bool:
        """Whether each line has all columns and none is too long."""
        characters = np.frombuffer(chunk, np.uint8)
        newline, width = ord("\n"), len(self.columns)
        stops = np.flatnonzero((characters == ord(self.format.separator)) | (characters == newline))
        ends = stops[width - 1 :: width]
        return (
            len(stops) == width * chunk.count(b"\n")
            and bool((characters[ends] == newline).all())
            and bool((np.diff(ends, prepend=-1) <= LONGEST_LINE + 1).all())
        )

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
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def abbreviated(value: str | bytes) -> str:
    """How an error message shows a value."""
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


def malformed(path: Path, line: int, found: str, expected: str) -> MalformedLogError:
    """The error for a log that breaks its format."""
    return MalformedLogError(f"{path}: line {line}: found {found}, expected {expected}")
