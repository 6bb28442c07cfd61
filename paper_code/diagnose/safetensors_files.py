"""Files of safetensors: the library checks what they declare, NumPy reads the numbers, also of types that it lacks."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors import safe_open

from paper_code.diagnose.arrays import Found, PassedOver, Stored, from_bfloat16, rows_in_file


def float8(exponent_bits: int, bias: int, *not_finite: int) -> np.ndarray:
    """The number of every byte (256,) as a floating-point number of 8 bits, in float32; not_finite: the bytes that
    stand for none."""
    mantissa_bits = 7 - exponent_bits
    exponent, mantissa = np.divmod(np.arange(128), 1 << mantissa_bits)
    significand = mantissa / (1 << mantissa_bits) + (exponent > 0)
    positive = np.ldexp(significand, np.maximum(exponent, 1) - bias)
    numbers = np.concatenate([positive, -positive]).astype(np.float32)
    numbers[list(not_finite)] = np.nan
    return numbers


FLOAT8 = {
    "float8_e4m3fn": float8(4, 7, 0x7F, 0xFF),
    "float8_e5m2": float8(5, 15, *range(0x7C, 0x80), *range(0xFC, 0x100)),
    "float8_e4m3fnuz": float8(4, 8, 0x80),
    "float8_e5m2fnuz": float8(5, 16, 0x80),
}

TYPES = {
    **{"F16": ("float16", "<f2"), "BF16": ("bfloat16", "<u2"), "F32": ("float32", "<f4"), "F64": ("float64", "<f8")},
    **{"F8_E4M3": ("float8_e4m3fn", "u1"), "F8_E5M2": ("float8_e5m2", "u1")},
    **{"F8_E4M3FNUZ": ("float8_e4m3fnuz", "u1"), "F8_E5M2FNUZ": ("float8_e5m2fnuz", "u1")},
    **{"I8": ("int8", "i1"), "U8": ("uint8", "u1"), "BOOL": ("bool", "?")},
    **{f"{it}{8 * size}": (f"{it}{8 * size}".lower(), f"<{it}{size}".lower()) for it in "IU" for size in (2, 4, 8)},
}
"""The types of safetensors: names, and NumPy's codes of the numbers or their bits."""


def read_safetensors(path: Path) -> Found:
    with safe_open(path, framework="np"):
        pass  # it raises an error unless header, sizes and places fit the file
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    found = {}
    for name, part in header.items():
        if name != "__metadata__":
            shape, kind = tuple(part["shape"]), part["dtype"]
            dtype, code = TYPES.get(kind, (kind.lower(), None))
            start = 8 + size + part["data_offsets"][0]
            blocks = blocks_of(path, start, shape, dtype, np.dtype(code)) if code else lambda index: iter(())
            found[name] = Stored(shape, dtype, blocks)
    return Found(found, other_shards(path))


def blocks_of(path: Path, start: int, shape: tuple[int, ...], dtype: str, code: np.dtype) -> Callable:
    def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
        for block in rows_in_file(path, start, code, shape, index):
            yield from_bfloat16(block) if dtype == "bfloat16" else FLOAT8[dtype][block] if dtype in FLOAT8 else block

    return blocks


def other_shards(path: Path) -> tuple[PassedOver, ...]:
    """The shards beside this one, by its name: model-00001-of-00002.safetensors."""
    parts = re.fullmatch(r"(.*-)(\d{5})(-of-\d{5}\..*)", path.name)
    if not parts:
        return ()
    others = sorted(it for it in path.parent.glob("*-of-*") if it.name.startswith(parts[1]) and it.name != path.name)
    return tuple(PassedOver(it.name, "another of the shards") for it in others if it.name.endswith(parts[3]))
