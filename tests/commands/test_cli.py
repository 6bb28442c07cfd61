"""The command line does what its help says, and what goes wrong is one line that says what to do."""

import importlib.metadata
import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from paper_code import __main__, cli
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.commands import diagnose, prepare
from paper_code.data import ClickLog
from paper_code.data.click_log import Field
from paper_code.models import MODELS
from paper_code.published import STATISTICS
from paper_code.runs import execution, sweeps
from paper_code.runs.experiments import EXPERIMENTS, OF_GENERATORS
from paper_code.runs.profiles import PROFILES, Profile
from paper_code.runs.store import RunStore
from paper_code.runs.variants import Variant
from paper_code.training.config import TrainingConfig

COMMANDS = ["prepare", "train", "sweep", "verify", "toy", "diagnose"]
ROWS = 300


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def command(capsys):
    """Run the command line; give its exit status, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        status = cli.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command):
    """Run the command line, expect exit status 1 and one line on the standard error; give that line."""

    def run(*arguments) -> str:
        status, output, message = command(*arguments)
        assert status == 1
        assert output == ""
        assert re.fullmatch(r"paper-code: [^\n]+\n", message)
        return message

    return run


def criteo_lines(rows: int = ROWS) -> list[str]:
    """A raw log in Criteo's layout, clicks at random."""
    draw = random.Random(0)
    return [
        "\t".join([str(draw.randrange(2)), *(str(draw.randrange(4)) for _ in range(13)), *draw.choices("abcd", k=26)])
        for _ in range(rows)
    ]


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_lines(tmp_path / "raw.txt", criteo_lines())


@pytest.fixture
def places(raw, command, tmp_path) -> list:
    """Options that name a data folder with the encoded log `mini` and a folder of records."""
    assert command("prepare", "criteo", raw, "--data-dir", tmp_path / "data", "--name", "mini")[0] == 0
    return ["--data-dir", tmp_path / "data", "--results-dir", tmp_path / "results"]


def train(dataset: str, *more) -> list:
    tiny = ["--profile", "smoke", "--hidden", "8,8", "--max-epochs", 1, "--threads", 1, "--device", "cpu"]
    return ["train", "--dataset", dataset, "--model", "dnn", *tiny, *more]


@pytest.fixture
def tiny_profile(monkeypatch) -> None:
    """A profile `tiny` of which a sweep takes a second."""
    training = TrainingConfig(batch_size=64, max_epochs=1)
    options = {"hidden": (4,), "cross_layers": 1}
    monkeypatch.setitem(PROFILES, "tiny", Profile(1_000, 500, (1, 2), (0, 1), options, training))


def sweep(*more) -> list:
    return ["sweep", "--dataset", "mini", "--profile", "tiny", "--jobs", 1, "--device", "cpu", *more]


def keys_and_values(text: str) -> dict[str, str]:
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines())


# Help


def help_text(capsys, *names: str) -> str:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([*names, "--help"])
    assert exit_info.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("names", [[], *([name] for name in COMMANDS)], ids=["paper-code", *COMMANDS])
def test_help_shows_examples_that_are_valid(capsys, names):
    text = help_text(capsys, *names)
    assert "example: paper-code" in text
    examples = re.findall(r"^(?:example: | {9})paper-code (.+)$", text, flags=re.MULTILINE)
    assert examples
    for example in examples:
        parsed = cli.build_parser().parse_args(shlex.split(example))
        assert set(getattr(parsed, "experiments", [])) <= EXPERIMENTS.keys()
        assert (getattr(parsed, "model", None) or "dnn") in MODELS
        assert getattr(parsed, "profile", "laptop") in PROFILES


def test_the_version_is_that_of_the_installed_package(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith(f"paper-code {importlib.metadata.version('paper-code')}, Python 3.")


def test_the_programs_help_names_every_command(capsys):
    text = help_text(capsys)
    for name in COMMANDS:
        assert re.search(rf"^ +{name} +\w", text, flags=re.MULTILINE)


def test_the_experiments_named_in_the_help_of_sweep_can_be_swept(capsys, command, places, tiny_profile, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sweeps, "sweep", lambda configs, *_, **__: len(configs))
    text = re.search(r"^ +EXPERIMENT +(.+)$", help_text(capsys, "sweep"), re.MULTILINE).group(1)
    named = set(re.findall(r"\w+", re.sub(r"\(.*\)|default.*", "", text))) - set(OF_GENERATORS)
    assert named
    for name in named:
        status, _, message = command(*sweep(name), *places)
        assert (status, message) == (0, "")


def test_the_installed_program_is_this_one():
    (program,) = importlib.metadata.entry_points(group="console_scripts", name="paper-code")
    assert program.load() is __main__.main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["cook"],
        ["prepare"],
        ["prepare", "movies", "raw.txt"],
        ["train", "--model", "dnn"],
        [*train("mini", "--seed"), "x"],
    ],
)
def test_wrong_usage_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main([str(argument) for argument in arguments])
    assert exit_info.value.code == 2
    assert "usage: paper-code" in capsys.readouterr().err


# Real rows


def test_real_criteo_rows_are_prepared_and_trained_on(real_data, command, tmp_path):
    places = ["--data-dir", tmp_path / "data", "--results-dir", tmp_path / "results"]
    status, output, _ = command("prepare", "criteo", real_data / "criteo" / "train_10k.txt", *places[:2], "--json")
    assert status == 0
    prepared = json.loads(output)
    assert prepared["folder"] == str(tmp_path / "data" / "criteo")
    assert (prepared["rows"], prepared["fields"], prepared["skipped lines"]) == (10_000, 39, 0)
    assert prepared["click rate"] == pytest.approx(0.218, abs=0.0005)
    assert prepared["threshold"] == 10
    assert prepared["rows in the paper's Table 2"] == 45_800_000
    assert prepared["extent"] == "a part of Criteo (0.02% of its rows): cardinalities grow with the rows"
    status, output, _ = command(*train("criteo", "--model", "dcnv2", "--num-sets", 2), *places, "--json")
    assert status == 0
    values = json.loads(output)
    assert values["run"].startswith("criteo dcnv2 K=10 x 2 sets ")
    assert 0.5 < values["validation AUC"] < 1
    assert Path(values["record"]).is_file()


def test_real_avazu_rows_are_prepared_under_another_name(real_data, command, tmp_path):
    raw = real_data / "avazu" / "train_6k.csv"
    status, output, _ = command("prepare", "avazu", raw, "--data-dir", tmp_path, "--name", "avazu_6k")
    assert status == 0
    values = keys_and_values(output)
    assert values["folder"] == str(tmp_path / "avazu_6k")
    assert values["fields"] == values["fields in the paper's Table 2"] == "22"
    assert values["sum of cardinalities in the paper's Table 2"] == "2,020,000"
    assert values["extent"].startswith("a part of Avazu (0.01% of its rows)")
    assert values["threshold"] == "4"


def test_the_real_movielens_is_prepared_from_its_archive(real_data, command, tmp_path):
    archive = real_data / "movielens" / "ml-1m.zip"
    status, output, _ = command("prepare", "movielens", archive, "--data-dir", tmp_path, "--without-ids", "--json")
    assert status == 0
    values = json.loads(output)
    assert values["folder"] == str(tmp_path / "movielens")
    assert (values["rows"], values["fields"], values["sum of cardinalities"]) == (739_012, 6, 3_851)
    assert values["click rate"] == 0.7784
    assert not [name for name in values if "Table 2" in name or "skipped" in name]


# Preparing


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("criteo", ["kaggle.com/c/criteo-display-ad-challenge", "accepts their terms"]),
        ("avazu", ["kaggle.com/c/avazu-ctr-prediction", "accepts their terms"]),
        (
            "movielens",
            ["grouplens.org/datasets/movielens/1m", "For research; not to be passed on", "Cite F. M. Harper"],
        ),
    ],
)
def test_the_help_of_a_log_says_where_it_is_had_from_and_its_terms(log, words, capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["prepare", log, "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    for word in ["example: ", *words]:
        assert word in text


def test_json_and_text_report_the_same(raw, command, tmp_path):
    prepare = ["prepare", "criteo", raw, "--data-dir", tmp_path / "data"]
    text, as_json = command(*prepare)[1], command(*prepare, "--json")[1]
    values = json.loads(as_json)
    shown = keys_and_values(text)
    assert list(shown) == list(values)
    for key in shown.keys() - {"rows per second"}:
        assert shown[key].replace(",", "") == str(values[key])


@pytest.mark.parametrize(
    ("dataset", "rows", "complete"),
    [
        ("Criteo", 45_840_617, True),
        ("Criteo", 45_700_000, False),
        ("Avazu", 40_428_967, True),
        ("Avazu", 45_840, False),
    ],
)
def test_the_log_stands_beside_table_2_which_says_if_it_is_a_part(dataset, rows, complete):
    sizes = [4, 900, 30]
    fields = tuple(Field(str(i), size) for i, size in enumerate(sizes))
    labels = np.broadcast_to(np.uint8(0), rows)
    values = prepare.beside_table_2(ClickLog("log", fields, None, labels, 10, {}), dataset)
    known = STATISTICS[dataset]
    for name, key, ours in [
        ("rows", "rows", rows),
        ("fields", "fields", 3),
        ("sum of cardinalities", "sum", 934),
        ("largest cardinality", "largest", 900),
        ("smallest cardinality", "smallest", 4),
    ]:
        assert (values[name], values[f"{name} in the paper's Table 2"]) == (ours, known[key])
    assert (values["extent"] == f"all of {dataset}") == complete
    assert (f"a part of {dataset}" in values["extent"]) != complete


def test_a_table_of_three_files_is_prepared_and_trained_on(command, tmp_path):
    draw = random.Random(0)
    header = ["id,click,site,price,user"]
    lines = [
        f"{i},{draw.randrange(2)},{draw.choice('abc')},{draw.randrange(9)},u{draw.randrange(5)}" for i in range(ROWS)
    ]
    parts = {"train.csv": lines[:200], "valid.csv": lines[200:250], "test.csv": lines[250:]}
    paths = [write_lines(tmp_path / name, header + part) for name, part in parts.items()]
    places = ["--data-dir", tmp_path / "data", "--results-dir", tmp_path / "results"]
    options = ["--label", "click", "--drop", "id", "--numeric", "price", "--threshold", 1, "--name", "mine"]
    status, output, _ = command("prepare", "table", *paths, *options, *places[:2], "--json")
    assert status == 0
    values = json.loads(output)
    assert (values["rows"], values["fields"], values["threshold"]) == (ROWS, 3, 1)
    description = json.loads((tmp_path / "data" / "mine" / "log.json").read_text())
    assert description["parts"] == [200, 50, 50]
    assert description["source"]["numeric"] == ["price"]
    status, output, _ = command(*train("mine"), *places, "--json")
    assert status == 0
    assert Path(json.loads(output)["record"]).is_file()


def test_options_of_prepare_reach_the_encoded_log(raw, command, tmp_path):
    options = ["--threshold", 80, "--vocabulary", "train", "--name", "rare", "--json"]
    status, output, _ = command("prepare", "criteo", raw, "--data-dir", tmp_path / "data", *options)
    assert status == 0
    assert json.loads(output)["threshold"] == 80
    description = json.loads((tmp_path / "data" / "rare" / "log.json").read_text())
    assert description["name"] == "rare"
    assert description["threshold"] == 80
    assert description["source"]["vocabulary"] == "train"


def test_a_malformed_line_is_named_and_nothing_is_written(refused, tmp_path):
    lines = criteo_lines()
    lines[6] = lines[6].replace("\t", " ", 1)
    raw = write_lines(tmp_path / "broken.txt", lines)
    message = refused("prepare", "criteo", raw, "--data-dir", tmp_path / "data")
    assert f"{raw}: line 7: found 39 columns, expected 40" in message
    assert not (tmp_path / "data").exists()


def test_malformed_lines_can_be_left_out_and_are_counted(command, tmp_path):
    lines = criteo_lines()
    lines[6], lines[100], lines[200] = "", "x" + lines[100], lines[200] + "\tmore"
    raw = write_lines(tmp_path / "broken.txt", lines)
    prepare = ["prepare", "criteo", raw, "--data-dir", tmp_path / "data", "--on-bad-lines", "skip"]
    status, output, message = command(*prepare, "--skip-limit", 0.005)
    assert (status, output) == (1, "")
    assert "3 of 300 lines malformed" in message
    assert not (tmp_path / "data").exists()
    status, output, _ = command(*prepare)
    assert status == 0
    assert keys_and_values(output)["skipped lines"] == "3"
    assert keys_and_values(output)["rows"] == str(ROWS - 3)


@pytest.mark.parametrize("name", ["a/b", "/a", "../a", "..", ".", ".hidden", "a/"])
def test_a_name_that_is_not_a_plain_folder_name_is_refused(raw, refused, tmp_path, name):
    message = refused("prepare", "criteo", raw, "--data-dir", tmp_path / "data", "--name", name)
    assert f"--name {name!r}" in message
    assert not (tmp_path / "data").exists()


def test_the_name_of_a_synthetic_log_is_refused(raw, refused, tmp_path):
    """`--dataset criteo_like` is the synthetic log, so an encoded log of that name could not be used."""
    message = refused("prepare", "criteo", raw, "--data-dir", tmp_path / "data", "--name", "criteo_like")
    assert "criteo_like" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["criteo", "absent.txt"], "absent.txt"),
        (["avazu", "raw.txt"], "line 1"),
        (["criteo", "."], "."),
    ],
)
def test_what_cannot_be_prepared(raw, refused, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused("prepare", *arguments, "--data-dir", tmp_path / "data")


# Training


def test_a_run_is_stored_and_found_again(command, places, tmp_path, monkeypatch):
    status, output, _ = command(*train("mini"), *places, "--json")
    assert status == 0
    first = json.loads(output)
    (record,) = RunStore(tmp_path / "results").records()
    assert first["test AUC"] == round(record.scores["test_auc"], 5)
    assert first["parameters"] == record.parameters
    assert first["epochs"] == first["best epoch"] == 1
    assert list((tmp_path / "results" / "mini").iterdir()) == [Path(first["record"])]
    monkeypatch.setattr(execution, "execute", lambda *_, **__: pytest.fail("trained again"))
    status, output, _ = command(*train("mini"), *places, "--json")
    assert status == 0
    stored = f"stored on {record.provenance['date']}, not trained again"
    assert json.loads(output) == first | {"trained": stored}
    assert first["trained"] == "now"
    text = command(*train("mini"), *places)[1]
    shown = keys_and_values(text)
    assert list(shown) == list(first)
    assert shown["test AUC"] == str(first["test AUC"])


def test_options_of_train_reach_the_run(command, places, tmp_path):
    given = {"batch_size": 50, "learning_rate": 0.01, "weight_decay": 0.002, "patience": 2, "max_epochs": 1}
    given |= {"embedding_weight_decay": 0.05, "looks_per_epoch": 3, "averaging": 0.9}
    protocol = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    model = ["--model", "dcnv2", "--cross-layers", 3, "--dropout", 0.1, "--hidden", "6,5,4"]
    sizes = ["--embedding-size", 3, "--num-sets", 2, "--seed", 4]
    assert command(*train("mini"), *model, *sizes, *protocol, *places)[0] == 0
    (record,) = RunStore(tmp_path / "results").records()
    assert record.config["training"] == given | {"shuffle": True, "measured_epoch": 1}  # these two of the profile
    assert record.config["options"] == {"hidden": [6, 5, 4], "dropout": 0.1, "cross_layers": 3}
    assert (record.config["embedding_size"], record.config["num_sets"], record.config["seed"]) == (3, 2, 4)


def test_options_of_other_models_reach_the_run(command, places, tmp_path):
    further = ["--embedding-size", 3, "--num-sets", 2, "--shared-interaction", "--cin-layers", "4,2"]
    assert command(*train("mini"), "--model", "xdeepfm", *further, *places)[0] == 0
    (record,) = RunStore(tmp_path / "results").records()
    options = record.config["options"]
    assert (options["cin_layers"], options["shared_interaction"]) == ([4, 2], True)


@pytest.mark.parametrize(("weight", "expected"), [([], 1e-5), (["--regularizer-weight", 0.25], 0.25)])
def test_a_regularizer_reaches_the_run(command, places, tmp_path, weight, expected):
    model = ["--model", "dcnv2", "--cross-layers", 1, "--block-scales", "--regularizer", "unitary"]
    assert command(*train("mini"), *model, *weight, *places)[0] == 0
    (record,) = RunStore(tmp_path / "results").records()
    assert record.config["regularizer"] == {"name": "unitary", "weight": expected}
    assert record.config["options"]["block_scales"] is True


@pytest.mark.parametrize(("model", "size"), [("dnn", 10), ("nfwfm", 50), ("ffm", None)])
def test_the_embedding_size_not_given_is_the_models_base(command, places, tiny_profile, tmp_path, model, size):
    assert command("train", "--dataset", "mini", "--profile", "tiny", "--model", model, *places)[0] == 0
    (record,) = RunStore(tmp_path / "results").records()
    assert record.config["embedding_size"] == (size or 8 * (len(record.fields) - 1))


def test_another_seed_is_another_run(command, places, tmp_path):
    for seed in (0, 1):
        assert command(*train("mini"), "--seed", seed, *places)[0] == 0
    assert len(list(RunStore(tmp_path / "results").records())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "absent"], "no data set 'absent': expected one of criteo_like, avazu_like, mini"),
        (["--model", "deepfm"], "model 'deepfm' does not exist; the models are dnn, ipnn, nfwfm"),
        (["--profile", "huge"], "profile 'huge' does not exist; expected one of smoke, laptop, paper, first"),
        (["--device", "tpu9"], "device 'tpu9' does not exist"),
        (["--cross-layers", "2"], "dnn has no option cross_layers"),
        (["--model", "ffm"], "ffm has no option hidden; its options are embedding_std"),
        (["--regularizer", "ridge"], "regularizer 'ridge' does not exist; expected one of unitary"),
        (["--regularizer", "unitary"], "projections"),
        (["--regularizer-weight", "1"], "--regularizer-weight without --regularizer"),
    ],
)
def test_what_cannot_be_trained(refused, places, tmp_path, arguments, words):
    assert re.search(words, refused(*train("mini"), *places, *arguments))
    assert not list(tmp_path.glob("results/*/*.json"))


WHOLE_FROM_0, WHOLE_FROM_1 = (f"expected a whole number of at least {least}" for least in (0, 1))
POSITIVE, FROM_0, SHARE = (f"expected a number {text}" for text in ("above 0", "from 0 on", "from 0 to 1"))
NUMBERS = {
    "train": {
        "--seed": (WHOLE_FROM_0, ["-1", "1.5", "x", "", str(2**63)]),
        "--embedding-size": (WHOLE_FROM_1, ["0", "-8", "1e1"]),
        "--num-sets": (WHOLE_FROM_1, ["0", "two"]),
        "--threads": (WHOLE_FROM_1, ["0", "-1"]),
        "--batch-size": (WHOLE_FROM_1, ["0", "nan"]),
        "--patience": (WHOLE_FROM_1, ["0", "inf"]),
        "--max-epochs": (WHOLE_FROM_1, ["0", "-3"]),
        "--cross-layers": (WHOLE_FROM_1, ["0", "2.0"]),
        "--blocks": (WHOLE_FROM_1, ["0", ""]),
        "--expansion": (WHOLE_FROM_1, ["0", "-1"]),
        "--groups": (WHOLE_FROM_1, ["0", "1.5"]),
        "--dropout": (SHARE, ["nan", "1.5", "-0.1", "x", "inf"]),
        "--embedding-std": (FROM_0, ["nan", "inf", "-1"]),
        "--learning-rate": (POSITIVE, ["nan", "inf", "0", "-1"]),
        "--weight-decay": (FROM_0, ["nan", "inf", "-1e-6"]),
        "--embedding-weight-decay": (FROM_0, ["nan", "inf", "-1"]),
        "--looks-per-epoch": (WHOLE_FROM_1, ["0", "1.5"]),
        "--averaging": (f"{POSITIVE} and below 1", ["0", "1", "nan", "-0.5"]),
        "--regularizer-weight": (POSITIVE, ["nan", "inf", "0", "-1"]),
        "--hidden": (
            "expected whole numbers of at least 1, such as 400,400",
            ["0", "8,,8", "-8", "8;8", "8.5", "", "٨"],
        ),
        "--cin-layers": ("expected whole numbers of at least 1", ["0", "4,x", "4,-2"]),
    },
    **{
        f"prepare {raw_log}": {
            "--threshold": (WHOLE_FROM_1, ["0", "-1", "1.5"]),
            "--skip-limit": (SHARE, ["nan", "1.1", "-0.1", "5%"]),
        }
        for raw_log in ("criteo", "avazu")
    },
    "prepare frappe": {"--seed": (WHOLE_FROM_0, ["-1", "x"])},
    "prepare table": {"--threshold": (WHOLE_FROM_1, ["0", "-1", "1.5"])},
    "sweep": {"--jobs": (WHOLE_FROM_1, ["0", "-1", "many"])},
    "verify": {
        "--sample": (WHOLE_FROM_1, ["0", "all"]),
        "--minutes": (POSITIVE, ["0", "-1", "nan"]),
        "--seed": (WHOLE_FROM_0, ["-1", "x"]),
        "--jobs": (WHOLE_FROM_1, ["0"]),
    },
    "diagnose": {"--num-sets": (WHOLE_FROM_1, ["0", "x"]), "--fail-below": (POSITIVE, ["0", "-1", "nan", "x"])},
    "toy": {"--iterations": (WHOLE_FROM_1, ["0", "-5", "nan"])},
}
NEEDED = {
    "diagnose": ["model.pt"],
    "train": ["--dataset", "criteo_like", "--model", "dnn"],
    "prepare table": ["log.csv", "--label", "click"],
    **{f"prepare {name}": ["raw.txt"] for name in ("criteo", "avazu", "frappe")},
}


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [(name, option, value) for name, of in NUMBERS.items() for option, (_, bad) in of.items() for value in bad],
)
def test_a_number_that_an_option_does_not_take_is_named_with_what_it_takes(capsys, name, option, value):
    with pytest.raises(SystemExit) as exit_info:
        cli.main([*name.split(), *NEEDED.get(name, []), f"{option}={value}"])
    assert exit_info.value.code == 2
    expected, _ = NUMBERS[name][option]
    assert f"error: argument {option}: {value!r}: {expected}" in capsys.readouterr().err


def test_every_option_of_a_number_is_among_them():
    kinds = {"whole.<locals>.read", "number.<locals>.read", "sizes"}
    commands = dict(cli.build_parser()._subparsers._group_actions[0].choices)
    formats = commands.pop("prepare")._subparsers._group_actions[0].choices
    commands |= {f"prepare {name}": parser for name, parser in formats.items()}
    found = {
        (name, action.option_strings[0])
        for name, parser in commands.items()
        for action in parser._actions
        if getattr(action.type, "__qualname__", "") in kinds or action.type in (int, float)
    }
    assert found == {(name, option) for name, options in NUMBERS.items() for option in options}


def test_a_device_is_checked_although_the_record_is_stored(command, refused, places, tiny_profile):
    assert command(*train("mini"), *places)[0] == 0
    for device in ("gpu", "cuda:99", "tpu9"):
        assert f"device '{device}'" in refused(*train("mini"), *places, "--device", device)
    assert command(*sweep("collapse"), *places)[0] == 0
    assert "device 'gpu'" in refused(*sweep("collapse"), *places, "--device", "gpu")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100, 100", (100, 100)),
        (" 4,1000 , 20 ", (4, 1000, 20)),
        ("7", (7,)),
        ("mini", 39),
    ],
)
def test_sizes_of_fields_or_the_name_of_a_log(places, text, found):
    sizes = diagnose.field_sizes(text, places[1])
    assert (sizes if isinstance(sizes, tuple) else len(sizes)) == found


@pytest.mark.parametrize("text", ["", "100,,100", "100;100", "0,5", "-1,5", "4.0,5", "absent", "100,100,x", "4 5", ","])
def test_what_is_neither_sizes_nor_a_log_names_the_option(tmp_path, text):
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"--fields .*: expected sizes .* or the name or folder of"
    ):
        diagnose.field_sizes(text, tmp_path)


@pytest.mark.parametrize("arguments", [["claims"], ["claims", "--json"], ["train", "--help"], ["--help"]])
def test_who_reads_the_output_may_stop_at_any_line(arguments):
    """As `| head -1` does: no message, and an error of the command itself is still one."""
    program = f"""import sys
from paper_code import cli
from paper_code.commands import claims
claims.run = lambda options: [print("x" * 1000) for _ in range(1000)]
sys.exit(cli.main({arguments}))"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_claims_are_shown_in_lines_with_their_effects_or_as_json(command, tmp_path, monkeypatch):
    effects = (Effect("test AUC, a", [0.1, 0.2, 0.3], "above", 0.0), Effect("ratio", [1.0, 2.0, 3.0], "below", 2.0))
    claims = [
        Claim("one", "Section 5", "It grows.", "The interval.", effects, "criteo_like", "fig02", checks=("live",)),
        Claim("two", "Section 6", "It is.", "Another.", effects[:1], other_sign=True),
    ]
    asked = []
    monkeypatch.setattr("paper_code.chapters.claims.ledger", lambda *arguments: asked.append(arguments) or claims)
    options = ["--dataset", "mine", "--seeds", "0,1", "--results-dir", tmp_path]
    status, table, _ = command("claims", *options)
    assert (status, asked) == (0, [(["mine"], "laptop", "0,1", tmp_path)])
    assert [line.split()[0] for line in table.splitlines()] == ["claim", "one", "two"]
    _, text, _ = command("claims", "--effects")
    for claim in claims:
        assert f"{claim.statement}\n  Rule: {claim.rule}\n  Verdict: {claim.verdict}" in text
    assert "Checks: live" in text
    assert "Checks: none" in text
    assert text.count("test AUC, a") == 2
    rows = json.loads(command("claims", "--json")[1])
    assert [row["rule"] for row in rows] == ["The interval.", "Another."]
    assert [[effect["effect"] for effect in row["effects"]] for row in rows] == [
        ["test AUC, a", "ratio"],
        ["test AUC, a"],
    ]


def test_a_pipe_that_breaks_elsewhere_is_an_error(refused, places, monkeypatch):
    def stopped(*_, **__):
        raise BrokenPipeError("the cluster is gone")

    monkeypatch.setattr(execution, "execute", stopped)
    assert refused(*train("mini"), *places) == "paper-code: the cluster is gone\n"


def test_train_trains_nothing_that_it_cannot_store(refused, places, monkeypatch):
    """A file is where the records would be; or a sweep has the run."""
    monkeypatch.setattr(execution, "execute", lambda *_, **__: pytest.fail("trained"))
    results = Path(places[places.index("--results-dir") + 1])
    results.write_text("precious")
    assert f"{results}" in refused(*train("mini"), *places)
    assert results.read_text() == "precious"
    results.unlink()
    monkeypatch.setattr(RunStore, "reserve", lambda *_: None)
    assert "is training this run now" in refused(*train("mini"), *places)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_refused(refused, places):
    assert "device 'cuda'" in refused(*train("mini"), *places, "--device", "cuda")


def test_a_data_set_is_a_name_not_a_path(refused, places, tmp_path):
    """A record goes to RESULTS_DIR/DATASET, never to a folder outside of RESULTS_DIR."""
    refused(*train("../data/mini"), *places)
    assert not list(tmp_path.rglob("????????????????.json"))


@pytest.mark.parametrize("error", [OSError, FileNotFoundError, ValueError, RuntimeError, FloatingPointError])
def test_what_stops_a_run_is_reported_without_a_traceback(refused, places, monkeypatch, error):
    def stopped(*_, **__):
        raise error("no luck")

    monkeypatch.setattr(execution, "execute", stopped)
    assert refused(*train("mini"), *places) == "paper-code: no luck\n"


def test_ctrl_c_is_exit_status_130(command, places, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "execute", interrupted)
    status, output, message = command(*train("mini"), *places)
    assert (status, output) == (130, "")
    assert re.fullmatch(r"paper-code: interrupted[^\n]*\n", message)


# Sweep


def test_a_sweep_trains_every_run_once(command, places, tiny_profile, tmp_path):
    """All experiments at base and 2x; a run that several experiments have in common is trained once.

    Per seed: base, single and multi for six models, GDCN and RankMixer, FFM, for DCNv2 both forms of Evidence III at
    both scales, three multi-embedding ablations at 2x and one of single embedding at both scales; without weight decay
    and at the largest, coupled and decoupled, DCNv2 with single and multi embedding and FFM; an ensemble of DNN and of
    DCNv2, and DNN with a shared projection; DNN and DCNv2, single and multi, in lower precision. What varies a
    generator is left out for a prepared log.
    """
    status, output, _ = command(*sweep(), *places, "--json")
    assert status == 0
    values = json.loads(output)
    assert values["results"] == str(tmp_path / "results")
    assert values["runs"] == values["trained now"] == 2 * (8 * 3 + 1 + 2 * 2 + 3 + 2 + 3 * 3 + 3 + 4)
    assert len(list(RunStore(tmp_path / "results").records())) == values["runs"]
    text = command(*sweep("scalability"), *places)[1]
    assert list(keys_and_values(text)) == list(values)
    assert keys_and_values(text)["trained now"] == "0"


def test_a_sweep_takes_the_experiments_and_seeds_it_is_given(command, places, tiny_profile, tmp_path):
    assert command(*sweep("collapse", "--seeds", "5"), *places)[0] == 0
    (record,) = RunStore(tmp_path / "results").records()
    config = record.config
    assert (config["model"], config["embedding_size"], config["num_sets"], config["seed"]) == ("dcnv2", 20, 1, 5)


def test_a_sweep_finds_the_run_that_train_stored(command, places, tiny_profile, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "one", lambda scales: [Variant("dnn")])
    assert command("train", "--dataset", "mini", "--model", "dnn", "--profile", "tiny", "--seed", 3, *places)[0] == 0
    _, output, _ = command(*sweep("one", "--seeds", "3"), *places, "--json")
    assert json.loads(output)["runs"] == 1
    assert json.loads(output)["trained now"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "experiment 'nothing' does not exist; expected one of collapse, scalability"),
        (["--dataset", "absent"], "no data set 'absent'"),
        (["--profile", "huge"], "profile 'huge' does not exist"),
        (["--seeds", "a"], "expected whole numbers"),
        (["--seeds", "1,1"], "none twice"),
        (["--device", "tpu9"], "device 'tpu9' does not exist"),
    ],
)
def test_what_cannot_be_swept(refused, places, tiny_profile, tmp_path, arguments, words):
    assert re.search(words, refused(*sweep(), *places, *arguments))
    assert not list(tmp_path.glob("results/*/*.json"))


# Toy


def test_the_toy_reports_both_cases(command):
    toy = ["toy", "--seeds", "0,2", "--iterations", 4]
    text, as_json = command(*toy)[1], command(*toy, "--json")[1]
    values = json.loads(as_json)
    assert (values["seeds"], values["iterations"]) == ([0, 2], 4)
    for case in ("mean IA(E1), small (D3 = 3)", "mean IA(E1), large (D3 = 100)"):
        assert re.fullmatch(r"\d\.\d\d at the start, \d\.\d\d at the end", values[case])
    assert list(keys_and_values(text)) == list(values)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--seeds=x", "expected whole numbers"),
        ("--seeds=-1,2", "none negative"),
    ],
)
def test_what_is_no_toy(refused, argument, words):
    assert words in refused("toy", argument)
