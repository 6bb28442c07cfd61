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
"""Batches at once from which on a recording is worth its time, about that of ten steps."""


class Recording:
    """A step that is recorded when it is first asked for more than `WARM_UP` batches, and replayed from then on.

    step: from the row numbers of a batch to one value, all of it on the GPU and without waiting for it, the backward
    pass and the optimizer included.
    """

    def __init__(self, step: Callable[[Tensor], Tensor]):
        self.step, self.graph = step, None

    def __call__(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """What the step gives for each of the batches, in order, each training once. The batches are of one size but
        for the last."""
        if self.graph is None:
            yield from self.warm_up(batches[:WARM_UP])
            batches = batches[WARM_UP:]
            self.record(batches[0])
        for batch in batches:
            if len(batch) == len(self.rows):
                self.rows.copy_(batch)
                self.graph.replay()
                yield self.result.clone()
            else:
                yield self.step(batch)

    def warm_up(self, batches: Sequence[Tensor]) -> list[Tensor]:
        device = batches[0].device
        self.stream = torch.cuda.Stream(device)
        self.stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self.stream):
            results = [self.step(rows) for rows in batches]
        torch.cuda.current_stream(device).wait_stream(self.stream)
        return results

    def record(self, batch: Tensor) -> None:
        self.rows, self.graph = batch.clone(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.result = self.step(self.rows)
