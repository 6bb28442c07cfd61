"""What a training step takes at the least, by rates measured on this machine: two floors, in seconds.

Dense: the matrix products of forward and backward at the rate of square float32 products, and the memory traffic of a
dense Adam step at the rate of a copy. That step, which the paper's protocol asks for, reads and writes the weight and
two moments of every parameter and reads its gradient.
Deferred: the same products, and Adam's updates of all parameters at the rate that the fused kernel has on data in the
cache. Deferring the updates of rows that are not read saves their traffic, but not the updates: a step that defers can
be below the dense floor, not below this one.
Neither counts what else a step does: gathering embeddings, adding up their gradients, normalisation, activations.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.adam import adam
from torch.utils.flop_counter import FlopCounterMode

from paper_code.models import build_model

ADAM_BYTES = 28  # a parameter: float32 weight and two moments read and written, gradient read
COPY_VALUES = 1 << 28  # 1 GiB, beyond every cache
REPEATS = 5


class Rates(NamedTuple):
    """Floating-point operations and bytes a second; seconds of Adam's update of one value in the cache."""

    flops: float
    bytes: float
    update: float


def measure_rates(device: torch.device) -> Rates:
    sizes, values = ((4096, 8192), 1 << 21) if device.type == "cuda" else ((1024, 2048), 1 << 17)
    return Rates(max(product_rate(size, device) for size in sizes), copy_rate(device), update_seconds(values, device))


def product_rate(size: int, device: torch.device) -> float:
    a, b, out = (torch.ones(size, size, device=device) for _ in range(3))
    return 2 * size**3 / least_seconds(lambda: torch.mm(a, b, out=out), device)


def copy_rate(device: torch.device) -> float:
    source, target = (torch.ones(COPY_VALUES, device=device) for _ in range(2))
    return 2 * source.nbytes / least_seconds(lambda: target.copy_(source), device)


def update_seconds(values: int, device: torch.device, updates: int = 100) -> float:
    """Of one value, of so many that they stay in the cache: weight, gradient and two moments."""
    lists = [[torch.ones(values, device=device)] * updates for _ in range(4)]
    counts = list(torch.ones(updates, device=device).unbind())
    options = {"beta1": 0.9, "beta2": 0.999, "lr": 1e-3, "weight_decay": 1e-6, "eps": 1e-8}
    options |= {"fused": True, "amsgrad": False, "maximize": False}
    return least_seconds(lambda: adam(*lists, [], counts, **options), device) / (values * updates)


def least_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The fastest of some repeats, after one untimed."""
    found = []
    for _ in range(REPEATS + 1):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - started)
    return min(found[1:])


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_flops(model: str, cardinalities: list[int], embedding_size: int, num_sets: int, batch: int) -> int:
    """Floating-point operations of the matrix products of our step, forward and backward."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:  # no memory, nothing computed
        built = build_model(model, cardinalities, embedding_size, num_sets)
        logits = built(torch.zeros(batch, len(cardinalities), dtype=torch.int32))
        binary_cross_entropy_with_logits(logits, torch.zeros(batch)).backward()
    return counter.get_total_flops()


def floors(flops: int, parameters: int, rates: Rates) -> tuple[float, float]:
    """Seconds of a step at the least: dense, and deferred."""
    products = flops / rates.flops
    return products + ADAM_BYTES * parameters / rates.bytes, products + parameters * rates.update
