"""Logs small enough to be encoded in memory: read the files of an archive, encode a table of values."""

import errno
import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np
import polars as pl

from paper_code.data.click_log import Field

LARGEST_MEMBER = 1 << 30
"""A file in an archive of more bytes is refused, so that a small archive from a stranger does not fill the memory."""


def read_members(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files of these names in the zip archive or folder `path`, at any depth; one name may also be `path` itself.

    Raises OSError if a file cannot be read, ValueError if there is not exactly one of a name or the archive is broken.
    """
    if path.is_dir():
        found = {name: sorted(path.rglob(name)) for name in names}
        check_members(path, names, {name: [str(file.relative_to(path)) for file in found[name]] for name in names})
        return {name: files[0].read_bytes() for name, files in found.items()}
    if not zipfile.is_zipfile(path):
        if len(names) == 1:
            return {names[0]: path.read_bytes()}
        path.open("rb").close()  # a missing file is an error of its own
        raise ValueError(f"{path}: is no zip archive, expected one with {', '.join(names)}, or the folder of them")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.filename.startswith("__MACOSX/")]
            found = {name: [entry for entry in entries if Path(entry.filename).name == name] for name in names}
            check_members(path, names, {name: [entry.filename for entry in found[name]] for name in names})
            for name in names:
                if found[name][0].file_size > LARGEST_MEMBER:
                    raise ValueError(f"{path}: {name} has more than {LARGEST_MEMBER} bytes: unpack the archive first")
            return {name: archive.read(found[name][0]) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that of a place before the file's beginning
            raise
        raise ValueError(f"{path}: a broken or encrypted zip archive ({error}); download it again") from None


def check_members(path: Path, names: tuple[str, ...], found: dict[str, list[str]]) -> None:
    """Raises ValueError unless one file was found of each name."""
    for name in names:
        if len(found[name]) != 1:
            what = f"{len(found[name])} files ({', '.join(found[name])})" if found[name] else "no file"
            raise ValueError(f"{path}: has {what} of the name {name}, expected one of each: {', '.join(names)}")


def sha256_of(members: dict[str, bytes]) -> str:
    """The SHA-256 of the members one after the other: the same from an archive and from its folder."""
    digest = hashlib.sha256()
    for data in members.values():
        digest.update(data)
    return digest.hexdigest()


def read_table(
    path: Path, name: str, text: str, separator: str, columns: tuple[str, ...] | None = None
) -> pl.DataFrame:
    """The columns, as text, of the member `name` of `path`: a row a line; None: line 1 names them.

    The column "line" has the numbers of the lines, from 1. Raises ValueError, which names it, for a line of another
    number of columns.
    """
    lines = pl.DataFrame({"text": text.replace("\r\n", "\n").removesuffix("\n").split("\n")}).with_row_index("line", 1)
    if columns is None:
        columns = lines["text"][0].split(separator)
        lines = lines.slice(1)
        if repeated := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f"{path}: {name}: line 1: found several columns {', '.join(repeated)}, expected one each")
    table = lines.with_columns(values=pl.col("text").str.split(separator))
    wrong = pl.col("values").list.len() != len(columns)
    refuse(path, name, table, "text", wrong, f"{len(columns)} columns separated by {separator!r}")
    return table.select("line", *(pl.col("values").list.get(i).alias(column) for i, column in enumerate(columns)))


def refuse(path: Path, name: str, table: pl.DataFrame, column: str, wrong: pl.Expr, expected: str) -> None:
    """Raises ValueError, which names the first line that is `wrong` and shows its `column`, if there is one."""
    found = table.filter(wrong).head(1)
    if len(found):
        value = found[column][0]
        raise ValueError(f"{path}: {name}: line {found['line'][0]}: found {value[:60]!r}, expected {expected}")


def encode_frame(values: pl.DataFrame) -> tuple[tuple[Field, ...], np.ndarray]:
    """The fields of a table of text and its ids (rows, fields), int32, at threshold 1.

    The ids 0, 1, ... go by falling count, ties by the text. No value is rare, so there is no id that rare ones share.
    """
    fields, columns = [], []
    for name in values.columns:
        counts = values[name].value_counts(name="number of rows")
        tokens = counts.sort("number of rows", name, descending=[True, False])[name]
        fields.append(Field(name, len(tokens)))
        columns.append(values[name].cast(pl.Enum(tokens)).to_physical().cast(pl.Int32).to_numpy())
    return tuple(fields), np.stack(columns, axis=1)


def check_outside(path: Path, folder: Path) -> None:
    """Raises ValueError if the raw log `path` lies in `folder`, which is to be replaced."""
    if folder.resolve() in path.resolve().parents:
        raise ValueError(f"{path}: lies in {folder}, which is to be replaced; choose another folder")


def check_both_classes(labels: np.ndarray, path: Path) -> None:
    """Raises ValueError if the labels (rows,) are all the same."""
    if len(labels) == 0 or labels.min() == labels.max():
        found = f"{len(labels)} rows, all with label {labels[0]}" if len(labels) else "no row"
        raise ValueError(f"{path}: found {found}, expected rows of both labels, 0 and 1: AUC needs both")
