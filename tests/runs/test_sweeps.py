"""A sweep on several GPUs has one run on each; a cluster's workers give the records that this machine gives."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from types import SimpleNamespace

import joblib
import pytest
import torch
from joblib.externals.loky import get_reusable_executor, process_executor

from paper_code.runs import sweeps
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import Cluster, check_workers, end_with, places, sweep
from paper_code.training.config import TrainingConfig


def tiny_config(seed=0, rows=2_000) -> RunConfig:
    data = DataConfig("criteo_like", seed, rows, 500)
    return RunConfig(data, "dnn", 4, 1, seed, {"hidden": (4,)}, TrainingConfig(batch_size=256, max_epochs=2))


def record_of(config: RunConfig) -> RunRecord:
    return RunRecord(config.to_json(), [], 10, {"test_auc": 0.75, "best_epoch": 1}, [], {}, {})


# Several GPUs of one machine


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


class Threads(ThreadPoolExecutor):
    """Stands in for the executor of processes: it runs what is patched here."""

    def shutdown(self, wait=True, kill_workers=False):
        super().shutdown(wait)


@pytest.fixture
def threads(monkeypatch):
    executor = Threads()
    monkeypatch.setattr(sweeps, "get_reusable_executor", lambda number, **_: executor)


def test_a_process_of_a_sweep_may_keep_what_it_has_read():
    """Of joblib's processes one that holds 300 MB more than after its first call is ended a second later."""

    def keep(number: int) -> int:
        process_executor.held = bytearray(b"1") * number  # a module that stays
        time.sleep(1.1)
        return os.getpid()

    with get_reusable_executor(1, timeout=None, initializer=end_with, initargs=(os.getpid(),), reuse=False) as executor:
        assert len({executor.submit(keep, number).result() for number in (1, 350_000_000, 1, 1)}) == 1


@pytest.mark.parametrize(
    ("device", "jobs", "expected"),
    [
        ("auto", None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 5, ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]),
        ("cuda:1", None, ["cuda:1"]),
        ("cuda:1", 2, ["cuda:1", "cuda:1"]),
        ("cpu", 2, ["cpu", "cpu"]),
    ],
)
def test_every_gpu_has_a_run_unless_one_is_named(three_gpus, device, jobs, expected):
    assert places(device, jobs) == expected


def test_a_gpu_that_is_not_there_is_refused(three_gpus):
    with pytest.raises(ValueError, match="'cuda:3': PyTorch finds 3 CUDA devices"):
        places("cuda:3", None)


def test_every_core_has_a_run_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    assert places("auto", None) == ["cpu"] * 4


def test_the_cores_can_be_limited_from_outside(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert places("auto", None) == ["cpu"]


@pytest.mark.parametrize(("jobs", "at_once", "on_each"), [(None, 3, 1), (6, 6, 2)])
def test_runs_go_on_at_once_each_on_a_gpu_of_its_own(
    tmp_path, monkeypatch, three_gpus, threads, jobs, at_once, on_each
):
    """Every run waits until as many are going on as should; of several jobs per GPU each has its share."""
    together = threading.Barrier(at_once, timeout=20)
    busy, found = [], []

    def fake_execute(config, device, **options):
        busy.append(device)
        together.wait()
        found.append(sorted(busy))
        together.wait()
        busy.remove(device)
        return record_of(config)

    monkeypatch.setattr(sweeps, "execute", fake_execute)
    assert sweep([tiny_config(seed) for seed in range(12)], RunStore(tmp_path), device="cuda", jobs=jobs) == 12
    assert found == [sorted(["cuda:0", "cuda:1", "cuda:2"] * on_each)] * 12
    assert len(list(RunStore(tmp_path).records())) == 12


def test_a_run_that_fails_gives_its_gpu_back(tmp_path, monkeypatch, three_gpus, threads):
    def fake_execute(config, device, **options):
        if config.seed < 4:
            raise RuntimeError("out of memory")
        return record_of(config)

    monkeypatch.setattr(sweeps, "execute", fake_execute)
    with pytest.raises(RuntimeError, match="4 of 6 runs failed"):
        sweep([tiny_config(seed) for seed in range(6)], RunStore(tmp_path), device="auto")
    assert len(list(RunStore(tmp_path).records())) == 2


# A cluster


def test_jobs_and_a_cluster_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="jobs is 2, expected none with a cluster"):
        sweep([tiny_config()], RunStore(tmp_path), jobs=2, cluster="tcp://127.0.0.1:1")


def test_without_dask_a_cluster_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[cluster\]'"):
        sweep([tiny_config()], RunStore(tmp_path), cluster="tcp://127.0.0.1:1")


def test_the_code_is_known_by_its_files_not_by_the_build_of_its_libraries(monkeypatch):
    sweeps.code.cache_clear()
    before = sweeps.code()
    sweeps.code.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "version", lambda name: before[name] + "+cu130")
        assert sweeps.code() == before
    sweeps.code.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "version", lambda name: "1.0")
        assert sweeps.code()["torch"] == "1.0"
    sweeps.code.cache_clear()


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[cluster]'")


DIES_IN_MID_RUN = """
import os, signal
from paper_code.runs import execution
execution.field_information_abundance = lambda model: os.kill(os.getpid(), signal.SIGKILL)
"""
UNFIT_AFTER_THE_FIRST_LOOK = """
from paper_code.runs import sweeps
answers = iter([None])
sweeps.unfitness = lambda device, expected, dask_worker: next(answers, "node7: torch is 2.12.0, expected 2.13.0")
"""


@contextmanager
def cluster(folder, workers=("",), allowed_failures=3, nthreads=1):
    """A scheduler and workers of these preloaded scripts, each a process, on this machine without a common folder of
    data; yields the scheduler's address and the workers' processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    settings = {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
        "DASK_TEMPORARY_DIRECTORY": str(folder),
        "OMP_NUM_THREADS": "1",
        "PAPER_CODE_DATA": str(folder / "no_logs"),
    }
    processes = []

    def start(*arguments):
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:], "--no-dashboard"]
        processes.append(subprocess.Popen(command, env=os.environ | settings, cwd=folder, stderr=subprocess.DEVNULL))

    try:
        start("dask_scheduler", "--host", address)
        for number, preloaded in enumerate(workers):
            script = folder / f"preload_{number}.py"
            script.write_text(preloaded)
            start("dask_worker", address, "--no-nanny", "--nthreads", str(nthreads), "--preload", str(script))
        import distributed

        with distributed.Client(address, timeout=30, set_as_default=False) as client:
            if workers:
                client.wait_for_workers(len(workers), timeout=60)
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def without_times(record: RunRecord) -> dict:
    values = asdict(replace(record, provenance={}))
    return values | {"epochs": [epoch | {"training_seconds": None} for epoch in values["epochs"]]}


def test_a_cluster_gives_the_records_of_one_machine_though_a_worker_is_killed(tmp_path, distributed):
    """Two workers, of which one is killed after the first epoch of its first run: the other does that run again."""
    configs = [tiny_config(seed) for seed in range(5)]
    here, there = RunStore(tmp_path / "here"), RunStore(tmp_path / "there")
    sweep(configs, here, device="cpu", jobs=1)
    with cluster(tmp_path, [DIES_IN_MID_RUN, ""]) as (address, (killed, alive)):
        assert sweep(configs, there, device="cpu", cluster=address) == 5
        assert killed.wait(timeout=10) == -signal.SIGKILL
        assert alive.poll() is None
        failing = [tiny_config(seed=77, rows=5), replace(configs[0], data=DataConfig("mini", 0, 100, fingerprint="a"))]
        with pytest.raises(RuntimeError) as error:
            sweep([*failing, tiny_config(seed=5)], there, device="cpu", cluster=address)
        of_another_sweep = there.reserve(tiny_config(seed=6))
        threading.Timer(2, lambda: there.release(tiny_config(seed=6), of_another_sweep)).start()
        assert sweep([tiny_config(seed) for seed in (6, 7)], there, device="cpu", cluster=address) == 2
    assert [without_times(there.get(c)) for c in configs] == [without_times(here.get(c)) for c in configs]
    assert [there.get(c).provenance["threads"] for c in configs] == [1] * 5
    assert there.get(tiny_config(seed=5)) is not None
    message = str(error.value)
    assert message.startswith("2 of 3 runs failed:\n")
    assert f"seed 77: on {socket.gethostname()}: ValueError: rows=5" in message
    assert f"on {socket.gethostname()}: FileNotFoundError: {tmp_path / 'no_logs' / 'mini'}: no encoded" in message


def test_a_run_whose_workers_die_too_often_is_reported_and_an_unfit_worker_is_sent_away(tmp_path, distributed, capfd):
    """The first run of the first worker kills it, with no further trial; the second is found unfit by its first run."""
    store = RunStore(tmp_path / "records")
    workers = [DIES_IN_MID_RUN, UNFIT_AFTER_THE_FIRST_LOOK, ""]
    with cluster(tmp_path, workers, allowed_failures=0) as (address, (_, unfit, alive)):
        with pytest.raises(RuntimeError, match=r"1 of 5 runs failed:\n.*seed \d: KilledWorker: .* died"):
            sweep([tiny_config(seed) for seed in range(5)], store, device="cpu", cluster=address)
        unfit.wait(timeout=20)
        assert alive.poll() is None
    assert "sent away: node7: torch is 2.12.0, expected 2.13.0" in capfd.readouterr().err
    assert len(list(store.records())) == 4


class Workers:
    """Stands in for Dask's client, and for its workers by their address and number of threads."""

    def __init__(self, threads: dict[str, int]):
        self.scheduler = SimpleNamespace(address="tcp://head:8786")
        self.workers = [SimpleNamespace(address=a, state=SimpleNamespace(nthreads=n)) for a, n in threads.items()]

    def wait_for_workers(self, number, timeout):
        pass

    def run(self, function, *arguments, on_error):
        return {worker.address: function(*arguments, worker) for worker in self.workers}


def test_workers_that_would_give_the_same_records_are_fit():
    check_workers(Workers({"tcp://a:1": 1, "tcp://b:1": 1}), "cpu", sweeps.code())


def test_unfit_workers_are_named_with_what_they_have_and_what_was_expected(three_gpus):
    expected = sweeps.code() | {"torch": "9.9.9", "commit": "abc"}
    with pytest.raises(RuntimeError) as error:
        check_workers(Workers({"tcp://a:1": 1, "tcp://b:1": 2}), "auto", expected)
    first, *named = str(error.value).splitlines()
    assert first == "2 of 2 workers are unfit:"
    for address, line in zip(("tcp://a:1", "tcp://b:1"), named, strict=True):
        assert line.startswith(
            f"{socket.gethostname()} ({address}): commit is {sweeps.code()['commit']}, expected abc;"
        )
        assert f"torch is {sweeps.code()['torch']}, expected 9.9.9" in line
        assert "it sees 3 GPUs, expected one worker per GPU" in line
    assert "runs at once" not in named[0]
    assert "it does 2 runs at once, expected --nthreads 1" in named[1]


def test_a_worker_without_the_device_is_unfit(three_gpus):
    with pytest.raises(RuntimeError, match="'cuda:3': PyTorch finds 3 CUDA devices"):
        check_workers(Workers({"tcp://a:1": 1}), "cuda:3", sweeps.code())


@pytest.mark.parametrize(("stopped", "expected"), [(TimeoutError, None), (CancelledError, "the scheduler is gone")])
def test_a_sweep_waits_for_its_workers_but_not_for_a_scheduler_that_is_gone(monkeypatch, stopped, expected):
    def wait(*_, **__):
        raise stopped

    monkeypatch.setattr(sweeps, "import_distributed", lambda: SimpleNamespace(wait=wait))
    if expected is None:
        assert Cluster(None, "cpu").wait({"a future"}) == set()
    else:
        with pytest.raises(ConnectionError, match=expected):
            Cluster(None, "cpu").wait({"a future"})


def test_a_cluster_without_workers_or_without_a_scheduler_is_told(tmp_path, monkeypatch, distributed):
    monkeypatch.setattr(sweeps, "PATIENCE", 1)
    with cluster(tmp_path, workers=[]) as (address, _), pytest.raises(OSError, match=f"{address} has no worker; start"):
        sweep([tiny_config()], RunStore(tmp_path), cluster=address)
    with pytest.raises(OSError, match=f"connect to {address}"):
        sweep([tiny_config()], RunStore(tmp_path), cluster=address)
