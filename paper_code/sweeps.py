"""How the runs of a sweep are executed: on the cores and GPUs of this machine, or on the workers of a cluster."""

import hashlib
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import joblib
import torch
from tqdm import tqdm

from paper_code.runs import DATA_FOLDER, VERSIONS_OF, RunConfig, RunRecord, commit, execute
from paper_code.training import find_device

Outcome = tuple[RunConfig, RunRecord | str]
"""A run and its record, or what stopped it."""

PATIENCE = 30
"""Seconds in which the cluster has to answer."""


def try_to_execute(config: RunConfig, device: str, data_folder: Path) -> Outcome:
    """The run's record, or what stopped it, so that one run that fails does not end the others."""
    try:
        return config, execute(config, device, threads=1, data_folder=data_folder)
    except Exception as error:
        return config, f"{type(error).__name__}: {error}"


def places(device: str, jobs: int | None) -> list[str]:
    """The device of each of the runs that go on at once.

    jobs: how many these are; None: one per core on a CPU, one per GPU on GPUs. Where several GPUs are visible, `auto`
    and `cuda` are all of them, in turn; any other name is that device alone.
    Raises ValueError if the device is not there.
    """
    found = find_device(device)
    if found.type == "cpu":
        return ["cpu"] * (jobs or os.cpu_count())
    gpus = [device] if found.index is not None else [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [gpus[number % len(gpus)] for number in range(jobs or len(gpus))]


def outcomes_here(configs: Sequence[RunConfig], devices: Sequence[str], data_folder: Path) -> Iterator[Outcome]:
    """Execute the runs in parallel processes of this machine; each outcome as it comes.

    devices: of the runs that go on at once, see `places`; a run takes one that no other has at the time.
    """
    parallel = joblib.Parallel(
        n_jobs=len(devices), batch_size=1, pre_dispatch=len(devices), return_as="generator_unordered"
    )
    if len(set(devices)) == 1:
        run = joblib.delayed(try_to_execute)
        yield from parallel(run(config, devices[0], data_folder) for config in configs)
        return
    with multiprocessing.Manager() as manager:
        free = manager.Queue()
        for device in devices:
            free.put(device)
        run = joblib.delayed(try_on_free_gpu)
        yield from parallel(run(config, free, data_folder) for config in configs)


def try_on_free_gpu(config: RunConfig, free: multiprocessing.Queue, data_folder: Path) -> Outcome:
    """Execute the run on a GPU from the queue, and put it back."""
    device = free.get()
    try:
        with torch.cuda.device(device):  # so that its peak memory counts from the start of the run
            return try_to_execute(config, device, data_folder)
    finally:
        torch.cuda.empty_cache()  # the next run on this GPU is another process's
        free.put(device)


def outcomes_on_cluster(configs: Sequence[RunConfig], address: str, device: str) -> Iterator[Outcome]:
    """Execute the runs on the workers of a Dask cluster; each outcome as it comes.

    address: of its scheduler, such as tcp://10.0.0.1:8786. device: of every worker, by its name there. An encoded log
    is read from the data folder of the worker's machine.
    A run whose worker dies is executed again, three times at most unless the scheduler is set otherwise. A worker that
    joins later and is unfit is sent away, see `unfitness`.
    Raises ImportError if Dask is not installed, OSError if the scheduler does not answer or has no worker, RuntimeError
    if one of its workers is unfit.
    """
    distributed = import_distributed()
    with distributed.Client(address, timeout=PATIENCE) as client:
        expected = code()
        check_workers(client, device, expected)
        waiting, going = list(reversed(configs)), {}
        while waiting or going:
            # no more runs than workers: a run that waits on a worker that dies would be taken for the reason
            while waiting and len(going) < len(client.nthreads()):
                config = waiting.pop()
                going[client.submit(try_on_worker, config, device, expected, pure=False)] = config
            for future in ended(going):
                config = going.pop(future)
                try:
                    outcome = future.result()
                except Exception as error:  # its workers died
                    outcome = f"{type(error).__name__}: {error}"
                if isinstance(outcome, Unfit):
                    tqdm.write(f"sent away: {outcome.reason}", file=sys.stderr)
                    client.retire_workers([outcome.worker])
                    waiting.append(config)
                else:
                    yield config, outcome


def ended(futures) -> set:
    """Those that are done, as soon as there is one, but after some seconds in any case, for workers may have joined."""
    distributed = import_distributed()
    if not futures:
        time.sleep(1)  # all workers are gone
        return set()
    try:
        return distributed.wait(list(futures), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return set()
    except CancelledError:
        raise ConnectionError("the scheduler is gone; start it again and then the sweep, which goes on") from None


def import_distributed():
    """Dask's `distributed`. Raises ImportError, which says what to install, if it is not there."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError(f"{error}: a cluster needs the extra, `pip install -e '.[cluster]'`") from None
    return distributed


def check_workers(client, device: str, expected: dict[str, str]) -> None:
    """Raises TimeoutError if the cluster has no worker, RuntimeError if one is unfit."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise TimeoutError(
            f"the cluster at {address} has no worker; start one with "
            f"`dask worker {address} --nthreads 1 --memory-limit 0`"
        ) from None
    answers = client.run(unfitness, device, expected, on_error="return")
    reasons = [
        f"{worker}: {type(answer).__name__}: {answer}" if isinstance(answer, Exception) else answer
        for worker, answer in answers.items()
        if answer is not None
    ]
    if reasons:
        raise RuntimeError(f"{len(reasons)} of {len(answers)} workers are unfit:\n" + "\n".join(reasons))


@dataclass(frozen=True)
class Unfit:
    """A worker that cannot take part in a sweep, by its address, and why."""

    worker: str
    reason: str


def try_on_worker(config: RunConfig, device: str, expected: dict[str, str]) -> RunRecord | str | Unfit:
    """What comes of the run on this worker, or why it is not fit for it."""
    worker = import_distributed().get_worker()
    if reason := unfitness(device, expected, worker):
        return Unfit(worker.address, reason)
    _, outcome = try_to_execute(config, device, DATA_FOLDER)
    return outcome if isinstance(outcome, RunRecord) else f"on {socket.gethostname()}: {outcome}"


def unfitness(device: str, expected: dict[str, str], dask_worker) -> str | None:
    """Why this worker cannot do the runs as the machine that starts the sweep would; None if it can.

    device: of the runs. expected: the `code` of the machine that starts the sweep. dask_worker: Dask gives it.
    """
    reasons = [
        f"{name} is {found}, expected {expected[name]}" for name, found in code().items() if found != expected[name]
    ]
    if dask_worker.state.nthreads != 1:
        reasons.append(f"it does {dask_worker.state.nthreads} runs at once, expected --nthreads 1")
    try:
        if len(gpus := set(places(device, None)) - {"cpu"}) > 1:
            reasons.append(f"it sees {len(gpus)} GPUs, expected one worker per GPU, by CUDA_VISIBLE_DEVICES")
    except ValueError as error:
        reasons.append(str(error))
    return f"{socket.gethostname()} ({dask_worker.address}): {'; '.join(reasons)}" if reasons else None


@lru_cache(maxsize=1)
def code() -> dict[str, str]:
    """What has to be the same on all machines of a sweep: the commit, the package's own files, and the versions of what
    decides a result; builds of a version for one processor or another are the same."""
    folder = Path(__file__).parent
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content.update(path.read_bytes())
    return {
        "commit": str(commit()["commit"]),
        "hash of paper_code": content.hexdigest()[:16],
        **{name: version(name).split("+")[0] for name in VERSIONS_OF},
    }
