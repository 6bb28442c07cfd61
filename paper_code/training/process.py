"""Settings of the process and the device for the speed of training and its determinism."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor


def find_device(device: str = "auto") -> torch.device:
    """The device of that name; "auto" is the first CUDA device if there is one, else the CPU.

    Raises ValueError if the name is unknown or the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} does not exist; expected auto, cpu, cuda or cuda:1 and so on")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type == "cuda" and (found.index or 0) >= count:
        raise ValueError(f"device {device!r}: PyTorch finds {count} CUDA devices here; use auto or cpu")
    return found


def resident(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device if it takes less than half of the memory free there, else where it is."""
    if device.type == "cuda" and tensor.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return tensor.to(device)
    return tensor


def set_up_process(device: torch.device) -> None:
    """Settings of the process for the speed of training.

    PyTorch flushes denormal numbers to zero, which Adam's moments of rare values would become. On a CPU the process
    keeps the memory that it frees, where the C library is glibc: by default a large tensor is a mapping of its own,
    given back when it is freed, and in every step the system then has to find and to clear pages anew, which is a good
    part of the step at the paper's sizes.
    """
    torch.set_flush_denormal(True)
    if device.type != "cpu":
        return
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings
        mallopt(-1, -1)  # M_TRIM_THRESHOLD: nothing is given back


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Random numbers from the seed and deterministic algorithms; both as before afterwards.

    New memory is not filled, as PyTorch else does in this mode: nothing here reads it first, and it takes time.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill_before = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.utils.deterministic.fill_uninitialized_memory = fill_before
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
