"""A folder of run records."""

import errno
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from filelock import lock_descriptor

from paper_code.runs.config import RunConfig
from paper_code.runs.record import RunRecord, read_record


class RunStore:
    """A folder of run records: `<folder>/<dataset>/<hash>.json`, each written in one piece or not at all.

    published: a second folder of records, which is only read.
    """

    def __init__(self, folder: str | Path, published: str | Path | None = None):
        self.folder = Path(folder)
        self.folders = [Path(published), self.folder] if published else [self.folder]

    def path(self, config: RunConfig) -> Path:
        return record_path(self.folder, config)

    def lock_path(self, config: RunConfig) -> Path:
        return self.path(config).with_name(f".{config.hash}.lock")

    def get(self, config: RunConfig) -> RunRecord | None:
        """The record of the run, None if there is none.

        Raises ValueError if the file is not a record of this run.
        """
        path = self.find(config)
        return None if path is None else read_record(path)

    def find(self, config: RunConfig) -> Path | None:
        """The file of the run's record, None if there is none."""
        paths = (record_path(folder, config) for folder in self.folders)
        return next((path for path in paths if path.exists()), None)

    def put(self, config: RunConfig, record: RunRecord) -> Path:
        """Write the record; a reader sees the whole file or none.

        Raises OSError, which names the file, if it cannot be written; what was there before is still there then.
        """
        path = self.path(config)
        text = json.dumps(asdict(record), separators=(",", ":"), allow_nan=False)
        write(path, text + "\n")
        return path

    def reserve(self, config: RunConfig) -> int | None:
        """Keep the run from other sweeps until `release`.

        Returns the reservation, a file descriptor; None if another sweep has the run. It is a lock on a hidden file
        beside the record, which the system takes off when the process ends, however it does. Where a file system has no
        locks there is a warning, and no other sweep is kept from the run.
        Raises OSError, which names the file, if it cannot be written.
        """
        path = self.lock_path(config)
        with errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                reservation = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                if not locked(reservation, path):
                    os.close(reservation)
                    return None
                with suppress(FileNotFoundError):  # released, and so removed, between the opening and the lock
                    if os.path.samestat(os.fstat(reservation), os.stat(path)):
                        return reservation
                os.close(reservation)

    def release(self, config: RunConfig, reservation: int) -> None:
        """Let other sweeps have the run."""
        with suppress(OSError):  # Windows removes no open file: there it stays, unlocked
            self.lock_path(config).unlink()
        os.close(reservation)

    def records(self, *texts: str) -> Iterator[RunRecord]:
        """Every record, by name. texts: only those whose file has one of these, such as '"max_epochs":1,' as `put`
        writes it; to search a file takes a thirtieth of the time that it takes to read its record."""

        def is_asked(path: Path) -> bool:
            content = path.read_bytes()
            return any(text.encode() in content for text in texts)

        for folder in self.folders:
            for path in sorted(folder.glob("*/[!.]*.json")):
                if not texts or is_asked(path):
                    yield read_record(path)


def write(path: Path, text: str) -> None:
    """Write the file and its folder; a reader sees the whole file or none.

    Raises OSError, which names the file, if it cannot be written; what was there before is still there then.
    """
    with errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def record_path(folder: Path, config: RunConfig) -> Path:
    return folder / config.data.name / f"{config.hash}.json"


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """What the system refuses in the block is an error that names the file."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path}: cannot be written ({error}); make room or set the permissions and start again, the records that "
            "are there are kept"
        ) from error


def locked(descriptor: int, path: Path) -> bool:
    """Lock the open file against other processes and other openings of it, unless one of them has it locked."""
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        warnings.warn(f"{path.parent}: no file locks here ({error}); run one sweep at a time", stacklevel=2)
    return True
