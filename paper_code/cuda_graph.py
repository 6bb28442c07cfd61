"""Training steps on a GPU, recorded once and replayed.

A step of a recommendation model is some hundred small kernels, and starting them from Python takes longer than running
them. A CUDA graph (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-graphs) starts all of them at once: the
same kernels on the same memory with the same random numbers, so the result is that of the steps one by one, bit for
bit.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

WARM_UP = 3
"""Steps before the recording: in the first, kernels are chosen and the optimizer's moments made."""
WORTH = 32
"""Steps of an epoch from which on a recording is worth its time, about that of ten steps."""


def replayed(step: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Iterator[Tensor]:
    """What `step` gives for each of the batches of row numbers, more than `WARM_UP`, in order, each training once.

    step: from the row numbers to one value, all of it on the GPU and without waiting for it, the backward pass and the
    optimizer included. The batches are of one size but for the last.
    """
    device = batches[0].device
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        results = [step(rows) for rows in batches[:WARM_UP]]
    torch.cuda.current_stream(device).wait_stream(stream)
    yield from results
    rows = batches[WARM_UP].clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        result = step(rows)
    for batch in batches[WARM_UP:]:
        if len(batch) == len(rows):
            rows.copy_(batch)
            graph.replay()
            yield result.clone()
        else:
            yield step(batch)
