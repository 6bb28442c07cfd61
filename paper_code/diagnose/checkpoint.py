"""Files of `torch.save`, of which nothing but tensors, NumPy arrays and plain containers is read."""

import math
import re
import zipfile
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, Found, Stored, extra, flattened, stored

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of PyTorch before 1.6 begin."""


def read_checkpoint(path: Path) -> Found:
    """What torch.save wrote, memory-mapped; a file in the form from before PyTorch 1.6 is read at once."""
    torch = extra("torch", "torch", f"{path}: a checkpoint of PyTorch")
    with open(path, "rb") as file:
        legacy = file.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC
    if not legacy:
        check_members(path)
    try:
        with torch.serialization.safe_globals(STAND_INS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=not legacy)
    except Exception as error:
        kind = re.search(r"(?:GLOBAL|class|function|build) ([\w.]+\.\w+)", str(error))
        if kind is None or "eights" not in str(error):
            raise
        raise DiagnosisError(
            f"{path}: holds {kind[1]} beside or instead of plain tensors. Loading such an object could run any code, "
            "so the file is not read. Where it was made, save the tensors alone: "
            "torch.save(model.state_dict(), ...)"
        ) from error
    found = flattened(checkpoint, path.stem, PickledArray)
    for name, array in found.arrays.items():
        if math.prod(array.shape) > path.stat().st_size and array.problem is None:  # one row may stand for many
            raise DiagnosisError(f"{path}: {name} has shape {array.shape}, more than the file can hold")
    if not found.arrays:
        keys = f" with the keys {', '.join(map(str, list(checkpoint)[:8]))}" if isinstance(checkpoint, dict) else ""
        raise DiagnosisError(
            f"{path}: found a {type(checkpoint).__name__}{keys}, expected tensors, at whatever depth; save the model's "
            "state_dict"
        )
    return found


def check_members(path: Path) -> None:
    """Raise DiagnosisError if the archive is not as torch.save makes it: its members are mapped, never unpacked."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise DiagnosisError(
            f"{path}: is a TorchScript archive, which holds code, so it is not read. Where it was made, do "
            "torch.save(model.state_dict(), ...)"
        )
    packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed or sum(member.file_size for member in members) > path.stat().st_size:
        raise DiagnosisError(f"{path}: its members are compressed or overlap, which torch.save never does; not read")


class PickledType:
    """Stands in for numpy.dtype: no code of NumPy sees what a pickle says."""

    def __init__(self, code: object = "", *_: object):
        self.code, self.order = str(code), "="

    def __setstate__(self, state: tuple) -> None:
        self.order = str(state[1])


class PickledArray:
    """Stands in for numpy.ndarray."""

    state: tuple = ()

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def stored(self) -> Stored:
        _, shape, kind, fortran_order, data = self.state
        code = {"f2": "f2", "f4": "f4", "f8": "f8"}.get(kind.code)
        if code is None or not isinstance(data, bytes):
            return Stored(tuple(map(int, shape)), f"NumPy's {kind.code}", lambda index: iter(()))
        order = kind.order if kind.order in "<>" else "="
        return stored(np.frombuffer(data, order + code).reshape(shape, order="F" if fortran_order else "C"))


def no_scalar(*_: object) -> None:
    """Stands in for what makes a NumPy scalar: an epoch or a best score, which nothing here needs."""


def new_array(*_: object) -> PickledArray:
    return PickledArray()


def latin1(text: str, *_: object) -> bytes:
    """Stands in for _codecs.encode, by which bytes are written in the pickle protocol 2."""
    return text.encode("latin1")


STAND_INS = [
    *((no_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((new_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (PickledArray, "numpy.ndarray"),
    (PickledType, "numpy.dtype"),
    (latin1, "_codecs.encode"),
]
"""What is called in place of NumPy's functions that a checkpoint names."""
