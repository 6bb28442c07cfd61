"""What the tables say of sub-embeddings and patterns, on records whose numbers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paper_code.chapters.fig03_interaction_collapse import (
    initial_sub_embedding_abundance,
    law_correlations,
    law_means,
    randomly_projected_abundance,
    sub_embedding_abundance,
)
from paper_code.chapters.fig09_analysis import (
    initial_patterns,
    initial_set_abundance,
    interaction_patterns,
    pattern_measures,
    relative_spread,
    set_spread,
)
from paper_code.chapters.runs import cost_table, origins_table, processor_seconds
from paper_code.chapters.shared.gains import auc_table
from paper_code.chapters.shared.html import html_table
from paper_code.chapters.shared.tables import field_abundance, initial_spectra, provenance, results_table, variant
from paper_code.models import MODELS, build_model
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.measurement import measure, sub_embedding_information_abundance
from paper_code.runs.record import RunRecord
from paper_code.spectra import information_abundance
from paper_code.training.config import RegularizerConfig, TrainingConfig

CARDINALITIES = [4, 9, 40, 120, 300]


def untrained(model="dcnv2", size=10, num_sets=1, seed=0, **options) -> RunRecord:
    """The record of a run that ended before its first step."""
    config = RunConfig(DataConfig("criteo_like", seed, 100, 50), model, size, num_sets, seed, options)
    built = build_model(model, CARDINALITIES, size, num_sets, seed, **options)
    return RunRecord(
        config=config.to_json(),
        fields=[{"name": f"f{d}", "cardinality": d} for d in CARDINALITIES],
        parameters=1,
        scores={"test_auc": 0.7 + seed / 100, "test_log_loss": 0.5, "best_epoch": 1},
        epochs=[{"training_loss": [0.5], "validation_auc": 0.7, "measurements": {}}],
        spectra=measure(built),
        provenance={"seconds": 1.0},
        looks=[0.7],
    )


@pytest.mark.parametrize(("model", "size"), [("dcnv2", 10), ("dcnv2", 60), ("ffm", 32)])
def test_information_abundance_of_sub_embeddings_is_that_of_the_whole_matrices(model, size):
    """The short way, through a QR decomposition, against the definition."""
    built = build_model(model, CARDINALITIES, size, seed=3)
    for row, whole in zip(sub_embedding_information_abundance(built), built.sub_embeddings()[0], strict=True):
        for value, matrix in zip(row, whole, strict=True):
            assert (value is None) == (matrix is None)
            if matrix is not None:
                assert value == pytest.approx(information_abundance(matrix), rel=1e-5)


@pytest.mark.parametrize("record", [untrained(num_sets=3), untrained(size=30), untrained("ffm", 32)])
def test_an_untrained_runs_measures_are_the_initial_ones(record):
    for measured, initial in zip(record.spectra["side_by_side"], initial_spectra(record)["side_by_side"], strict=True):
        np.testing.assert_allclose(measured, initial, rtol=1e-4)
    if record.config["num_sets"] > 1:
        np.testing.assert_allclose(interaction_patterns(record), initial_patterns(record), rtol=1e-4)
        assert set_spread(record) == pytest.approx(relative_spread(initial_set_abundance(record)), rel=1e-3)
        flat = interaction_patterns(record)[:, ~np.isnan(interaction_patterns(record)[0])]
        assert pattern_measures(record)["spread"] == pytest.approx(relative_spread(flat))
    else:
        np.testing.assert_allclose(sub_embedding_abundance(record), initial_sub_embedding_abundance(record), rtol=1e-4)


def test_the_means_of_the_law_leave_out_what_is_trivial():
    """If IA(E_i->j) = a_i b_j, the row means follow a and the relative column means follow b; if it is a_i alone, the
    relative column means are all one, though the bare column means fall as a rises."""
    a, b = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([1.0, 1.1, 1.2, 1.3, 1.4])

    def law(values):
        pairs = values.copy()
        np.fill_diagonal(pairs, np.nan)
        return pairs, law_means(pairs)

    pairs, (of_rows, of_columns) = law(np.outer(a, np.ones(5)))
    np.testing.assert_allclose(of_rows, a)
    np.testing.assert_allclose(of_columns, 1)
    assert (np.diff(np.nanmean(pairs, axis=0)) < 0).all()
    _, (of_rows, of_columns) = law(np.outer(a, b))
    assert (np.diff(of_rows) > 0).all()
    assert (np.diff(of_columns) > 0).all()


def test_the_law_is_a_rank_correlation_with_the_fields_abundance():
    record = untrained()
    rank = np.argsort(np.argsort(field_abundance(record))).astype(float)
    law_like = np.exp(np.add.outer(rank, rank / 10))
    np.fill_diagonal(law_like, np.nan)
    assert law_correlations(record, law_like) == pytest.approx((1.0, 1.0))
    assert law_correlations(record, np.exp(np.log(law_like).T[::-1, ::-1])) != pytest.approx((1.0, 1.0))
    against = np.exp(np.add.outer(-rank, -rank / 10))
    np.fill_diagonal(against, np.nan)
    assert law_correlations(record, against) == pytest.approx((-1.0, -1.0))


@pytest.mark.parametrize(
    ("model", "size", "sub_size"),
    [
        *(("dcnv2", 10, 10), ("ffm", 32, 8), ("rankmixer", 10, 2), ("rankmixer", 29, 5)),
        ("rankmixer", 4, 1),  # a head has one of five parts of K, and at least one number
    ],
)
def test_random_projections_are_of_the_embeddings_to_the_size_of_the_sub_embeddings(model, size, sub_size):
    """The short way, through the singular values, against projections of the whole matrices."""
    record, built = untrained(model, size), build_model(model, CARDINALITIES, size)
    generator = np.random.default_rng(0)
    repeats = 100
    found = np.mean([randomly_projected_abundance(record, seed) for seed in range(repeats)], axis=0)
    sub_embeddings = built.sub_embeddings()[0]
    for i, matrix in enumerate(built.embedding_matrices()[0]):
        assert {sub.shape[1] for j, sub in enumerate(sub_embeddings[i]) if i != j} == {sub_size}
        projected = [matrix.detach().numpy() @ generator.standard_normal((size, sub_size)) for _ in range(4 * repeats)]
        expected = np.mean([information_abundance(values) for values in projected])
        np.testing.assert_allclose(np.nanmean(found[i]), expected, rtol=0.02)


@pytest.mark.parametrize(
    ("model", "size", "sub_size"), [("dcnv2", 10, 10), ("ffm", 32, 8), ("rankmixer", 10, 2), ("rankmixer", 29, 5)]
)
def test_random_projections_know_the_row_and_not_the_column(model, size, sub_size):
    record = untrained(model, size)
    found = np.mean([randomly_projected_abundance(record, seed) for seed in range(30)], axis=0)
    assert np.isnan(found.diagonal()).all()
    assert np.nanmax(found) <= sub_size
    of_rows, of_columns = law_means(found)
    assert of_rows[-1] > of_rows[0]
    np.testing.assert_allclose(of_columns, 1, atol=0.05)


def test_spread_and_correlation_of_patterns():
    assert relative_spread(np.array([[1.0, 2.0], [3.0, 2.0]])) == pytest.approx((0.5 + 0) / 2)
    record = untrained(num_sets=2)
    norms = np.array(record.spectra["interaction_norms"])
    record.spectra["interaction_norms"] = [norms[0].tolist(), (2 * norms[0]).tolist()]
    assert pattern_measures(record)["correlation"] == pytest.approx(1.0)
    record.spectra["interaction_norms"] = [norms[0].tolist(), (norms[0].max() * 2 - norms[0]).tolist()]
    assert pattern_measures(record)["correlation"] == pytest.approx(-1.0)


def test_a_variant_is_named_after_what_is_on():
    assert variant(untrained(num_sets=2, shared_interaction=True).config) == "shared_interaction"
    assert variant(untrained(dnn="alone").config) == "dnn alone"
    regularized = untrained(block_scales=True).config | {"regularizer": {"name": "unitary", "weight": 1e-5}}
    assert variant(regularized) == "block_scales + unitary"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
def test_a_run_as_in_the_paper_is_plain_whatever_its_size_and_weight_decay(model, weight_decay):
    training = TrainingConfig(weight_decay=weight_decay, decoupled=weight_decay > 0)
    for size, num_sets in ((28, 1), (7, 4)):
        config = RunConfig(DataConfig("criteo_like", 3, 100, 50), model, size, num_sets, 3, training=training)
        assert variant(config.to_json()) == "plain"


@pytest.mark.parametrize(
    ("options", "data", "training", "regularizer", "expected"),
    [
        ({"embedding_std": 1.0}, {}, {}, None, "embedding_std 1.0"),
        ({"embedding_std": 1e-4}, {}, {}, None, "embedding_std 0.0001"),
        ({}, {}, {"shuffle": True}, None, "shuffle"),
        ({}, {"noise": 0.0}, {}, None, "noise 0.0"),
        ({}, {"noise": 2.0}, {}, None, "noise 2.0"),
        ({}, {"patterns": 1}, {}, None, "patterns 1"),
        ({}, {"patterns": 9}, {}, None, "patterns 9"),
        ({}, {"vocabulary": "train"}, {}, None, "vocabulary train"),
        ({}, {"latent_size": 24}, {}, None, "latent_size 24"),
        ({}, {"permuted": True}, {}, None, "permuted"),
        ({"groups": 2}, {}, {}, None, "groups 2"),
        ({"hidden": (400, 100)}, {}, {}, None, "hidden 400 100"),
        ({}, {}, {"dropout_seed": 3}, None, "dropout_seed 3"),
        # of 100 rows 88 are for training, of which the regime has a decay of 37 / 88
        ({}, {}, {"embedding_weight_decay": 37 / 88}, None, "plain"),
        ({}, {"permuted": True}, {"embedding_weight_decay": 37 / 88 / 4}, None, "embedding_decay 0.25 + permuted"),
        # where weights are averaged rows are shuffled
        ({}, {}, {"averaging": 0.999, "shuffle": True}, None, "plain"),
        ({}, {}, {"averaging": 0.999}, None, "same order"),
        ({}, {"vocabulary": "all"}, {}, None, "vocabulary all"),
        ({}, {"noise": 2.0, "patterns": 9}, {}, None, "noise 2.0 + patterns 9"),
        (
            {"embedding_std": 1.0, "block_scales": True},
            {"noise": 0.0, "patterns": 1, "vocabulary": "all"},
            {"shuffle": True},
            "unitary",
            "block_scales + embedding_std 1.0 + noise 0.0 + patterns 1 + vocabulary all + shuffle + unitary",
        ),
    ],
)
def test_a_variant_says_what_start_log_and_order_of_rows_are_otherwise(options, data, training, regularizer, expected):
    config = RunConfig(
        DataConfig("criteo_like", 0, 100, 50, **data),
        *("dcnv2", 10, 1, 0),
        options,
        TrainingConfig(**training),
        RegularizerConfig(regularizer) if regularizer else None,
    )
    assert variant(config.to_json()) == expected


@pytest.mark.parametrize(
    ("size", "num_sets", "scale"), [(10, 1, 1), (20, 1, 2), (5, 4, 2), (10, 4, 4), (40, 1, 4), (5, 2, 1)]
)
def test_the_scale_is_the_size_of_all_sets_over_the_papers_base_whatever_a_sets_own(size, num_sets, scale):
    """Single embedding of K = 20 and four sets of K = 5 are of the same size, twice the base."""
    table = results_table([untrained(size=size, num_sets=num_sets)])
    assert table["scale"].tolist() == [scale]
    assert table["embedding"].tolist() == ["ME" if num_sets > 1 else "SE"]


def test_the_auc_table_has_published_above_ours():
    table = auc_table([untrained(size=size, seed=seed) for seed in (0, 1) for size in (10, 20)])
    assert table[["model", "embedding", "source"]].to_numpy().tolist() == [
        ["DCNv2", "single", "published, Criteo"],
        ["DCNv2", "single", "ours, criteo_like, synthetic"],
        ["DCNv2", "multi", "published, Criteo"],
    ]
    assert table["base"].tolist() == ["0.81339", "0.7050", ""]
    assert table["2x"].tolist() == ["0.81341", "0.7050", "0.81348"]
    assert "variant" not in table
    spread = auc_table([untrained(seed=seed) for seed in (0, 1)], spread=True)
    assert spread["base"].tolist() == ["0.81339 ± 0.00002", "0.7050 ± 0.0071", ""]


# Cost and origin


def run_of(
    device: str, seed: int, epochs: int, seconds=100.0, model="dcnv2", commit="0123456789abcdef", **training
) -> RunRecord:
    record = untrained(model, seed=seed)
    record.config["training"] |= training
    origin = {"device": device, "seconds": seconds + 7, "cpu_seconds": seconds, "hardware": f"a {device}"}
    origin["training_seconds"] = seconds - 12
    origin |= {"versions": {"torch": "1.0", "python": "3"}, "commit": commit, "modified": False, "date": "2026-01-02"}
    return replace(record, epochs=record.epochs * epochs, provenance=origin)


def test_a_run_on_a_gpu_costs_what_its_epochs_take_on_a_cpu():
    on_cpu = [run_of("cpu", 0, 4, 100.0), run_of("cpu", 1, 5, 175.0)]
    assert processor_seconds(on_cpu) == [100.0, 175.0]
    # 22 and 32.6 seconds of training an epoch, and 12 besides
    assert processor_seconds([*on_cpu, run_of("cuda", 2, 6, 3.0)]) == pytest.approx([100.0, 175.0, 175.8])


def test_a_run_of_one_epoch_may_tell_what_an_epoch_takes():
    on_gpu = [run_of("cuda", 2, 6)]
    assert processor_seconds(on_gpu, [run_of("cpu", 0, 1, 20.0, max_epochs=1)]) == [60.0]
    assert np.isnan(processor_seconds(on_gpu, [run_of("cpu", 0, 1, 20.0, batch_size=7)]))


def test_the_cost_of_a_kind_of_run_that_no_cpu_made_is_unknown():
    records = [run_of("cpu", 0, 4, 7200.0), run_of("cuda", 1, 4), run_of("cuda", 0, 4, model="dnn")]
    assert np.isnan(processor_seconds(records)[2])
    table = cost_table(records)
    assert table.to_numpy().tolist() == [
        ["criteo_like", "DCNv2", 2, 1, "4.00"],
        ["criteo_like", "DNN", 1, 1, "unknown"],
        ["all", "", 3, 2, "unknown"],
    ]
    assert cost_table(records[:2])["core hours"].tolist() == ["4.00", "4.00"]
    assert cost_table([])["runs"].tolist() == [0]


def test_provenance_names_what_a_reader_needs_to_make_the_runs_again():
    records = [run_of("cpu", 0, 4, 100.0), run_of("cuda", 3, 4, 50.5)]
    assert provenance(records) == {
        "data": "criteo_like, synthetic, 100 rows",
        "training": "batch size 2048, weight decay 1e-06, patience 3",
        "seeds": "0, 3",
        "runs": "2, which took 150 seconds added up",
        "commit": "0123456789",
        "versions": "torch 1.0, python 3",
        "hardware": "a cpu; a cuda",
        "made": "2026-01-02",
    }
    own = run_of("cpu", 0, 4, embedding_weight_decay=2e-4)
    assert "weight decay 1e-06 (embeddings 0.0002), patience" in provenance([own])["training"]


def test_a_table_of_html_puts_deviations_below_means_and_can_be_scrolled_by_keyboard():
    text = html_table(pd.DataFrame({"a": ["0.81 ± 0.02"], "b & c": ["<i>"]}))
    assert '0.81<br><small class="deviation">± 0.02</small>' in text
    assert 'tabindex="0" aria-label="Table of a, b &amp; c"' in text
    assert "&lt;i&gt;" in text


def test_origins_are_counted():
    records = [run_of("cpu", 0, 1), run_of("cpu", 1, 1), run_of("cuda", 0, 1, commit=None)]
    records[1].provenance["date"] = "2026-01-05"
    table = origins_table(records)
    assert table["hardware"].tolist() == ["a cpu", "a cuda"]
    assert table["commit"].tolist() == ["0123456789", "no checkout"]
    assert table[["runs", "first", "last"]].to_numpy().tolist() == [
        [2, "2026-01-02", "2026-01-05"],
        [1, "2026-01-02", "2026-01-02"],
    ]
    assert origins_table([]).empty
