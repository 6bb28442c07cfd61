"""Which arrays are embedding tables: by what was asked for, by their layers, or by their names and shapes."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from paper_code.diagnose.arrays import MOST_SLICES, DiagnosisError, Found, Stored

NAMES = re.compile(r"(?<![a-z])(emb|tables?(?![a-z])|lookup)|embed|Emb(?!l)|Table|Lookup")
LAYERS = re.compile(
    r"(?<![a-z])(linear|proj(ection)?|mlp|fc|dense|dropout|norm|ln|bn|attn|attention|conv|gate|transform|mapping|mix(er|ing)?"
    r"|lora|adapter|kernel|hidden|cross|cin|expert|bias)(?![a-z])|LayerNorm|Linear|Dense",
)
MOMENTS = re.compile(r"(^|\.)(exp_avg(_sq)?|max_exp_avg_sq|square_avg|momentum(_\w+)?|acc_delta)$")
BIASES = (("weight", "bias"), ("kernel", "bias"), ("weight.*", "bias"), (r"\bW", "b"), (r"\bw", "b"))
"""What the weights of layers and the biases beside them are called."""

ROWS_PER_COLUMN, FEWEST_ROWS = 8, 100
MOST_COLUMNS = 4096
"""Most columns of a table that is measured: its blocks and R are that many squared."""

BY_NAME = 'the matrices with "emb", "table" or "lookup" in their names'
BY_SHAPE = f"the matrices with {FEWEST_ROWS} rows or more and {ROWS_PER_COLUMN} times as many as columns"


def below(key: str, found: Found, source: str) -> Found:
    """What is below a key, as dots separate them; raises DiagnosisError if there is nothing."""
    arrays = {name: array for name, array in found.arrays.items() if name == key or name.startswith(f"{key}.")}
    if not arrays:
        keys = list(dict.fromkeys(name.partition(".")[0] for name in found.arrays))
        raise DiagnosisError(f"{source}: nothing is below the key {key!r} (--key); there are {', '.join(keys[:20])}")
    passed_over = tuple(it for it in found.passed_over if it.name.startswith(key))
    return replace(found, arrays=arrays, passed_over=passed_over)


def matrices_of(arrays: Mapping[str, Stored]) -> tuple[dict[str, Stored], dict[str, str]]:
    """The matrices, those of stacks one by one; and the arrays with more axes that are none, with the reason."""
    matrices, others = {}, {}
    for name, array in arrays.items():
        if len(array.shape) == 2:
            matrices[name] = array
        elif len(array.shape) > 2:
            if reason := no_stack(name, array, arrays):
                others[name] = reason
            else:
                matrices |= array.slices(name)
    return matrices, others


def no_stack(name: str, array: Stored, arrays: Mapping[str, Stored]) -> str | None:
    """Why an array with more than two axes is no stack of tables, or None: its slices must be taller than wide."""
    rows, columns = array.shape[-2:]
    count = math.prod(array.shape[:-2])
    axes = f"{len(array.shape)} axes"
    if array.problem:
        return f"{axes}, {array.problem}"
    if count > min(MOST_SLICES, 4 * rows) or rows < columns:
        return (
            f"{axes}, no stack of tables: {count:,} slices of {rows:,} rows and {columns:,} columns; if the tables' "
            "rows lie along another axis, transpose it"
        )
    return f"{axes}, the weight of a layer that has a bias" if has_bias(name, array, arrays) else None


def choose(
    found: Found,
    matrices: Mapping[str, Stored],
    layers: Mapping[str, object],
    tables: Sequence[str] | None,
    exclude: Sequence[str],
) -> tuple[list[str], str, dict[str, str]]:
    """The names of the matrices that are embedding tables, the likelier first; the rule by which they are; and of
    others why they are not, where there is more to say than that rule."""
    reasons = {name: "excluded" for name in matrices if matching(name, exclude)}
    left = {name: array for name, array in matrices.items() if name not in reasons}
    if tables is not None:
        taken = [name for name in left if matching(name, tables)]
        return taken, f"the matrices named like {' or '.join(tables)}", reasons
    if layers:
        return [name for name in left if name in layers], "the weights of the embedding layers", reasons
    # beside vectors of floating-point numbers, as biases are, not every matrix is a table
    nothing_else = all(len(array.shape) != 1 or array.problem for array in found.arrays.values())
    if found.whole and nothing_else:
        return list(left), "all matrices", reasons
    of_layers = {name: reason for name, array in left.items() if (reason := of_layer(name, array, found.arrays))}
    named = [name for name in left if NAMES.search(name) and name not in of_layers]
    squares = {name for name in named if is_square_layer(name, named, left)}
    of_layers |= {name: "a layer, by its shape: square, no other table in its place" for name in squares}
    reasons |= of_layers
    named = [name for name in named if name not in squares]
    tall = [name for name, array in left.items() if is_tall(array) and name not in {*named, *of_layers}]
    strays = [name for name in tall if name in found.strays]
    if named or len(strays) < len(tall):
        tall = [name for name in tall if name not in strays]
        reasons |= {name: "beside the mapping that holds the tables, and not named as one" for name in strays}
    if not named and nothing_else and not of_layers:
        return list(left), "all matrices, there being nothing else", reasons
    rules = [BY_NAME] * bool(named) + [BY_SHAPE] * bool(tall or not named)
    return named + tall, " and ".join(rules) + (", but for layers" if of_layers else ""), reasons


def matching(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name, or that of the stack it is from, matches one of the patterns."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name.partition("[")[0], pattern) for pattern in patterns)


def is_tall(array: Stored) -> bool:
    rows, columns = array.shape
    return rows >= max(FEWEST_ROWS, ROWS_PER_COLUMN * columns)


def of_layer(name: str, array: Stored, arrays: Mapping[str, Stored]) -> str | None:
    """What speaks for the weight of a layer or the like, or None; a name only as far as the shape is no table's."""
    if has_bias(name, array, arrays):
        return "a layer: there is a bias beside it"
    if MOMENTS.search(name):
        return "the state of an optimizer, by its name"
    match = NAMES.search(name)
    # of a named one the part that has the name and what follows: models are called cross or mlp as a whole
    part = name[name.rfind(".", 0, match.start()) + 1 :] if match else name
    if LAYERS.search(part) and not (match and is_tall(array)):
        return "a layer, by its name and shape"
    return None


def has_bias(name: str, array: Stored, arrays: Mapping[str, Stored]) -> bool:
    """Whether a vector called bias, as long as one of the axes, stands beside the array."""
    name = name.partition("[")[0]
    names = {re.sub(rf"{weight}(?=[^.]*$)", bias, name) for weight, bias in BIASES} - {name}
    found = [arrays[it] for it in names if it in arrays]
    return any(len(bias.shape) == 1 and bias.shape[0] in array.shape for bias in found)


def is_square_layer(name: str, named: Sequence[str], matrices: Mapping[str, Stored]) -> bool:
    """Whether a matrix is square, as a layer between embeddings is, and no other table stands in the same place."""
    rows, columns = matrices[name].shape
    place = name.rsplit(".", 2 if name.endswith("weight") else 1)[0] + "."
    others = [matrices[it].shape for it in named if it.startswith(place)]
    return rows == columns and all(shape[1] != columns or shape[0] == columns for shape in others)


def problem_of_shape(rows: int, columns: int) -> str | None:
    """Why a matrix of that shape is not measured, or None."""
    if columns < 2:
        return "one column, where nothing can collapse"
    return f"more than {MOST_COLUMNS:,} columns" if columns > MOST_COLUMNS else None


def positions_of(columns: Sequence[str], array: Stored, name: str) -> list[int]:
    """Positions from names or patterns of columns, or from text such as "0-7"; DiagnosisError if there are none."""
    found = []
    for text in columns:
        by_name = [i for i, column in enumerate(array.column_names or ()) if fnmatchcase(column, text)]
        span = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
        if not by_name and span:
            by_name = list(range(int(span[1]), int(span[2] or span[1]) + 1))
        if not by_name or max(by_name) >= array.shape[1]:
            there = ", ".join(array.column_names[:8]) if array.column_names else f"0 to {array.shape[1] - 1}"
            raise DiagnosisError(f"{name}: columns {text!r} (--columns): expected names or positions of these: {there}")
        found += by_name
    return sorted(set(found))
