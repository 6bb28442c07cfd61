"""Training throughput at the paper's sizes, beside an obvious loop over the embedding sets.

    python tests/benchmarks/training.py --steps 20

39 fields, 1.08 million values as in Table 2, batch 2048, random ids: a step is forward, backward and the dense Adam
update. The peer has a table, an interaction and a projection per set, of torch.nn's own layers, called in a Python
loop; both take steps in turn, so that the ratio holds when the machine's speed drifts. Each model runs in a process of
its own for its peak memory.
"""

import argparse
import multiprocessing
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

from paper_code.models import build_model
from paper_code.runs import peak_memory, processor
from paper_code.training import find_device

FIELDS, VALUES, BATCH = 39, 1_080_000, 2048
CASES = [(model, *sizes) for model in ("dnn", "dcnv2") for sizes in ((10, 1), (40, 1), (10, 4))]


class LoopOverSets(nn.Module):
    """DNN or DCNv2 with one module per set."""

    def __init__(self, model: str, embedding_size: int, num_sets: int):
        super().__init__()
        width = FIELDS * embedding_size
        layers = 4 if model == "dcnv2" else 0
        self.register_buffer("offsets", torch.arange(FIELDS) * (VALUES // FIELDS))
        self.tables = nn.ModuleList(nn.Embedding(VALUES, embedding_size) for _ in range(num_sets))
        self.cross = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, width) for _ in range(layers)) for _ in range(num_sets)
        )
        self.projections = nn.ModuleList(hidden_block(width, 400) for _ in range(num_sets))
        self.mlp = nn.Sequential(hidden_block(400, 400), nn.Linear(400, 1))

    def forward(self, ids):
        projected = []
        for table, layers, projection in zip(self.tables, self.cross, self.projections, strict=True):
            x0 = x = table(ids + self.offsets).flatten(1)
            for layer in layers:
                x = x0 * layer(x) + x
            projected.append(projection(x))
        return self.mlp(torch.stack(projected).mean(0)).flatten()


def hidden_block(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU(), nn.Dropout(0.2))


def stepper(model: nn.Module, device: torch.device):
    """A function that trains one step and returns its seconds."""
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-6, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> float:
        ids = torch.randint(VALUES // FIELDS, (BATCH, FIELDS), generator=generator).to(device)
        labels = torch.randint(2, (BATCH,), generator=generator).float().to(device)
        started = time.perf_counter()
        loss = F.binary_cross_entropy_with_logits(model(ids), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        return time.perf_counter() - started

    return step


def build(case: tuple[str, int, int]) -> nn.Module:
    model, size, sets = case
    cardinalities = [VALUES // FIELDS] * (FIELDS - 1) + [VALUES - VALUES // FIELDS * (FIELDS - 1)]
    return build_model(model, cardinalities, size, sets)


def measure_memory(case, device: str) -> int:
    """MiB of the process (CPU) or the device after a few steps of our model alone."""
    found = find_device(device)
    step = stepper(build(case), found)
    for _ in range(3):
        step()
    return round((torch.cuda.max_memory_allocated(found) if found.type == "cuda" else peak_memory()) / 2**20)


def measure_speed(case, device: str, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of each step, ours and the peer's, in turn."""
    found = find_device(device)
    ours, peer = stepper(build(case), found), stepper(LoopOverSets(*case), found)
    for _ in range(3):
        ours(), peer()
    pairs = [(ours(), peer()) for _ in range(steps)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    hardware = torch.cuda.get_device_name() if find_device(options.device).type == "cuda" else processor()
    print(f"{hardware}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads; {options.steps} steps each")
    print(f"{'model':<8}{'K':>4}{'sets':>6}{'samples/s':>12}{'loop/ours (median, min to max)':>34}{'peak MiB':>10}")
    for case in CASES:
        # a fresh process each: memory of one model does not count for the next
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            memory = pool.apply(measure_memory, (case, options.device))
            ours, peer = pool.apply(measure_speed, (case, options.device, options.steps))
        ratios = [b / a for a, b in zip(ours, peer, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        model, size, sets = case
        print(f"{model:<8}{size:>4}{sets:>6}{BATCH / statistics.median(ours):>12,.0f}{spread:>34}{memory:>10,}")


if __name__ == "__main__":
    main()
