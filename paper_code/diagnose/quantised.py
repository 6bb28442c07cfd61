"""Tables of small integers with their scale and zero point beside them, as numbers: scale * (integer - zero point)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from paper_code.diagnose.arrays import Found, Stored, is_tensor, sliced
from paper_code.spectra import Matrix

INTEGERS = ("int8", "uint8")

SCALES = ("scale", "scales")
ZERO_POINTS = ("zero_point", "zero_points", "zp")
BITSANDBYTES = "SCB"
"""The largest size of the numbers of each row, which stands for 127."""


def with_scales(found: Found) -> Found:
    """The arrays, those of small integers that have a scale beside them as numbers, without the scales.

    The scale of `emb.weight` is called `emb.weight_scale`, `emb.weight.scale` or `emb.scale`, or the same with
    "scales"; likewise its zero point, if there is one. Both are single numbers, or one for each row or each column.
    The SCB of bitsandbytes is a scale too.
    """
    arrays, used = dict(found.arrays), set()
    for name, array in found.arrays.items():
        if len(array.shape) != 2 or array.dtype not in INTEGERS:
            continue
        scale, zero = (beside(name, kinds, found.arrays) for kinds in ((*SCALES, BITSANDBYTES), ZERO_POINTS))
        if scale is None:
            continue
        factor = fitting(whole(found.arrays[scale]), array.shape)
        shift = np.zeros(()) if zero is None else fitting(whole(found.arrays[zero]), array.shape)
        if factor is not None and shift is not None:
            factor = factor / 127 if scale.endswith(BITSANDBYTES) else factor
            arrays[name] = dequantised(array, factor, shift)
            used |= {scale, zero}
    return replace(found, arrays={name: array for name, array in arrays.items() if name not in used})


def beside(name: str, kinds: tuple[str, ...], arrays: Mapping[str, Stored]) -> str | None:
    """The name of the array of one of these kinds that belongs to the array of that name."""
    stem = re.sub(r"[._/]?(weight|kernel|embeddings?)$", "", name)
    names = [f"{of}{separator}{kind}" for of in (name, stem) for kind in kinds for separator in "_./"]
    return next((it for it in names if it in arrays and it != name), None)


def whole(array: Stored) -> np.ndarray:
    """The numbers of an array that is small, in float64."""
    blocks = [block.double().numpy() if is_tensor(block) else np.asarray(block) for block in array.blocks(())]
    return np.concatenate(blocks).astype(np.float64).reshape(array.shape)


def fitting(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The numbers, one for all, for each row or for each column of that shape, so that they can be multiplied with its
    rows; None if they are others. Of a square matrix they are the rows'."""
    rows, columns = shape
    if numbers.size == 1:
        return numbers.reshape(())
    if numbers.shape in ((rows,), (rows, 1)):
        return numbers.reshape(rows, 1)
    return numbers.reshape(1, columns) if numbers.shape in ((columns,), (1, columns)) else None


def dequantised(array: Stored, scale: np.ndarray, zero_point: np.ndarray) -> Stored:
    """A matrix of integers as numbers. scale, zero_point: as `fitting` gives them."""

    def blocks(index: tuple[int, ...]) -> Iterator[Matrix]:
        start = 0
        for block in array.blocks(index):
            block = block.numpy() if is_tensor(block) else block
            rows = slice(start, start := start + len(block))
            factor, shift = (it[rows] if it.ndim and len(it) > 1 else it for it in (scale, zero_point))
            yield (block.astype(np.float64) - shift) * factor

    return Stored(array.shape, f"{array.dtype}, scaled", blocks)


def quantised_tensor(tensor) -> Stored:
    """A quantised tensor of PyTorch, of which one copy of the integers is made if each row has a scale of its own."""
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.").removeprefix("q")
    shape = tuple(tensor.shape)
    if dtype not in INTEGERS or len(shape) != 2:
        return Stored(shape, f"quantised {dtype}", lambda index: iter(()))
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        scale, zero = np.full((), tensor.q_scale()), np.full((), tensor.q_zero_point())
    else:
        size = [1, 1]
        size[tensor.q_per_channel_axis()] = -1
        scale, zero = (
            it.double().numpy().reshape(size)
            for it in (tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points())
        )
    integers = Stored(shape, dtype, lambda index: sliced(tensor.int_repr()))
    return dequantised(integers, scale, zero)
