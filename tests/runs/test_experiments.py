"""The book's runs are the paper's, and a sweep trains what is missing, whatever stops it."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from itertools import product

import numpy as np
import pytest

from paper_code.chapters.shared.tables import results_table
from paper_code.data import ClickLog, Field
from paper_code.data.click_log import replaced_folder, split_rows, write_description
from paper_code.runs import execution, reading, sweeps
from paper_code.runs.config import RECORDED_LOGS, DataConfig, RunConfig
from paper_code.runs.experiments import EXPERIMENTS, OF_GENERATORS, book_experiments, run_configs, sizes_of
from paper_code.runs.logs import load_data
from paper_code.runs.profiles import PROFILES, RESULTS_FOLDER, Profile, describe, parse_seeds, project_path
from paper_code.runs.reading import records_of, run_store, shown_configs
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import REGIMES, default_regime
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep
from paper_code.training.config import RegularizerConfig, TrainingConfig

LAPTOP = PROFILES["laptop"]
DATASETS = ["criteo_like", "avazu_like"]


pytestmark = pytest.mark.usefixtures("same_threads")


def tiny_config(seed=0, rows=2_000, num_sets=1) -> RunConfig:
    data = DataConfig("criteo_like", seed, rows, 500)
    return RunConfig(data, "dnn", 4, num_sets, seed, {"hidden": (4,)}, TrainingConfig(batch_size=256, max_epochs=2))


def broken_config() -> RunConfig:
    """A run that fails: the generator wants ten rows."""
    return tiny_config(seed=77, rows=5)


def save_log(folder, rows: int) -> None:
    ids = np.zeros((rows, 1), np.int32)
    log = ClickLog(folder.name, (Field("a", 1),), ids, np.zeros(rows, np.uint8), 2, {})
    with replaced_folder(folder) as new:
        np.save(new / "ids.npy", ids)
        np.save(new / "labels.npy", log.labels)
        write_description(new, log.description)


def sizes(configs) -> list[tuple[str, int, int, int]]:
    return [(c.model, c.embedding_size, c.num_sets, c.seed) for c in configs]


# Seeds


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (None, [100, 101, 102, 103, 104, 105]),
        (3, [3]),
        (0, [0]),
        ("3", [3]),
        ("0,1,2", [0, 1, 2]),
        (" 0, 1 ,2 ", [0, 1, 2]),
        ("[0, 1]", [0, 1]),
        ("(4)", [4]),
        ([2, 0], [2, 0]),
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        (np.arange(2), [0, 1]),
    ],
)
def test_seeds(seeds, expected):
    found = parse_seeds(seeds, LAPTOP)
    assert found == expected
    assert all(type(seed) is int for seed in found)  # as JSON and hashes want them


@pytest.mark.parametrize(
    "seeds", ["", "[]", [], "a", "0,b", "0,,1", [0, 0], "1,1", -1, [-1], "0,-1", 1.5, [1.5], "1.5", [None], {}, "0;1"]
)
def test_what_are_no_seeds_is_refused(seeds):
    with pytest.raises(ValueError, match=r"seeds=.*expected"):
        parse_seeds(seeds, LAPTOP)


# Which runs


@pytest.mark.parametrize("dataset", DATASETS)
def test_scalability_at_laptop_is_figure_8(dataset):
    """Both models at the base, and single and multi embedding at 4x, with six seeds."""
    configs = run_configs("scalability", dataset, "laptop")
    assert len(configs) == 2 * 3 * 6 == len({config.hash for config in configs})
    at = [(10, 1), (40, 1), (10, 4)]
    expected = {(model, *size, seed) for model in ("dnn", "dcnv2") for size in at for seed in range(100, 106)}
    assert set(sizes(configs)) == expected
    regime = REGIMES[dataset]
    for config in configs:
        training = config.training
        assert config.data == DataConfig(dataset, config.seed, 200_000, 200_000)
        assert config.to_json()["data"]["generator"] == 2
        assert (training.batch_size, training.weight_decay) == (regime.batch_size, 1e-6)
        assert (training.shuffle, training.averaging, training.looks, training.patience) == (True, 0.999, 5, 2)
        scale = config.embedding_size // 10
        assert training.learning_rate == regime.learning_rate(config.model, scale, config.num_sets)
        assert config.options["hidden"] == (regime.hidden, regime.hidden)
        assert config.options["dropout"] == 0.2
        assert config.options.get("cross_layers", 2) == 2
        assert config.interaction_cost == (config.model == "dcnv2" and config.seed < 103)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("profile", PROFILES)
def test_collapse_needs_no_run_that_scalability_does_not_have(profile, dataset):
    """Figures 1b and 2 show DCNv2 at the largest size, trained once for both."""
    collapse = run_configs("collapse", dataset, profile)
    scalability = run_configs("scalability", dataset, profile)
    assert {c.hash for c in collapse} <= {c.hash for c in scalability}
    largest = max(sizes_of(PROFILES[profile], dataset))
    assert sizes(collapse) == [("dcnv2", 10 * largest, 1, seed) for seed in PROFILES[profile].seeds]


def test_the_paper_profile_is_appendix_c2(tmp_path):
    """Batch 2048, Adam at 0.001 with weight decay 1e-6, patience 3, two hidden layers of 400, 4 cross layers, base
    size 10, scales to 10, 3 repetitions; an encoded log is split with seed 0 and used whole."""
    save_log(tmp_path / "criteo", rows=1_234)
    for dataset in ("criteo", "criteo_like"):
        configs = run_configs("scalability", dataset, "paper", data_folder=tmp_path)
        assert len(configs) == 2 * 9 * 3
        assert sorted({c.embedding_size * c.num_sets for c in configs}) == [10, 20, 30, 40, 100]
        assert {c.seed for c in configs} == {0, 1, 2}
        for config in configs:
            training = dataclasses.asdict(config.training)
            assert training.pop("max_epochs") >= 20  # far beyond where early stopping acts
            expected = {"batch_size": 2048, "learning_rate": 1e-3, "weight_decay": 1e-6, "patience": 3}
            assert {name: value for name, value in training.items() if value} == expected
            assert (config.training.looks, config.interaction_cost) == (1, False)
            cross_layers = {"cross_layers": 4} if config.model == "dcnv2" else {}
            known = {"hidden": (400, 400), "dropout": 0.2} | cross_layers
            assert {key: config.options[key] for key in known} == known
            if dataset == "criteo":
                assert (config.data.seed, config.data.rows, config.data.test_rows) == (0, 1_234, None)
                assert config.data.fingerprint


def test_training_rows_times_the_embeddings_decay_is_that_of_criteo_whatever_the_log(tmp_path):
    """36.7 million training rows times 1e-6; all else has the paper's 1e-6."""
    save_log(tmp_path / "mine", rows=500)
    for dataset, profile in [("mine", "laptop"), ("mine", "smoke"), ("criteo_like", "smoke"), ("avazu_like", "laptop")]:
        for config in run_configs("collapse", dataset, profile, data_folder=tmp_path):
            split = split_rows(config.data.rows + (config.data.test_rows or 0), 0, config.data.test_rows or 0)
            assert len(split.train) * config.training.embedding_weight_decay == pytest.approx(37)
            assert config.training.weight_decay == 1e-6
    assert pytest.approx(37, rel=0.01) == 0.8 * 45.84e6 * 1e-6


def test_the_seed_decides_the_split_of_a_real_log_but_in_the_papers_profile(tmp_path):
    save_log(tmp_path / "mine", rows=500)
    for profile, seeds in [("laptop", {3, 4}), ("paper", {0})]:
        configs = run_configs("collapse", "mine", profile, [3, 4], data_folder=tmp_path)
        assert {config.data.seed for config in configs} == seeds
        assert {config.seed for config in configs} == {3, 4}


def test_a_log_for_which_nothing_was_chosen_has_hidden_layers_as_wide_as_its_embeddings(tmp_path):
    save_log(tmp_path / "mine", rows=500)
    (config, *_) = run_configs("evidence_iv", "mine", data_folder=tmp_path)
    assert config.options["hidden"] == (128, 128)
    assert [default_regime(fields).hidden for fields in (8, 14, 22, 39, 100)] == [128, 256, 256, 400, 400]


def test_controls_and_checks_differ_from_the_tables_in_what_they_say():
    def changes(experiment, number):
        config = run_configs(experiment, "criteo_like", seeds=[100])[number]
        plain = next(
            c
            for c in run_configs("tables", "criteo_like", seeds=[100])
            if (c.model, c.embedding_size, c.num_sets) == (config.model, config.embedding_size, config.num_sets)
        )
        ours, theirs = config.to_json(), plain.to_json()
        parts = ("data", "options", "training")
        return {
            (part, key): (theirs[part].get(key), ours[part].get(key))
            for part in parts
            for key in {*ours[part], *theirs[part]}
            if ours[part].get(key) != theirs[part].get(key)
        }

    width = REGIMES["criteo_like"].hidden
    assert changes("controls", 0) == {("options", "hidden"): ([width, width], [4 * width, width])}
    assert changes("controls", -1) == {("options", "groups"): (None, 4)}
    assert changes("noise", 0) == {("training", "dropout_seed"): (None, 1)}
    assert changes("latent", 0) == {("data", "latent_size"): (None, 24)}
    permuted = [c for c in run_configs("permuted", "criteo_like", seeds=[100]) if c.data.permuted]
    assert len(permuted) == 2 + 2
    assert {c.training.max_epochs for c in permuted} == {c.training.patience for c in permuted} == {20}
    decay = 37 / (200_000 * 8 // 9)
    assert sorted({round(c.training.embedding_weight_decay / decay, 9) for c in permuted}) == [0.25, 1, 4]


def test_the_book_shows_records_of_the_first_regime_where_there_are_no_others(tmp_path, monkeypatch):
    """Where they come with the project, and for their seeds; runs made anew are of the regime."""
    monkeypatch.setattr(reading, "OF_FIRST_REGIME", {("collapse", "criteo_like")})
    first = run_configs("collapse", "criteo_like", "first")
    assert shown_configs("collapse", "criteo_like") == first
    assert {c.seed for c in shown_configs("collapse", "criteo_like", seeds="0,1")} == {0, 1}
    regime = run_configs("collapse", "criteo_like", seeds="7")
    assert shown_configs("collapse", "criteo_like", seeds="7") == regime
    assert shown_configs("collapse", "criteo_like", results_dir=tmp_path) == run_configs("collapse", "criteo_like")
    assert shown_configs("evidence_i", "criteo_like") == run_configs("evidence_i", "criteo_like")
    with pytest.raises(ValueError, match="of generator 1: expected 2"):
        load_data(first[0].data)


def test_runs_are_ordered_by_seed_and_come_for_the_seeds_asked_for():
    configs = run_configs("scalability", "criteo_like", "smoke", seeds="7,3")
    assert [config.seed for config in configs] == [7] * (len(configs) // 2) + [3] * (len(configs) // 2)
    assert [c.hash for c in run_configs("scalability", "criteo_like", "smoke", seeds=[3])] == [
        config.hash for config in configs if config.seed == 3
    ]


def test_the_tables_have_every_model_at_every_size():
    """Table 3: six models, single embedding at five sizes, multi embedding at the four above the base."""
    configs = run_configs("tables", "criteo_like", "paper", seeds=[0])
    found = {(c.model, c.embedding_size, c.num_sets) for c in configs}
    bases = {"dnn": 10, "ipnn": 10, "nfwfm": 50, "xdeepfm": 10, "dcnv2": 10, "finalmlp": 10}
    single = {(model, base * scale, 1) for model, base in bases.items() for scale in (1, 2, 3, 4, 10)}
    multi = {(model, base, scale) for model, base in bases.items() for scale in (2, 3, 4, 10)}
    assert found == single | multi
    assert len(configs) == 6 * 9


@pytest.mark.parametrize(("dataset", "fields"), [("criteo_like", 14), ("avazu_like", 13)])
def test_ffm_has_a_sub_embedding_for_every_other_field(dataset, fields):
    (config,) = run_configs("evidence_i", dataset, "laptop", seeds=[0])
    assert config.embedding_size == 8 * (fields - 1)


def test_evidence_iii_has_the_papers_penalty_and_the_ablations_the_released_form_of_it():
    configs = run_configs("evidence_iii", "criteo_like", "paper", seeds=[0])
    assert {c.regularizer for c in configs} == {None, RegularizerConfig("unitary", 1e-5)}
    assert not any(c.options["block_scales"] for c in configs)
    assert len(configs) == 2 * len(PROFILES["paper"].scales)
    released = [c for c in run_configs("ablations", "criteo_like", "laptop", seeds=[0]) if c.options["block_scales"]]
    assert {c.regularizer for c in released} == {RegularizerConfig("unitary", 1e-5)}


def test_a_log_whose_records_the_project_has_needs_no_rows(tmp_path):
    for log, fields in RECORDED_LOGS.items():
        configs = run_configs("few_rows", log.name, data_folder=tmp_path)
        assert {c.data.fingerprint for c in configs} == {log.fingerprint}
        assert {c.data.seed for c in configs} == {c.seed for c in configs}
        assert {c.embedding_size for c in configs if c.model == "ffm"} == {8 * (fields - 1)}
    first = run_configs("few_rows", "criteo_80k", "first", data_folder=tmp_path)
    assert {(c.data.fingerprint, c.data.seed) for c in first} == {("9dd96af35b6d74ff", 0)}
    with pytest.raises(FileNotFoundError, match="no data set 'criteo_81k'"):
        run_configs("few_rows", "criteo_81k", data_folder=tmp_path)


def test_a_run_is_described_with_what_sets_it_apart():
    first = [run_configs(name, "criteo_like", "first", seeds=[3])[-1] for name in ("evidence_iii", "scalability")]
    assert [describe(config) for config in first] == [
        "criteo_like dcnv2 K=100 1e-05 unitary seed 3",
        "criteo_like dcnv2 K=10 x 10 sets seed 3",
    ]
    regime = REGIMES["criteo_like"]
    setting = f"hidden {regime.hidden} batch {regime.batch_size} rate {regime.learning_rate('dcnv2', 10, 1):g}"
    (quarter,) = (c for c in run_configs("permuted", "criteo_like", seeds=[3])[-4:-3])
    assert describe(quarter).endswith(f"{setting} embedding decay x 0.25 seed 3")
    configs = {c.hash: c for name in EXPERIMENTS for c in run_configs(name, "avazu_like", seeds=[3])}
    described = Counter(map(describe, configs.values()))
    assert [words for words, number in described.items() if number > 1] == []


def test_the_map_has_single_and_multi_embedding_at_every_combination_of_levels():
    """Two levels of noise, rows, K and P; three seeds, and rows times weight decay as everywhere."""
    configs = run_configs("map", "avazu_like")
    assert [c.seed for c in configs] == sorted([100, 101, 102] * 32)
    points = {(c.data.noise, c.data.rows, c.embedding_size * c.num_sets, c.data.patterns) for c in configs}
    assert points == set(product((0.0, 2.0), (50_000, 200_000), (20, 40), (1, 9)))
    assert sorted({c.num_sets for c in configs}) == [1, 4]
    assert all(c.data.rows * 8 // 9 * c.training.embedding_weight_decay == pytest.approx(37) for c in configs)
    assert len(run_configs("map", "avazu_like", "smoke")) == 2 * 2 * 2
    assert {c.seed for c in run_configs("map", "avazu_like", seeds=[7, 8, 9, 10])} == {7, 8, 9, 10}


@pytest.mark.parametrize("experiment", OF_GENERATORS)
def test_what_varies_the_generator_is_refused_for_a_prepared_log(tmp_path, experiment):
    save_log(tmp_path / "mine", rows=500)
    with pytest.raises(ValueError, match=f"experiment '{experiment}' varies the generator.*avazu_like: mine"):
        run_configs(experiment, "mine", data_folder=tmp_path)
    assert not {*OF_GENERATORS} & {*book_experiments("mine")}


def test_the_differences_to_the_released_code_come_one_at_a_time():
    configs = run_configs("released", "criteo_like", seeds=[0])
    plain = next(c for c in configs if c.num_sets == 1 and c.model == "dnn").to_json()
    changes = set()
    for config in configs:
        if config.model == "dnn" and config.num_sets == 1:
            values = config.to_json()
            changed = [
                f"{part}.{key}"
                for part in ("data", "options", "training")
                for key in {*plain[part], *values[part]}
                if plain[part].get(key) != values[part].get(key)
            ]
            assert len(changed) <= 1
            changes |= set(changed)
    assert changes == {"options.embedding_std", "training.shuffle", "data.vocabulary"}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("profile", PROFILES)
def test_no_experiment_asks_for_a_run_twice(experiment, profile):
    configs = run_configs(experiment, "criteo_like", profile)
    assert len({config.hash for config in configs}) == len(configs) > 0


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        (("scaling", "criteo_like"), ValueError, ["experiment 'scaling'", *EXPERIMENTS]),
        (("collapse", "criteo_like", "huge"), ValueError, ["profile 'huge'", *PROFILES]),
        (("collapse", "netflix"), FileNotFoundError, ["'netflix'", *DATASETS, "paper-code prepare"]),
        (("collapse", "criteo_like", "smoke", "x"), ValueError, ["seeds="]),
    ],
)
def test_what_does_not_exist_is_told_what_does(tmp_path, arguments, error, names):
    with pytest.raises(error) as raised:
        run_configs(*arguments, data_folder=tmp_path)
    for name in names:
        assert name in str(raised.value)


def test_a_run_in_a_few_words():
    assert describe(tiny_config()) == "criteo_like dnn K=4 weight decay 1e-06 seed 0"
    assert describe(tiny_config(seed=2, num_sets=3)) == "criteo_like dnn K=4 x 3 sets weight decay 1e-06 seed 2"


# The sweep


@pytest.fixture
def executed(monkeypatch) -> list[RunConfig]:
    """The configs that are executed, by a stand-in that is done at once."""
    done = []

    def fake_execute(config, *arguments, **options):
        done.append(config)
        if config.seed == 77:
            raise RuntimeError("the disk is on fire")
        return record_of(config)

    monkeypatch.setattr(sweeps, "execute", fake_execute)
    return done


def record_of(config: RunConfig, auc=0.75, best_epoch=2, seconds=1.5, parameters=10) -> RunRecord:
    scores = {"test_auc": auc, "test_log_loss": 0.5, "best_epoch": best_epoch}
    epochs = [{"training_loss": [0.5], "validation_auc": 0.7}] * best_epoch
    spectra, provenance, looks = {"side_by_side": [[1.0]]}, {"seconds": seconds}, [0.7] * best_epoch
    return RunRecord(config.to_json(), [], parameters, scores, epochs, spectra, provenance, looks)


def test_a_sweep_trains_what_is_missing_and_each_once(tmp_path, executed):
    store = RunStore(tmp_path)
    configs = [tiny_config(seed=seed) for seed in range(4)]
    store.put(configs[1], record_of(configs[1], auc=0.9))
    assert sweep([*configs, tiny_config(seed=0)], store, device="cpu", jobs=1) == 3
    assert [config.seed for config in executed] == [0, 2, 3]
    assert store.get(configs[1]).scores["test_auc"] == 0.9
    assert sweep(configs, store, device="cpu", jobs=1) == 0
    assert len(executed) == 3


def test_nothing_to_train_is_nothing_to_do(tmp_path, capfd):
    assert sweep([], RunStore(tmp_path / "none"), device="cpu") == 0
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "none").exists()


def test_every_run_is_stored_as_it_ends(tmp_path, monkeypatch, executed):
    store = RunStore(tmp_path)
    stored_before = []
    fake_execute = execution.execute

    def watched(*arguments, **options):
        stored_before.append(len(list(store.records())))
        return fake_execute(*arguments, **options)

    monkeypatch.setattr(sweeps, "execute", watched)
    sweep([tiny_config(seed=seed) for seed in range(4)], store, device="cpu", jobs=1)
    assert stored_before == [0, 1, 2, 3]


def test_a_run_that_fails_does_not_stop_the_others_and_is_reported_at_the_end(tmp_path, executed):
    store = RunStore(tmp_path)
    configs = [tiny_config(seed=0), tiny_config(seed=77), tiny_config(seed=77, num_sets=2), tiny_config(seed=1)]
    with pytest.raises(RuntimeError) as error:
        sweep(configs, store, device="cpu", jobs=1)
    assert str(error.value).splitlines() == [
        "2 of 4 runs failed:",
        "criteo_like dnn K=4 weight decay 1e-06 seed 77: RuntimeError: the disk is on fire",
        "criteo_like dnn K=4 x 2 sets weight decay 1e-06 seed 77: RuntimeError: the disk is on fire",
    ]
    assert [store.get(config) is not None for config in configs] == [True, False, False, True]


def test_a_broken_record_is_named_before_anything_is_trained(tmp_path, executed):
    store = RunStore(tmp_path)
    configs = [tiny_config(seed=0), tiny_config(seed=1)]
    path = store.put(configs[1], record_of(configs[1]))
    path.write_text("{")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        sweep(configs, store, device="cpu", jobs=1)
    assert executed == []


def test_processes_give_what_one_process_gives(tmp_path):
    """Runs in parallel, one of them failing, leave the records that they leave one after the other."""
    configs = [tiny_config(seed=0), broken_config(), tiny_config(seed=1)]
    scores = []
    for jobs in (1, 2):
        store = RunStore(tmp_path / str(jobs))
        with pytest.raises(
            RuntimeError,
            match=r"1 of 3 runs failed:\ncriteo_like dnn K=4 weight decay 1e-06 seed 77: ValueError: rows=5",
        ):
            sweep(configs, store, device="cpu", jobs=jobs)
        records = [store.get(configs[0]), store.get(configs[2])]
        assert store.get(configs[1]) is None
        assert [record.provenance["threads"] for record in records] == [1, 1]
        scores.append([(record.scores, record.spectra) for record in records])
    assert scores[0] == scores[1]


KILLED_SWEEP = """
import os, signal, sys
from pathlib import Path
from paper_code.runs import execution
from paper_code.data import SYNTHETIC_LOGS
from paper_code.chapters.shared.tables import results_table
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep
from paper_code.training.config import TrainingConfig

def kill_at_call(function):
    calls = []
    def killing(*arguments, **options):
        calls.append(1)
        if len(calls) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return killing

where = sys.argv[2]
if where == "training":
    execution.field_information_abundance = kill_at_call(execution.field_information_abundance)
else:
    setattr(os, where, kill_at_call(getattr(os, where)))
configs = [
    RunConfig(
        DataConfig("criteo_like", seed, 2_000, 500), "dnn", 4, 1, seed, {"hidden": (4,)},
        TrainingConfig(batch_size=256, max_epochs=2),
    )
    for seed in range(3)
]
sweep(configs, RunStore(sys.argv[1]), device="cpu", jobs=1)
"""


@pytest.mark.parametrize(
    ("where", "call"),
    [("training", 3), ("replace", 2)],  # after the first epoch of the second run; between its file and its name
)
def test_a_killed_sweep_leaves_whole_records_and_is_taken_up_again(tmp_path, where, call):
    arguments = [sys.executable, "-c", KILLED_SWEEP, str(tmp_path), where, str(call)]
    killed = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store = RunStore(tmp_path)
    configs = [tiny_config(seed=seed) for seed in range(3)]
    assert [record.config["seed"] for record in store.records()] == [0]
    first = store.path(configs[0]).read_bytes()
    assert [store.get(config) is None for config in configs] == [False, True, True]
    assert sweep(configs, store, device="cpu", jobs=1) == 2
    assert all(store.get(config) for config in configs)
    assert store.path(configs[0]).read_bytes() == first
    assert len(list(store.records())) == 3


def test_records_of_an_experiment_are_trained_once_and_in_the_order_of_its_runs(tmp_path, monkeypatch, executed):
    """An absolute folder is taken as it is; the second call only reads."""
    tiny = Profile(
        rows=2_000,
        test_rows=500,
        scales=(1, 2),
        seeds=(1, 0),
        options={"hidden": (4,), "cross_layers": 1},
        training=TrainingConfig(batch_size=256, max_epochs=1),
    )
    monkeypatch.setitem(PROFILES, "tiny", tiny)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    expected = [config.to_json() for config in run_configs("scalability", "criteo_like", "tiny")]
    assert len(expected) == 2 * 3 * 2
    for _ in range(2):
        records = records_of("scalability", "criteo_like", "tiny", device="cpu", results_dir=tmp_path)
        assert [record.config for record in records] == expected
    assert len(executed) == len(expected)


# The table


def test_results_table_has_a_row_per_run():
    """The base is single embedding; a scale is the size of the model, by wider or by more embeddings."""
    runs = [("dnn", 10, 1), ("dnn", 40, 1), ("dcnv2", 10, 4), ("dcnv2", 10, 10), ("dcnv2", 100, 1)]
    records = [
        record_of(
            RunConfig(DataConfig("avazu_like", seed, 100, 50), model, size, num_sets, seed),
            auc=0.7 + seed / 100,
            best_epoch=seed,
            seconds=10.0 * seed,
            parameters=1_000 + seed,
        )
        for seed, (model, size, num_sets) in enumerate(runs, start=1)
    ]
    table = results_table(iter(records))
    assert len(table) == 5
    assert table["dataset"].tolist() == ["avazu_like"] * 5
    assert table["model"].tolist() == ["dnn", "dnn", "dcnv2", "dcnv2", "dcnv2"]
    assert table["embedding"].tolist() == ["SE", "SE", "ME", "ME", "SE"]
    assert table["scale"].tolist() == [1, 4, 4, 10, 10]
    assert table["seed"].tolist() == [1, 2, 3, 4, 5]
    assert table["test_auc"].tolist() == [0.7 + seed / 100 for seed in range(1, 6)]
    assert table["best_epoch"].tolist() == [1, 2, 3, 4, 5]
    assert table["seconds"].tolist() == [10, 20, 30, 40, 50]
    assert table["parameters"].tolist() == [1_001, 1_002, 1_003, 1_004, 1_005]


def test_what_the_book_is_used_for_does_not_change_its_records(tmp_path, monkeypatch):
    """Runs made on top of those that come with the project are stored, and found again, elsewhere."""
    monkeypatch.setattr(reading, "NEW_RESULTS", tmp_path)
    committed = project_path(RESULTS_FOLDER)
    before = {path: path.stat().st_mtime_ns for path in committed.rglob("*")}
    monkeypatch.setattr(reading, "OF_FIRST_REGIME", {("collapse", "criteo_like")})
    assert records_of("collapse", "criteo_like")[0].provenance["commit"]
    assert list(tmp_path.iterdir()) == []
    trained = []

    def fake_sweep(configs, store, device):
        missing = sweeps.missing_runs(configs, store)
        some_record = next(store.records())
        for config in missing:
            trained.append(config)
            store.put(config, dataclasses.replace(some_record, config=config.to_json()))

    monkeypatch.setattr(sweeps, "sweep", fake_sweep)
    for _ in range(2):
        found = records_of("collapse", "criteo_like", seeds=[77])
        assert [record.config["seed"] for record in found] == [77]
    assert [config.seed for config in trained] == [77]
    assert reading.stored_records("collapse", "criteo_like", seeds=[77]) == found
    assert [path.name for path in tmp_path.rglob("*.json")] == [f"{trained[0].hash}.json"]
    assert {path: path.stat().st_mtime_ns for path in committed.rglob("*")} == before
    assert run_store(tmp_path).folders == [tmp_path]
