"""Where a run was made: commit, versions, processor, memory."""

import ctypes
import os
import platform
import subprocess
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from paper_code.runs.config import PROJECT_FOLDER

VERSIONS_OF = ("torch", "numpy", "scikit-learn")


def provenance(device: str, seconds: float, cpu_seconds: float, training_seconds: float) -> dict:
    """Where, with what and at what cost a run was made."""
    import torch

    from paper_code.training.process import find_device

    found = find_device(device)
    on_cuda = found.type == "cuda"
    return {
        **commit(),
        "versions": {name: version(name) for name in VERSIONS_OF} | {"python": platform.python_version()},
        "hardware": torch.cuda.get_device_name(found) if on_cuda else processor(),
        "device": found.type,
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "training_seconds": round(training_seconds, 2),
        "peak_memory_mib": round((torch.cuda.max_memory_allocated(found) if on_cuda else peak_memory()) / 2**20),
    }


@lru_cache(maxsize=1)
def commit() -> dict:
    """The commit of the project's checkout, and whether `paper_code` differs from it; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(PROJECT_FOLDER), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    changes = git("status", "--porcelain", "--", "paper_code")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if changes is None else bool(changes)}


def processor() -> str:
    """The processor's name and its number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def reset_peak_memory() -> None:
    """Let the peaks count from now, without what earlier runs left behind, where the system can (Linux, CUDA)."""
    import torch

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> int:
    """Bytes of the process's largest resident size, since `reset_peak_memory` where the system can."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        try:
            import resource
        except ImportError:  # Windows
            import psutil

            found = psutil.Process().memory_info()
            return getattr(found, "peak_wset", found.rss)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024
