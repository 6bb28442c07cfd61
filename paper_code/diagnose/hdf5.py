"""HDF5 files, as h5py and Keras write: every array of numbers in them, also of a `.keras` archive."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import (
    OPTIMIZER,
    Found,
    PassedOver,
    Stored,
    block_rows,
    check_unpacked_size,
    extra,
    rows_and_columns,
)

KERAS_WEIGHTS = "model.weights.h5"


def read_hdf5(path: Path) -> Found:
    """The datasets by their paths. Those that lie in other files, by whatever kind of link, are passed over."""
    found, passed_over = {}, []
    with opened(path) as file:

        def look(name: str, it: object) -> None:
            if not hasattr(it, "dtype"):
                return
            if any(part.lower().startswith(OPTIMIZER) for part in name.split("/")):
                passed_over.append(PassedOver(name, "the state of an optimizer or a schedule"))
            elif it.is_virtual or it.external:
                passed_over.append(PassedOver(name, "its numbers lie in another file"))
            elif it.shape is not None:
                found[name] = Stored(it.shape, it.dtype.name, blocks_of(path, name, it.shape))

        file.visititems(look)  # which follows no link
        sizes = sum(file[name].nbytes for name in found)
    check_unpacked_size(path, sizes)
    return Found(found, tuple(passed_over))


@contextmanager
def opened(path: Path) -> Iterator:
    """The file, or the weights in a `.keras` archive."""
    h5py = extra("h5py", "hdf5", f"{path}: an HDF5 file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(KERAS_WEIGHTS) as part, h5py.File(part, "r") as file:
            yield file
    else:
        with h5py.File(path, "r") as file:
            yield file


def blocks_of(path: Path, name: str, shape: tuple[int, ...]) -> Callable:
    def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
        rows, columns = rows_and_columns(shape)
        with opened(path) as file:
            for start in range(0, rows, block_rows(columns)):
                stop = min(start + block_rows(columns), rows)
                part = file[name][(*index, slice(start, stop))] if shape else file[name][()]
                yield np.asarray(part).reshape(stop - start, columns)

    return blocks
