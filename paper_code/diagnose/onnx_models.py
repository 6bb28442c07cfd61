"""Models in ONNX: their initialisers; those that a node DequantizeLinear reads with its scale and zero point."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, Found, PassedOver, Stored, extra, from_bfloat16, sliced
from paper_code.diagnose.quantised import dequantised, fitting

MOST_BYTES = 1 << 29
"""Most bytes of the model's file, which is read at once; larger models keep their numbers in files of their own."""

NUMBERS = {1: ("float32", "<f4"), 10: ("float16", "<f2"), 11: ("float64", "<f8"), 16: ("bfloat16", "<u2")}
INTEGERS = {2: ("uint8", "u1"), 3: ("int8", "i1"), 6: ("int32", "<i4"), 7: ("int64", "<i8")}
"""The types of ONNX: names, and NumPy's codes."""


def read_onnx(path: Path) -> Found:
    """The initialisers by name; of those in other files beside the model the numbers are mapped."""
    onnx = extra("onnx", "onnx", f"{path}: a model in ONNX")
    if path.stat().st_size > MOST_BYTES:
        raise DiagnosisError(
            f"{path}: has {path.stat().st_size:,} bytes, at most {MOST_BYTES:,} are read at once; save it with "
            "onnx.save_model(model, path, save_as_external_data=True)"
        )
    graph = onnx.load(path, load_external_data=False).graph
    if not graph.ListFields():
        raise ValueError("it has no graph")
    found, passed_over, arrays = {}, [], {}
    for tensor in graph.initializer:
        name, shape = tensor.name, tuple(tensor.dims)
        kind, code = (NUMBERS | INTEGERS).get(tensor.data_type, (None, None))
        if kind is None:
            passed_over.append(PassedOver(name, f"numbers of the type {tensor.data_type} of ONNX"))
            continue
        arrays[name] = numbers_of(path, tensor, shape, code)
        found[name] = Stored(shape, kind, blocks_of(arrays[name], kind))
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(it in arrays for it in node.input):
            name, scale, zero = (*node.input, None)[:3]
            if len(found[name].shape) == 2:
                factor = fitting(arrays[scale], found[name].shape)
                shift = np.zeros(()) if zero is None else fitting(arrays[zero].astype(np.float64), found[name].shape)
                if factor is not None and shift is not None:
                    found[name] = dequantised(found[name], factor, shift)
    return Found(found, tuple(passed_over))


def numbers_of(path: Path, tensor: object, shape: tuple[int, ...], code: str) -> np.ndarray:
    """The numbers of a TensorProto: in it as bytes or as a list, or mapped in a file beside the model."""
    if tensor.data_location == 1:  # EXTERNAL
        there = {it.key: it.value for it in tensor.external_data}
        place = Path(there["location"])
        if place.is_absolute() or ".." in place.parts:
            raise DiagnosisError(f"{path}: names the file {there['location']!r}, expected one beside the model")
        if not (path.parent / place).is_file():
            raise DiagnosisError(f"{path}: {place} with {tensor.name} is not beside it; fetch it too")
        return np.memmap(path.parent / place, code, "r", int(there.get("offset", 0)), shape)
    if tensor.raw_data:
        return np.frombuffer(tensor.raw_data, code).reshape(shape)
    fields = {1: "float_data", 11: "double_data", 7: "int64_data"}
    numbers = np.array(getattr(tensor, fields.get(tensor.data_type, "int32_data")))
    if tensor.data_type in (10, 16):  # the bits of numbers of 16 bits, each in an integer
        return numbers.astype("<u2").view(code).reshape(shape)
    return numbers.astype(code).reshape(shape)


def blocks_of(numbers: np.ndarray, kind: str) -> Callable:
    def blocks(index: tuple[int, ...]) -> Iterator[np.ndarray]:
        for block in sliced(numbers[index]):
            yield from_bfloat16(block) if kind == "bfloat16" else block

    return blocks
