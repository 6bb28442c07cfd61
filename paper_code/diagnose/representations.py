"""What every layer of a model gives for a batch, measured by forward hooks as the model runs once."""

import inspect
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, is_tensor, printable, sliced
from paper_code.diagnose.choice import problem_of_shape
from paper_code.diagnose.measures import LayerMeasures, measured
from paper_code.diagnose.report import LeftOut
from paper_code.spectra import singular_values, streamed_triangle

if TYPE_CHECKING:
    import torch
    from torch import nn

MOST_LEVELS = 8
"""Most containers within each other in what a layer gives."""


def measure_layers(model: "nn.Module", batch: object) -> tuple[list[LayerMeasures], list[LeftOut]]:
    """The measures of the output of every layer on the batch, in the order in which the layers end; and the outputs
    that were not measured, with the reason.

    batch: what the model takes: a tensor or an array; a tuple or list of arguments; or a mapping, of keyword arguments
    if the model has these, else as the one argument. Arrays become tensors on the device of the model's parameters.

    The last axis of an output has the features, all others are samples: (batch, tokens, features) has batch * tokens
    rows. In a model with convolutions over two axes or more an output of as many axes as theirs has its features, the
    channels, in the second. Outputs that a layer hands on from another count once. A layer that is called several
    times has a number from its second call on.

    The model runs without gradients in the mode of evaluation; both and its hooks are as before in the end, also if it
    fails. Raises DiagnosisError if it does, or no layer gives a matrix.
    """
    import torch
    from torch import nn

    convolutions = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    axes = {layer.weight.ndim for layer in model.modules() if isinstance(layer, convolutions)}
    found, left_out, calls, seen, problems = [], [], {}, {}, []

    def hook(name: str, kind: str):
        def measure(_module, _arguments, output: object) -> None:
            calls[name] = calls.get(name, 0) + 1
            title = name if calls[name] == 1 else f"{name} (call {calls[name]})"
            for part, tensor in tensors_in(output):
                before = seen.get(id(tensor))
                if before and before[0]() is tensor and before[1] == tensor._version:  # nor changed in place
                    continue
                seen[id(tensor)] = weakref.ref(tensor), tensor._version
                outcome = measure_output(title + part, kind, tensor, axes)
                (found if isinstance(outcome, LayerMeasures) else left_out).append(outcome)

        def guarded(*arguments: object) -> None:
            try:
                measure(*arguments)
            except Exception as error:  # of the measuring, not of the model
                problems.append(error)
                raise

        return guarded

    layers = [(name or "the model", layer) for name, layer in model.named_modules()]
    modes = [(layer, layer.training) for _, layer in layers]
    handles = [layer.register_forward_hook(hook(name, type(layer).__name__)) for name, layer in layers]
    try:
        arguments, keywords = arguments_of(model, batch)
        model.eval()
        with torch.no_grad():
            model(*arguments, **keywords)
    except DiagnosisError:
        raise
    except Exception as error:  # a model of someone else raises what it likes
        if problems:
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise DiagnosisError(
            f"{type(model).__name__} failed on the batch ({text}); expected what its forward takes, "
            f"{inspect.signature(model.forward)}: a tensor, a tuple of the arguments or a mapping of them by name"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for layer, training in modes:
            layer.training = training
    if not found:
        there = "; ".join(f"{it.name} {it.shape}: {it.reason}" for it in left_out[:8])
        raise DiagnosisError(f"{type(model).__name__}: no layer gives a matrix to measure for the batch: {there}")
    return found, left_out


def measure_output(name: str, kind: str, tensor: "torch.Tensor", axes: set[int]) -> LayerMeasures | LeftOut:
    """The measures of a tensor that a layer gives. axes: how many those have whose second axis is the channels."""
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or tensor.is_sparse:
        return LeftOut(
            name, shape, f"{str(tensor.dtype).removeprefix('torch.')}, expected dense floating-point numbers"
        )
    if tensor.ndim < 2 or not tensor.numel():
        return LeftOut(name, shape, "no matrix: one axis, or empty")
    tensor = tensor.detach()
    if tensor.ndim in axes:
        tensor = tensor.movedim(1, -1)
    matrix = tensor.reshape(-1, tensor.shape[-1])
    rows, columns = matrix.shape
    if problem := problem_of_shape(rows, columns):
        return LeftOut(name, shape, problem)
    if bad := int((~matrix.isfinite()).sum()):
        return LeftOut(name, shape, f"{bad:,} of {matrix.numel():,} numbers are not finite", faulty=True)
    triangle = np.asarray(streamed_triangle(block.double().cpu().numpy() for block in sliced(matrix)))
    values = np.asarray(singular_values(triangle))
    return LayerMeasures(
        name=name, kind=kind, singular_values=tuple(values.tolist()), **measured(values, rows, columns)
    )


def tensors_in(output: object, path: str = "", level: int = 0) -> Iterator[tuple[str, "torch.Tensor"]]:
    """The tensors in what a layer gives, with where they are in it, such as "[1]" or ".hidden"."""
    if is_tensor(output):
        yield path, output
    elif level < MOST_LEVELS and isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors_in(value, f"{path}.{printable(str(key))}", level + 1)
    elif level < MOST_LEVELS and isinstance(output, tuple | list):
        for number, value in enumerate(output):
            yield from tensors_in(value, f"{path}[{number}]", level + 1)
    elif level < MOST_LEVELS and callable(getattr(output, "to_dict", None)):  # a KeyedTensor of TorchRec
        yield from tensors_in(output.to_dict(), path, level + 1)


def arguments_of(model: "nn.Module", batch: object) -> tuple[list, dict[str, object]]:
    """The arguments by position and by name with which the model takes the batch."""
    batch = as_tensors(batch, next((it.device for it in model.parameters()), "cpu"))
    if isinstance(batch, Mapping):
        try:
            inspect.signature(model.forward).bind(**batch)
        except TypeError:
            return [batch], {}
        return [], dict(batch)
    return (list(batch), {}) if isinstance(batch, tuple | list) else ([batch], {})


def as_tensors(batch: object, device: object) -> object:
    """The batch, with its arrays as tensors on the device, in containers too."""
    import torch

    if is_tensor(batch):
        return batch.to(device)
    if isinstance(batch, np.ndarray):
        return torch.from_numpy(np.array(batch)).to(device)
    if isinstance(batch, Mapping):
        return {key: as_tensors(value, device) for key, value in batch.items()}
    if type(batch) in (tuple, list):
        return type(batch)(as_tensors(value, device) for value in batch)
    return batch
