"""Is anything lost when a sweep is killed, again and again, at random moments?

    python -m tests.killing --kills 100
    python -m tests.killing --kills 22 --folder somewhere --csv killing.csv

A sweep of 20 small runs is trained once without disturbance. Another one is started, killed with SIGKILL at a random
moment and started again, so often, and then left to end. Between a record's file and its name the writing waits a
little, so that some of the kills come there; and all the time the records in the folder are read, each of which must be
whole. In the end the records of the two must be equal in everything but time and provenance, and nothing else may be
visible in the folder. The exit status is 1 if they are not.
"""

import argparse
import dataclasses
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.execution import execute
from paper_code.runs.machine import commit
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep
from paper_code.training.config import TrainingConfig

RUNS = 20
WRITING = 0.05
"""Seconds between a record's file and its name."""


def tiny_config(seed=0, **training) -> RunConfig:
    protocol = TrainingConfig(**{"batch_size": 256, "max_epochs": 2} | training)
    return RunConfig(DataConfig("criteo_like", seed, 2_000, 500), "dnn", 4, 1, seed, {"hidden": (4,)}, protocol)


def without_clock(record: RunRecord) -> RunRecord:
    epochs = [{key: value for key, value in epoch.items() if key != "training_seconds"} for epoch in record.epochs]
    return dataclasses.replace(record, epochs=epochs, provenance={})


def start(store: RunStore, configs: list[RunConfig]) -> int:
    """The process id of a sweep of its own."""
    child = os.fork()
    if child == 0:
        fsync = os.fsync

        def slow_fsync(descriptor: int) -> None:
            time.sleep(WRITING)
            fsync(descriptor)

        os.fsync = slow_fsync
        sweep(configs, store, device="cpu", jobs=1)
        os._exit(0)
    return child


def ended(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG)[0] == child


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="for the records, kept; default: a temporary one")
    parser.add_argument("--csv", type=Path, help="write the counts to this file too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counts = kill(options.kills, options.seed, options.folder or Path(temporary))
    table = pd.DataFrame([counts | commit() | {"date": datetime.now(UTC).date().isoformat()}])
    print(table.T.to_string(header=False))
    if options.csv:
        table.to_csv(options.csv, index=False)
    return counts["equal"] != RUNS or counts["others"] > 0


def kill(kills_wanted: int, seed: int, folder: Path) -> dict[str, int]:
    """What was counted after so many kills."""
    torch.set_num_threads(1)  # its threads do not outlive a fork
    execute(tiny_config(), "cpu", threads=1)  # what else every fork would spend its first second on
    moments, configs = random.Random(seed), [tiny_config(seed) for seed in range(RUNS)]
    whole, store = RunStore(folder / "whole"), RunStore(folder / "killed")
    started = time.perf_counter()
    child = start(whole, configs)
    while not ended(child):
        time.sleep(0.001)
    latest = 1.5 * (time.perf_counter() - started) / RUNS
    kills = reads = there = 0
    unnamed = set()
    while kills < kills_wanted:
        child = start(store, configs)
        moment = time.perf_counter() + moments.uniform(0, latest)
        gone = False
        while time.perf_counter() < moment and not gone:
            reads += len(list(store.records()))  # each of them whole
            gone = ended(child)
            time.sleep(0.02)
        if gone:  # with all runs done: from the beginning
            shutil.rmtree(store.folder)
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        unnamed.update(store.folder.rglob(".*.tmp"))
        there = len(list(store.records()))
        # so that the kills do not end before the runs, nor the runs before the kills
        latest *= 1.25 if there * kills_wanted <= kills * RUNS else 0.7
    _, status = os.waitpid(start(store, configs), 0)
    expected, found = ([without_clock(record) for record in kind.records()] for kind in (whole, store))
    names = {f"{record.hash}.json" for record in expected}
    visible = [path.name for path in store.folder.rglob("[!.]*") if path.is_file()]
    return {
        "kills": kills,
        "records_read": reads,
        "kills_while_writing": len(unnamed),
        "records_at_last_kill": there,
        "equal": sum(a == b for a, b in zip(expected, found, strict=False)) if status == 0 else 0,
        "others": len(set(visible) - names),
    }


if __name__ == "__main__":
    sys.exit(main())
