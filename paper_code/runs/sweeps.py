"""How the runs of a sweep are executed: on the cores and GPUs of this machine, or on the workers of a cluster."""

import hashlib
import multiprocessing
import os
import signal
import socket
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Lock, RLock, Thread

import joblib
import torch
from tqdm import tqdm

from paper_code.runs.config import DATA_FOLDER, PROJECT_FOLDER, RunConfig
from paper_code.runs.execution import execute
from paper_code.runs.machine import VERSIONS_OF, commit
from paper_code.runs.profiles import describe
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.training.process import find_device


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

    jobs: how many at once; None: one per core, or one per GPU. cluster: address of a Dask scheduler, whose workers then
    train the runs, one at a time each, see `outcomes_on_cluster`; this process alone reads and writes the store. A
    progress bar shows if there is anything to train.
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
    devices = places(device, jobs)[: len(missing)] if cluster is None else []
    number, trained, failures = len(missing), 0, []
    with tqdm(total=number, unit="run", smoothing=0) as bar, Claims(store) as claims:
        for runs in claims.rounds(missing):
            if cluster is None:
                outcomes = outcomes_here(runs, devices, data_folder)
            else:
                outcomes = outcomes_on_cluster(runs, cluster, device)
            with closing(outcomes):
                for config, outcome in outcomes:
                    if isinstance(outcome, RunRecord):
                        store.put(config, outcome)
                        trained += 1
                    else:
                        failures.append(f"{describe(config)}: {outcome}")
                    claims.release(config)
                    bar.set_postfix_str(describe(config))
                    bar.update()
        bar.update(number - bar.n)  # those of other sweeps
    if failures:
        raise RuntimeError(f"{len(failures)} of {number} runs failed:\n" + "\n".join(failures))
    return trained


def missing_runs(configs: Iterable[RunConfig], store: RunStore) -> list[RunConfig]:
    """Those of the runs that the store lacks, each once."""
    return [config for config in {c.hash: c for c in configs}.values() if store.get(config) is None]


Outcome = tuple[RunConfig, RunRecord | str]
"""A run and its record, or what stopped it."""
PATIENCE = 30
"""Seconds in which the cluster has to answer."""
ATTEMPTS = 3
"""Times that a run is begun whose process is ended from outside."""
MEMORY_SHORT = "(was memory short? then use fewer --jobs; `paper-code sweep --dry-run` says what a run needs)"
LOOK_AGAIN = 1
"""Seconds between looks at whether another sweep is done with its runs."""


class Claims:
    """The runs that this sweep has and no other on the same folder: each from when it is next until it is stored."""

    def __init__(self, store: RunStore):
        self.store = store
        self.held: dict[str, tuple[RunConfig, int]] = {}
        self.elsewhere: list[RunConfig] = []
        self.ended = False

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
        """Claim the runs one by one. Those that another sweep has, or has stored, are left out and are `elsewhere`."""
        self.elsewhere = []
        for config in configs:
            claim = self.store.claim(config)
            if claim is None:
                self.elsewhere.append(config)
                continue
            self.held[config.hash] = config, claim
            if self.ended:
                self.release(config)
                return
            if self.store.path(config).exists():
                self.elsewhere.append(config)
                self.release(config)
            else:
                yield config

    def release(self, config: RunConfig) -> None:
        if claimed := self.held.pop(config.hash, None):
            self.store.release(*claimed)

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True  # for joblib takes the next run in a thread of its own, maybe now
        for config, _ in list(self.held.values()):
            self.release(config)


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


def outcomes_here(configs: Iterable[RunConfig], devices: Sequence[str], data_folder: Path) -> Iterator[Outcome]:
    """Execute the runs in parallel processes of this machine; each outcome as it comes.

    devices: of the runs that go on at once, see `places`; a run takes one that no other has at the time.
    If one of the processes is ended from outside, as the system does it when memory is short, all are started anew and
    the runs that they had are executed again, `ATTEMPTS` times at most.
    """
    waiting, taking, ends = iter(configs), Lock(), Counter()
    while True:
        going: dict[str, RunConfig] = {}
        runs = taken(waiting, taking, going)
        try:
            with closing(outcomes_of_processes(runs, devices, data_folder)) as outcomes:
                for config, outcome in outcomes:
                    del going[config.hash]
                    yield config, outcome
            return
        except BrokenProcessPool:
            with taking:  # joblib takes the next run in a thread of its own, maybe now
                interrupted, going[""] = list(going.values()), None
        again = []
        for config in interrupted:
            ends[config.hash] += 1
            if ends[config.hash] < ATTEMPTS:
                again.append(config)
            else:
                yield config, f"the process of this run or of one beside it was ended {ATTEMPTS} times {MEMORY_SHORT}"
        tqdm.write(f"a process of the sweep was ended from outside; runs begun again: {len(again)}", file=sys.stderr)
        waiting = chain(again, waiting)


def taken(waiting: Iterator[RunConfig], taking: Lock, going: dict[str, RunConfig | None]) -> Iterator[RunConfig]:
    """The runs one by one, each noted in `going`, until that has a note for none."""
    while True:
        with taking:
            if "" in going or (config := next(waiting, None)) is None:
                return
            going[config.hash] = config
        yield config


def outcomes_of_processes(configs: Iterable[RunConfig], devices: Sequence[str], data_folder: Path) -> Iterator[Outcome]:
    """As `outcomes_here`; raises BrokenProcessPool if one of the processes is ended."""
    parallel = joblib.Parallel(
        n_jobs=len(devices), batch_size=1, pre_dispatch=len(devices), return_as="generator_unordered"
    )
    alike = len(set(devices)) == 1
    with nullcontext() if alike else multiprocessing.Manager() as manager:
        if alike:
            run, place = joblib.delayed(try_in_process), devices[0]
        else:
            run, place = joblib.delayed(try_on_free_gpu), manager.Queue()
            for device in devices:
                place.put(device)
        with started(parallel, (run(config, place, data_folder, os.getpid()) for config in configs)) as outcomes:
            for outcome in outcomes:  # noqa: UP028, for `started` closes them, in silence
                yield outcome


@contextmanager
def started(parallel: joblib.Parallel, calls: Iterable) -> Iterator[Iterator[Outcome]]:
    """The results of the calls, as they come. Ctrl-C acts when the processes are started, and in none of them; whatever
    ends the block ends them too, without a traceback of theirs and joblib's warning that they were busy."""
    resource_tracker.ensure_running()  # else it is started below, and lets interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        outcomes = parallel(calls)
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield outcomes
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                outcomes.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def try_in_process(config: RunConfig, device: str, data_folder: Path, sweep: int) -> Outcome:
    """Execute the run in a process of the sweep with that process id."""
    end_with(sweep)
    return try_to_execute(config, device, data_folder)


@lru_cache(maxsize=1)
def end_with(sweep: int) -> None:
    """From now on this process ends when the sweep's has, be it killed: nobody would take the record of its run."""

    def watch() -> None:
        while os.getppid() == sweep:
            time.sleep(1)
        os._exit(1)

    if os.getpid() != sweep:
        Thread(target=watch, daemon=True).start()
        tqdm.set_lock(RLock())  # its own has a semaphore, of which Python complains when the process is killed


def try_on_free_gpu(config: RunConfig, free: multiprocessing.Queue, data_folder: Path, sweep: int) -> Outcome:
    """Execute the run on a GPU from the queue, and put it back."""
    device = free.get()
    try:
        with torch.cuda.device(device):  # so that its peak memory counts from the start of the run
            return try_in_process(config, device, data_folder, sweep)
    finally:
        torch.cuda.empty_cache()  # the next run on this GPU is another process's
        free.put(device)


def outcomes_on_cluster(configs: Iterable[RunConfig], address: str, device: str) -> Iterator[Outcome]:
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
        waiting, going, more = iter(configs), {}, True
        while more or going:
            # no more runs than workers: a run that waits on a worker that dies would be taken for the reason
            while more and len(going) < len(client.nthreads()):
                if (config := next(waiting, None)) is None:
                    more = False
                    break
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
                    waiting, more = chain([config], waiting), True
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
    folder = PROJECT_FOLDER / "paper_code"
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content.update(path.read_bytes())
    return {
        "commit": str(commit()["commit"]),
        "hash of paper_code": content.hexdigest()[:16],
        **{name: version(name).split("+")[0] for name in VERSIONS_OF},
    }
