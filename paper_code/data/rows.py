"""The rows of a raw log: what the lines of its text mean, and what is wrong with those that mean nothing."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from paper_code.data.raw import BrokenFileError, MalformedLogError, RawFile, open_text

CHUNK_BYTES = 1 << 22
"""Raw text is read and encoded this many bytes at a time."""

LONGEST_LINE = 1 << 20
"""A line of more bytes is malformed, so that a file without line ends does not fill the memory."""

SKIP_LIMIT = 0.01
"""The share of the lines that may be left out as malformed, unless another is given."""

NEARLY_ALL = 0.9
"""The share of the lines from which on one cause of malformed lines is no accident, whatever limit is given."""

T = TypeVar("T")

INTEGER = r"-?[0-9]{1,18}"
"""What counts as an integer, as a regular expression; 18 digits always fit 64 bits."""

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
"""How else a number is written; if its value is an integer, it is read as that."""

MISSING = frozenset(
    [marker for word in ("nan", "null", "none", "na", "n/a", "nil") for marker in (word, word.upper(), word.title())]
    + ["NaN", "-nan", "-NaN", "NaT", "<NA>", "#N/A", "#NA", "\\N"]
)
"""What databases and table libraries write where a value is missing; it is read as the empty text."""

SEPARATORS = ",\t;|"
BLANK = b"\n\r \x1a"
LABEL = "the label"


@dataclass(frozen=True)
class LogFormat:
    """The layout of a raw log.

    separator: the character between two columns. Quotes have no special meaning, unless values of line 1 or of the
    first row are in quotes: then the file is read as CSV.
    label: the name of the column that holds the label, 0 or 1.
    fields: the names of the columns to encode, in the order of the encoded fields.
    integer_fields: those of them that hold integers; see `integer_token`.
    has_header: whether line 1 must name the columns, in any order and with others between; else it may, and if it
    does not they are label, *fields.
    """

    separator: str
    label: str
    fields: tuple[str, ...]
    integer_fields: tuple[str, ...] = ()
    has_header: bool = False


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
    raw: the file as it is stored; its `read_otherwise` is complete when all chunks are read.
    skipped: why malformed lines were left out so far -> how many.
    """

    def __init__(self, path: Path, log_format: LogFormat, skip: bool, progress: bool):
        self.path, self.format, self.skip, self.line = path, log_format, skip, 1
        self.skipped, self.first_skipped = Counter(), {}
        self.raw = RawFile(path, progress)

    def __enter__(self) -> "RawLog":
        return self

    def __exit__(self, *exception) -> None:
        self.raw.close()

    def __iter__(self) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
        return in_background(self.parsed_chunks())

    @property
    def skipped_lines(self) -> int:
        return self.skipped.total()

    def parsed_chunks(self) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
        """As the iteration; runs in another thread, ahead of what is done with the rows."""
        rows = None
        for first, chunk in in_background(self.chunks()):
            if rows is None:
                rows = self.parser_of(chunk)
                if rows.header:
                    chunk = chunk[chunk.index(b"\n") + 1 :]
                    first += 1
            parsed = rows.parse(chunk)
            if parsed is None:
                *parsed, problems = rows.parse_leniently(chunk, first, self.raw.read_otherwise)
                self.skip_or_raise(problems)
            if len(parsed[0]):
                yield parsed
        self.raw.bar.close()

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """The text as chunks of whole lines, each line ended by one newline character, and their first lines' numbers.

        The first has two lines, if there are two. Blank lines and Ctrl-Z at the end of the file are left out.
        May run in another thread, ahead of what is done with the chunks.
        """
        read = open_text(self.raw, self.format.separator)
        text, broken, at_end = bytearray(), None, False
        while not at_end:
            try:
                piece = read(CHUNK_BYTES)
            except BrokenFileError as error:
                piece, broken = b"", error
            at_end = not piece
            text += piece
            if at_end and not broken:
                text = self.without_blank_end(text)
            if at_end or len(text) >= CHUNK_BYTES:
                lines = text.rfind(b"\n") + 1
                content = len(text) if at_end else len(text.rstrip(BLANK))
                if len(text) - content < LONGEST_LINE:  # what follows may be the end of the file
                    lines = text.rfind(b"\n", 0, content) + 1
                whole = bytes(memoryview(text)[:lines])
                ends = count_character(whole, "\n")
                if ends > 1 or (ends and (at_end or self.line > 1 or len(text) > LONGEST_LINE)):
                    first = self.line
                    self.line += ends
                    yield first, whole.replace(b"\r\n", b"\n") if b"\r" in whole else whole
                    text = text[lines:]
                # A line too long already: its first bytes suffice to show that.
                if b"\n" not in text:
                    text = text[: LONGEST_LINE + 2]
        if broken:
            raise self.malformed(self.line, str(broken), f"a complete {broken.kind} file")

    def without_blank_end(self, text: bytearray) -> bytearray:
        """The last lines of the file, without those that are blank and without Ctrl-Z, which DOS ends a file with."""
        content = len(text.rstrip(BLANK))
        if not content:
            return bytearray()
        end = next((i for i in range(content, len(text)) if text[i] in b"\n\x1a"), len(text))
        if b"\x1a" in text[end:]:
            self.raw.read_otherwise["Ctrl-Z at the end"] += 1
        blank = text[end + 1 :].replace(b"\x1a", b"").splitlines()
        if blank:
            self.raw.read_otherwise["blank lines at the end"] += len(blank)
        return text[:end] + b"\n"

    def parser_of(self, chunk: bytes) -> "RowParser":
        """Find the columns by the names in line 1, if it is a header."""
        names = (self.format.label, *self.format.fields)
        line, second = (line.rstrip(b"\r") for line in chunk.split(b"\n", 2)[:2])
        problem = text_problem(line)
        if problem:
            if self.format.has_header:
                raise self.malformed(1, problem[1], f"a header that names each of {', '.join(names)} once")
            return RowParser(self.format, names, self.format.separator)
        text, separator = line.decode(), self.format.separator
        if separator not in text:
            separator = next((other for other in SEPARATORS if text.count(other) + 1 >= len(names)), separator)
        quoted = has_quoted(text, separator)
        header = [value.strip() for value in split_line(text, separator, quoted)]
        columns = columns_of(header, names)
        if columns is None and not self.format.has_header:
            columns = names if is_numbered(header, len(names)) else None
        missing = [name for name in names if header.count(name) != 1]
        if columns is None and (self.format.has_header or len(missing) < len(names) / 2):
            found = f"the header {abbreviated(text, 300)}"
            if len(missing) == len(names):
                found = f"no header but {abbreviated(text, 300)}"
            elif repeated := [name for name in missing if name in header]:
                found += f", which names {', '.join(repeated)} more than once"
            else:
                found += f", which does not name {', '.join(missing)}"
            raise self.malformed(1, found, f"a header that names each of {', '.join(names)} once")
        if separator != self.format.separator:
            self.raw.read_otherwise[f"columns separated by {separator!r}"] = 1
        if columns is not None:
            quoted = quoted or has_quoted(second.decode(errors="replace"), separator, len(columns))
        if quoted:
            self.raw.read_otherwise["values in quotes"] = 1
        if columns is None:
            return RowParser(self.format, names, separator, quoted)
        if not self.format.has_header and not self.raw.is_table:
            self.raw.read_otherwise["header"] = 1
        return RowParser(self.format, columns, separator, quoted, header)

    def skip_or_raise(self, problems: dict[int, "Problem"]) -> None:
        """Count the malformed lines, by number, as skipped, unless they may not be."""
        for number, problem in sorted(problems.items()):
            if not self.skip or problem.stops:
                raise self.malformed(number, problem.found, problem.expected)
            self.skipped[problem.cause] += 1
            self.first_skipped.setdefault(problem.cause, number)

    def check_skipped(self, rows: int, most: float) -> None:
        """Raises MalformedLogError if more than a share `most` of the lines were left out, all that have a label, or
        nearly all for one cause."""
        lines, skipped = rows + self.skipped_lines, self.skipped_lines
        if not skipped:
            return
        cause, number = self.skipped.most_common(1)[0]
        lost = [why for why, lines in self.skipped.items() if why.startswith(LABEL) and lines > 1]
        if skipped <= most * lines and number < NEARLY_ALL * lines and not lost:
            return
        expected = f"at most a share of {most:g} (the skip limit): mend the file, or raise the limit"
        if lost:
            cause, number = lost[0], self.skipped[lost[0]]
            expected = "the labels 0 and 1: to skip would lose all rows of a label, so replace it in the file"
        elif number >= NEARLY_ALL * lines:
            expected = "a log of another form: this is no accident to single lines, so mend the file"
        raise MalformedLogError(
            f"{self.path}: found {skipped:,} of {lines:,} lines malformed, {number:,} of them for {cause}, first in "
            f"{self.place(self.first_skipped[cause])}, expected {expected}; nothing was written"
        )

    def malformed(self, line: int, found: str, expected: str) -> MalformedLogError:
        """The error for a log that breaks its format."""
        return MalformedLogError(f"{self.path}: {self.place(line)}: found {found}, expected {expected}")

    def place(self, line: int) -> str:
        return f"row {line - 1}" if self.raw.is_table and line > 1 else f"line {line}"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line: the kind of fault, what was found and what was expected; whether it stops a skip."""

    cause: str
    found: str
    expected: str
    stops: bool = False


class RowParser:
    """Reads lines of known columns: many that are as the format has them (`parse`), or any (`parse_leniently`).

    columns: the names of the columns, in order; those not encoded may have any name.
    quoted: whether values are in quotes, as in CSV. header: the first line's values, if it is a header.
    """

    def __init__(
        self,
        log_format: LogFormat,
        columns: Sequence[str],
        separator: str,
        quoted: bool = False,
        header: Sequence[str] = (),
    ):
        self.format, self.separator, self.quoted, self.header = log_format, separator, quoted, header
        self.number_of_columns = len(columns)
        self.positions = {name: columns.index(name) for name in (log_format.label, *log_format.fields)}
        self.schema = [str(position) for position in range(len(columns))]
        # Numbers name the columns, for those not encoded may have any name. The line also keeps a byte-order mark at
        # the start of a chunk a part of its value: polars drops one at the start of what it reads.
        self.first_line = separator.join(self.schema).encode() + b"\n"

    def parse(self, chunk: bytes) -> tuple[np.ndarray, pl.DataFrame] | None:
        """The labels (rows,) and tokens (rows, fields) of whole lines, or None if any is not as the format has it."""
        if self.quoted or not self.may_have_right_shape(chunk) or not is_text(chunk) or has_marks(chunk):
            return None
        frame = self.frame(chunk)
        if frame is None:
            return None
        valid = [pl.col(self.format.label).is_in(["0", "1"])]
        valid += [pl.col(name).str.contains(f"^({INTEGER})?$") for name in self.format.integer_fields]
        if not all(frame.select(column.all() for column in valid).row(0)):
            return None
        labels = frame.drop_in_place(self.format.label).cast(pl.UInt8).to_numpy()
        return labels, frame

    def parse_leniently(
        self, chunk: bytes, first: int, read_otherwise: Counter
    ) -> tuple[np.ndarray, pl.DataFrame, dict[int, Problem]]:
        """The labels and tokens of the well-formed lines, and what is wrong with the others by their numbers.

        What is only written otherwise is counted in `read_otherwise`, but for the values of fields: these are given as
        they stand, for their distinct ones are few (`plain_tokens`).
        """
        problems, numbers, kept = {}, [], []
        for number, line in enumerate(chunk.split(b"\n")[:-1], first):
            if line.startswith(codecs.BOM_UTF8):
                line = line.lstrip(codecs.BOM_UTF8)
                read_otherwise["byte-order mark"] += 1
            if line.endswith(b"\r"):
                line = line.rstrip(b"\r")
                read_otherwise["several carriage returns at the end of a line"] += 1
            values, problem = self.split(line)
            if problem:
                problems[number] = problem
            else:
                kept.append(values)
                numbers.append(number)
        if self.quoted:
            frame = self.frame(pl.DataFrame(kept, dict.fromkeys(self.schema, pl.String), orient="row"))
        else:
            frame = self.frame(b"".join(kept))

        texts = frame[self.format.label]
        label_of = {text: label_written(text) for text in texts.unique()}
        labels = texts.replace_strict(label_of, return_dtype=pl.UInt8)
        good = labels.is_not_null()
        otherwise = int((good & ~texts.is_in(["0", "1"])).sum())
        if otherwise:
            read_otherwise["label not written as 0 or 1"] += otherwise
        for name in self.format.integer_fields:
            column = frame[name]
            odd = column.filter(~column.str.contains(f"^({INTEGER})?$")).unique()
            good &= ~column.is_in([text for text in odd if integer_written(text) is None])
        for row in (~good).arg_true():
            values = frame.row(row, named=True)
            if self.header and all(values[name].strip() == self.header[i] for name, i in self.positions.items()):
                read_otherwise["header repeated"] += 1
            else:
                problems[numbers[row]] = self.problem(values)
        return labels.filter(good).to_numpy(), frame.drop(self.format.label).filter(good), problems

    def frame(self, rows: bytes | pl.DataFrame) -> pl.DataFrame | None:
        """The label and the fields of whole lines, or of a table of all columns; None if a line has too many."""
        if isinstance(rows, bytes):
            try:
                rows = pl.read_csv(
                    self.first_line + rows,
                    separator=self.separator,
                    quote_char=None,
                    infer_schema=False,
                    empty_string_is_null=False,
                )
            except pl.exceptions.ComputeError:
                return None
        return rows.select(pl.col(str(position)).alias(name) for name, position in self.positions.items())

    def may_have_right_shape(self, chunk: bytes) -> bool:
        """Whether no line is too long and the lines together have all columns: unless one has too many, each has."""
        start = 0
        while start < len(chunk):
            start = chunk.rfind(b"\n", start, start + LONGEST_LINE + 1) + 1
            if not start:
                return False
        return count_character(chunk, self.separator) == count_character(chunk, "\n") * (self.number_of_columns - 1)

    def split(self, line: bytes) -> tuple[bytes | list[str], Problem | None]:
        """A line without its end: with it, or its values if they are quoted; and what is wrong with its form."""
        problem = text_problem(line)
        if problem:
            return b"", Problem(*problem)
        values = line + b"\n"
        number = line.count(self.separator.encode()) + 1
        if self.quoted:
            try:
                values = split_line(line.decode(), self.separator, quoted=True)
            except csv.Error as error:
                return b"", Problem("quotes", f"quotes that do not match ({error})", "a closing quote in each line")
            number = len(values)
        if number == self.number_of_columns:
            return values, None
        found = f"{number} columns" if line else "a blank line"
        expected = f"{self.number_of_columns} columns separated by {self.separator!r}"
        return b"", Problem("another number of columns" if line else found, found, expected)

    def problem(self, values: dict[str, str]) -> Problem:
        """What is wrong with the values of a line, by the names of their columns."""
        label = values[self.format.label]
        if label_written(label) is None:
            if integer_written(label) == "-1":
                expected = (
                    "0 or 1; if -1 stands for no click, replace it by 0 in the file: such lines are never skipped"
                )
                return Problem(LABEL, f"the label {label!r}", expected, stops=True)
            found, expected = f"the label {abbreviated(label)}", "0 or 1"
            if not self.header and not self.format.has_header:
                expected += ", or in line 1 a header that names the columns"
            return Problem("no label" if label in {"", *MISSING} else f"{LABEL} {abbreviated(label)}", found, expected)
        name = next(name for name in self.format.integer_fields if integer_written(values[name]) is None)
        found = f"{abbreviated(values[name])} in column {name}"
        return Problem(f"what is no integer in column {name}", found, "an integer of at most 18 digits or nothing")


def columns_of(header: list[str], names: Sequence[str]) -> list[str] | None:
    """The columns of a header with the spelling of `names`, of which each must be there once; None if it is none."""
    for spelled in (str, str.casefold):
        known = {spelled(name): name for name in names}
        columns = [known.get(spelled(value), "") for value in header]
        if all(columns.count(name) == 1 for name in names):
            return columns
    return None


def is_numbered(header: list[str], number: int) -> bool:
    """Whether the names only count the columns, as tools do that know no names: 0, 1, 2, or column_1, column_2."""
    counted = [re.fullmatch(r"(\D*)(\d+)", name) for name in header]
    if len(header) != number or not all(counted) or len({found[1] for found in counted}) > 1:
        return False
    first = int(counted[0][2])
    return first in (0, 1) and [int(found[2]) for found in counted] == [*range(first, first + number)]


def has_quoted(line: str, separator: str, columns: int = 0) -> bool:
    """Whether a value of the line is in quotes, or it has the number of columns only if quotes are minded."""
    values = line.split(separator)
    if any(len(value) > 1 and value[0] == value[-1] == '"' for value in values):
        return True
    with suppress(csv.Error):
        return '"' in line and len(values) != columns == len(split_line(line, separator, quoted=True))
    return False


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """The values of a line. Raises csv.Error for quotes that do not match."""
    if not quoted:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator, strict=True), [])


def integer_written(text: str) -> str | None:
    """The integer that a text means, such as "1" for "1.0", "+1" and "1e0", "" if it says that there is none, or None
    if it is no integer of at most 18 digits."""
    text = text.strip(" ")
    if not text or text in MISSING:
        return ""
    if not re.fullmatch(NUMBER, text):
        return None
    value = Decimal(text)
    if value and (value.adjusted() > 17 or value != value.to_integral_value()):
        return None
    return str(int(value))


def label_written(text: str) -> int | None:
    """The label that a text means, None if it is neither 0 nor 1."""
    label = {"false": "0", "true": "1"}.get(text.strip(" ").lower()) or integer_written(text)
    return int(label) if label in ("0", "1") else None


def text_problem(line: bytes) -> tuple[str, str, str] | None:
    """The kind of fault, what was found and what was expected if a line is too long or not text, else None."""
    if len(line) > LONGEST_LINE:
        return "length", f"a line of more than {LONGEST_LINE} bytes", "a newline character before that"
    if not is_text(line):
        found = f"bytes that are not text ({abbreviated(line)})"
        return "bytes that are not text", found, "UTF-8 without NUL and stray carriage returns"
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


def has_marks(chunk: bytes) -> bool:
    """Whether a line of whole lines begins with a byte-order mark."""
    return not chunk.isascii() and (chunk.startswith(codecs.BOM_UTF8) or b"\n" + codecs.BOM_UTF8 in chunk)


def count_character(data: bytes, character: str) -> int:
    """How often `data` has an ASCII character."""
    return np.count_nonzero(np.frombuffer(data, np.uint8) == ord(character))


def abbreviated(value: str | bytes, most: int = 40) -> str:
    """How an error message shows a value."""
    return repr(value) if len(value) <= most else f"{value[:most]!r}..."
