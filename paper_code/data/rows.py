"""The rows of a raw log: what the lines of its text mean, and what is wrong with those that mean nothing."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from paper_code.data.raw import BrokenFileError, MalformedLogError, RawFile, open_text
from paper_code.data.row_parser import (
    BLANK,
    LABEL,
    LONGEST_LINE,
    SEPARATORS,
    LogFormat,
    Problem,
    RowParser,
    abbreviated,
    columns_of,
    count_character,
    has_quoted,
    is_numbered,
    split_line,
    text_problem,
)

CHUNK_BYTES = 1 << 22
"""Raw text is read and encoded this many bytes at a time."""
SKIP_LIMIT = 0.01
"""The share of the lines that may be left out as malformed, unless another is given."""
NEARLY_ALL = 0.9
"""The share of the lines from which on one cause of malformed lines is no accident, whatever limit is given."""
T = TypeVar("T")


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

    def skip_or_raise(self, problems: dict[int, Problem]) -> None:
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
