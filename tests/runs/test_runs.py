"""A run's record is named by its config, holds what the book needs, and is on the disk whole or not at all."""

import copy
import dataclasses
import json
import os
import re

import numpy as np
import pytest
import torch

from paper_code.data import SYNTHETIC_LOGS, ClickLog, Field
from paper_code.data.click_log import replaced_folder, split_rows, write_description
from paper_code.models import build_model, model_options
from paper_code.runs import machine
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.execution import execute
from paper_code.runs.logs import data_config, load_data
from paper_code.runs.measurement import summary
from paper_code.runs.record import RunRecord, read_record
from paper_code.runs.store import RunStore
from paper_code.spectra import information_abundance, information_abundance_of, singular_values
from paper_code.training.config import RegularizerConfig, TrainingConfig
from paper_code.training.fitting import fit

LAPTOP_RUN = RunConfig(
    data=DataConfig("criteo_like", 0, 400_000, 200_000, generator=None),
    model="dcnv2",
    embedding_size=100,
    num_sets=1,
    seed=0,
    options={"hidden": (64, 64), "cross_layers": 2},
    training=TrainingConfig(batch_size=128, weight_decay=46 / 400_000, patience=2, max_epochs=20),
)
SIZES = {"dnn": ("dnn", 1), "dnn, 2 sets": ("dnn", 2), "dcnv2": ("dcnv2", 1), "dcnv2, 2 sets": ("dcnv2", 2)}
K = 4


def tiny_config(model="dnn", num_sets=1, seed=0) -> RunConfig:
    options = {"hidden": (8, 8)} | ({"cross_layers": 2} if model == "dcnv2" else {})
    data = DataConfig("criteo_like", 0, 3_000, 1_000)
    return RunConfig(data, model, K, num_sets, seed, options, TrainingConfig(batch_size=256, max_epochs=2))


pytestmark = pytest.mark.usefixtures("same_threads")


@pytest.fixture(scope="module")
def records() -> dict[str, RunRecord]:
    return {key: execute(tiny_config(*sizes), "cpu", threads=1) for key, sizes in SIZES.items()}


@pytest.fixture(params=SIZES)
def run(request, records):
    """Config, record and the same model trained without `execute`."""
    config = tiny_config(*SIZES[request.param])
    torch.set_num_threads(1)
    log = SYNTHETIC_LOGS["criteo_like"](0, rows=3_000, test_rows=1_000)
    model = build_model(config.model, log.cardinalities, K, config.num_sets, config.seed, **config.options)
    result = fit(model, log, log.split(0), config.training, seed=config.seed, device="cpu")
    return config, records[request.param], model, result, log


def any_record(config: RunConfig) -> RunRecord:
    scores = {"test_auc": 0.75, "test_log_loss": 0.5, "best_epoch": 1}
    fields, provenance = [{"name": "ad", "cardinality": 3}], {"commit": None}
    return RunRecord(config.to_json(), fields, 10, scores, [], {}, provenance, [0.75])


def save_log(folder, clicks=0.5, **source) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(5, size=(400, 3)).astype(np.int32)
    log = ClickLog(folder.name, tuple(Field(n, 5) for n in "abc"), ids, (rng.random(400) < clicks) * 1, 2, source)
    with replaced_folder(folder) as new:
        np.save(new / "ids.npy", ids)
        np.save(new / "labels.npy", log.labels.astype(np.uint8))
        write_description(new, log.description)


# The config and its hash


def test_the_hash_of_a_config_stays_what_it_is():
    """It names the records that come with the book: a change here would orphan all of them."""
    assert LAPTOP_RUN.hash == "e078c3eabcc962f4"


UNSET = {"embedding_weight_decay": 1e-6, "averaging": 0.9, "looks_per_epoch": 3, "measured_epoch": 3, "dropout_seed": 3}
UNSET_OF_DATA = {
    "noise": 1.0,
    "patterns": 5,
    "latent_size": 24,
    "vocabulary": "all",
    "fingerprint": "ab",
    "generator": 2,
}


def changes_of(value) -> list:
    """The value with each of its fields but the model changed in turn, fields of fields too."""
    if isinstance(value, dict):
        return [value | {key: changed} for key, of_key in value.items() for changed in changes_of(of_key)]
    if dataclasses.is_dataclass(value):
        return [
            dataclasses.replace(value, **{field.name: changed})
            for field in dataclasses.fields(value)
            if field.name != "model"
            for changed in changes_of(getattr(value, field.name))
        ]
    if value is None:
        return []
    if isinstance(value, str):
        return [value + "2"]
    if isinstance(value, tuple):
        return [value[:-1], (*value, 64), tuple(v + 1 for v in value)]
    return [value + 1, value * 2 + 3] if isinstance(value, int) else [value * (1 + 1e-12)]


def test_the_hash_changes_with_every_field():
    other_model = dataclasses.replace(LAPTOP_RUN, model="dnn", options={"hidden": (64, 64)})
    data, training = LAPTOP_RUN.data, LAPTOP_RUN.training
    given = [
        *(dataclasses.replace(LAPTOP_RUN, data=dataclasses.replace(data, **{k: v})) for k, v in UNSET_OF_DATA.items()),
        *(dataclasses.replace(LAPTOP_RUN, training=dataclasses.replace(training, **{k: v})) for k, v in UNSET.items()),
    ]
    assert {*UNSET} == {field.name for field in dataclasses.fields(training) if getattr(training, field.name) is None}
    hashes = [config.hash for config in [LAPTOP_RUN, other_model, *changes_of(LAPTOP_RUN), *given]]
    assert len(hashes) > 20
    assert len(set(hashes)) == len(hashes)


def test_options_not_given_have_the_papers_values():
    config = dataclasses.replace(LAPTOP_RUN, options={})
    papers = {"hidden": (400, 400), "dropout": 0.2, "cross_layers": 4}
    off = {"block_scales": False, "shared_interaction": False, "ensemble": False}
    off |= {"embedding_std": None, "groups": None, "dnn": None}
    assert config.options == papers | off
    given = dataclasses.replace(LAPTOP_RUN, options={"cross_layers": 4, "dropout": 0.2, "hidden": (400, 400)})
    assert given.hash == config.hash


def test_neither_the_order_of_options_nor_lists_for_tuples_matter():
    other = dataclasses.replace(LAPTOP_RUN, options={"cross_layers": 2, "hidden": [64, 64]})
    assert other.hash == LAPTOP_RUN.hash
    assert other.to_json() == LAPTOP_RUN.to_json()


def test_an_option_added_later_and_off_by_default_leaves_the_hash(monkeypatch):
    later = {"orthogonality": None, "shared_interaction": False}
    monkeypatch.setattr("paper_code.models.registry.model_options", lambda name: model_options(name) | later)
    assert dataclasses.replace(LAPTOP_RUN).hash == "e078c3eabcc962f4"
    for on in ({"orthogonality": 0.0}, {"orthogonality": 1e-5}, {"shared_interaction": True}):
        assert dataclasses.replace(LAPTOP_RUN, options=LAPTOP_RUN.options | on).hash != "e078c3eabcc962f4"


def test_zero_is_a_value():
    """No weight decay, no dropout: off, but not unset."""
    without = dataclasses.replace(LAPTOP_RUN, training=dataclasses.replace(LAPTOP_RUN.training, weight_decay=0.0))
    assert without.to_json()["training"]["weight_decay"] == 0.0
    assert without.hash != LAPTOP_RUN.hash


def test_the_config_as_json_says_everything_but_what_is_unset():
    assert LAPTOP_RUN.to_json() == {
        "data": {"name": "criteo_like", "seed": 0, "rows": 400_000, "test_rows": 200_000},
        "model": "dcnv2",
        "embedding_size": 100,
        "num_sets": 1,
        "seed": 0,
        "options": {"hidden": [64, 64], "dropout": 0.2, "cross_layers": 2},
        "training": {
            **{"batch_size": 128, "learning_rate": 0.001, "weight_decay": 0.000115},
            **{"patience": 2, "max_epochs": 20},
        },
    }


@pytest.mark.parametrize("config", [LAPTOP_RUN, tiny_config(), tiny_config("dcnv2", 4)], ids=["first", "dnn", "dcnv2"])
def test_a_config_comes_back_from_its_json(config):
    penalised = dataclasses.replace(config, regularizer=RegularizerConfig("unitary"), interaction_cost=True)
    for one in (config, penalised):
        found = RunConfig.from_json(one.to_json())
        assert found.to_json() == one.to_json()
        assert found.data == one.data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flavour": "sour"}, "unexpected keyword argument 'flavour'"),
        ({"data": {"name": "criteo_like"}}, "missing 1 required positional argument: 'seed'"),
        ({"interaction_cost": False}, "it would be another run's today"),
    ],
)
def test_a_config_of_other_code_is_refused(change, words):
    with pytest.raises(ValueError, match=f"not of a run that this code knows.*{words}"):
        RunConfig.from_json(tiny_config().to_json() | change)


def test_an_unknown_model_or_option_is_named():
    with pytest.raises(ValueError, match=r"deepfm.*dnn, ipnn"):
        dataclasses.replace(LAPTOP_RUN, model="deepfm")
    with pytest.raises(ValueError, match=r"dnn has no option .*dnn, groups; its options are hidden, dropout"):
        dataclasses.replace(LAPTOP_RUN, model="dnn")


def test_the_regularizer_is_part_of_the_run():
    configs = [dataclasses.replace(LAPTOP_RUN, regularizer=r) for r in (None, RegularizerConfig("unitary"))]
    configs.append(dataclasses.replace(LAPTOP_RUN, regularizer=RegularizerConfig("unitary", 2e-5)))
    assert len({config.hash for config in configs}) == 3
    assert "regularizer" not in configs[0].to_json()
    assert configs[1].to_json()["regularizer"] == {"name": "unitary", "weight": 1e-5}


# The store


def test_a_record_comes_back_as_it_was_put(tmp_path, records):
    store = RunStore(tmp_path)
    config = tiny_config("dcnv2", 2)
    assert store.get(config) is None
    path = store.put(config, records["dcnv2, 2 sets"])
    assert path == store.path(config) == tmp_path / "criteo_like" / f"{config.hash}.json"
    assert store.get(config) == records["dcnv2, 2 sets"] == read_record(path)
    assert store.get(tiny_config("dcnv2", 1)) is None


def test_records_are_listed_by_name_and_half_written_ones_are_not(tmp_path):
    store = RunStore(tmp_path)
    configs = [tiny_config(seed=seed) for seed in range(4)]
    for one in configs:
        store.put(one, any_record(one))
    (tmp_path / "criteo_like" / ".abc.tmp").write_text("{")
    (tmp_path / "criteo_like" / ".abc.json").write_text("{")
    found = [record.config["seed"] for record in store.records()]
    assert found == [config.seed for config in sorted(configs, key=lambda config: config.hash)]
    assert {record.config["seed"] for record in store.records('"seed":1', '"seed":3')} == {1, 3}
    assert list(RunStore(tmp_path / "none").records()) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", "\xff", '"text"', '{"schema": 1}', '{"schema": 1, "surprise": 2}'],
)
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    store = RunStore(tmp_path)
    path = store.put(LAPTOP_RUN, any_record(LAPTOP_RUN))
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: not a run record .*delete it"):
        store.get(LAPTOP_RUN)


@pytest.mark.parametrize("schema", [0, 3, "1", None])
def test_a_record_of_another_schema_is_named(tmp_path, schema):
    store = RunStore(tmp_path)
    path = store.put(LAPTOP_RUN, any_record(LAPTOP_RUN))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*schema {schema!r}, expected 2"):
        store.get(LAPTOP_RUN)


def test_a_record_of_another_run_is_named(tmp_path):
    store = RunStore(tmp_path)
    path = store.put(LAPTOP_RUN, any_record(tiny_config()))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: its config is not that of the run"):
        store.get(LAPTOP_RUN)


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("failing", ["replace", "fsync", "interrupt", "nan", "not JSON"])
def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch, failing, earlier):
    def fails(*_):
        raise KeyboardInterrupt if failing == "interrupt" else OSError("no space left")

    store, record = RunStore(tmp_path), any_record(LAPTOP_RUN)
    if earlier:
        store.put(LAPTOP_RUN, record)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    new = dataclasses.replace(record, parameters=11)
    if failing in ("nan", "not JSON"):
        new = dataclasses.replace(record, scores={"test_auc": float("nan") if failing == "nan" else object()})
    else:
        monkeypatch.setattr(os, "fsync" if failing == "fsync" else "replace", fails)
    with pytest.raises((OSError, KeyboardInterrupt, ValueError, TypeError)):
        store.put(LAPTOP_RUN, new)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_published_records_are_read_and_others_written_beside_them(tmp_path):
    published, new = RunStore(tmp_path / "published"), tmp_path / "new"
    ours, theirs = LAPTOP_RUN, dataclasses.replace(LAPTOP_RUN, seed=LAPTOP_RUN.seed + 1)
    published.put(theirs, any_record(theirs))
    store = RunStore(new, published=published.folder)
    assert store.get(theirs) == any_record(theirs)
    assert store.get(ours) is None
    assert store.put(ours, any_record(ours)).is_relative_to(new)
    assert list(store.records()) == [any_record(theirs), any_record(ours)]
    assert store.find(theirs) == published.path(theirs)
    assert list(published.records()) == [any_record(theirs)]


def test_a_later_record_takes_the_place_of_an_earlier_one(tmp_path):
    store = RunStore(tmp_path)
    for parameters in (10, 11):
        store.put(LAPTOP_RUN, dataclasses.replace(any_record(LAPTOP_RUN), parameters=parameters))
    assert store.get(LAPTOP_RUN).parameters == 11
    assert len(list(tmp_path.rglob("*.*"))) == 1


# The record


def test_the_record_says_what_was_run_and_what_came_of_it(run):
    config, record, model, result, log = run
    assert record.schema == 2
    assert record.config == config.to_json()
    assert record.fields == [{"name": field.name, "cardinality": field.cardinality} for field in log.fields]
    assert record.parameters == sum(p.numel() for p in model.parameters())
    assert record.scores == {
        "test_auc": result.test_auc,
        "test_log_loss": result.test_log_loss,
        "best_look": result.best_look,
        "best_epoch": result.best_epoch,
    }
    assert record.looks == result.looks
    assert record.moments.keys() == {"initial", "best"}
    assert sum(record.parameters_by_part.values()) == record.parameters
    assert len(record.epochs) == len(result.epochs) == 2
    for epoch, expected in zip(record.epochs, result.epochs, strict=True):
        assert epoch["training_loss"] == expected.training_loss
        assert epoch["validation_auc"] == expected.validation_auc
        assert epoch["validation_log_loss"] == expected.validation_log_loss
        assert epoch["training_seconds"] > 0
        assert len(epoch["measurements"]["information_abundance"]) == len(log.fields)


def test_a_record_is_json(records):
    for record in records.values():
        values = dataclasses.asdict(record)
        assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_the_spectra_are_those_of_the_trained_model(run):
    """To five digits: of every field all sets side by side, and information abundance at the best epoch from them."""
    _, record, model, result, log = run
    weight = model.embedding.weight.detach().numpy()
    starts = np.cumsum([0, *log.cardinalities])
    at_best_epoch = record.epochs[result.best_epoch - 1]["measurements"]["information_abundance"]
    assert len(record.spectra["side_by_side"]) == len(log.fields)
    for i, values in enumerate(record.spectra["side_by_side"]):
        matrix = weight[starts[i] : starts[i + 1]]
        np.testing.assert_allclose(values, singular_values(matrix), rtol=6e-5)
        assert information_abundance_of(values) == pytest.approx(information_abundance(matrix), rel=2e-4)
        assert at_best_epoch[i] == pytest.approx(information_abundance(matrix), rel=6e-5)


def test_spectra_per_set_only_where_there_are_several(run):
    config, record, model, _, log = run
    assert ("per_set" in record.spectra) == (config.num_sets > 1)
    if config.num_sets > 1:
        per_set = record.spectra["per_set"]
        assert [len(of_set) for of_set in per_set] == [len(log.fields)] * config.num_sets
        for m, of_set in enumerate(model.embedding_matrices()):
            for i, matrix in enumerate(of_set):
                np.testing.assert_allclose(per_set[m][i], singular_values(matrix), rtol=6e-5)


def test_interaction_norms_only_where_there_are_projections(run):
    """The Frobenius norms of the K x K blocks of the first cross layer's W: row block j, column block i is i -> j."""
    config, record, model, _, log = run
    assert ("interaction_norms" in record.spectra) == (config.model == "dcnv2")
    if config.model == "dcnv2":
        norms = np.array(record.spectra["interaction_norms"])
        assert norms.shape == (config.num_sets, len(log.fields), len(log.fields))
        for m in range(config.num_sets):
            w = model.interaction.layers[0].weight[m].detach().numpy().T
            for i in range(len(log.fields)):
                for j in range(len(log.fields)):
                    block = w[j * K : (j + 1) * K, i * K : (i + 1) * K]
                    assert norms[m, i, j] == pytest.approx(np.sqrt(np.square(block).sum()), rel=6e-5)


def test_sub_embeddings_are_measured_for_dcnv2_with_one_set(run):
    """Evidence II: E_i W_{i->j}^T of every pair of fields."""
    config, record, model, _, log = run
    there = config.model == "dcnv2" and config.num_sets == 1
    assert ("sub_embedding_information_abundance" in record.spectra) == there
    if there:
        found = np.array(record.spectra["sub_embedding_information_abundance"])
        w = model.interaction.layers[0].weight[0].detach().double().numpy().T
        for i, matrix in enumerate(model.embedding_matrices()[0]):
            for j in range(len(log.fields)):
                block = w[j * K : (j + 1) * K, i * K : (i + 1) * K]
                expected = information_abundance(matrix.detach().double().numpy() @ block.T)
                assert found[i, j] == pytest.approx(expected, rel=1e-3)


def test_sub_embeddings_of_ffm_are_measured_but_for_the_field_itself():
    config = dataclasses.replace(tiny_config(), model="ffm", embedding_size=13 * 2, options={})
    spectra = execute(config, "cpu", threads=1).spectra
    found = spectra["sub_embedding_information_abundance"]
    for i, of_field in enumerate(found):
        assert [j for j, value in enumerate(of_field) if value is None] == [i]
        assert all(1 <= value <= 2 for value in of_field if value is not None)
    assert "interaction_norms" not in spectra


def test_a_regularizer_changes_the_run_and_one_that_the_model_cannot_have_is_refused():
    config = tiny_config("dcnv2", 2)
    plain = execute(config, "cpu", threads=1)
    with_penalty = dataclasses.replace(config, regularizer=RegularizerConfig("norm_divergence", 100.0))
    restricted = execute(with_penalty, "cpu", threads=1)
    assert restricted.parameters == plain.parameters
    spread = [np.var(np.square(r.spectra["interaction_norms"]), axis=0).mean() for r in (plain, restricted)]
    assert spread[1] < spread[0]
    with pytest.raises(ValueError, match="expected num_sets > 1"):
        execute(dataclasses.replace(with_penalty, num_sets=1), "cpu", threads=1)


def test_the_same_config_gives_the_same_record_but_for_the_clock(records):
    def without_clock(record):
        epochs = [{key: value for key, value in epoch.items() if key != "training_seconds"} for epoch in record.epochs]
        return dataclasses.replace(record, epochs=epochs, provenance={})

    again = execute(tiny_config("dcnv2", 1), "cpu", threads=1)
    assert without_clock(again) == without_clock(records["dcnv2"])
    other = execute(tiny_config("dcnv2", 1, seed=1), "cpu", threads=1)
    assert other.scores != again.scores


def test_provenance(records):
    found = records["dnn"].provenance
    assert set(found) >= {
        *("commit", "modified", "versions", "hardware", "device", "threads", "date"),
        *("seconds", "training_seconds", "peak_memory_mib"),
    }
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])
    assert found["modified"] in (True, False, None)
    assert set(found["versions"]) == {"torch", "numpy", "scikit-learn", "python"}
    assert found["versions"]["numpy"] == np.__version__
    assert torch.__version__.startswith(found["versions"]["torch"])  # which may add for which CUDA it was built
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert 0 < found["training_seconds"] <= found["seconds"]
    assert found["training_seconds"] == pytest.approx(
        sum(epoch["training_seconds"] for epoch in records["dnn"].epochs), abs=0.01
    )
    assert 50 < found["peak_memory_mib"] < 50_000


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "PROJECT_FOLDER", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    uncached = getattr(machine.commit, "__wrapped__", machine.commit)
    assert uncached()["commit"] is None


# The data


def test_a_synthetic_log_has_the_seed_and_the_sizes_asked_for(tmp_path):
    config = data_config("avazu_like", 3, 500, 100, tmp_path)
    assert config == DataConfig("avazu_like", 3, 500, 100)
    log = load_data(config, tmp_path)
    expected = SYNTHETIC_LOGS["avazu_like"](3, 500, 100)
    assert np.array_equal(log.ids, expected.ids)
    assert np.array_equal(log.labels, expected.labels)


def test_an_unknown_data_set_is_told_which_there_are(tmp_path):
    for name in ("mine", "criteo_full"):
        save_log(tmp_path / name)
    (tmp_path / "not_a_log").mkdir()
    with pytest.raises(FileNotFoundError, match="'criteo'") as error:
        data_config("criteo", 0, 10, 10, tmp_path)
    for name in ("criteo_like", "avazu_like", "mine", "criteo_full", "paper-code prepare"):
        assert name in str(error.value)
    assert "not_a_log" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="criteo_like, avazu_like"):
        data_config("criteo", 0, 10, 10, tmp_path / "no folder")


def test_a_run_on_an_encoded_log(tmp_path):
    """Split 8:1:1 by the seed; fingerprint and rows are the log's own."""
    save_log(tmp_path / "mine", sha256="ab")
    data = data_config("mine", 7, 10, 10, tmp_path)
    assert (data.seed, data.rows, data.test_rows) == (7, 400, None)
    assert re.fullmatch("[0-9a-f]{16}", data.fingerprint)
    config = RunConfig(data, "dnn", 2, 1, 7, {"hidden": (4,)}, TrainingConfig(batch_size=64, max_epochs=1))
    record = execute(config, "cpu", threads=1, data_folder=tmp_path)
    assert record.config["data"] == {"name": "mine", "seed": 7, "rows": 400, "fingerprint": data.fingerprint}
    assert [field["name"] for field in record.fields] == ["a", "b", "c"]
    model = build_model("dnn", [5, 5, 5], 2, 1, 7, hidden=(4,))
    log = load_data(data, tmp_path)
    expected = fit(model, log, split_rows(400, 7), config.training, seed=7, device="cpu")
    assert record.scores["test_auc"] == expected.test_auc


def test_a_log_prepared_anew_is_another_log(tmp_path):
    save_log(tmp_path / "mine", sha256="ab")
    first = data_config("mine", 0, 10, 10, tmp_path)
    save_log(tmp_path / "mine", sha256="cd")
    second = data_config("mine", 0, 10, 10, tmp_path)
    assert first != second
    load_data(second, tmp_path)
    with pytest.raises(ValueError, match=f"{second.fingerprint}.*{first.fingerprint}.*start again"):
        load_data(first, tmp_path)


def test_a_run_leaves_the_next_one_alone(records):
    """The log stays in memory between runs: a run must not change it."""
    log = load_data(tiny_config().data)
    before = copy.deepcopy((log.ids, log.labels))
    execute(tiny_config(), "cpu", threads=1)
    assert np.array_equal(log.ids, before[0])
    assert np.array_equal(log.labels, before[1])


# The regime


def regime_config(model="dcnv2", num_sets=2, **changes) -> RunConfig:
    training = TrainingConfig(
        batch_size=256, max_epochs=2, looks_per_epoch=3, averaging=0.9, measured_epoch=1, embedding_weight_decay=1e-4
    )
    data = DataConfig("criteo_like", 0, 3_000, 1_000)
    options = {"hidden": (8, 8)}
    return dataclasses.replace(RunConfig(data, model, K, num_sets, 0, options, training), **changes)


@pytest.fixture(scope="module")
def of_regime() -> RunRecord:
    return execute(regime_config(interaction_cost=True), "cpu", threads=1)


def test_a_record_has_every_moment_averaged_and_raw(of_regime):
    assert of_regime.moments.keys() == {"initial", "best", "raw_best", "equal", "raw_equal"}
    for name, moment in of_regime.moments.items():
        assert len(moment["information_abundance"]) == len(of_regime.fields)
        assert ("test_auc" in moment) == name.endswith("equal")
    assert of_regime.moments["best"] != of_regime.moments["raw_best"]
    assert of_regime.scores["raw_test_auc"] != of_regime.scores["test_auc"]
    assert all("raw_validation_auc" in epoch for epoch in of_regime.epochs)
    assert len(of_regime.looks) > len(of_regime.epochs)


def test_the_initial_moment_is_that_of_the_model_as_built(of_regime):
    config = regime_config()
    log = load_data(config.data)
    model = build_model("dcnv2", log.cardinalities, K, 2, 0, **config.options)
    assert of_regime.moments["initial"] == summary(model)


def test_what_an_interaction_is_worth_is_the_difference_of_two_refits(of_regime):
    """By hand: train, set the cross layers to the identity and freeze them, train all else for an epoch."""
    config = regime_config()
    torch.set_num_threads(1)
    log = load_data(config.data)
    model = build_model("dcnv2", log.cardinalities, K, 2, 0, **config.options)
    fit(model, log, log.split(0), config.training, seed=0, device="cpu")
    aucs = []
    for off in (False, True):
        refitted = copy.deepcopy(model)
        if off:
            for parameter in refitted.interaction.parameters():
                torch.nn.init.zeros_(parameter).requires_grad_(False)
        once = dataclasses.replace(config.training, max_epochs=1, looks_per_epoch=None, measured_epoch=None)
        aucs.append(fit(refitted, log, log.split(0), once, seed=0, device="cpu").test_auc)
    assert of_regime.scores["interaction_cost"] == pytest.approx(aucs[0] - aucs[1], abs=1e-12)


def test_the_cost_of_the_interaction_leaves_all_else_as_it_is(of_regime):
    without = execute(regime_config(), "cpu", threads=1)
    assert "interaction_cost" not in without.scores
    for part in ("spectra", "moments", "looks", "parameters_by_part"):
        assert getattr(without, part) == getattr(of_regime, part)
    assert without.hash != of_regime.hash


def test_permuted_labels_are_the_same_clicks_in_another_order():
    data = DataConfig("criteo_like", 3, 3_000, 1_000)
    log, permuted = load_data(data), load_data(dataclasses.replace(data, permuted=True))
    assert np.array_equal(log.ids, permuted.ids)
    assert log.labels.sum() == permuted.labels.sum()
    assert 0.3 < (log.labels != permuted.labels).mean() < 0.5  # 2 p (1 - p) for a click rate of 0.26
    again = load_data.__wrapped__(dataclasses.replace(data, permuted=True))
    assert np.array_equal(permuted.labels, again.labels)


def test_a_log_of_the_first_generator_is_only_in_records():
    with pytest.raises(ValueError, match=r"criteo_like of generator 1: expected 2; .* only records"):
        load_data(DataConfig("criteo_like", 0, 3_000, 1_000, generator=None))
    assert DataConfig("mine", 0, 100).generator is None


def test_a_record_of_the_first_regime_is_read_with_one_look_an_epoch(tmp_path, records):
    values = dataclasses.asdict(records["dnn"])
    for name in ("looks", "moments", "parameters_by_part"):
        del values[name]
    del values["scores"]["best_look"]
    path = tmp_path / f"{records['dnn'].hash}.json"
    path.write_text(json.dumps(values | {"schema": 1}))
    found = read_record(path)
    assert found.looks == [epoch["validation_auc"] for epoch in found.epochs] == records["dnn"].looks
    assert found.scores == records["dnn"].scores


def test_a_record_of_ten_sets_takes_less_than_60_kilobytes(tmp_path):
    """The largest of the book: DCNv2 with ten sets on the 14 fields of criteo_like."""
    config = regime_config(num_sets=10, embedding_size=10)
    path = RunStore(tmp_path).put(config, execute(config, "cpu", threads=1))
    assert path.stat().st_size < 60_000
