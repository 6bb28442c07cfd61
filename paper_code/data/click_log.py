"""The encoded click log: what every reader and generator produces and every model trains on."""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT_VERSION = 2
KEYS = {"name": str, "rows": int, "test_rows": int, "threshold": int, "source": dict, "fields": list}
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Field:
    """A categorical field: its name and D_i, the number of its ids (id 0 is shared by the rare values)."""

    name: str
    cardinality: int


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, int64 arrays, in the order in which they are read."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class ClickLog:
    """A click log as integers.

    ids: (rows, fields) int32, each below its field's cardinality; may be a memory map.
    labels: (rows,) uint8, 0 or 1.
    threshold: a value seen fewer times than this has id 0.
    source: where the rows come from (file, SHA-256 and options, or generator, seed and options); JSON values only.
    test_rows: how many of the last rows are a test sample of their own (synthetic logs); 0: the split draws one.
    click_probability: (rows,) float32, the true click probability, where a generator knows it.
    parts: rows of training, validation and test, which stand in this order, if the split is given; None: it is drawn.
    split_by: fields; rows with the same ids in all of them stay in one part of a drawn split.
    """

    name: str
    fields: tuple[Field, ...]
    ids: np.ndarray
    labels: np.ndarray
    threshold: int
    source: dict
    test_rows: int = 0
    click_probability: np.ndarray | None = None
    parts: tuple[int, int, int] | None = None
    split_by: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def cardinalities(self) -> list[int]:
        """D_i of every field."""
        return [field.cardinality for field in self.fields]

    @property
    def description(self) -> dict:
        """What `log.json` says: everything but the arrays."""
        of_split = {"parts": self.parts and list(self.parts), "split_by": list(self.split_by)}
        return {
            "format": FORMAT_VERSION,
            "name": self.name,
            "rows": self.rows,
            "test_rows": self.test_rows,
            "threshold": self.threshold,
            "source": self.source,
            "fields": [{"name": f.name, "cardinality": f.cardinality} for f in self.fields],
        } | {key: value for key, value in of_split.items() if value}

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the source, the encoding or the fields."""
        source = {key: value for key, value in self.source.items() if key != "file"}
        text = json.dumps(self.description | {"name": None, "source": source}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def split(self, seed: int = 0) -> Split:
        """The given split, its training rows in a random order, or else an 8:1:1 split (Section 5.2).

        It is drawn among the rows, see `split_rows`, or with `split_by` among the groups of rows that stay together.
        """
        if self.parts:
            train, validation, test = np.split(np.arange(self.rows), np.cumsum(self.parts)[:-1])
            return Split(np.random.default_rng(seed).permutation(train), validation, test)
        if self.split_by:
            return split_groups(self.groups, seed)
        return split_rows(self.rows, seed, self.test_rows)

    @property
    def groups(self) -> np.ndarray:
        """The number of each row's group, (rows,) from 0: rows with the same ids in the fields `split_by` share it."""
        names = [field.name for field in self.fields]
        groups = np.zeros(self.rows, np.int64)
        for column in map(names.index, self.split_by):
            groups = np.unique(groups * self.fields[column].cardinality + self.ids[:, column], return_inverse=True)[1]
        return groups


def split_rows(rows: int, seed: int, test_rows: int = 0) -> Split:
    """Split `rows` 8:1:1 into training, validation and test by one random permutation (Appendix C.2).

    With `test_rows` > 0 the last `test_rows` rows are the test sample and the others are split 8:1.
    """
    order = np.random.default_rng(seed).permutation(rows - test_rows)
    if test_rows:
        train = rows_of_share(len(order), 8, 9)
        return Split(order[:train], order[train:], np.arange(rows - test_rows, rows))
    train, validation = rows_of_share(rows, 8, 10), rows_of_share(rows, 9, 10)
    return Split(order[:train], order[train:validation], order[validation:])


def split_groups(groups: np.ndarray, seed: int) -> Split:
    """Split the groups (rows,), numbered from 0, 8:1:1 by a random permutation; each part's rows in random order."""
    rng = np.random.default_rng(seed)
    number = int(groups.max()) + 1
    rank = rng.permutation(number)[groups]
    rows = rng.permutation(len(groups))
    part = np.searchsorted([rows_of_share(number, share, 10) for share in (8, 9)], rank[rows], side="right")
    return Split(*(rows[part == which] for which in range(3)))


def rows_of_share(rows: int, numerator: int, denominator: int) -> int:
    """The whole number of rows nearest below `rows * numerator / denominator`."""
    return rows * numerator // denominator


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill; it takes the place of `folder` when the block ends well, else nothing has changed.

    It lies in a hidden folder beside `folder`, which is locked while it is filled. What a killed process has left there
    is removed by the next one that fills `folder`.
    """
    from filelock import lock_descriptor  # here, for who only reads a log need not have it installed

    folder = Path(folder).resolve()  # a symbolic link is followed, not replaced
    remove_leftovers(folder)
    if folder.exists() and not (folder / "log.json").is_file():
        raise FileExistsError(f"{folder}: exists and is not an encoded click log; it is left as it is, choose another")
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    temporary.chmod(0o755)
    try:
        with open(temporary / "lock", "w") as lock:
            with suppress(OSError):  # a file system without locks: then none of its leftovers is removed either
                lock_descriptor(lock.fileno())
            new = temporary / "new"
            new.mkdir()
            yield new
            old = temporary / "old"
            if folder.exists():
                os.replace(folder, old)
            try:
                os.replace(new, folder)
            except OSError:
                if old.exists():
                    os.replace(old, folder)
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # not empty: it holds the new log
                parent.rmdir()


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden folders beside `folder` whose process was killed, after giving back a log set aside there."""
    from filelock import lock_descriptor

    for path in folder.parent.glob(f".{glob.escape(folder.name)}-????????/lock"):
        temporary = path.parent
        # "new" is made after the lock is held: without it or "old" the process may be about to take the lock
        if not any((temporary / part).is_dir() for part in ("new", "old")):
            continue
        with suppress(OSError), open(path, "r+") as lock:
            if not lock_descriptor(lock.fileno(), blocking=False):
                continue
            if (temporary / "old").exists() and not folder.exists():
                os.replace(temporary / "old", folder)
            shutil.rmtree(temporary, ignore_errors=True)


def write_description(folder: Path, description: dict) -> None:
    """Write `log.json`."""
    (Path(folder) / "log.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_click_log(folder: str | Path) -> ClickLog:
    """Open an encoded log: the folder written by `paper-code prepare`, arrays memory-mapped, changes stay in memory.

    Raises FileNotFoundError if there is no log there, ValueError if the files disagree or have another format.
    """
    folder = Path(folder)
    path = folder / "log.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: no encoded click log here (no log.json); make one with `paper-code prepare`, "
            "see `paper-code prepare --help`"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); prepare the log again") from None
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT_VERSION:
        old = ", whose encoding of Criteo's integers was wrong and is corrected" if found == 1 else ""
        raise ValueError(
            f"{path}: format {found!r}{old}, expected {FORMAT_VERSION}; prepare the log again from the raw file"
        )
    if missing := [key for key in KEYS if key not in description]:
        raise ValueError(f"{path}: {', '.join(missing)} missing; prepare the log again")
    for key, kind in KEYS.items():
        if type(description[key]) is not kind:
            raise ValueError(
                f"{path}: {key} is {description[key]!r:.40}, expected {kind.__name__}; prepare the log again"
            )
    try:
        fields = tuple(Field(f["name"], f["cardinality"]) for f in description["fields"])
        in_range = all(0 < field.cardinality <= 2**31 for field in fields)
    except (KeyError, TypeError):
        in_range = False
    if not in_range:
        raise ValueError(f"{path}: a field without a name or a positive cardinality; prepare the log again")
    parts, split_by = description.get("parts"), description.get("split_by", [])
    if problem := split_problem(parts, split_by, description, [field.name for field in fields]):
        raise ValueError(f"{path}: {problem}; prepare the log again")
    ids, labels = (mapped(folder / f"{name}.npy") for name in ("ids", "labels"))
    expected = (description["rows"], len(fields))
    if (ids.shape, ids.dtype, labels.shape, labels.dtype) != (expected, np.int32, expected[:1], np.uint8):
        raise ValueError(
            f"{folder}: ids.npy is {ids.dtype} {ids.shape} and labels.npy {labels.dtype} {labels.shape}, "
            f"expected int32 {expected} and uint8 {expected[:1]} as log.json says; prepare the log again"
        )
    return ClickLog(
        name=description["name"],
        fields=fields,
        ids=ids,
        labels=labels,
        threshold=description["threshold"],
        source=description["source"],
        test_rows=description["test_rows"],
        parts=parts and tuple(parts),
        split_by=tuple(split_by),
    )


def split_problem(parts: object, split_by: object, description: dict, fields: list[str]) -> str | None:
    """What is wrong with the given split of a log with these fields, or with the fields that it is drawn by."""
    if parts is not None:
        numbers = isinstance(parts, list) and [type(rows) is int and rows >= 0 for rows in parts] == [True] * 3
        if not numbers or sum(parts) != description["rows"]:
            return f"parts is {parts!r:.40}, expected the rows of training, validation and test, {description['rows']}"
    if not isinstance(split_by, list) or not all(name in fields for name in split_by):
        return f"split_by is {split_by!r:.40}, expected names of fields: {', '.join(fields)}"
    if bool(parts) + bool(split_by) + bool(description["test_rows"]) > 1:
        return "more than one of parts, split_by and test_rows, expected one"
    return None


def write_log(folder: Path, log: ClickLog) -> ClickLog:
    """Write the log to `folder`, in place of a log already there, and open it from there."""
    with replaced_folder(folder) as new:
        np.save(new / "ids.npy", np.ascontiguousarray(log.ids, np.int32))
        np.save(new / "labels.npy", np.asarray(log.labels, np.uint8))
        write_description(new, log.description)
    return load_click_log(folder)


def mapped(path: Path) -> np.ndarray:
    """The array of the file, memory-mapped. Raises ValueError, which names the file, if it holds none."""
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an array, or cut short ({error}); prepare the log again") from None


def check_rows(log: ClickLog, folder: Path) -> None:
    """Read all rows of an encoded log: raises ValueError, which names the file, row and field, if an id is not below
    its field's cardinality or a label is not 0 or 1."""
    cardinalities = np.array(log.cardinalities, np.uint32)
    for start in range(0, log.rows, ROWS_AT_ONCE):
        block = log.ids[start : start + ROWS_AT_ONCE].view(np.uint32)  # as which negative ids are large
        if (block.max(axis=0) >= cardinalities).any():
            row, number = np.argwhere(block >= cardinalities)[0]
            raise ValueError(
                f"{folder / 'ids.npy'}: id {log.ids[start + row, number]} of field {log.fields[number].name} in row "
                f"{start + row} (from 0), expected 0 to {cardinalities[number] - 1}; prepare the log again"
            )
    wrong = np.flatnonzero(log.labels > 1)
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"{folder / 'labels.npy'}: label {log.labels[row]} in row {row} (from 0), expected 0 or 1; "
            "prepare the log again"
        )
