"""From a raw click log, a text file of one line a row, to an encoded one: read, check and encode as a stream."""

import errno
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from paper_code.data.click_log import ClickLog, Field, load_click_log, replaced_folder, split_rows, write_description
from paper_code.data.raw import MalformedLogError
from paper_code.data.row_parser import INTEGER, MISSING, LogFormat, integer_written
from paper_code.data.rows import SKIP_LIMIT, RawLog

BLOCK_ROWS = 1 << 13
"""Codes become ids this many rows at a time."""


@dataclass(frozen=True)
class PreparedLog:
    """What preparing a raw log gives: the encoded log, how many data lines were read, how many of them skipped.

    read_otherwise: what was not written as the format has it and could mean but one thing -> how often it was read.
    """

    log: ClickLog
    lines_read: int
    skipped_lines: int
    read_otherwise: dict[str, int] = field(default_factory=dict)


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
    skip_limit: float = SKIP_LIMIT,
    progress: bool = True,
) -> PreparedLog:
    """Encode the raw log at `path` and write it to `folder`, by the rules of the released code.

    The file may be compressed, in an archive without other files, or Parquet; see `paper_code.data.raw`.

    Every value of a field, the empty one included, is a categorical token. Tokens seen fewer than `threshold` times
    share id 0 of their field, which is always there; the others have the ids 1, 2, ... by descending count, ties in
    the order of the tokens' text. An encoded log already in `folder` is replaced when all went well; on an error
    nothing has changed.

    vocabulary: "all" counts the tokens over all rows, "train" over the training rows of `split_rows(rows, split_seed)`.
    on_bad_lines: "error" stops at the first malformed line, "skip" leaves malformed lines out and counts them.
    skip_limit: the share of the lines, from 0 to 1, that may be skipped. Whatever it is, lines are not skipped if all
    rows of a label would be lost, or nearly all lines for one cause.
    progress: show bars of the bytes read and of the rows encoded, if the standard error is a terminal.

    The text is read once: each token gets a provisional code in order of appearance, and the codes wait in `ids.npy`,
    where they become ids when the counts are known. Memory holds one chunk, a few bytes a row and the distinct tokens,
    about 120 bytes each; the disk holds the encoded log, once, beside the earlier one. What a killed run leaves there
    is removed by the next one with the same `folder`.

    Raises OSError if a file cannot be read or written, ValueError for an option that is not one, MalformedLogError
    for a log that breaks its format, has no valid row or one label alone, or whose file is damaged, of a kind that is
    not read, or expands to more than `MOST_EXPANSION` times its size (these also with "skip", which would else lose the
    rest without a word).
    """
    if threshold < 1:
        raise ValueError(f"threshold is {threshold}, expected 1 or more")
    if vocabulary not in ("all", "train"):
        raise ValueError(f"vocabulary is {vocabulary!r}, expected 'all' or 'train'")
    if on_bad_lines not in ("error", "skip"):
        raise ValueError(f"on_bad_lines is {on_bad_lines!r}, expected 'error' or 'skip'")
    if not 0 <= skip_limit <= 1:
        raise ValueError(f"skip_limit is {skip_limit}, expected a share from 0 to 1")
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
            coder, clicks = TokenCoder(fields), 0
            for chunk_labels, tokens in raw:
                labels.append(chunk_labels)
                clicks += np.count_nonzero(chunk_labels)
                ids.append(coder.codes(tokens))
            rows = ids.rows
            raw.check_skipped(rows, skip_limit)
            if not rows:
                found = f"the end of the file after {raw.skipped_lines} skipped lines"
                raise raw.malformed(raw.line, found, "a valid row")
            if clicks in (0, rows):
                raise MalformedLogError(
                    f"{path}: found the label {clicks // rows} in all {rows:,} rows, expected 0 and 1"
                )

            counted = np.ones(rows, bool)
            source = {"file": path.name, "sha256": raw.raw.sha256, "vocabulary": vocabulary}
            if vocabulary == "train":
                counted[:] = False
                counted[split_rows(rows, split_seed).train] = True
                source["split_seed"] = split_seed
            read_otherwise = raw.raw.read_otherwise
            sizes = codes_to_ids(ids, coder, log_format, counted, threshold, read_otherwise, progress)
            source |= {"skipped_lines": raw.skipped_lines, "read_otherwise": dict(read_otherwise)}
        arrays = (np.load(new / name, mmap_mode="r") for name in ("ids.npy", "labels.npy"))
        log = ClickLog(name, tuple(map(Field, fields, sizes)), *arrays, threshold, source)
        write_description(new, log.description)
    return PreparedLog(load_click_log(folder), rows + raw.skipped_lines, raw.skipped_lines, dict(read_otherwise))


def integer_token(column: pl.Expr) -> pl.Expr:
    """The tokens of a column of integers as text: v > 2 becomes floor(ln(v)^2), v <= 2 becomes v - 2, the empty text
    stays.

    Distinct integers above 2 can share a token, as 3 and 4 do; those up to 2 share none.
    """
    value = column.cast(pl.Int64, strict=False)
    bucket = value.clip(1).log().pow(2).floor().cast(pl.Int64)
    return pl.when(value > 2).then(bucket).otherwise(value - 2).cast(pl.String).fill_null("")


def codes_to_ids(
    ids: "ArrayFile",
    coder: "TokenCoder",
    log_format: LogFormat,
    counted: np.ndarray,
    threshold: int,
    read_otherwise: Counter | None = None,
    progress: bool = True,
) -> list[int]:
    """Replace the coder's codes in `ids` by the ids, counting the tokens of the rows `counted` (rows,), bool.

    read_otherwise: counts the values that are not written as the format has them; None: every text is what it says.
    Returns the cardinality of each field.
    """
    # The codes of all fields count on through, so that all columns are looked up at once.
    *starts, end = np.cumsum([0, *coder.sizes])
    seen, id_of_code = np.zeros(end, np.int64), np.zeros(end, np.int32)
    counts = seen if counted.all() else np.zeros(end, np.int64)
    for rows, codes in ids.blocks("counting", progress):
        codes = codes + starts
        np.add.at(seen, codes.ravel(), 1)
        if counts is not seen:
            np.add.at(counts, codes[counted[rows]].ravel(), 1)
    cardinalities = []
    for field_name, part in zip(log_format.fields, map(slice, starts, [*starts[1:], end]), strict=True):
        is_integer = field_name in log_format.integer_fields
        texts = coder.tokens(field_name)
        tokens = texts if read_otherwise is None else plain_tokens(texts, seen[part], is_integer, read_otherwise)
        table = pl.DataFrame({"token": tokens, "count": counts[part]})
        if is_integer:
            table = table.with_columns(integer_token(pl.col("token")))
        if is_integer or tokens is not texts:  # several texts may be one token
            table = table.with_columns(pl.col("count").sum().over("token"))
        id_of_code[part] = ids_by_count(table["token"], table["count"].to_numpy(), threshold)
        cardinalities.append(1 + int(id_of_code[part].max()))
    for rows, codes in ids.blocks("ids", progress):
        ids.overwrite(rows.start, id_of_code[codes + starts])
    return cardinalities


def plain_tokens(texts: pl.Series, seen: np.ndarray, is_integer: bool, read_otherwise: Counter) -> pl.Series:
    """The distinct `texts` (texts,) of a field as its format has them: integers in digits, missing ones empty.

    `read_otherwise` counts those that are not, each `seen` (texts,) times.
    """
    odd = texts.is_in(MISSING)
    if is_integer:
        odd = ~texts.str.contains(f"^({INTEGER})?$")
    meant = {}
    for text, times in zip(texts.filter(odd), seen[odd.to_numpy()].tolist(), strict=True):
        meant[text] = integer_written(text) if is_integer else ""
        read_otherwise["integer not written in digits alone" if meant[text] else f"missing value written {text!r}"] += (
            times
        )
    return texts.replace(meant) if meant else texts


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
