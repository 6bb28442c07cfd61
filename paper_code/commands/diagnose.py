"""`paper-code diagnose`: how collapsed the tables of a file are. What this book adds to the room of that name: its
models, and its encoded logs."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paper_code.commands.options import add_command, add_data_dir, add_json, number, sizes, whole
from paper_code.diagnose.arguments import EXAMPLE, add_arguments

if TYPE_CHECKING:  # it needs PyTorch
    from paper_code.models import CTRModel


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.diagnose.command",))
    add_arguments(parser, whole(1), number(0, exclusive=True))
    add_data_dir(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.diagnose import command

    command.run(options, field_sizes, load_model)


def load_model(path: Path, name: str, cardinalities: Sequence[int], num_sets: int) -> "CTRModel":
    """A model of this book with the state dict in a file; its embedding size is that of the table there.

    Raises ValueError if the file is of another model.
    """
    import torch
    from safetensors.torch import load_file

    from paper_code.models import build_model

    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    try:
        size, rest = divmod(state["embedding.weight"].shape[1], num_sets)
        if rest:
            raise ValueError(f"the table has {size * num_sets + rest} columns, not --num-sets {num_sets} times a size")
        model = build_model(name, cardinalities, size, num_sets)
        model.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path}: is no state dict of --model {name} with {len(cardinalities)} fields of {sum(cardinalities):,} "
            f"values together (--fields) and --num-sets {num_sets}: {' '.join(str(error).split())[:300]}"
        ) from None
    return model


def field_sizes(text: str, data_dir: Path) -> tuple[int, ...] | dict[str, int]:
    """Sizes from text such as "4,1000", or the cardinalities by field of an encoded log, by its name or folder.

    Raises ValueError, which names the option, if the text is neither.
    """
    expected = "sizes of at least 1 such as 4,1000,20, or the name or folder of an encoded log"
    if not re.search(r"[^\W\d_]", text):  # without a letter it is no name
        try:
            return sizes(text)
        except argparse.ArgumentTypeError:
            if not any((folder / "log.json").is_file() for folder in (Path(text), data_dir / text)):
                raise ValueError(f"--fields {text!r}: expected {expected}") from None
    from paper_code.data import load_click_log

    folder = Path(text).parent if Path(text).name == "log.json" else Path(text)
    try:
        log = load_click_log(folder if folder.is_dir() else data_dir / text)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--fields {text!r}: expected {expected} ({error})") from None
    return {field.name: field.cardinality for field in log.fields}
