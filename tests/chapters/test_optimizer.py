"""The chapter on weight decay: its table, lines and claims, each against the records by another way."""

import numpy as np
import pytest

from paper_code.chapters.fig03_interaction_collapse import law_correlations
from paper_code.chapters.optimizer import (
    answers_table,
    optimizer_claims,
    optimizer_figure,
    optimizer_lines,
    optimizer_summary,
    optimizer_table,
    with_training,
)
from paper_code.chapters.shared.tables import Runs
from paper_code.runs.experiments import WEIGHT_DECAYS, run_configs
from paper_code.runs.reading import records_of
from paper_code.runs.record import RunRecord
from paper_code.spectra import random_spectrum


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return records_of("optimizer", "criteo_like")


def chosen(records, model, sets, decay, decoupled=False) -> list[RunRecord]:
    """By seed."""
    found = [
        record
        for record in records
        if (record.config["model"], record.config["num_sets"]) == (model, sets)
        and record.config["training"]["weight_decay"] == decay
        and record.config["training"].get("decoupled", False) is decoupled
    ]
    assert [record.config["seed"] for record in found] == [0, 1, 2, 3, 4]
    return found


def share_of_random(record: RunRecord) -> float:
    shares = []
    for field, values in zip(record.fields, record.spectra["side_by_side"], strict=True):
        random = random_spectrum(field["cardinality"], record.config["embedding_size"])
        shares.append(sum(values) / max(values) / (random.sum() / random.max()))
    return float(np.mean(shares))


def test_the_runs_have_every_weight_decay_both_ways():
    configs = run_configs("optimizer", "criteo_like", seeds="0")
    found = {(c.model, c.num_sets, c.training.embedding_weight_decay, c.training.decoupled) for c in configs}
    kinds = {("dcnv2", 1), ("dcnv2", 4), ("ffm", 1)}
    coupled = {(*kind, decay, False) for kind in kinds for decay in WEIGHT_DECAYS}
    decoupled = {(*kind, decay, True) for kind in kinds for decay in WEIGHT_DECAYS[1:]}
    assert found == coupled | {run for run in decoupled if run[0] == "dcnv2" or run[2] == WEIGHT_DECAYS[-1]}
    assert len(configs) == len(found)


def test_new_records_have_the_spectra_of_rows_of_length_one(records):
    for record in records[:2]:
        for field, values in zip(record.fields, record.spectra["row_normalised"], strict=True):
            assert sum(value**2 for value in values) == pytest.approx(field["cardinality"], rel=1e-3)


def test_the_table_has_a_row_for_every_run(records):
    table = optimizer_table(records)
    record = chosen(records, "dcnv2", 1, 1e-4)[2]
    row = table[
        (table["model"] == "dcnv2")
        & (table["embedding"] == "SE")
        & (table["seed"] == 2)
        & (table["weight_decay"] == 1e-4)
        & ~table["decoupled"]
    ].squeeze()
    assert row["test_auc"] == record.scores["test_auc"]
    assert row["share_of_random"] == pytest.approx(share_of_random(record))
    assert (row["own"], row["other"]) == pytest.approx(law_correlations(record))
    assert len(table) == len(records)


def test_the_lines_are_means_of_gains_within_a_seed(records):
    single, multi = (chosen(records, "dcnv2", sets, 1e-3) for sets in (1, 4))
    gains = [b.scores["test_auc"] - a.scores["test_auc"] for a, b in zip(single, multi, strict=True)]
    lines = optimizer_lines(optimizer_table(records))
    row = lines[(lines["measure"] == "multi_gain") & (lines["weight_decay"] == 1e-3) & ~lines["decoupled"]].squeeze()
    assert row["mean"] == pytest.approx(np.mean(gains))
    assert row["half_interval"] == pytest.approx(2.7764 * np.std(gains, ddof=1) / np.sqrt(5), rel=1e-4)
    start = lines[(lines["measure"] == "auc_gain") & (lines["weight_decay"] == 0) & (lines["embedding"] == "SE")]
    assert start["mean"].tolist() == [0, 0]  # the base of the gains, coupled and decoupled


def test_the_figure_has_a_panel_for_every_measure_and_log(records):
    figure, data = optimizer_figure({"criteo_like": records})
    assert [axes.get_ylabel().replace("\n", " ") for axes in figure.axes] == [
        "information abundance, share of random",
        "rank correlation with the other field",
        "test AUC, gain over single without decay",
        "test AUC, multi minus single",
    ]
    assert set(data["measure"]) == {"share_of_random", "other", "auc_gain", "multi_gain"}


def test_the_summary_has_a_row_for_every_decay(records):
    summary = optimizer_summary(records)
    assert list(zip(summary["weight decay"], summary["how"], strict=True))[:3] == [
        ("0", "coupled"),
        ("1e-06", "coupled"),
        ("1e-06", "decoupled"),
    ]
    assert len(summary) == 9


def test_the_answer_in_short_has_the_summary_s_means(records):
    answers = answers_table({"criteo_like": records}).set_index(["measured", "log"])
    summary = optimizer_summary(records).set_index(["weight decay", "how"])
    assert list(answers.columns) == ["no decay", "coupled, 0.001", "decoupled, 0.001"]
    rows = {
        "DCNv2 single, share of random": "DCNv2 single, share of random",
        "DCNv2 single, law: the same": "DCNv2, law",
    }
    for column, key in {"no decay": ("0", "coupled"), "decoupled, 0.001": ("0.001", "decoupled")}.items():
        for row, name in rows.items():
            assert answers.loc[row, column].item() == summary.loc[key, name].split(" ")[0]


def test_the_claims_are_of_runs_without_decay_and_at_the_largest(records):
    claims = {claim.name: claim for claim in optimizer_claims(Runs(records))}
    without, coupled = (chosen(records, "dcnv2", 1, decay) for decay in (0.0, 1e-3))
    shares = [share_of_random(record) for record in without]
    assert claims["optimizer-collapse"].effects[0].values == pytest.approx(shares)
    ratios = [share_of_random(record) / share for record, share in zip(coupled, shares, strict=True)]
    assert claims["optimizer-coupled"].effects[0].values == pytest.approx(ratios)
    laws = [np.arctanh(law_correlations(record)[1]) for record in chosen(records, "ffm", 1, 0.0)]
    assert claims["optimizer-law-ffm"].effects[0].values == pytest.approx(laws)
    multi = chosen(records, "dcnv2", 4, 0.0)
    gains = [b.scores["test_auc"] - a.scores["test_auc"] for a, b in zip(without, multi, strict=True)]
    assert claims["optimizer-gain"].effects[0].values == pytest.approx(gains)
    assert not any(claim.of_paper for claim in claims.values())


def test_without_records_the_claims_are_not_tested():
    claims = optimizer_claims(Runs([], "criteo_like", [1, 4]))
    assert {claim.verdict for claim in claims} == {"not tested"}
    assert with_training([], 0.0) == []
