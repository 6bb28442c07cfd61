"""Adam on embedding tables of which a step reads few rows: dense Adam's own updates, most of them deferred.

Adam with weight decay changes every row in every step, read or not, and the gradient is as large as the table. Here the
rows that a window of steps reads are trained as a small table, with Adam's moments of these rows. Afterwards the whole
table takes the window's steps one after the other with a gradient of zero, piece by piece, each piece small enough to
stay in the processor's cache meanwhile, and the trained rows are put back. Every row has the updates that dense Adam
gives it, by the same kernel and in the same order; what is saved is traffic between memory and processor. The bits are
the same too if a row has a multiple of 16 values. Otherwise, and so in tables of one column, a value can fall into the
remainder of the kernel's vectors and differ by one unit in the last place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from paper_code.models.embedding import MultiEmbedding

WINDOW = 16
"""Steps between two times that the whole table is brought up to date."""
PIECE = 1 << 17
"""Values of a table that take a window's steps at a time; with their moments and gradient 2 MiB."""
MOMENTS = ("exp_avg", "exp_avg_sq")
LARGE = 1 << 22
"""Values of a table from which on deferring pays; a smaller one mostly stays in the cache as it is."""


def is_large(model: nn.Module, device: torch.device) -> bool:
    """Whether deferring pays: on a CPU, for a model with a large embedding table."""
    return device.type == "cpu" and any(table.weight.numel() >= LARGE for table in tables_of(model))


@contextmanager
def deferred(model: nn.Module, optimizer: torch.optim.Adam, batches: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    """For the time of the block the model's embedding tables hold only the rows that the batches read.

    batches: of the coming steps, ids (batch, fields) each. Yields them as the small tables number the rows. In the
    block model and optimizer are used as ever; after it, however many steps it took, both are as if these had been
    dense.
    The tables have the same cardinalities; the optimizer is fused, and they are in its first group of parameters.
    """
    tables = tables_of(model)
    offsets = tables[0].offsets
    rows = (torch.cat(list(batches)) + offsets).long()
    is_read = torch.zeros(len(tables[0].weight), dtype=torch.bool)
    is_read[rows.flatten()] = True
    read, numbers = is_read.nonzero().flatten(), is_read.cumsum(0).sub_(1)

    group = optimizer.param_groups[0]
    of_whole = group["params"]
    whole = [table.weight for table in tables]
    small = [nn.Parameter(weight.detach().index_select(0, read)) for weight in whole]
    for table, weight, of_read in zip(tables, whole, small, strict=True):
        state = state_of(optimizer, weight)
        moments = {name: state[name].index_select(0, read) for name in MOMENTS}
        optimizer.state[of_read] = {"step": state["step"]} | moments
        table.weight, table.offsets = of_read, torch.zeros_like(offsets)
    replaced = dict(zip(whole, small, strict=True))
    group["params"] = [replaced.get(parameter, parameter) for parameter in of_whole]
    steps_before = int(optimizer.state[whole[0]]["step"])
    try:
        yield numbers.take(rows).split([len(batch) for batch in batches])
    finally:
        group["params"] = of_whole
        for table, weight, of_read in zip(tables, whole, small, strict=True):
            table.weight, table.offsets = weight, offsets
            state, trained = optimizer.state[weight], optimizer.state.pop(of_read)
            arrays = [weight.detach(), *(state[name] for name in MOMENTS)]
            take_empty_steps(group, arrays, range(steps_before, int(state["step"])))
            for array, values in zip(arrays, [of_read.detach(), *(trained[name] for name in MOMENTS)], strict=True):
                array.index_copy_(0, read, values)


def tables_of(model: nn.Module) -> list[MultiEmbedding]:
    return [module for module in model.modules() if isinstance(module, MultiEmbedding)]


def state_of(optimizer: torch.optim.Adam, parameter: Tensor) -> dict:
    """The optimizer's state of the parameter, made here if there was no step yet."""
    state = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state.update({name: torch.zeros_like(parameter.detach()) for name in MOMENTS})
    return state


def take_empty_steps(group: dict, arrays: list[Tensor], steps: range) -> None:
    """Take the steps of these numbers, from 0, with a gradient of zero, on a weight (rows, columns) and its moments.

    group: the optimizer's settings.
    """
    beta1, beta2 = group["betas"]
    options = ("lr", "weight_decay", "eps", "amsgrad", "maximize", "decoupled_weight_decay")
    pieces = [array.split(max(1, PIECE // array.shape[1])) for array in arrays]
    zero = torch.zeros_like(pieces[0][0])
    for weight, average, average_of_squares in zip(*pieces, strict=True):
        # the kernel goes through its lists in order: here the same piece, step after step
        repeated = ([array] * len(steps) for array in (weight, zero[: len(weight)], average, average_of_squares))
        counts = [torch.tensor(float(step)) for step in steps]
        adam(*repeated, [], counts, fused=True, beta1=beta1, beta2=beta2, **{name: group[name] for name in options})
