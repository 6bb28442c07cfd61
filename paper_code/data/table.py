"""Any click log that is a table with a header and a label of 0 and 1: CSV or Parquet, one file or a given split."""

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow
from pyarrow import csv
from tqdm import tqdm

from paper_code.data.click_log import ClickLog, Field, load_click_log, replaced_folder, split_rows, write_description
from paper_code.data.encoding import ArrayFile, TokenCoder, codes_to_ids, full_disk_explained
from paper_code.data.in_memory import check_both_classes, check_outside
from paper_code.data.row_parser import LogFormat, abbreviated
from paper_code.data.rows import in_background

SEPARATORS = (",", "\t", ";", "|")
BATCH_ROWS, SLICE_ROWS = 1 << 16, 1 << 18
CSV_BLOCK_BYTES = 1 << 22
"""A CSV file is read this many bytes at a time; no line may be longer."""

MISSING_NUMBERS = ("", "nan", "na", "null", "none", r"\n")
"""Texts, in lower case, of a missing number; all are one value of their own."""


def prepare_table(
    paths: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    label: str,
    drop: Sequence[str] = (),
    numeric: Sequence[str] = (),
    name: str = "table",
    threshold: int = 10,
    vocabulary: str = "all",
    split_seed: int = 0,
    progress: bool = True,
) -> ClickLog:
    """Encode a table and write it to `folder`: all columns but the `label` and those to `drop` are fields.

    paths: one file, to be split 8:1:1, or three: training, validation and test, a split that is kept. Each is Parquet,
    or text with a header whose separator is a comma, tab, semicolon or bar, plain or gzip, values quoted or not; the
    content decides, not the name. The files must have the same columns, in any order. So reczoo's Criteo_x4, Avazu_x4
    and Frappe_x1 are read as they are.
    label: 0 or 1, also written 0.0 or 1.0, or a Parquet column of booleans.
    numeric: columns of numbers, encoded by Criteo's rule for integers (see `integer_token`); one that is not whole is
    rounded down first. A missing number, also "NaN", "NULL" or "\\N", is a value of its own. All other columns are
    taken as text, the empty one a value like others.
    threshold, vocabulary, split_seed: as for `prepare_log`; of a given split the training rows are those of its file.
    Rarer values share id 0, which is always there.

    Memory holds some batches of rows, a few bytes a row and the distinct values, about 120 bytes each. An encoded log
    already in `folder` is replaced when all went well; on an error nothing has changed.

    Raises OSError if a file cannot be read or written, ValueError for an option that is not one and for a file that
    breaks its format; the message names file, column and line (blank lines not counted) or row, from 1.
    """
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    folder = Path(folder)
    if len(paths) not in (1, 3):
        raise ValueError(f"{len(paths)} files, expected one, or three: training, validation and test")
    if threshold < 1:
        raise ValueError(f"threshold is {threshold}, expected 1 or more")
    if vocabulary not in ("all", "train"):
        raise ValueError(f"vocabulary is {vocabulary!r}, expected 'all' or 'train'")
    for path in paths:
        check_outside(path, folder)
    fields = fields_of(paths, label, drop, numeric)
    layout = LogFormat(separator="", label=label, fields=fields, integer_fields=tuple(numeric))
    parts = []
    with full_disk_explained(folder, 4 * len(fields) + 1), replaced_folder(folder) as new:
        with (
            ArrayFile(new / "labels.npy", np.uint8) as labels,
            ArrayFile(new / "ids.npy", np.int32, len(fields)) as ids,
        ):
            coder = TokenCoder(fields)
            for path in paths:
                first, classes = ids.rows, set()
                with tqdm(desc=path.name, unit=" rows", unit_scale=True, disable=None if progress else True) as bar:
                    for batch in in_background(batches(path, [label, *fields])):
                        of_batch = labels_of(batch, path, label, ids.rows - first)
                        tokens = batch.select(fields).with_columns(numbers(batch, path, numeric, ids.rows - first))
                        labels.append(of_batch)
                        ids.append(coder.codes(tokens))
                        classes |= set(np.unique(of_batch).tolist())
                        bar.update(len(batch))
                check_both_classes(np.array(sorted(classes)), path)
                parts.append(ids.rows - first)

            counted = np.ones(ids.rows, bool)
            source = {
                "file": ", ".join(path.name for path in paths),
                "sha256": [sha256_of_file(path) for path in paths],
                "label": label,
                "numeric": list(numeric),
                "vocabulary": vocabulary,
            }
            if vocabulary == "train":
                counted[:] = False
                counted[: parts[0]] = len(paths) == 3
                if len(paths) == 1:
                    counted[split_rows(ids.rows, split_seed).train] = True
                    source["split_seed"] = split_seed
            sizes = codes_to_ids(ids, coder, layout, counted, threshold, progress=progress)
        arrays = (np.load(new / file, mmap_mode="r") for file in ("ids.npy", "labels.npy"))
        given_split = {"parts": tuple(parts)} if len(paths) == 3 else {}
        log = ClickLog(name, tuple(map(Field, fields, sizes)), *arrays, threshold, source, **given_split)
        write_description(new, log.description)
    return load_click_log(folder)


def fields_of(paths: list[Path], label: str, drop: Sequence[str], numeric: Sequence[str]) -> tuple[str, ...]:
    """The columns of the first file to encode, after checking that the options and the other files fit them."""
    columns = [columns_of(path) for path in paths]
    for path, names in zip(paths, columns, strict=True):
        if repeated := sorted({column for column in names if names.count(column) > 1}):
            raise ValueError(f"{path}: found several columns {', '.join(map(repr, repeated))}, expected each name once")
    found = f"found the columns {', '.join(columns[0])[:400]}"
    for option, names in (("label", [label]), ("drop", drop), ("numeric", numeric)):
        if absent := [column for column in names if column not in columns[0]]:
            raise ValueError(
                f"{paths[0]}: {found}, expected also {', '.join(map(repr, absent))}, given as --{option}; is there a "
                "header in line 1?"
            )
    if unused := {label, *drop} & set(numeric) or {label} & set(drop):
        raise ValueError(f"{', '.join(sorted(unused))} is given twice, expected one of --label, --drop and --numeric")
    fields = tuple(column for column in columns[0] if column != label and column not in drop)
    if not fields:
        raise ValueError(f"{paths[0]}: {found}, expected one more than the label and those to drop")
    for path, names in zip(paths[1:], columns[1:], strict=True):
        if different := {label, *fields} ^ (set(names) - set(drop)):
            raise ValueError(
                f"{path}: {', '.join(sorted(different))[:400]} is a column of this file or of {paths[0]}, not of both; "
                "expected the same columns"
            )
    return fields


def is_parquet(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise ValueError(f"{path}: is a zip archive, expected a CSV or Parquet file: unpack it")
    return start == b"PAR1"


def columns_of(path: Path) -> list[str]:
    """The names of the columns of a table."""
    if is_parquet(path):
        return list(parquet(path).collect_schema())
    with explained(path), csv_file(path) as file, open_csv(file, separator_of(path)) as reader:
        return reader.schema.names


def batches(path: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    """The columns of a table as text, some rows at a time; what is missing is the empty text."""
    if is_parquet(path):
        table = parquet(path).select(columns)
        texts = table.select(
            (pl.col(name).cast(pl.UInt8) if kind == pl.Boolean else pl.col(name)).cast(pl.String).fill_null("")
            for name, kind in table.collect_schema().items()
        )
        with explained(path):
            # By slices, for the streaming engine alone would read ahead of what is done with the rows.
            for start in range(0, table.select(pl.len()).collect().item(), SLICE_ROWS):
                yield from texts.slice(start, SLICE_ROWS).collect(engine="streaming").iter_slices(BATCH_ROWS)
        return
    first = 0
    with explained(path), csv_file(path) as file, open_csv(file, separator_of(path), columns) as reader:
        for batch in map(pl.from_arrow, reader):
            expected = "none with a line break: is a quote left open?"
            refuse_first(batch, path, first, columns, lambda column: column.str.contains("\n", literal=True), expected)
            first += len(batch)
            yield batch


def parquet(path: Path) -> pl.LazyFrame:
    """The table of a Parquet file, read when needed. Raises ValueError if it is damaged or a column is nested."""
    table = pl.scan_parquet(path)
    try:
        nested = [name for name, kind in table.collect_schema().items() if kind.is_nested()]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path}: not a Parquet file, or a damaged one ({str(error).splitlines()[0]})") from None
    if nested:
        raise ValueError(f"{path}: column {nested[0]} holds lists or structures, expected one value a row")
    return table


def csv_file(path: Path):
    """The text of the file, decompressed if it is gzip."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else open(path, "rb")


def separator_of(path: Path) -> str:
    """The separator that is most frequent in line 1."""
    with csv_file(path) as file:
        header = file.readline(CSV_BLOCK_BYTES).decode("utf-8", "replace")
    return max(SEPARATORS, key=header.count)


def open_csv(file, separator: str, columns: list[str] | None = None) -> csv.CSVStreamingReader:
    """A reader of the columns, as text. Other than that of polars it refuses a line of too few columns."""
    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),  # so that an error tells the line
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(columns or (), pyarrow.string()),
            include_columns=columns,
            strings_can_be_null=False,
        ),
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the libraries in the block name the file and the line."""
    try:
        yield
    except (pyarrow.ArrowInvalid, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        text = re.sub(r"^CSV parse error: |In CSV column #\d+: ", "", str(error).splitlines()[0])
        raise ValueError(f"{path}: {re.sub('Row #', 'line ', text)[:400]}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: line 1: found bytes that are not text, expected names of columns in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: a broken gzip file ({error}), expected a complete one") from None


def refuse_first(
    batch: pl.DataFrame,
    path: Path,
    first: int,
    columns: Sequence[str],
    wrong: Callable[[pl.Expr], pl.Expr],
    expected: str,
) -> None:
    """Raises ValueError for the first row of the batch, which begins at row `first`, with a value that is `wrong`."""
    flags = batch.select(wrong(pl.col(name)) for name in columns)
    found = [(flags[name].arg_max(), name) for name in columns if flags[name].any()]
    if found:
        row, name = min(found)
        place = f"row {first + row + 1}" if is_parquet(path) else f"line {first + row + 2}"
        raise ValueError(
            f"{path}: {place}: found {abbreviated(batch[name][row])} in column {name}, expected {expected}"
        )


def labels_of(batch: pl.DataFrame, path: Path, label: str, first: int) -> np.ndarray:
    """The labels (rows,), uint8, of a batch that begins at row `first`."""

    def number(column: pl.Expr) -> pl.Expr:
        return column.str.strip_chars().cast(pl.Float64, strict=False)

    refuse_first(
        batch, path, first, [label], lambda column: ~number(column).is_in([0.0, 1.0]).fill_null(False), "0 or 1"
    )
    return batch.select(number(pl.col(label)).cast(pl.UInt8)).to_series().to_numpy()


def numbers(batch: pl.DataFrame, path: Path, columns: Sequence[str], first: int) -> list[pl.Series]:
    """The numbers of a batch that begins at row `first`, rounded down, as text; a missing one is the empty text."""

    def number(column: pl.Expr) -> pl.Expr:
        text = column.str.strip_chars()
        # As integers where they are, for above 2^53 a float is not exact.
        rounded = text.cast(pl.Float64, strict=False).floor().cast(pl.Int64, strict=False)
        return pl.coalesce(text.cast(pl.Int64, strict=False), rounded)

    def wrong(column: pl.Expr) -> pl.Expr:
        return number(column).is_null() & ~column.str.strip_chars().str.to_lowercase().is_in(MISSING_NUMBERS)

    refuse_first(batch, path, first, columns, wrong, "a number or nothing; leave out of --numeric what is none")
    return batch.select(number(pl.col(name)).cast(pl.String).fill_null("") for name in columns).get_columns()


def sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
