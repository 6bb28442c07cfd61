"""`paper-code train`: one run."""

import argparse
import sys
from dataclasses import replace

from paper_code.commands.options import (
    add_command,
    add_json,
    add_profile,
    add_run_places,
    number,
    report,
    sizes,
    whole,
)
from paper_code.models.registry import DNN, MODELS, base_embedding_size, model_options
from paper_code.runs.config import RunConfig
from paper_code.runs.profiles import PROFILES, describe, find, log_of_profile, num_fields, setting
from paper_code.runs.reading import run_store
from paper_code.training.config import AUTHORS_WEIGHTS, RegularizerConfig

EXAMPLE = """\
example: paper-code train --dataset criteo --model dcnv2 --embedding-size 10 --num-sets 4
         paper-code train --dataset criteo_like --model dnn --embedding-size 100 --seed 3 --profile paper
         paper-code train --dataset criteo_like --model dcnv2 --embedding-size 40 --regularizer unitary

What is not given comes from the profile. The record is RESULTS_DIR/DATASET/HASH.json; a run whose record is there is
not trained again."""


def add(commands, name: str, summary: str) -> None:
    train = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.runs.execution",))
    train.add_argument("--dataset", required=True, help="criteo_like, avazu_like or the name of a prepared log")
    train.add_argument("--model", required=True, help=", ".join(MODELS))
    train.add_argument(
        "--embedding-size",
        type=whole(1),
        metavar="K",
        help="of every set (default: the paper's base size for the model)",
    )
    train.add_argument("--num-sets", type=whole(1), default=1, metavar="M", help="embedding sets (default: 1, single)")
    train.add_argument("--seed", type=whole(0), default=0, help="of the weights and a synthetic log (default: 0)")
    for option, (default, models) in MODEL_OPTIONS.items():
        add_model_option(train, option, default, models)
    train.add_argument("--regularizer", metavar="NAME", help=f"a penalty beside the loss: {', '.join(AUTHORS_WEIGHTS)}")
    train.add_argument(
        "--regularizer-weight", type=number(0, exclusive=True), help="(default: that of the authors' code)"
    )
    train.add_argument("--batch-size", type=whole(1), help="rows of a training step")
    train.add_argument("--learning-rate", type=number(0, exclusive=True), help="of Adam")
    train.add_argument("--weight-decay", type=number(0), help="of Adam, coupled (default: the profile's)")
    train.add_argument(
        "--embedding-weight-decay", type=number(0), help="of embeddings alone (default: by the profile's rule)"
    )
    train.add_argument("--looks-per-epoch", type=whole(1), help="times an epoch that validation AUC is looked at")
    train.add_argument(
        "--averaging",
        type=number(0, 1, exclusive=True),
        metavar="DECAY",
        help="score the exponential average of the weights",
    )
    train.add_argument("--patience", type=whole(1), help="epochs without a better validation AUC before it stops")
    train.add_argument("--max-epochs", type=whole(1), help="it stops then at the latest")
    train.add_argument(
        "--mixed-precision", action="store_const", const=True, help="multiply matrices in bfloat16 while training"
    )
    train.add_argument("--threads", type=whole(1), help="CPU threads (default: as many as PyTorch takes)")
    add_profile(train)
    add_run_places(train)
    add_json(train)


def options_of_models() -> dict[str, tuple[object, list[str]]]:
    """Every option of a model -> its default, the paper's value, and the models that have it."""
    found = {}
    for model in MODELS:
        for option, default in model_options(model).items():
            found.setdefault(option, (default, []))[1].append(model)
    return found


MODEL_OPTIONS = options_of_models()
OPTION_MEANINGS = {
    "hidden": "sizes of the hidden layers",
    "dropout": "share of hidden values dropped in training",
    "shared_interaction": "one interaction for all sets instead of one each",
    "released_form": "several sets without the concatenated embeddings, as in the authors' code",
    "cin_layers": "rows of the layers of the compressed interaction network",
    "cross_layers": "number of cross layers",
    "block_scales": "a learnable factor per projection W_i->j, as in the authors' code of Evidence III",
    "ensemble": "every set a model of its own, logits averaged",
    "embedding_std": "embeddings normal with this standard deviation at the start, not Xavier-uniform",
    "blocks": "number of RankMixer blocks",
    "expansion": "hidden size of a token's layers over the token's",
    "dnn": "where the MLP stands: nowhere, beside the interaction or behind it (default: as published)",
    "groups": "cross layers of block-diagonal projections, of so many blocks",
}


def add_model_option(parser: argparse.ArgumentParser, option: str, default: object, models: list[str]) -> None:
    flag = "--" + option.replace("_", "-")
    text = f"{OPTION_MEANINGS.get(option, 'an option')}, for {', '.join(models)}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_const", const=True, help=text)
    elif isinstance(default, tuple):
        shown = ",".join(map(str, default))
        parser.add_argument(flag, type=sizes, metavar=shown, help=f"{text} (default: {shown})")
    elif option == "dnn":
        parser.add_argument(flag, choices=DNN, help=text)
    elif default is None:
        parser.add_argument(flag, type=whole(1) if option == "groups" else number(0), help=text)
    else:
        kind = whole(1) if isinstance(default, int) else number(0, 1)
        parser.add_argument(flag, type=kind, help=f"{text} (default: {default})")


PROTOCOL = (
    *("batch_size", "learning_rate", "weight_decay", "embedding_weight_decay", "patience", "max_epochs"),
    *("looks_per_epoch", "averaging", "mixed_precision"),
)


def run(options: argparse.Namespace) -> None:
    from paper_code.runs.execution import execute
    from paper_code.training.process import find_device

    find_device(options.device)  # also where a stored record needs none
    profile = find("profile", options.profile, PROFILES)
    data = log_of_profile(profile, options.dataset, options.seed, options.data_dir)
    fields = num_fields(data, options.data_dir)
    model_options(options.model)  # an error that names those that exist
    base = base_embedding_size(options.model, fields)
    size = base if options.embedding_size is None else options.embedding_size
    model_settings, training = setting(profile, data, fields, options.model, max(1, size // base), options.num_sets)
    training = replace(training, **given(options, PROTOCOL))
    model_settings |= given(options, tuple(MODEL_OPTIONS))
    if options.regularizer_weight is not None and options.regularizer is None:
        raise ValueError(
            "--regularizer-weight without --regularizer: expected the regularizer that it is the weight of"
        )
    regularizer = options.regularizer and RegularizerConfig(options.regularizer, options.regularizer_weight)
    config = RunConfig(
        data=data,
        model=options.model,
        embedding_size=size,
        num_sets=options.num_sets,
        seed=options.seed,
        options=model_settings,
        training=training,
        regularizer=regularizer,
    )
    store = run_store(options.results_dir)
    record, trained = store.get(config), "now"
    if record is not None:
        trained = f"stored on {record.provenance.get('date', 'an unknown day')}, not trained again"
    else:
        reservation = store.reserve(config)
        if reservation is None:
            raise RuntimeError(f"a sweep on {store.folder} is training this run now; its record will be there")
        try:
            record = execute(config, options.device, options.threads, options.data_dir, progress=sys.stderr.isatty())
            store.put(config, record)
        finally:
            store.release(config, reservation)
    report(
        {
            "record": str(store.find(config)),
            "run": describe(config),
            "trained": trained,
            "parameters": record.parameters,
            "epochs": len(record.epochs),
            "best epoch": record.scores["best_epoch"],
            "validation AUC": round(max(record.looks), 5),
            "test AUC": round(record.scores["test_auc"], 5),
            "test log loss": round(record.scores["test_log_loss"], 5),
            "training seconds": record.provenance["training_seconds"],
            "peak memory MiB": record.provenance["peak_memory_mib"],
        },
        options.json,
    )


def given(options: argparse.Namespace, names: tuple[str, ...]) -> dict:
    """The options that the user gave."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}
