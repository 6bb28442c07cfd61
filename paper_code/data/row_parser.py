"""A line of a raw log as label and values, or what is wrong with it."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl

LONGEST_LINE = 1 << 20
"""A line of more bytes is malformed, so that a file without line ends does not fill the memory."""
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
