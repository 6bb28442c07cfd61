"""How the runs of a sweep are executed: on the cores and GPUs of this machine, or on the workers of a cluster."""

import hashlib
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from multiprocessing import resource_tracker
from pathlib import Path
from threading import RLock, Thread
from typing import TYPE_CHECKING

import joblib
import torch
from joblib.externals.loky import get_reusable_executor, process_executor
from tqdm import tqdm

from paper_code.runs.config import DATA_FOLDER, PROJECT_FOLDER, RunConfig
from paper_code.runs.execution import execute
from paper_code.runs.machine import VERSIONS_OF, commit
from paper_code.runs.profiles import describe
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.training.process import find_device

if TYPE_CHECKING:
    import distributed

PATIENCE = 30
"""Seconds in which the cluster has to answer."""
ATTEMPTS = 3
"""Times that a run is begun whose process is ended from outside."""
MEMORY_SHORT = "(was memory short? then use fewer --jobs; `paper-code sweep --dry-run` says what a run needs)"
LOOK_AGAIN = 1
"""Seconds between looks at whether another sweep is done with its runs, and at whether a cluster has workers again."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
"""Set in the processes, so that NumPy keeps to one thread as PyTorch does."""


class Reservations:
    """The runs that this sweep has and no other on the same folder: each from when it is next until it is stored."""

    def __init__(self, store: RunStore):
        self.store = store
        self.held: dict[str, tuple[RunConfig, int]] = {}
        self.elsewhere: list[RunConfig] = []

    def rounds(self, configs: Sequence[RunConfig]) -> Iterator[Iterator[RunConfig]]:
        """The runs to train: in the first round those that no other sweep has when it is their turn, in further ones
        those that other sweeps had and left without a record. Between the rounds it waits for the other sweeps."""
        told = False
        while configs:
            runs = self.take(configs)
            if (first := next(runs, None)) is not None:
                yield chain([first], runs)
            elif not told:
                message = f"waiting for another sweep on {self.store.folder}, runs that it has: {len(configs)}"
                tqdm.write(message, file=sys.stderr)
                told = True
            else:
                time.sleep(LOOK_AGAIN)
            configs = [config for config in self.elsewhere if self.store.get(config) is None]

    def take(self, configs: Iterable[RunConfig]) -> Iterator[RunConfig]:
        """Reserve the runs one by one. Those that another sweep has, or has stored, are left out: `elsewhere`."""
        self.elsewhere = []
        for config in configs:
            reservation = self.store.reserve(config)
            if reservation is None:
                self.elsewhere.append(config)
                continue
            self.held[config.hash] = config, reservation
            if self.store.path(config).exists():
                self.elsewhere.append(config)
                self.release(config)
            else:
                yield config

    def release(self, config: RunConfig) -> None:
        self.store.release(*self.held.pop(config.hash))

    def __enter__(self) -> "Reservations":
        return self

    def __exit__(self, *_: object) -> None:
        for config, _ in list(self.held.values()):
            self.release(config)


def outcomes(configs: Iterable[RunConfig], pool: "Processes | Cluster") -> Iterator[tuple[RunConfig, RunRecord | str]]:
    """Execute the runs in the pool, one on each of its devices at a time, and take the next when a device is free.

    Yields each run as it ends, with its record or what stopped it.
    """
    waiting, going, more = iter(configs), {}, True
    while more or going:
        while more and (free := Counter(pool.devices) - Counter(device for _, device in going.values())):
            if (config := next(waiting, None)) is None:
                more = False
            else:
                device = max(free, key=free.get)
                going[pool.submit(config, device)] = config, device
        for future in pool.wait(going):
            config, _ = going.pop(future)
            if (outcome := pool.outcome(config, future)) is None:  # the run is to be begun again
                waiting, more = chain([config], waiting), True
            else:
                yield config, outcome


def try_to_execute(config: RunConfig, device: str, data_folder: Path) -> RunRecord | str:
    """The run's record, or what stopped it, so that one run that fails does not end the others."""
    try:
        # so that its peak memory counts from the start of the run
        with torch.cuda.device(device) if device.startswith("cuda:") else nullcontext():
            return execute(config, device, threads=1, data_folder=data_folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        torch.cuda.empty_cache()  # the next run on this GPU may be another process's


# On this machine


def places(device: str, jobs: int | None) -> list[str]:
    """The device of each of the runs that go on at once.

    jobs: how many these are; None: one per core on a CPU, one per GPU on GPUs. The environment variable
    LOKY_MAX_CPU_COUNT limits the cores. Where several GPUs are visible, `auto` and `cuda` are all of them, in turn; any
    other name is that device alone.
    Raises ValueError if the device is not there.
    """
    found = find_device(device)
    if found.type == "cpu":
        return ["cpu"] * (jobs or joblib.cpu_count())
    gpus = [device] if found.index is not None else [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [gpus[number % len(gpus)] for number in range(jobs or len(gpus))]


class Processes:
    """Processes of this machine, a run in each; where only one run goes on at once, it goes on in this process.

    devices: of the runs that go on at once, see `places`.
    If one of the processes is ended from outside, as the system does it when memory is short, all are started anew and
    the runs that they had are executed again, `ATTEMPTS` times at most. When the block ends, the processes are ended.
    """

    def __init__(self, devices: Sequence[str], data_folder: Path):
        self.devices, self.data_folder = devices, data_folder
        self.executor, self.ends = None, Counter()

    def submit(self, config: RunConfig, device: str) -> Future:
        """Ctrl-C acts when the processes are started, and in none of them."""
        if len(self.devices) == 1:
            future = Future()
            future.set_result(try_to_execute(config, device, self.data_folder))
            return future
        resource_tracker.ensure_running()  # else it is started below, and lets interrupts through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.executor = get_reusable_executor(  # a new one if one of its processes was ended
                len(self.devices), timeout=None, initializer=end_with, initargs=(os.getpid(),), env=ONE_THREAD
            )
            return self.executor.submit(try_to_execute, config, device, self.data_folder)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def wait(self, futures: Iterable[Future]) -> set[Future]:
        return wait(futures, return_when=FIRST_COMPLETED).done

    def outcome(self, config: RunConfig, future: Future) -> RunRecord | str | None:
        try:
            return future.result()
        except BrokenProcessPool:
            self.ends[config.hash] += 1
            if self.ends[config.hash] == ATTEMPTS:
                return f"the process of this run or of one beside it was ended {ATTEMPTS} times {MEMORY_SHORT}"
            what = f"run begun again: {config.data.name} {config.hash}"
            tqdm.write(f"a process of the sweep was ended from outside; {what}", file=sys.stderr)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        if self.executor:
            self.executor.shutdown(kill_workers=True)


def end_with(sweep: int) -> None:
    """From now on this process ends when the one with that process id has, be it killed: nobody would take its record.
    Not before: loky would take the logs that it keeps for a leak, with a warning that, as an error, hangs the sweep."""
    process_executor._USE_PSUTIL = False

    def watch() -> None:
        while os.getppid() == sweep:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
    tqdm.set_lock(RLock())  # its own has a semaphore, of which Python complains when the process is killed


# On a cluster


@dataclass(frozen=True)
class Cluster:
    """The workers of a Dask cluster, a run on each, see `connected`.

    device: of every worker, by its name there. An encoded log is read from the data folder of the worker's machine.
    A run whose worker dies is executed again, three times at most unless the scheduler is set otherwise. A worker that
    joins later and is unfit is sent away, see `unfitness`.
    """

    client: "distributed.Client"
    device: str

    @property
    def devices(self) -> list[str]:
        """No more than workers: a run that waits on a worker that dies would be taken for the reason."""
        return [self.device] * len(self.client.nthreads())

    def submit(self, config: RunConfig, device: str):
        return self.client.submit(try_on_worker, config, device, code(), pure=False)

    def wait(self, futures: Iterable) -> set:
        """The futures that are done, none after some seconds, for workers may have joined."""
        if not futures:
            time.sleep(LOOK_AGAIN)  # all workers are gone
            return set()
        try:
            return import_distributed().wait([*futures], timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return set()
        except CancelledError:
            raise ConnectionError("the scheduler is gone; start it again and then the sweep, which goes on") from None

    def outcome(self, config: RunConfig, future) -> RunRecord | str | None:
        try:
            outcome = future.result()
        except Exception as error:  # its workers died
            return f"{type(error).__name__}: {error}"
        if not isinstance(outcome, Unfit):
            return outcome
        tqdm.write(f"sent away: {outcome.reason}", file=sys.stderr)
        self.client.retire_workers([outcome.worker])


@contextmanager
def connected(address: str, device: str) -> Iterator[Cluster]:
    """The cluster of the scheduler at the address, such as tcp://10.0.0.1:8786, until the block ends.

    Raises ImportError if Dask is not installed, OSError if the scheduler does not answer or has no worker, RuntimeError
    if one of its workers is unfit.
    """
    with import_distributed().Client(address, timeout=PATIENCE) as client:
        check_workers(client, device, code())
        yield Cluster(client, device)


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
    outcome = try_to_execute(config, device, DATA_FOLDER)
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
    folder = PROJECT_FOLDER / "paper_code"
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content.update(path.read_bytes())
    return {
        "commit": str(commit()["commit"]),
        "hash of paper_code": content.hexdigest()[:16],
        **{name: version(name).split("+")[0] for name in VERSIONS_OF},
    }


def sweep(
    configs: Iterable[RunConfig],
    store: RunStore,
    *,
    device: str = "auto",
    jobs: int | None = None,
    data_folder: Path = DATA_FOLDER,
    cluster: str | None = None,
) -> int:
    """Train the runs that the store lacks, in parallel processes of one thread each, and store each as it ends.

    jobs: how many at once; None: one per core, or one per GPU, see `places`; one alone is trained in this process.
    cluster: address of a Dask scheduler, whose workers then train the runs, one at a time each, see `Cluster`; this
    process alone reads and writes the store. A progress bar shows if there is anything to train.
    A run that another sweep on the same store is training is left to it, and waited for at the end; if it leaves no
    record, the run is trained here.
    Returns how many were trained here. Raises RuntimeError at the end if runs failed; the others are stored. Raises
    OSError, which names the file, if a record cannot be written: the runs that go on then are given up.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected at least 1")
    if jobs is not None and cluster is not None:
        raise ValueError(f"jobs is {jobs}, expected none with a cluster: there every worker has one run at a time")
    if cluster is None:
        find_device(device)  # also where nothing is missing
    missing = missing_runs(configs, store)
    if not missing:
        return 0
    number, trained, failures = len(missing), 0, []
    place = connected(cluster, device) if cluster else Processes(places(device, jobs)[:number], data_folder)
    with tqdm(total=number, unit="run", smoothing=0) as bar, Reservations(store) as reservations, place as pool:
        for runs in reservations.rounds(missing):
            for config, outcome in outcomes(runs, pool):
                if isinstance(outcome, RunRecord):
                    store.put(config, outcome)
                    trained += 1
                else:
                    failures.append(f"{describe(config)}: {outcome}")
                reservations.release(config)
                bar.set_postfix_str(describe(config))
                bar.update()
        bar.update(number - bar.n)  # those of other sweeps
    if failures:
        raise RuntimeError(f"{len(failures)} of {number} runs failed:\n" + "\n".join(failures))
    return trained


def missing_runs(configs: Iterable[RunConfig], store: RunStore) -> list[RunConfig]:
    """The runs that the store lacks, each once."""
    return [config for config in {c.hash: c for c in configs}.values() if store.get(config) is None]
