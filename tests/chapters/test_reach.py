"""Where multi embedding helps and what else its cost could buy, on hand-made records: tables against slow obvious code.

The records are of the runs that the experiments ask for; no run made them. To all test AUCs of a seed the same is
added, more than any effect: only pairs can tell.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest

from paper_code.chapters.alternatives import (
    KINDS,
    alternatives_claims,
    alternatives_table,
    alternatives_text,
    single_at_time,
)
from paper_code.chapters.claims import Ledger
from paper_code.chapters.newer import newer_claims
from paper_code.chapters.reach import (
    POINT,
    factors_text,
    map_claims,
    map_correlations,
    map_factors,
    map_summary,
    map_table,
)
from paper_code.chapters.released import OTHER_CHOICES, released_claims
from paper_code.chapters.shared.judged import OURS
from paper_code.chapters.shared.rules import Claim
from paper_code.chapters.shared.tables import Runs
from paper_code.runs.config import RunConfig
from paper_code.runs.experiments import EXPERIMENTS, MAP_LEVELS, OF_FIRST_REGIME, run_configs
from paper_code.runs.profiles import FIRST, PROFILES
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.spectra import random_information_abundance
from paper_code.training.config import RegularizerConfig

CARDINALITIES = [20, 30, 40, 60, 80]
OFFSETS = [-0.05, 0.2, -0.05, -0.08, -0.02]  # of the fields' shares of random from their mean
FACTORS = [0.9, 0.95, 1.0, 1.05, 1.1]  # by seed: effects are multiplied by it
OF_THREE_SEEDS = 4.302653 / 3**0.5  # Student's t for 95 % over the root of the number of seeds
SCALES = {"map": [4], "alternatives": [1, 2, 3, 4, 10], "released": [4], "newer": [1, 2, 3, 4]}
CLAIMS = {
    "map": map_claims,
    "alternatives": alternatives_claims,
    "released": released_claims,
    "newer": newer_claims,
}
YES, PARTLY, OPEN, NO, NOT_TESTED = "holds", "in part", "inconclusive", "contradicted", "not tested"


def singular_values_of(abundance: float, count: int) -> list[float]:
    """So many singular values of that information abundance."""
    return [1.0] + [(abundance - 1) / (count - 1)] * (count - 1)


def make_record(
    config: RunConfig, auc=0.0, share=0.6, seconds=10.0, parameters=100, law=1, dataset: str | None = None
) -> RunRecord:
    """A record of the run that no run made.

    auc: above 0.5 and a tenth for every seed. share: information abundance over that of random matrices, mean over the
    fields. law: 1 if sub-embeddings follow both fields, -1 if they go against both.
    """
    size, seed = config.embedding_size * config.num_sets, config.seed
    learned = [
        (share + offset) * random_information_abundance(d, size)
        for d, offset in zip(CARDINALITIES, OFFSETS, strict=True)
    ]
    spectra = [singular_values_of(value, min(d, size)) for value, d in zip(learned, CARDINALITIES, strict=True)]
    rank = law * np.argsort(np.argsort(learned))
    return RunRecord(
        config=(replace(config, data=replace(config.data, name=dataset)) if dataset else config).to_json(),
        fields=[{"name": f"f{d}", "cardinality": d} for d in CARDINALITIES],
        parameters=parameters,
        scores={"test_auc": 0.5 + seed / 10 + auc, "test_log_loss": 0.5, "best_epoch": 1},
        epochs=[{"training_loss": [0.5], "validation_auc": 0.7, "measurements": {"information_abundance": [1.0] * 5}}],
        spectra={
            "side_by_side": spectra,
            "sub_embedding_information_abundance": np.exp(np.add.outer(rank, rank / 5)).tolist(),
        },
        provenance={"device": "cpu", "seconds": seconds, "training_seconds": seconds / 2},
        looks=[0.7],
    )


@cache
def configs_of(experiment: str) -> list[RunConfig]:
    return run_configs(experiment, "criteo_like", FIRST)


def judge(experiment: str, records: Sequence[RunRecord]) -> dict[str, Claim]:
    return {claim.name: claim for claim in CLAIMS[experiment](Runs(records, "criteo_like", SCALES[experiment]))}


def verdicts(claims: dict[str, Claim]) -> dict[str, str]:
    return {name: claim.verdict for name, claim in claims.items()}


def words_and_numbers(claims: dict[str, Claim]) -> dict[str, list]:
    """Of every claim all that can be compared: NaN, where the paper has no number, differs from itself."""
    return {
        name: [replace(claim, effects=()), *((e.name, list(e.values), e.side, e.bound) for e in claim.effects)]
        for name, claim in claims.items()
    }


# The map


@pytest.fixture(scope="module")
def map_records() -> list[RunRecord]:
    """Of both logs, with AUC and collapse at random."""
    generator = np.random.default_rng(0)
    return [
        make_record(config, generator.uniform(0, 0.01), generator.uniform(0.3, 0.9), dataset=dataset)
        for dataset in ("criteo_like", "avazu_like")
        for config in configs_of("map")
    ]


@pytest.fixture(scope="module")
def of_map(map_records) -> pd.DataFrame:
    return map_table(map_records)


def share_of(record: RunRecord) -> float:
    """Of random, mean over the fields, from the definition."""
    size = record.config["embedding_size"] * record.config["num_sets"]
    return mean(
        sum(values) / max(values) / random_information_abundance(field["cardinality"], size)
        for field, values in zip(record.fields, record.spectra["side_by_side"], strict=True)
    )


def slow_map(records: Sequence[RunRecord]) -> list[tuple]:
    """By comparing every multi embedding with every other record."""
    rows = []
    for multi in records:
        for single in records:
            a, b = single.config, multi.config
            if b["num_sets"] > 1 and a == b | {"num_sets": 1, "embedding_size": b["embedding_size"] * b["num_sets"]}:
                data, scores = b["data"], [record.scores["test_auc"] for record in (single, multi)]
                point = data["noise"], data["rows"], b["embedding_size"], data["patterns"]
                scale = b["embedding_size"] * b["num_sets"] / 10
                gain, shares = scores[1] - scores[0], (share_of(single), share_of(multi))
                rows.append((data["name"], *point, b["seed"], scale, *scores, gain, *shares))
    first = records[0].config["data"]["name"]
    return sorted(rows, key=lambda row: (row[0] != first, row))


def assert_same(table: pd.DataFrame, rows: Sequence[tuple]) -> None:
    """The same rows in the same order; texts alike, numbers to rounding."""
    assert len(table) == len(rows)
    for found, expected in zip(table.itertuples(index=False), rows, strict=True):
        texts = {number for number, value in enumerate(expected) if isinstance(value, str)}
        numbers = [number for number in range(len(found)) if number not in texts]
        assert [found[number] for number in texts] == [expected[number] for number in texts]
        of_row = [float(expected[number]) for number in numbers]
        assert [float(found[number]) for number in numbers] == pytest.approx(of_row, rel=1e-6, abs=1e-12)


def test_the_map_has_every_combination_of_levels_with_three_seeds(of_map):
    sizes = [sorted(set(of_map[name])) for name in POINT]
    assert sizes == [[0.0, 2.0], [50_000, 200_000], [5, 10], [1, 9]]
    assert list(MAP_LEVELS) == POINT
    assert len(of_map) == 2 * 2**4 * 3
    assert not of_map.duplicated(["dataset", *POINT, "seed"]).any()


def test_single_and_multi_embedding_are_paired_at_the_same_log_point_size_and_seed(of_map, map_records):
    assert of_map.columns.tolist() == [
        *("dataset", "noise", "rows", "base", "patterns", "seed", "scale"),
        *("single", "multi", "gain", "share", "multi_share"),
    ]
    assert_same(of_map, slow_map(map_records))


def test_k_is_that_of_a_set_and_the_size_that_of_all_sets(of_map):
    """Four sets of K = 5 are compared with a single embedding of 20, of K = 10 with one of 40."""
    assert set(zip(of_map["base"], of_map["scale"], strict=True)) == {(5, 2), (10, 4)}


def test_of_a_log_the_order_of_the_records_is_of_no_account(of_map, map_records):
    """The logs are in the order in which they come."""
    turned = sorted(map_records[::-1], key=lambda record: record.config["data"]["name"], reverse=True)
    pd.testing.assert_frame_equal(map_table(turned), of_map)


def test_a_run_without_its_partner_is_left_out(map_records):
    """One single and two multi embeddings are lost, one pair among them."""
    singles, multis = ([r for r in map_records if (r.config["num_sets"] > 1) is of] for of in (False, True))
    pair = slow_map([singles[7], *multis])
    lost = [singles[7], multis[11], next(r for r in multis if slow_map([singles[7], r]))]
    left = [record for record in map_records if record not in lost]
    table = map_table(left)
    assert len(pair) == 1
    assert len(table) == 96 - 2
    assert_same(table, slow_map(left))


@pytest.mark.parametrize("sets", [1, 4])
def test_without_pairs_the_map_is_empty_and_has_its_columns(of_map, map_records, sets):
    for records in ([], [record for record in map_records if record.config["num_sets"] == sets]):
        table = map_table(records)
        assert table.empty
        assert table.columns.tolist() == of_map.columns.tolist()


def slow_spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """1 - 6 sum d^2 / (n (n^2 - 1)) of values without ties, d the differences of their ranks."""
    ranks = [[sorted(values).index(value) for value in values] for values in (a, b)]
    squares = sum((x - y) ** 2 for x, y in zip(*ranks, strict=True))
    return 1 - 6 * squares / (len(a) * (len(a) ** 2 - 1))


@pytest.mark.parametrize("columns", [("gain", "share"), ("multi", "multi_share")])
def test_correlations_are_spearmans_over_the_points_of_a_seed(of_map, columns):
    log = of_map[of_map["dataset"] == "avazu_like"]
    found = map_correlations(log, *columns)
    assert found.index.tolist() == [0, 1, 2]
    for seed, value in found.items():
        rows = log[log["seed"] == seed]
        assert len(rows) == 16
        assert value == pytest.approx(slow_spearman(*(rows[name].tolist() for name in columns)))
    assert map_correlations(log).tolist() == map_correlations(log, "gain", "share").tolist()


def test_gains_where_the_collapse_is_give_a_negative_correlation():
    """Share of random is low where embeddings collapse."""
    table = pd.DataFrame({"seed": [3] * 4 + [8] * 4, "share": [0.2, 0.4, 0.6, 0.9] * 2})
    table["gain"] = [0.03, 0.02, 0.01, -0.5, 0.01, 0.02, 0.03, 7.0]
    assert map_correlations(table).to_dict() == pytest.approx({3: -1, 8: 1})
    assert map_correlations(map_table([])).empty


@pytest.mark.parametrize("value", ["gain", "share", "multi"])
def test_a_factors_effect_is_the_mean_where_it_is_high_less_that_where_it_is_low(of_map, value):
    rows = of_map.to_dict("records")
    expected = []
    for dataset in ("criteo_like", "avazu_like"):
        for seed in range(3):
            for factor in POINT:
                of_levels = {}
                for row in rows:
                    if (row["dataset"], row["seed"]) == (dataset, seed):
                        of_levels.setdefault(row[factor], []).append(row[value])
                low, high = sorted(of_levels)
                assert len(of_levels[low]) == len(of_levels[high]) == 8
                expected.append((dataset, factor, low, high, seed, mean(of_levels[high]) - mean(of_levels[low])))
    table = map_factors(of_map, value)
    assert table.columns.tolist() == ["dataset", "factor", "low", "high", "seed", value]
    assert_same(table, expected)


def test_a_factor_that_alone_matters_has_the_effect_and_the_others_none():
    gains = {5: -0.001, 10: 0.004}
    multi = [make_record(c, gains[c.embedding_size] if c.num_sets > 1 else 0.0) for c in configs_of("map")]
    found = map_factors(map_table(multi)).groupby("factor")["gain"].mean()
    assert found.to_dict() == pytest.approx({"base": 0.005, "noise": 0, "rows": 0, "patterns": 0}, abs=1e-12)


def test_the_summary_is_over_seeds_with_students_intervals(of_map):
    expected = []
    for point, rows in groupby(of_map.to_dict("records"), lambda row: [row[name] for name in ("dataset", *POINT)]):
        rows = list(rows)
        means = [mean(row[name] for row in rows) for name in ("single", "multi", "gain", "share", "multi_share")]
        expected.append((*point, *means, OF_THREE_SEEDS * stdev(row["gain"] for row in rows), 3))
    table = map_summary(of_map)
    assert table.columns.tolist() == [
        *("dataset", *POINT, "single", "multi", "gain", "share", "multi_share", "half_interval", "seeds"),
    ]
    assert len(table) == 2 * 16
    assert_same(table, expected)


def test_the_summary_of_one_seed_has_no_interval(of_map):
    table = map_summary(of_map[of_map["seed"] == 1])
    assert table["half_interval"].tolist() == [0] * 32
    assert table["seeds"].tolist() == [1] * 32


def test_factors_as_text_have_their_levels_and_means_with_intervals(of_map):
    texts = factors_text(of_map)
    gains, shares = map_factors(of_map), map_factors(of_map, "share")
    assert texts["data"].tolist() == ["criteo_like, synthetic"] * 4 + ["avazu_like, synthetic"] * 4
    assert texts["from low to high"].tolist()[:4] == [
        "noise of the label, 0 to 2",
        "rows (and by rule the weight decay), 50,000 to 200,000",
        "base size K, 5 to 10",
        "interaction patterns P, 1 to 9",
    ]
    for number, text in enumerate(texts.itertuples(index=False)):
        log, factor = ("criteo_like", "avazu_like")[number // 4], POINT[number % 4]
        for found, table, value, digits in ((text[2], gains, "gain", 4), (text[3], shares, "share", 3)):
            by_seed = table[(table["dataset"] == log) & (table["factor"] == factor)][value].tolist()
            assert len(by_seed) == 3
            assert found == f"{mean(by_seed):+.{digits}f} ± {OF_THREE_SEEDS * stdev(by_seed):.{digits}f}"


# The claims of the map


def map_of(gain=0.002, share=0.5, multi_share=0.7, slope=0.002) -> list[RunRecord]:
    """A map whose points have these means.

    slope: by how much the gain is smaller, and single embedding's share larger, from the first point to the last.
    """
    configs, records = configs_of("map"), []
    points = sorted({(c.data.noise, c.data.rows, c.data.patterns, c.embedding_size * c.num_sets) for c in configs})
    for config in configs:
        size = config.embedding_size * config.num_sets
        place = points.index((config.data.noise, config.data.rows, config.data.patterns, size)) / 15 - 0.5
        if config.num_sets > 1:
            auc = FACTORS[config.seed] * gain - slope * place
            records.append(make_record(config, auc, multi_share + config.seed / 50))
        else:
            records.append(make_record(config, 0.0, share + config.seed / 50 + place / 5))
    return records


MAP_CLAIMS = ["map-gain", "map-relief", "map-where-the-collapse-is"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [YES, YES, YES]),
        ({"gain": -0.002}, [NO, YES, YES]),
        ({"multi_share": 0.4}, [YES, NO, YES]),
        ({"slope": -0.002}, [YES, YES, NO]),
        ({"gain": -0.002, "multi_share": 0.4, "slope": -0.002}, [NO, NO, NO]),
    ],
)
def test_the_maps_claims_are_of_gain_of_relief_and_of_their_going_together(changes, expected):
    assert verdicts(judge("map", map_of(**changes))) == dict(zip(MAP_CLAIMS, expected, strict=True))


def test_the_maps_effects_are_a_number_per_seed():
    claims = judge("map", map_of())
    gain, relief, where = ([list(effect.values) for effect in claims[name].effects] for name in MAP_CLAIMS)
    np.testing.assert_allclose(gain, [[0.002 * factor for factor in FACTORS[:3]]])
    np.testing.assert_allclose(relief, [[(0.7 + seed / 50) / (0.5 + seed / 50) for seed in range(3)]])
    np.testing.assert_allclose(where, [[-1, -1, -1]])
    assert claims["map-where-the-collapse-is"].effects[0].side == "below"


# Alternatives


@pytest.fixture(scope="module")
def alternatives_records() -> list[RunRecord]:
    """Of both logs, with AUC, collapse, seconds and parameters at random; two seeds for Avazu's."""
    generator = np.random.default_rng(1)
    return [
        make_record(
            config,
            *(generator.uniform(0, 0.01), generator.uniform(0.3, 0.9), generator.uniform(5, 100)),
            parameters=int(generator.integers(100, 1000)),
            dataset=dataset,
        )
        for dataset in ("criteo_like", "avazu_like")
        for config in configs_of("alternatives")
        if config.seed < (3 if dataset == "criteo_like" else 2)
    ]


@pytest.fixture(scope="module")
def of_alternatives(alternatives_records) -> pd.DataFrame:
    return alternatives_table(alternatives_records)


def kind_of(config: dict) -> str:
    if config["num_sets"] == 1:
        return "single"
    of_options = [name for name in ("ensemble", "shared_interaction") if config["options"].get(name)]
    return of_options[0].replace("_", " ") if of_options else "multi"


def test_an_alternatives_gain_is_over_the_same_logs_models_and_seeds_base(of_alternatives, alternatives_records):
    def is_base_of(a: dict, b: dict) -> bool:
        same = (a["data"], a["model"], a["seed"]) == (b["data"], b["model"], b["seed"])
        return same and a["num_sets"] * a["embedding_size"] == 10

    expected = []
    for record in alternatives_records:
        config, auc = record.config, record.scores["test_auc"]
        (base,) = (r for r in alternatives_records if is_base_of(r.config, config))
        scale = config["embedding_size"] * config["num_sets"] / 10
        gain = auc - base.scores["test_auc"]
        cost = record.parameters, record.provenance["seconds"]
        names = config["data"]["name"], config["model"], kind_of(config)
        expected.append((*names, scale, config["seed"], auc, gain, *cost, share_of(record)))
    assert of_alternatives.columns.tolist() == [
        *("dataset", "model", "kind", "scale", "seed", "test_auc", "gain", "parameters", "seconds", "share"),
    ]
    assert_same(of_alternatives, expected)


def test_the_kinds_are_those_of_the_experiment(of_alternatives):
    assert set(of_alternatives["kind"]) == set(KINDS.values())
    for kind, scales in (("single", {1, 2, 3, 4, 10}), ("multi", {4}), ("ensemble", {4}), ("shared interaction", {4})):
        assert set(of_alternatives.loc[of_alternatives["kind"] == kind, "scale"]) == scales


def test_without_its_seeds_base_a_run_has_no_gain(alternatives_records):
    lost = next(r for r in alternatives_records if r.config["num_sets"] * r.config["embedding_size"] == 10)
    table = alternatives_table([record for record in alternatives_records if record is not lost])
    where = {"dataset": lost.config["data"]["name"], "model": lost.config["model"], "seed": lost.config["seed"]}
    without = np.logical_and.reduce([table[name] == value for name, value in where.items()])
    assert without.sum() == 7
    assert (table["gain"].isna() == without).all()
    assert alternatives_table([]).columns.tolist() == table.columns.tolist()


def test_seconds_of_runs_on_a_gpu_are_estimated_from_the_references():
    """An epoch of training takes half of the reference's seconds, and so does the rest."""
    config = configs_of("alternatives")[0]
    record = make_record(config)
    on_gpu = replace(record, epochs=record.epochs * 3, provenance=record.provenance | {"device": "cuda"})
    reference = make_record(replace(config, seed=7, data=replace(config.data, seed=7)), seconds=20.0)
    assert alternatives_table([on_gpu], [reference])["seconds"].tolist() == [3 * 10 + 10]
    assert alternatives_table([on_gpu])["seconds"].isna().all()


def test_another_variant_is_no_alternative():
    config = configs_of("alternatives")[0]
    with pytest.raises(KeyError, match="shuffle"):
        alternatives_table([make_record(replace(config, training=replace(config.training, shuffle=True)))])


BOTH = ("dnn", "dcnv2")
SECONDS = {1: 10.0, 2: 15.0, 3: 30.0, 4: 60.0, 10: 200.0}


@pytest.fixture(scope="module")
def timed() -> pd.DataFrame:
    """Single embeddings whose mean seconds are SECONDS, though each seed's differ, with any AUC; besides, another model
    and multi embedding that none of these may mix with."""
    generator = np.random.default_rng(2)
    rows = [
        {"model": model, "kind": kind, "scale": scale, "seed": seed, "test_auc": generator.uniform(0.6, 0.9)}
        | {"seconds": (SECONDS[scale] + (seed - 1)) * (1 if (model, kind) == ("dnn", "single") else 7)}
        for scale in SECONDS
        for model in ("dcnv2", "dnn")
        for kind in ("multi", "single")
        for seed in range(3)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)


def aucs(table: pd.DataFrame, scale: int) -> list[float]:
    """The single embedding's of DNN, by seed."""
    rows = table[(table["model"] == "dnn") & (table["kind"] == "single") & (table["scale"] == scale)]
    return rows.sort_values("seed")["test_auc"].tolist()


@pytest.mark.parametrize("scale", SECONDS)
def test_at_a_sizes_own_seconds_a_single_embedding_has_that_sizes_auc(timed, scale):
    found = single_at_time(timed, "dnn", SECONDS[scale])
    assert found.index.tolist() == [0, 1, 2]
    assert found.tolist() == pytest.approx(aucs(timed, scale), rel=1e-12)


@pytest.mark.parametrize(("below", "above"), [(1, 2), (2, 3), (3, 4), (4, 10)])
def test_between_two_sizes_it_is_a_straight_line_over_the_logarithm_of_seconds(timed, below, above):
    """In the middle of the logarithms, the geometric mean, it is the mean; a quarter of the way, a quarter."""
    a, b = aucs(timed, below), aucs(timed, above)
    for part in (0.25, 0.5):
        seconds = SECONDS[below] ** (1 - part) * SECONDS[above] ** part
        expected = [(1 - part) * x + part * y for x, y in zip(a, b, strict=True)]
        assert single_at_time(timed, "dnn", seconds).tolist() == pytest.approx(expected)


def test_beyond_the_sizes_it_is_the_nearest(timed):
    assert single_at_time(timed, "dnn", 1e6).tolist() == aucs(timed, 10)
    assert single_at_time(timed, "dnn", 0.1).tolist() == aucs(timed, 1)


def test_a_seed_without_one_of_the_sizes_is_left_out(timed):
    lost = (timed["model"] == "dnn") & (timed["kind"] == "single") & (timed["scale"] == 3) & (timed["seed"] == 1)
    assert single_at_time(timed[~lost], "dnn", 15.0).index.tolist() == [0, 2]
    assert single_at_time(timed, "finalmlp", 15.0).empty


def test_a_larger_size_that_took_less_time_does_not_turn_the_line_back(timed):
    """3x is done as early as 1x: to the time of 2x it stands beside 2x, and 4x comes after both."""
    early = timed.assign(seconds=timed["seconds"].where(timed["scale"] != 3, 10.0))
    middle = (SECONDS[2] * SECONDS[4]) ** 0.5
    expected = [(a + b) / 2 for a, b in zip(aucs(timed, 3), aucs(timed, 4), strict=True)]
    assert single_at_time(early, "dnn", middle).tolist() == pytest.approx(expected)
    middle = (SECONDS[1] * SECONDS[2]) ** 0.5
    expected = [(a + b) / 2 for a, b in zip(aucs(timed, 1), aucs(timed, 2), strict=True)]
    assert single_at_time(early, "dnn", middle).tolist() == pytest.approx(expected)


def test_alternatives_as_text_are_the_base_and_what_has_multi_embeddings_size(of_alternatives):
    texts = alternatives_text(of_alternatives)
    order = ["base", "single", "multi", "ensemble", "shared interaction"]
    found = texts.groupby(["data", "model"], sort=False)["what"].apply(lambda names: sorted(names, key=order.index))
    of_groups = [(log, model.lower()) for log, model in found.index]
    assert of_groups == [(f"{log}, synthetic", model) for log in ("criteo_like", "avazu_like") for model in BOTH]
    assert found.tolist() == [order] * 4
    rows = of_alternatives.to_dict("records")
    for text in texts.to_dict("records"):
        name = text["model"].lower()
        of_model = [r for r in rows if (f"{r['dataset']}, synthetic", r["model"]) == (text["data"], name)]
        base = [r for r in of_model if r["scale"] == 1]
        kind, scale = ("single", 1) if text["what"] == "base" else (text["what"], 4)
        chosen = [r for r in of_model if (r["kind"], r["scale"]) == (kind, scale)]

        def of(name: str, rows=chosen) -> float:
            return mean(row[name] for row in rows)

        assert text["test AUC"] == f"{of('test_auc'):.4f}"
        assert text["parameters"] == f"{of('parameters') / of('parameters', base):.2f}x"
        assert text["run time"] == f"{of('seconds') / of('seconds', base):.1f}x"
        assert text["share of random"] == f"{of('share'):.2f}"
        gains = [row["gain"] for row in chosen]
        half = stdev(gains) * (OF_THREE_SEEDS if len(gains) == 3 else 12.706205 / 2**0.5)
        assert text["gain"] == ("" if scale == 1 else f"{of('gain'):+.4f} ± {half:.4f}")


# The claims on alternatives


def alternatives_of(changes: dict | None = None, seconds: float = 110.0) -> list[RunRecord]:
    """changes: (model, kind, scale) -> gain over the base; all else as where every claim holds. seconds: of multi
    embedding; of single embedding they are SECONDS, and differ from seed to seed by more than from size to size. DCNv2
    takes twice as long."""
    gains = {
        (model, kind, scale): gain
        for model, factor in (("dnn", 1), ("dcnv2", 2))
        for (kind, scale), gain in {
            **{("single", scale): -0.0001 * (scale - 1) * factor for scale in SECONDS},
            **{("multi", 4): 0.004 * factor, ("ensemble", 4): 0.002 * factor, ("shared interaction", 4): 0.001},
        }.items()
    } | (changes or {})
    records = []
    for config in configs_of("alternatives"):
        scale, kind = config.embedding_size * config.num_sets // 10, kind_of(config.to_json())
        time = seconds if kind == "multi" else SECONDS[scale] if kind == "single" else 1.0
        gain = gains[config.model, kind, scale] * FACTORS[config.seed]
        records.append(
            make_record(config, gain, seconds=time * (1 + (config.seed - 2) / 4) * (1 + (config.model == "dcnv2")))
        )
    return records


ALTERNATIVES_CLAIMS = ["alternatives-time", "alternatives-ensemble", "alternatives-shared"]
RISING = {(model, "single", 10): 0.02 for model in BOTH}


@pytest.mark.parametrize(
    ("changes", "seconds", "expected"),
    [
        ({}, 110, [YES, YES, YES]),
        ({("dnn", "ensemble", 4): 0.006}, 110, [YES, PARTLY, YES]),
        ({(model, "ensemble", 4): 0.012 for model in BOTH}, 110, [YES, NO, YES]),
        ({(model, "shared interaction", 4): 0.012 for model in BOTH}, 110, [YES, YES, NO]),
        ({("dcnv2", "single", 4): 0.02}, 60, [PARTLY, YES, YES]),
        ({(model, "single", 4): 0.02 for model in BOTH}, 60, [NO, YES, YES]),
        # what a single embedding has at another time does not count
        ({(model, "single", 4): 0.02 for model in BOTH}, 200, [YES, YES, YES]),
        (RISING, 60, [YES, YES, YES]),
        (RISING, 199, [NO, YES, YES]),
        (RISING, 10_000, [NO, YES, YES]),
        ({(model, "multi", 4): -0.02 for model in BOTH}, 110, [NO, NO, NO]),
    ],
)
def test_multi_embedding_is_held_against_its_time_an_ensemble_and_a_shared_interaction(changes, seconds, expected):
    found = verdicts(judge("alternatives", alternatives_of(changes, seconds)))
    assert found == dict(zip(ALTERNATIVES_CLAIMS, expected, strict=True))


def test_the_effects_on_alternatives_are_paired_by_seed():
    """In the middle of the logarithms of 60 and 200 seconds a single embedding loses the mean of 0.0003 and 0.0009."""
    claims = judge("alternatives", alternatives_of(seconds=(60 * 200) ** 0.5))
    expected = {"time": (0.0046, 0.0092), "ensemble": (0.002, 0.004), "shared": (0.003, 0.007)}
    for name, (of_dnn, of_dcnv2) in expected.items():
        effects = claims[f"alternatives-{name}"].effects
        assert ["DNN" in effect.name for effect in effects] == [True, False]
        np.testing.assert_allclose([effect.values for effect in effects], np.outer([of_dnn, of_dcnv2], FACTORS))


def test_the_ledger_holds_multi_embedding_against_the_time_of_runs_made_on_a_gpu(tmp_path):
    """As in the book's folder: DCNv2's larger single embeddings come from a GPU, and of each size there is a record of
    an epoch on a CPU, which `processor_seconds` can estimate their time from."""
    store = RunStore(tmp_path)
    for config, record in zip(configs_of("alternatives"), alternatives_of(), strict=True):
        if config.model == "dcnv2" and config.num_sets == 1 and config.embedding_size >= 40:
            if config.seed == 0:
                one_epoch = replace(config, training=replace(config.training, max_epochs=1))
                store.put(one_epoch, replace(record, config=one_epoch.to_json()))
            record = replace(record, provenance=record.provenance | {"device": "cuda"})
        store.put(config, record)
    claims = {
        claim.name: claim for claim in Ledger(["criteo_like"], FIRST, results_dir=tmp_path).claims("alternatives")
    }
    for name in ("alternatives-ensemble", "alternatives-time"):
        assert [effect.answer(0.95) for effect in claims[name].effects] == ["yes", "yes"]
        assert claims[name].verdict == "not testable here"  # for the runs of its checks are not there


# The claims on the released code's choices

RELEASED_CLAIMS = {
    "embedding_std 1.0": "released-embedding-std-1.0",
    "embedding_std 0.0001": "released-embedding-std-0.0001",
    "shuffle": "released-shuffle",
    "vocabulary train": "released-vocabulary-train",
    "vocabulary all": "released-vocabulary-all",
}


def choice_of(config: RunConfig) -> str:
    """What is otherwise with a run of that experiment."""
    if config.options.get("released_form"):
        return "released_form"
    if config.options["embedding_std"] is not None:
        return {1.0: "embedding_std 1.0", 1e-4: "embedding_std 0.0001"}[config.options["embedding_std"]]
    if config.data.vocabulary is not None:
        return f"vocabulary {config.data.vocabulary}"
    return "shuffle" if config.training.shuffle else "plain"


def released_of(changes: dict | None = None) -> list[RunRecord]:
    """changes: (choice, sets), or a choice, -> what it adds to the test AUC. By itself a choice adds a ten-thousandth
    for its place in the list, a tenth of that with several sets; several sets add three thousandths."""
    choices = ["plain", *RELEASED_CLAIMS, "released_form"]
    records = []
    for config in configs_of("released"):
        choice, sets = choice_of(config), config.num_sets
        usual = choices.index(choice) * 1e-4 * (1 if sets == 1 else 0.1)
        added = (changes or {}).get((choice, sets), (changes or {}).get(choice, usual))
        records.append(make_record(config, FACTORS[config.seed] * (added + 0.003 * (sets > 1))))
    return records


def test_the_choices_are_those_of_the_experiment():
    of_dnn = {choice_of(config) for config in configs_of("released") if config.model == "dnn"}
    assert of_dnn == {"plain", *RELEASED_CLAIMS}
    assert list(OTHER_CHOICES) == list(RELEASED_CLAIMS)
    assert len(configs_of("released")) == 5 * (2 * 6 + 3)


def test_choices_that_change_little_do_not_matter():
    assert set(verdicts(judge("released", released_of())).values()) == {YES}


@pytest.mark.parametrize("amount", [0.005, -0.005])
@pytest.mark.parametrize("choice", [*RELEASED_CLAIMS, "released_form"])
def test_a_choice_that_changes_much_matters_and_no_other_does(choice, amount):
    """It is past the bound on one side of zero, whichever."""
    name = RELEASED_CLAIMS.get(choice, "released-ipnn")
    claims = judge("released", released_of({choice: amount}))
    assert verdicts(claims) == dict.fromkeys(claims, YES) | {name: NO}
    answers = [effect.answer(claims[name].confidence) for effect in claims[name].effects]
    assert answers == ["against"] * (1 if choice == "released_form" else 2)


@pytest.mark.parametrize("sets", [1, 4])
def test_a_choice_is_judged_with_single_and_with_multi_embedding(sets):
    claims = judge("released", released_of({("shuffle", sets): -0.0015}))
    assert verdicts(claims) == dict.fromkeys(claims, YES) | {"released-shuffle": PARTLY}
    answers = [effect.answer(claims["released-shuffle"].confidence) for effect in claims["released-shuffle"].effects]
    assert answers == (["against", "yes"] if sets == 1 else ["yes", "against"])


def test_a_change_of_less_than_a_thousandth_that_is_not_certain_is_undecided():
    """Changes of a mean of 0.0005 whose seeds lie far apart."""
    records = [
        replace(r, scores=r.scores | {"test_auc": r.scores["test_auc"] + (-1) ** r.config["seed"] * 0.003})
        if r.config["training"].get("shuffle")
        else r
        for r in released_of()
    ]
    claim = judge("released", records)["released-shuffle"]
    assert claim.answers == ["undecided"] * 2
    assert claim.verdict == OPEN


@pytest.mark.parametrize("choice", ["plain", *RELEASED_CLAIMS])
def test_the_gain_is_asked_under_every_choice(choice):
    """Single embedding is better under one."""
    claims = judge("released", released_of({(choice, 1): 0.005}))
    assert claims["released-gain"].verdict == PARTLY
    place = ["plain", *RELEASED_CLAIMS].index(choice)
    answers = [effect.answer(claims["released-gain"].confidence) for effect in claims["released-gain"].effects]
    assert answers == ["against" if number == place else "yes" for number in range(6)]


def test_the_effects_of_choices_are_paired_by_seed():
    claims = judge("released", released_of())
    for number, name in enumerate(RELEASED_CLAIMS.values(), start=1):
        expected = [number * 1e-4, number * 1e-5]
        values = [effect.values for effect in claims[name].effects]
        np.testing.assert_allclose(values, np.outer(expected, FACTORS), atol=1e-12)
        bounds = [(effect.side, effect.bound) for effect in claims[name].effects]
        assert bounds == [("within", 0.001)] * 2
    of_ipnn = [effect.values for effect in claims["released-ipnn"].effects]
    np.testing.assert_allclose(of_ipnn, np.outer([6e-5], FACTORS), atol=1e-12)
    of_gain = [effect.values for effect in claims["released-gain"].effects]
    np.testing.assert_allclose(of_gain, np.outer(0.003 - 9e-5 * np.arange(6), FACTORS), atol=1e-12)


def both_at_once(config: RunConfig) -> RunConfig:
    return replace(config, training=replace(config.training, shuffle=True))


def with_noise(config: RunConfig) -> RunConfig:
    return replace(config, data=replace(config.data, noise=2.0))


def with_patterns(config: RunConfig) -> RunConfig:
    return replace(config, data=replace(config.data, patterns=9))


def with_another_deviation(config: RunConfig) -> RunConfig:
    return replace(config, options=config.options | {"embedding_std": 0.01})


def with_a_regularizer(config: RunConfig) -> RunConfig:
    return replace(config, regularizer=RegularizerConfig("unitary"))


def of_finalmlp(config: RunConfig) -> RunConfig:
    options = {name: config.options[name] for name in ("embedding_std", "hidden")}
    return replace(config, model="finalmlp", options=options)


def of_another_size(config: RunConfig) -> RunConfig:
    return replace(config, embedding_size=2 * config.embedding_size)


@pytest.mark.parametrize(
    "change",
    [
        *(both_at_once, with_noise, with_patterns, with_another_deviation, with_a_regularizer),
        *(of_finalmlp, of_another_size),
    ],
)
def test_what_differs_in_two_things_or_in_another_is_no_choice_of_these(change: Callable[[RunConfig], RunConfig]):
    """Its absurd AUC is nowhere in the effects."""
    usual, known = released_of(), {config.hash for config in configs_of("released")}
    changed = [change(config) for config in configs_of("released")]
    further = [make_record(config, 0.3 * config.num_sets) for config in changed if config.hash not in known]
    assert len(further) >= 50
    assert words_and_numbers(judge("released", [*further, *usual])) == words_and_numbers(judge("released", usual))


# The claims on newer interactions

NEWER_SCALES = {"gdcn": [1, 2, 3, 4], "rankmixer": [1, 2, 4]}
NEWER_CLAIMS = ["interaction-collapse", "single-embedding", "multi-embedding-better", "multi-embedding-scales"]


def newer_of(single: dict | None = None, multi: dict | None = None, law: dict | None = None) -> list[RunRecord]:
    """single, multi, law: by model, what a size adds, and whether sub-embeddings follow; else as the paper has it.
    DCNv2, which is there to be compared with, is absurd."""
    single, multi, law = (
        dict.fromkeys(NEWER_SCALES, usual) | {"dcnv2": -1} | (given or {})
        for usual, given in ((-0.0001, single), (0.001, multi), (1, law))
    )
    records = []
    for config in configs_of("newer"):
        slope = (multi if config.num_sets > 1 else single)[config.model]
        scale = config.embedding_size * config.num_sets // 10
        records.append(make_record(config, FACTORS[config.seed] * slope * (scale - 1), law=law[config.model]))
    return records


@pytest.mark.parametrize("model", NEWER_SCALES)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [YES, YES, YES, YES]),
        ({"law": -1}, [NO, YES, YES, YES]),
        ({"single": 0.0005}, [YES, NO, YES, YES]),
        ({"single": 0.005}, [YES, NO, NO, YES]),
        ({"multi": -0.001}, [YES, YES, NO, NO]),
    ],
)
def test_a_newer_interaction_is_asked_the_papers_claims_on_its_own_runs(model, changes, expected):
    claims = judge("newer", newer_of(**{name: {model: value} for name, value in changes.items()}))
    of_model = {f"{name}-{model}": verdict for name, verdict in zip(NEWER_CLAIMS, expected, strict=True)}
    assert verdicts(claims) == dict.fromkeys(claims, YES) | of_model


def test_newer_interactions_have_the_sizes_that_were_trained():
    claims = judge("newer", newer_of())
    assert len(claims) == 8
    for model, scales in NEWER_SCALES.items():
        trained = {
            config.embedding_size * config.num_sets // 10 for config in configs_of("newer") if config.model == model
        }
        assert sorted(trained) == scales
        larger = scales[1:]
        better, scaling = (claims[f"multi-embedding-{name}-{model}"].effects for name in ("better", "scales"))
        expected = np.outer([0.0011 * (scale - 1) for scale in larger], FACTORS)
        np.testing.assert_allclose([effect.values for effect in better], expected, atol=1e-12)
        expected = np.outer([0.003, *(0.001 * (4 - scale) for scale in larger[:-1])], FACTORS)
        np.testing.assert_allclose([effect.values for effect in scaling], expected, atol=1e-12)


# Of all four


@pytest.fixture(scope="module")
def of_all() -> dict[str, list[RunRecord]]:
    return {"map": map_of(), "alternatives": alternatives_of(), "released": released_of(), "newer": newer_of()}


NAMES = {
    "map": MAP_CLAIMS,
    "alternatives": ALTERNATIVES_CLAIMS,
    "released": [*RELEASED_CLAIMS.values(), "released-ipnn", "released-gain"],
    "newer": [f"{name}-{model}" for model in NEWER_SCALES for name in NEWER_CLAIMS],
}
CHAPTERS = {"map": "reach", "alternatives": "reach", "released": "released", "newer": "newer"}


@pytest.mark.parametrize("experiment", CLAIMS)
def test_the_claims_are_none_of_the_papers_and_lead_to_their_chapter(experiment, of_all):
    claims = judge(experiment, of_all[experiment])
    assert list(claims) == NAMES[experiment]
    assert {claim.chapter for claim in claims.values()} == {CHAPTERS[experiment]}
    assert {claim.dataset for claim in claims.values()} == {"criteo_like"}
    assert not any(claim.of_paper for claim in claims.values())
    assert ({claim.section for claim in claims.values()} == {OURS}) == (experiment != "newer")


@pytest.mark.parametrize("experiment", CLAIMS)
def test_what_the_records_are_meant_to_hold_is_what_they_hold(experiment, of_all):
    profile = PROFILES[FIRST if (experiment, "criteo_like") in OF_FIRST_REGIME else "laptop"]
    assert {v.scale * v.num_sets for v in EXPERIMENTS[experiment](profile.scales)} == set(SCALES[experiment])
    found = {claim.name: claim for claim in CLAIMS[experiment](Runs(of_all[experiment]))}
    assert words_and_numbers(found) == words_and_numbers(judge(experiment, of_all[experiment]))


@pytest.mark.parametrize("experiment", CLAIMS)
@pytest.mark.parametrize("seeds", [[], [0, 2]])
def test_without_records_or_with_two_seeds_every_claim_is_there_and_not_tested(experiment, seeds, of_all):
    claims = judge(experiment, [record for record in of_all[experiment] if record.config["seed"] in seeds])
    assert verdicts(claims) == dict.fromkeys(NAMES[experiment], NOT_TESTED)
    assert {len(effect.values) for claim in claims.values() for effect in claim.effects} == {len(seeds)}


@pytest.mark.parametrize(
    ("experiment", "lost", "not_tested"),
    [
        ("map", lambda c: c.num_sets > 1, set(MAP_CLAIMS)),
        ("map", lambda c: c.num_sets == 1, set(MAP_CLAIMS)),
        ("alternatives", lambda c: c.options.get("ensemble"), {"alternatives-ensemble"}),
        ("alternatives", lambda c: c.options.get("shared_interaction"), {"alternatives-shared"}),
        ("alternatives", lambda c: kind_of(c.to_json()) == "multi", set(ALTERNATIVES_CLAIMS)),
        ("alternatives", lambda c: kind_of(c.to_json()) == "single", {"alternatives-time"}),
        *(
            ("released", lambda c, choice=choice: choice_of(c) == choice, {name, "released-gain"})
            for choice, name in RELEASED_CLAIMS.items()
        ),
        ("released", lambda c: c.model == "ipnn", {"released-ipnn"}),
        ("released", lambda c: choice_of(c) == "released_form", {"released-ipnn"}),
        *(
            ("newer", lambda c, model=model: c.model == model, {f"{name}-{model}" for name in NEWER_CLAIMS})
            for model in NEWER_SCALES
        ),
        ("newer", lambda c: c.model == "dcnv2", set()),
    ],
)
def test_a_claim_that_lacks_its_runs_is_not_tested_and_the_others_are(experiment, lost, not_tested, of_all):
    gone = [config.to_json() for config in configs_of(experiment) if lost(config)]
    left = [record for record in of_all[experiment] if record.config not in gone]
    assert gone
    assert len(left) == len(of_all[experiment]) - len(gone)
    found = verdicts(judge(experiment, left))
    assert found == {name: NOT_TESTED if name in not_tested else YES for name in NAMES[experiment]}


# What was wrong once


def test_alternatives_as_text_have_the_models_names_as_in_the_paper(of_alternatives):
    assert set(alternatives_text(of_alternatives)["model"]) == {"DNN", "DCNv2"}


def test_a_seed_that_lacks_a_point_of_the_map_is_left_out():
    """Such as while the map is being trained: the rules are on the mean and the rank correlation over all points."""
    records = map_of()
    left = [r for r in records if r.config["seed"] > 0 or r.config["data"]["noise"] == 0.0]
    assert {len(effect.values) for claim in judge("map", left).values() for effect in claim.effects} == {2}
