"""Is anything lost when a sweep is left alone for a day, and what can go wrong goes wrong?

    python -m tests.long_runs --csv long_runs.csv
    python -m tests.long_runs --trials clock,machines --times 3

A sweep of 20 small runs in two processes is trained once without disturbance, and once in each trial:

    disk      the file system, an image of its own, is full; space is made and the sweep started again (needs root)
    memory    a control group has too little memory for both processes; started again without it (needs root)
    worker    one of its processes is killed, at random moments; started again when it has given up
    clock     in all its processes the time of day jumps by days, forwards and back
    machines  two machines, of different host names, start it at once on one folder (needs root)
    sleep     all its processes are stopped for a second, at random moments, as when a laptop sleeps

Whenever the sweep ends early it has to say what to do. In the end the records must be equal to those of the undisturbed
sweep in everything but time and provenance, and nothing else may be visible in the folder. The exit status is 1 if they
are not.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psutil

from paper_code.runs.machine import commit
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep
from tests.killing import RUNS, tiny_config, without_clock

PROJECT = Path(__file__).parents[1]
MEMORY = Path("/sys/fs/cgroup/memory/paper_code_trial")
JUMPING = """
import random, time
true_time = time.time
time.time = lambda: true_time() + random.uniform(-1e6, 1e6)
"""


class Sweep:
    """A sweep in a session of its own, with what it has printed in a file."""

    def __init__(self, folder: Path, before: tuple[str, ...] = (), **environment: str):
        self.printed = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [*before, sys.executable, "-m", "tests.long_runs", "--sweep", str(folder)]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | environment, stderr=self.printed, start_new_session=True
        )

    def end(self) -> tuple[int, str]:
        """The exit status, when it has ended, and the last line that it printed beside its progress bar."""
        status = self.process.wait()
        with self.printed:
            self.printed.seek(0)
            lines = [line for line in self.printed.read().splitlines() if line and "run/s" not in line]
        return status, "nothing: it was killed itself" if status == -signal.SIGKILL else "".join(lines[-1:])

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return []

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if any("LokyProcess" in word for word in process.cmdline()):
                    found.append(process)
        return found


def run(folder: Path) -> tuple[int, str]:
    return Sweep(folder).end()


def disk(folder: Path, times: int, moments: random.Random) -> dict:
    """A file system that is full after some records."""
    image, place = folder / "image", folder / "mounted"
    place.mkdir()
    for command in (["truncate", "-s", "8M", image], ["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, place]):
        subprocess.run(command, check=True)
    try:
        records = place / "records"
        records.mkdir()
        ballast = place / "ballast"
        with open(ballast, "wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(ballast, ballast.stat().st_size - 24 * 1024)
        status, message = run(records)
        stopped = {"ended_early": int(status != 0), "stored_then": stored(records), "message": message * (status != 0)}
        ballast.unlink()
        run(records)
        return stopped | {"times": 1} | compared(records)
    finally:
        subprocess.run(["umount", place], check=True)


@contextmanager
def memory_limit(limit: int) -> Iterator[tuple[str, ...]]:
    """What to put before a command so that it and its children have no more bytes than that."""
    MEMORY.mkdir()
    try:
        (MEMORY / "memory.limit_in_bytes").write_text(str(limit))
        yield "sh", "-c", f'echo $$ > {MEMORY}/cgroup.procs; exec "$@"', "sh"
    finally:
        while MEMORY.is_dir() and (MEMORY / "cgroup.procs").read_text():
            time.sleep(0.1)
        MEMORY.rmdir()


def memory(folder: Path, times: int, moments: random.Random) -> dict:
    """Too little for both processes: limits, four at most, are shares of what an undisturbed sweep holds, from a half
    to all."""
    times = min(times, 4)
    whole, most = Sweep(folder / "measured"), 0
    while whole.process.poll() is None:
        held = 0
        for process in whole.processes():
            with suppress(psutil.NoSuchProcess):
                held += process.memory_info().rss
        most = max(most, held)
        time.sleep(0.05)
    records, early, message = folder / "records", 0, ""
    for number in range(times):
        with memory_limit(int(most * (0.5 + 0.5 * number / times))) as before:
            status, last = Sweep(records, before).end()
        if status:
            early, message = early + 1, last
    there = stored(records)
    run(records)
    return {"times": times, "ended_early": early, "stored_then": there, "message": message} | compared(records)


def disturbed(folder: Path, times: int, disturb: Callable[[Sweep], int]) -> dict:
    """disturb: called as long as the sweep goes on, and it, or one begun anew, was disturbed less often than that; how
    often it was now."""
    done, early, message, there = 0, 0, "", 0
    while done < times:
        going = Sweep(folder)
        while going.process.poll() is None and done < times:
            done += disturb(going)
        status, last = going.end()
        if status:
            early, message = early + 1, last
        there = stored(folder)
        if there == RUNS and done < times:  # from the beginning
            for path in folder.rglob("*.json"):
                path.unlink()
    run(folder)
    return {"times": done, "ended_early": early, "stored_then": there, "message": message} | compared(folder)


def worker(folder: Path, times: int, moments: random.Random) -> dict:
    def kill(going: Sweep) -> int:
        time.sleep(moments.uniform(0, 0.5))
        workers = going.workers()
        with suppress(psutil.NoSuchProcess):
            if workers:
                moments.choice(workers).kill()
                return 1
        return 0

    return disturbed(folder, times, kill)


def clock(folder: Path, times: int, moments: random.Random) -> dict:
    (folder / "sitecustomize.py").write_text(JUMPING)
    records, early = folder / "records", 0
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    status, message = Sweep(records, PYTHONPATH=path).end()
    early += status != 0
    there = stored(records)
    run(records)
    return {"times": 1, "ended_early": early, "stored_then": there, "message": message * early} | compared(records)


def machines(folder: Path, times: int, moments: random.Random) -> dict:
    """The number of runs that each trained is its exit status less 100."""
    trained, early, message = 0, 0, ""
    for number in range(times):
        records = folder / str(number)
        names = ("one", "another")
        both = [
            Sweep(records, ("unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh"), COUNTED="1")
            for name in names
        ]
        for status, last in [going.end() for going in both]:
            if status < 100:
                early, message = early + 1, last
            trained += max(0, status - 100)
    there = trained // times
    return {"times": times, "ended_early": early, "stored_then": there, "message": message} | compared(records)


def sleep(folder: Path, times: int, moments: random.Random) -> dict:
    def stop(going: Sweep) -> int:
        time.sleep(moments.uniform(0, 1))
        with suppress(ProcessLookupError):
            os.killpg(going.process.pid, signal.SIGSTOP)
            time.sleep(1)
            os.killpg(going.process.pid, signal.SIGCONT)
            return 1
        return 0

    return disturbed(folder, times, stop)


TRIALS: dict[str, Callable[[Path, int, random.Random], dict]] = {
    "disk": disk,
    "memory": memory,
    "worker": worker,
    "clock": clock,
    "machines": machines,
    "sleep": sleep,
}


def stored(folder: Path) -> int:
    return len(list(RunStore(folder).records())) if folder.is_dir() else 0


def compared(folder: Path) -> dict[str, int]:
    """How many records are equal to the undisturbed ones, and what else is visible in the folder."""
    expected = {record.hash: without_clock(record) for record in UNDISTURBED}
    found = {record.hash: without_clock(record) for record in RunStore(folder).records()}
    visible = [path for path in folder.rglob("[!.]*") if path.is_file()]
    equal = sum(found.get(key) == record for key, record in expected.items())
    return {"equal": equal, "others": sum(path.stem not in expected for path in visible)}


UNDISTURBED = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", default=",".join(TRIALS), help="by commas, of: %(default)s")
    parser.add_argument("--times", type=int, default=10, help="that each thing goes wrong; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: %(default)s")
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    parser.add_argument("--sweep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    configs = [tiny_config(seed) for seed in range(RUNS)]
    if options.sweep:
        try:
            trained = sweep(configs, RunStore(options.sweep), device="cpu", jobs=2)
        except (OSError, RuntimeError) as error:
            print(str(error).splitlines()[-1], file=sys.stderr)
            return 1
        return 100 + trained if "COUNTED" in os.environ else 0
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        whole = RunStore(Path(temporary) / "whole")
        sweep(configs, whole, device="cpu", jobs=1)
        UNDISTURBED.extend(whole.records())
        for name in options.trials.split(","):
            folder = Path(temporary) / name
            folder.mkdir()
            found = TRIALS[name](folder, options.times, random.Random(options.seed))
            rows.append({"trial": name} | found | {"message": found["message"].replace(f"{folder}/", "")})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    if options.csv:
        table.assign(**commit(), date=datetime.now(UTC).date().isoformat()).to_csv(options.csv, index=False)
    return int(((table["equal"] != RUNS) | (table["others"] > 0)).any())


if __name__ == "__main__":
    sys.exit(main())
