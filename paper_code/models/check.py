"""Does an interaction keep the rules that those of the paper's models keep? `check_model(MyInteraction)` tells."""

import inspect
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

BATCH = 6
ROUNDING = 1e-9
"""Outputs in float64 are the same if they differ by no more than this, as a share of the largest and of 1."""


class CheckFailed(ValueError):
    """An interaction breaks a rule; the message says which, with numbers."""


class Report(NamedTuple):
    """What `check_model` found of an interaction that passed; `print` shows it.

    parameters: of one set. checks: what was asked -> what holds.
    """

    interaction: str
    out_features: int | tuple[int, ...]
    parameters: int
    checks: dict[str, str]

    def __str__(self) -> str:
        head = f"{self.interaction}: out_features {self.out_features}, {self.parameters:,} parameters a set; it passes"
        width = max(map(len, self.checks))
        return "\n".join([head, *(f"  {name:{width}}  {holds}" for name, holds in self.checks.items())])


class Case(NamedTuple):
    """An interaction class and the sizes that it is checked at."""

    interaction: type[nn.Module]
    num_fields: int
    embedding_size: int
    num_sets: int
    shared: Collection[str]
    options: dict

    def build(self, num_sets: int, seed: int = 0) -> nn.Module:
        """As `build_model` does, in float64."""
        torch.manual_seed(seed)
        return self.interaction(num_sets, self.num_fields, self.embedding_size, **self.options).double()

    def trained(self, num_sets: int) -> nn.Module:
        """In evaluation mode, its parameters away from special values such as zero, its running statistics set."""
        model, generator = self.build(num_sets), torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        combined(model, self.embeddings(2, num_sets))
        return model.eval()

    def embeddings(self, seed: int, num_sets: int | None = None) -> Tensor:
        """(batch, sets, fields, size), standard normal."""
        shape = (BATCH, num_sets or self.num_sets, self.num_fields, self.embedding_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check_model(
    interaction: type[nn.Module],
    *,
    num_fields: int = 4,
    embedding_size: int = 12,
    num_sets: int = 3,
    shared: Collection[str] = (),
    **options,
) -> Report:
    """Ask of an interaction class what every interaction of `paper_code.models` keeps; in seconds, on random numbers.

    - options: it is made by (num_sets, num_fields, embedding_size), all else is keyword-only and has a default.
    - shape: (batch, sets, fields, size) -> (batch, sets, out_features), or a tuple of these if out_features is one.
    - seed: PyTorch's random state decides weights and outputs; in evaluation mode nothing is random.
    - parameters: every parameter has one axis on which M sets have M times as much as one; so M sets have M times
      the parameters of one, besides those named in `shared`.
    - set axis: the output of a set does not change with the embeddings of another, in training mode either.
    - loop over sets: the output of every set is that of an interaction of one set with its part of the weights. On
      their axis the sets' parts follow one another.
    - shared interaction: an interaction of one set that is given M sets treats each as if it came alone.
    - rows: in evaluation mode a row's output does not depend on the other rows nor on its place among them.
    - gradients: they are finite for every parameter and embedding, and in evaluation mode none is zero throughout.
    - switch_off: after it, if the class has one, the output is a sum over the fields; before, it is not.

    That a permutation of the fields with their weights changes nothing is not asked, as only the class knows which axes
    of its weights are fields; `tests/models/test_equations.py` asks it of the paper's models.

    num_fields, embedding_size, num_sets: N, K and M to check at. shared: names of parameters that all sets are meant to
    share. options: of the interaction.
    Raises CheckFailed, a ValueError, at the first rule that is broken; ValueError for sizes too small to tell; and
    whatever the class itself raises, with a note on what was asked.

    Example: `print(check_model(CrossNetwork, cross_layers=2))`.
    """
    sizes = {"num_fields": num_fields, "embedding_size": embedding_size, "num_sets": num_sets}
    for name, least in {"num_fields": 2, "embedding_size": 1, "num_sets": 2}.items():
        if sizes[name] < least:
            raise ValueError(f"{name} is {sizes[name]}, expected at least {least} to check an interaction")
    case = Case(interaction, **sizes, shared=shared, options=options)
    holds = {}
    with torch.random.fork_rng(devices=[]):
        for name, check in CHECKS.items():
            try:
                holds[name] = check(case)
            except CheckFailed as failure:
                raise CheckFailed(f"{interaction.__name__}: {name}: {failure}") from None
            except Exception as error:
                error.add_note(f"{interaction.__name__}: {name}: raised in check_model, with {sizes | options}")
                raise
        one = case.build(1)
    return Report(interaction.__name__, one.out_features, sum(p.numel() for p in one.parameters()), holds)


def check_options(case: Case) -> str:
    further = list(inspect.signature(case.interaction).parameters.values())[3:]
    if wrong := [p.name for p in further if p.kind is not p.KEYWORD_ONLY or p.default is p.empty]:
        raise CheckFailed(
            f"{', '.join(wrong)} of __init__ is not an option; expected __init__(self, num_sets, num_fields, "
            "embedding_size, *, ...), with a default for all after the asterisk"
        )
    return ", ".join(f"{p.name}={case.options.get(p.name, p.default)!r}" for p in further) or "none"


def check_shape(case: Case) -> str:
    for num_sets in (1, case.num_sets):
        model, embeddings = case.build(num_sets), case.embeddings(0, num_sets)
        if not hasattr(model, "out_features"):
            raise CheckFailed("it has no out_features; expected the size of its output, which the head reads")
        sizes = model.out_features
        found = model(embeddings)
        expected = [(BATCH, num_sets, size) for size in (sizes if isinstance(sizes, tuple) else (sizes,))]
        shapes = [tuple(part.shape) for part in (found if isinstance(found, tuple) else (found,))]
        if shapes != expected or isinstance(found, tuple) != isinstance(sizes, tuple):
            raise CheckFailed(
                f"of embeddings {tuple(embeddings.shape)} the output is {', '.join(map(str, shapes))}, expected "
                f"{', '.join(map(str, expected))}: (batch, sets, out_features), with out_features={sizes}"
            )
    return f"{tuple(embeddings.shape)} -> {', '.join(map(str, shapes))}"


def check_seed(case: Case) -> str:
    models = [case.build(case.num_sets) for _ in range(2)]
    for (name, found), expected in zip(models[1].named_parameters(), models[0].parameters(), strict=True):
        compare(found.data, expected.data, f"built again from the same seed, parameter {name!r} differs")
    outputs = []
    for model in models:
        torch.manual_seed(1)
        outputs.append(combined(model, case.embeddings(0)))
    compare(outputs[1], outputs[0], "computed again from the same seed, the output in training mode differs")
    model = case.trained(case.num_sets)
    first, again = (combined(model, case.embeddings(0)) for _ in range(2))
    compare(again, first, "computed again, the output in evaluation mode differs")
    return "the same weights and outputs again"


def check_parameters(case: Case) -> str:
    models = case.build(1), case.build(case.num_sets)
    one, several = (model.state_dict() for model in models)
    if one.keys() != several.keys():
        names = ", ".join(sorted(one.keys() ^ several.keys()))
        raise CheckFailed(
            f"either one set or {case.num_sets} sets have no {names}; expected the same names with both, each with an "
            "axis for the sets, as SetLinear has"
        )
    parameters = dict(models[0].named_parameters())
    if unknown := sorted(set(case.shared) - parameters.keys()):
        raise CheckFailed(f"shared names {', '.join(unknown)}; its parameters are {', '.join(parameters) or 'none'}")
    for name, of_several in several.items():
        shapes = tuple(of_several.shape), tuple(one[name].shape)
        found = f"{name} has shape {shapes[0]} with {case.num_sets} sets and {shapes[1]} with one"
        expected = f"expected one axis to be {case.num_sets} times as long"
        if shapes[0] == shapes[1]:
            if name in parameters and name not in case.shared:
                raise CheckFailed(
                    f"{found}; {expected}, or check_model(..., shared=[{name!r}]) if all sets are to share it"
                )
        elif name in case.shared or set_axis(one[name], of_several, case.num_sets) is None:
            raise CheckFailed(f"{found}; {'it is not shared' if name in case.shared else expected}")
    shared = sum(parameters[name].numel() for name in case.shared)
    own = sum(parameter.numel() for parameter in parameters.values()) - shared
    found = sum(parameter.numel() for parameter in models[1].parameters())
    return f"{found:,} = {case.num_sets} x {own:,}" + (f" + {shared:,} that all sets share" if shared else "")


def check_set_axis(case: Case) -> str:
    model = case.trained(case.num_sets).train()
    embeddings, others = case.embeddings(0), case.embeddings(1)

    def output(embeddings: Tensor) -> Tensor:
        torch.manual_seed(0)
        return combined(model, embeddings)

    for m in range(case.num_sets):
        changed = others.clone()
        changed[:, m] = embeddings[:, m]
        found, expected = (output(given)[:, m : m + 1] for given in (changed, embeddings))
        compare(found, expected, f"with other embeddings in the other sets, the output of set {m} differs")
    return f"each of {case.num_sets} sets answers to its own embeddings alone"


def check_loop_over_sets(case: Case) -> str:
    several, embeddings = case.trained(case.num_sets), case.embeddings(0)
    state, output = several.state_dict(), combined(several, embeddings)
    largest = 0.0
    for m in range(case.num_sets):
        single = case.build(1).eval()
        for name, part in single.state_dict().items():
            axis = set_axis(part, state[name], case.num_sets)
            part.copy_(state[name] if axis is None else state[name].chunk(case.num_sets, dim=axis)[m])
        expected = combined(single, embeddings[:, m : m + 1])
        what = f"from an interaction of one set with the weights of set {m}, the output of set {m} differs"
        largest = max(largest, compare(output[:, m : m + 1], expected, what))
    return f"{case.num_sets} sets at once are {case.num_sets} interactions of one set, to {largest:.0e}"


def check_shared_interaction(case: Case) -> str:
    model, embeddings = case.trained(1), case.embeddings(0)
    output = combined(model, embeddings)
    for m in range(case.num_sets):
        expected = combined(model, embeddings[:, m : m + 1])
        what = f"built for one set and given {case.num_sets}, from set {m} alone the output of set {m} differs"
        compare(output[:, m : m + 1], expected, what)
    return f"one set's weights serve {case.num_sets} sets"


def check_rows(case: Case) -> str:
    model, embeddings, rows = case.trained(case.num_sets), case.embeddings(0), [4, 1]
    found, expected = combined(model, embeddings[rows]), combined(model, embeddings)[rows]
    compare(found, expected, f"of rows {rows} alone, the output differs from theirs in a batch of {BATCH}")
    return "each is computed alone in evaluation mode"


def check_gradients(case: Case) -> str:
    model, embeddings = case.trained(case.num_sets), case.embeddings(0).requires_grad_()
    parameters = {repr(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for mode in ("training", "evaluation"):
        output = combined(model.train(mode == "training"), embeddings)
        weights = torch.rand(output.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        of_embeddings, *of_parameters = torch.autograd.grad(
            (output * weights).sum(), [embeddings, *parameters.values()], allow_unused=True, materialize_grads=True
        )
        gradients = dict(zip(parameters, of_parameters, strict=True))
        for m in range(case.num_sets):
            gradients |= {f"embeddings of set {m}, field {i}": of_embeddings[:, m, i] for i in range(case.num_fields)}
        for name, gradient in gradients.items():
            if wrong := int((~torch.isfinite(gradient)).sum()):
                raise CheckFailed(f"{name}: in {mode} mode {wrong} of {gradient.numel()} gradients are not finite")
            if mode == "evaluation" and not gradient.any():  # in training what a normalisation takes out again has none
                raise CheckFailed(f"{name}: all {gradient.numel()} gradients are zero, so the output does not use it")
    return f"finite, of {len(parameters)} parameters and the embeddings of all fields"


def check_switch_off(case: Case) -> str:
    model = case.trained(case.num_sets)
    if not hasattr(model, "switch_off"):
        return "it has none"
    before, allowed = joint_effect(model, case)
    if not before > allowed:
        raise CheckFailed(f"before it two fields change the output together by {before:.3g}: nothing to switch off")
    model.switch_off()
    after, allowed = joint_effect(model, case)
    if not after <= allowed:
        raise CheckFailed(
            f"after it two fields still change the output together by {after:.3g}, before by {before:.3g}; expected 0"
        )
    return f"two fields change the output together by {before:.3g} before, {after:.0e} after"


CHECKS: dict[str, Callable[[Case], str]] = {
    "options": check_options,
    "shape": check_shape,
    "seed": check_seed,
    "parameters": check_parameters,
    "set axis": check_set_axis,
    "loop over sets": check_loop_over_sets,
    "shared interaction": check_shared_interaction,
    "rows": check_rows,
    "gradients": check_gradients,
    "switch_off": check_switch_off,
}


def combined(model: nn.Module, embeddings: Tensor) -> Tensor:
    """(batch, sets, features): all parts of the output side by side."""
    output = model(embeddings)
    return torch.cat(output, dim=2) if isinstance(output, tuple) else output


def compare(found: Tensor, expected: Tensor, what: str) -> float:
    """The largest difference; raises CheckFailed, with `what` differs, if it is more than rounding."""
    if found.shape != expected.shape:
        raise CheckFailed(f"{what} in shape: found {tuple(found.shape)}, expected {tuple(expected.shape)}")
    if not found.numel():
        return 0.0
    found, expected = found.detach(), expected.detach()
    difference = (found - expected).abs()
    largest = float(difference.max())
    if not largest <= ROUNDING * max(1.0, float(expected.abs().max())):  # put so, NaN fails too
        place = int(difference.nan_to_num(nan=torch.inf).argmax())
        index = tuple(int(axis) for axis in np.unravel_index(place, difference.shape))
        raise CheckFailed(
            f"{what} by {largest:.3g}: at {index} found {found[index]:.6g}, expected {expected[index]:.6g}"
        )
    return largest


def set_axis(of_one: Tensor, of_several: Tensor, num_sets: int) -> int | None:
    """The axis on which several sets have num_sets times as much as one, all others being alike; or None."""
    for axis in range(of_one.ndim):
        shape = list(of_one.shape)
        shape[axis] *= num_sets
        if shape == list(of_several.shape):
            return axis
    return None


def joint_effect(model: nn.Module, case: Case) -> tuple[float, float]:
    """How far the change of one field changes the output otherwise if the other fields change too, the largest over
    the fields; and how far rounding may. Zero if the output is a sum of functions of one field."""
    a, b = case.embeddings(0), case.embeddings(1)
    effect = scale = 0.0
    for i in range(case.num_fields):
        changed_a, changed_b = a.clone(), b.clone()
        changed_a[:, :, i], changed_b[:, :, i] = b[:, :, i], a[:, :, i]
        outputs = torch.stack([combined(model, given).detach() for given in (a, b, changed_a, changed_b)])
        effect = max(effect, float((outputs[0] + outputs[1] - outputs[2] - outputs[3]).abs().max()))
        scale = max(scale, float(outputs.abs().max()))
    return effect, ROUNDING * max(1.0, scale)
