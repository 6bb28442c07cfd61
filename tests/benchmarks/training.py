"""Training throughput and peak memory of every model at the paper's sizes, beside other people's code.

    make bench
    python tests/benchmarks/training.py --models dnn,dcnv2 --scales 1,10 --csv speed.csv

39 fields and 1.08 million values as Criteo's (Table 2) or 22 and 2.02 million as Avazu's, batch 2048, the paper's
hidden sizes. The ids are skewed as in a real log: value floor(D^u) - 1 of a field of D values, u uniform on [0, 1), so
that value k has a share of about 1/k.
Scale s above 1 has two cases: one embedding set of s times the base size, and s sets of the base size. FFM and FM have
one set, and only scale 1.

Ours is timed through `paper_code.training.fitting.Trainer`, which is what `fit` runs, and with its process settings
but not its deterministic algorithms. Beside it train

    dense           ours with nothing deferred (`paper_code.training.deferral`), where it else is
    loop            each model as one would write it first, with a Python loop over the sets (`peers`)
    deepctr-torch   the models with one set that DeepCTR-Torch has (`peers_deepctr_torch`)
    fuxictr         the models with one set that FuxiCTR has (`peers_fuxictr`)

on the same ids and labels, by steps of forward, binary cross entropy, backward and dense Adam with weight decay; their
data loaders and the preparation of their inputs are not timed. Before anything is timed, each must have as many
parameters as ours, but for differences that are printed, and the loop in miniature the same logits.

All take turns in one process, so that the ratios hold when the machine's speed drifts: in every round each trains some
seconds, but ours 32 or 16 steps where that is affordable, on a GPU 256, since some of its work is done once for several
steps. A ratio is the time of a participant's step over that of ours in the same round. Peak memory is the most that a
participant needs at a time, beyond what the process holds without it; on a GPU, of the device's.

Beside each case stand the floors of `roofline`, from rates measured in the same run. "floor" is that of the paper's
step done densely, which ours, deferring updates, can undercut; "deferred" that of a step that defers them.
"""

import argparse
import gc
import importlib
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

import pandas as pd
import torch
from roofline import Rates, count_flops, floors, measure_rates, wait
from torch import Tensor, nn
from tqdm import tqdm

from paper_code.chapters.models import paper_cardinalities
from paper_code.models import MODEL_LABELS, MODELS, base_embedding_size, build_model
from paper_code.published import STATISTICS
from paper_code.runs.machine import peak_memory, processor, reset_peak_memory
from paper_code.training import deferral
from paper_code.training.config import TrainingConfig
from paper_code.training.fitting import Trainer, make_optimizer
from paper_code.training.process import find_device, set_up_process

BATCH, BATCHES = 2048, 32
OURS_STEPS = {32: 3, 16: 8}  # in a round, where they take less than so many times its seconds
FEW_STEPS = 4  # where even 16 do not
GPU_STEPS = 256  # there always, since ours records its step first, as in every epoch of thousands
TOGETHER = 16e9  # bytes of all models of a case with gradients and moments, above which they are not timed in turn
PEERS = {"loop": "peers", "deepctr-torch": "peers_deepctr_torch", "fuxictr": "peers_fuxictr"}
OURS = ("ours", "dense")
PARTICIPANTS = (*OURS, *PEERS)


class Case(NamedTuple):
    """dataset: whose numbers of fields and values it has, Criteo's or Avazu's."""

    model: str
    embedding_size: int
    num_sets: int
    dataset: str

    @property
    def sizes(self) -> tuple[tuple[int, ...], int, int]:
        """Cardinalities, embedding size and number of sets, which every builder takes after the name of the model."""
        return paper_cardinalities(self.dataset), self.embedding_size, self.num_sets

    @property
    def fields(self) -> int:
        return len(self.sizes[0])


class Timing(NamedTuple):
    """Seconds of a step in every round, steps of a round, peak bytes."""

    seconds: list[float]
    steps: int
    peak: int


def count_parameters(case: Case, name: str) -> int:
    with torch.device("meta"):  # no memory
        model = builder(name)(case.model, *case.sizes)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def check_parameters(case: Case, parameters: dict[str, int]) -> None:
    """AssertionError if a participant's parameters are not ours but for the stated difference, which is printed."""
    for name, count in parameters.items():
        stated, reason = (
            (0, "") if name in OURS else peer(name).more_parameters(case.model, case.fields, case.embedding_size)
        )
        difference = count - parameters["ours"]
        assert difference == stated, f"{case}: {name} has {difference:+,} parameters beside ours, not {stated:+,}"
        if stated:
            print(f"{MODEL_LABELS[case.model]}, K = {case.embedding_size}: {name} has {stated:+,} parameters: {reason}")


def check_loop(case: Case) -> None:
    """AssertionError if the logits of a miniature of the loop are not ours."""
    cardinalities, size = [3, 7, 5, 4, 6], 8
    ours, loop = (
        build(case.model, cardinalities, size, min(case.num_sets, 3)).double().eval()
        for build in (builder("ours"), builder("loop"))
    )
    # with one number for all weights and one for all biases, the two layouts need not be matched; only the tables have
    # random numbers, each some columns of ours
    torch.manual_seed(0)
    for model in (ours, loop):
        for name, parameter in model.named_parameters():
            nn.init.constant_(parameter, 0.1 if name.endswith("bias") else 0.5)
    columns = nn.init.normal_(ours.embedding.weight).split(loop.tables[0].embedding_dim, dim=1)
    for table, weight in zip(loop.tables, columns, strict=True):
        table.weight.data.copy_(weight)
    ids = torch.stack([torch.randint(d, (64,)) for d in cardinalities], dim=1)
    message = f"{case}: the logits of the loop in miniature are not ours"
    torch.testing.assert_close(loop(ids), ours(ids), rtol=1e-10, atol=1e-10, msg=message)


def peer(name: str) -> ModuleType:
    return importlib.import_module(PEERS[name])


def builder(name: str) -> Callable[..., nn.Module]:
    return build_model if name in OURS else peer(name).build


def participants(case: Case, wanted: list[str], device: torch.device) -> list[str]:
    with torch.device("meta"):  # no memory
        there = {"ours": True, "dense": deferral.is_large(build_model(case.model, *case.sizes), device)}
    return [name for name in wanted if there.get(name, name in PEERS and peer(name).has(case.model, case.num_sets))]


def skewed_log(dataset: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (rows, fields) int32 and labels (rows,) of the batches of a round, see above."""
    generator = torch.Generator().manual_seed(0)
    cardinalities = torch.tensor(paper_cardinalities(dataset), dtype=torch.float64)
    uniform = torch.rand(BATCHES * BATCH, len(cardinalities), generator=generator, dtype=torch.float64)
    ids = (cardinalities**uniform).int() - 1
    labels = torch.randint(2, (BATCHES * BATCH,), generator=generator).float()
    return ids.to(device), labels.to(device)


def trainer(name: str, case: Case, ids: Tensor, labels: Tensor) -> Callable[[int], None]:
    """A function that trains the participant the given number of steps."""
    device = ids.device
    with device:
        model = builder(name)(case.model, *case.sizes).train().to(device)
    if name in OURS:
        optimizer = make_optimizer(model, None, TrainingConfig())
        batches = torch.arange(len(ids), device=device).split(BATCH) * (GPU_STEPS // BATCHES)
        with patch.object(deferral, "LARGE", deferral.LARGE if name == "ours" else math.inf):
            ours = Trainer(model, None, optimizer, ids, labels, device, TrainingConfig())

        def train_ours(steps: int) -> None:
            ours.train(batches[:steps], tqdm(disable=True))

        return train_ours
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, weight_decay=1e-6, fused=peer(name).FUSED)
    loss = peer(name).loss
    prepared = [peer(name).prepare(batch) for batch in ids.split(BATCH)]
    labels_of_batches = labels.split(BATCH)

    def train(steps: int) -> None:
        for inputs, of_batch in zip(prepared[:steps], labels_of_batches, strict=False):
            loss_of_batch = loss(model(inputs), of_batch)
            optimizer.zero_grad()
            loss_of_batch.backward()
            optimizer.step()

    return train


def measure(case: Case, names: list[str], device: torch.device, rounds: int, seconds: float) -> list[Timing]:
    """The timing of each of the participants, in turn; seconds: about what a participant trains in a round."""
    set_up_process(device)  # as `paper_code.training.fitting.fit`, for all
    ids, labels = skewed_log(case.dataset, device)
    trainers, steps, peaks = [], [], []
    for name in names:
        builder(name)  # what it imports is not part of its memory
        reset_peak_memory()
        before = peak_bytes(device)
        train = trainer(name, case, ids, labels)
        time_steps(train, 1, device)
        if name == "ours":
            count = affordable_steps(train, seconds, device)
            # the peak of memory, on a GPU with the recording's
            time_steps(train, count if device.type == "cuda" else min(count, *OURS_STEPS), device)
        else:
            a_step = time_steps(train, 1, device)  # with gradients, moments and activations at once: the peak of memory
            count = max(1, min(BATCHES, int(seconds / a_step)))
        trainers.append(train)
        steps.append(count)
        peaks.append(peak_bytes(device) - before)
    for train in trainers:
        time_steps(train, 1, device)  # gets anew what `reset_peak_memory` gave back
    turns = [
        [time_steps(train, count, device) for train, count in zip(trainers, steps, strict=True)] for _ in range(rounds)
    ]
    return [Timing(list(times), *rest) for times, *rest in zip(zip(*turns, strict=True), steps, peaks, strict=True)]


def affordable_steps(train: Callable[[int], None], seconds: float, device: torch.device) -> int:
    """How many steps ours takes in a round, on a CPU from the time of two and of four."""
    if device.type == "cuda":
        return GPU_STEPS
    two, four = (steps * time_steps(train, steps, device) for steps in (2, 4))
    a_step = (four - two) / 2  # without what is done once for several
    return next((n for n, times in OURS_STEPS.items() if four + (n - 4) * a_step < times * seconds), FEW_STEPS)


def time_steps(train: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Seconds of a step, on average."""
    wait(device)
    started = time.perf_counter()
    train(steps)
    wait(device)
    return (time.perf_counter() - started) / steps


def peak_bytes(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()


def isolated(device: torch.device, function: Callable, *arguments):
    """The function's result, with memory that was empty before. For a CPU's, which is counted by process, in one of its
    own; a GPU counts what PyTorch takes, so that none need be started."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        return function(*arguments)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()  # an error, not a wait, if the process runs out of memory


def compare(case: Case, parameters: dict[str, int], rates: Rates, device: torch.device, *how) -> list[dict]:
    """A row of the table for every participant, whose parameters these are; how: as `measure`."""
    names = list(parameters)
    in_turn = sum(parameters.values()) * 4 * 4 < TOGETHER  # weight, gradient and two moments; float32
    if in_turn:
        timings = isolated(device, measure, case, names, device, *how)
    else:
        timings = [isolated(device, measure, case, [name], device, *how)[0] for name in names]
    flops = count_flops(case.model, *case.sizes, BATCH)
    floor, deferred_floor = floors(flops, parameters["ours"], rates)
    rows = []
    for name, timing in zip(names, timings, strict=True):
        ratios = [theirs / ours for theirs, ours in zip(timing.seconds, timings[0].seconds, strict=True)]
        seconds = statistics.median(timing.seconds)
        rows.append(
            {
                "dataset": case.dataset,
                "model": case.model,
                "embedding": "SE" if case.num_sets == 1 else "ME",
                "scale": case.num_sets * case.embedding_size // base_embedding_size(case.model, case.fields),
                "embedding_size": case.embedding_size,
                "num_sets": case.num_sets,
                "parameters": parameters[name],
                "participant": name,
                "seconds_per_step": float(f"{seconds:.4g}"),
                "samples_per_second": round(BATCH / seconds, 1),
                "ratio_median": round(statistics.median(ratios), 3),
                "ratio_min": round(min(ratios), 3),
                "ratio_max": round(max(ratios), 3),
                "peak_mib": round(timing.peak / 2**20),
                "gflop": round(flops / 1e9, 3),
                "floor_seconds": float(f"{floor:.4g}"),
                "deferred_floor_seconds": float(f"{deferred_floor:.4g}"),
                "steps": timing.steps,
                "in_turn": in_turn,
            }
        )
    return rows


def line(row: dict) -> str:
    """A row as it is printed."""
    case = f"{MODEL_LABELS[row['model']]:<10}{row['embedding_size']:>5}{row['num_sets']:>6}"
    spread = "{ratio_median:.2f} ({ratio_min:.2f} to {ratio_max:.2f})".format(**row) + " *"[not row["in_turn"]]
    over = [row["seconds_per_step"] / row[floor] for floor in ("floor_seconds", "deferred_floor_seconds")]
    case = case if row["participant"] == "ours" else ""
    return (
        f"{case:<21}  {row['participant']:<14}{row['samples_per_second']:>10,.0f}"
        f"{spread:>26}{over[0]:>9.2f}{over[1]:>10.2f}{row['peak_mib']:>10,}"
    )


def cases(models: list[str], scales: list[int], dataset: str) -> list[Case]:
    found = []
    for model in models:
        size = base_embedding_size(model, len(paper_cardinalities(dataset)))
        for scale in scales:
            if scale == 1:
                found.append(Case(model, size, 1, dataset))
            elif not MODELS[model].factorization_machine:
                found += [Case(model, size * scale, 1, dataset), Case(model, size, scale, dataset)]
    return found


def setting_of(device: torch.device) -> dict[str, str | int]:
    """Where, with what and when it was measured."""
    return {
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "device": device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="default: %(default)s")
    parser.add_argument("--scales", default="1,10", help="default: %(default)s")
    parser.add_argument("--dataset", default="Criteo", choices=STATISTICS, help="default: %(default)s")
    parser.add_argument("--participants", default=",".join(PARTICIPANTS), help="ours and others; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3, help="of each in a round, about; default: %(default)s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--csv", type=Path, help="write the rows to this file too, in place of what it holds")
    options = parser.parse_args()
    models, scales = options.models.split(","), [int(scale) for scale in options.scales.split(",")]
    wanted = options.participants.split(",")
    if unknown := set(models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; the models are {', '.join(MODELS)}")
    if wanted[0] != "ours" or (unknown := set(wanted) - set(PARTICIPANTS)):
        parser.error(f"participants {options.participants}: expected ours first, then some of {', '.join(PEERS)}")
    if min(scales) < 1 or options.rounds < 1 or not options.seconds > 0:
        parser.error("scales and rounds are whole numbers of at least 1, seconds a positive number")
    for name in ("deepctr-torch", "fuxictr"):
        if name in wanted and find_spec(name.replace("-", "_")) is None:
            wanted.remove(name)
            print(f"{name} is not installed, so it is left out: pip install -e '.[bench]'")

    parameters, device = {}, find_device(options.device)
    for case in cases(models, scales, options.dataset):
        parameters[case] = {name: count_parameters(case, name) for name in participants(case, wanted, device)}
        check_parameters(case, parameters[case])
        check_loop(case)
    rates = isolated(device, measure_rates, device)
    setting = setting_of(device) | {"rounds": options.rounds}
    print("{hardware}; PyTorch {torch}, {threads} threads; {rounds} rounds".format(**setting))
    print(
        f"products {rates.flops / 1e9:,.0f} GFLOP/s; copy {rates.bytes / 1e9:,.1f} GB/s, read and written; "
        f"fused Adam in the cache {rates.update * 1e9:.3f} ns a value"
    )
    print(
        f"{'model':<10}{'K':>5}{'sets':>6}  {'':<14}{'samples/s':>10}{'time over that of ours':>26}{'/ floor':>9}"
        f"{'/ deferred':>10}{'peak MiB':>10}"
    )
    rows = []
    for case, of_case in parameters.items():
        for row in compare(case, of_case, rates, device, options.rounds, options.seconds):
            print(line(row), flush=True)
            rows.append(row | setting)
        if options.csv:
            options.csv.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(options.csv, index=False)
    if not all(row["in_turn"] for row in rows):
        print("* too large for one process: one after the other; a drift of the machine's speed is in the ratio")


if __name__ == "__main__":
    main()
