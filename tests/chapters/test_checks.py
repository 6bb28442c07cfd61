"""A claim is judged only where the treatment that it speaks of was applied."""

from dataclasses import replace
from itertools import product

import pytest

from paper_code.chapters.shared import checks
from paper_code.chapters.shared.checks import (
    CHECKS,
    TRIED,
    check_of,
    check_table,
    gap_at_best,
    names_for,
    outcomes_table,
)
from paper_code.chapters.shared.gates import (
    EVIDENCE_III,
    FIGURE_9D,
    LATENT,
    LIVE,
    NOISE,
    STOPPING,
    TRAINED_OUT,
    Check,
    gate,
)
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.tables import Runs
from paper_code.models import model_options
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import LogRegime
from tests.records import make_record

SCALES = (1, 4, 10)
SIZES = ("SE 1", "SE 4", "SE 10", "ME 4", "ME 10")
SEEDS = range(100, 105)
REGIME = LogRegime(512, 400, {model: (8e-3, 4e-3, 4e-3) for model in PAPER_MODELS})
BOTH = {"distance_to_unitary": 0.8, "embedding_norm": 0.1, "pattern_correlation": 0.5, "pattern_spread": 0.1}


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    monkeypatch.setattr(checks, "REGIMES", {"criteo_like": REGIME})


def at_best(**measured) -> dict:
    return {"moments": {"initial": {"pattern_spread": 0.05}, "best": measured}}


def tables_of(cost: float | dict = 0.01, **further) -> list[RunRecord]:
    """The runs of the tables; cost: of the interaction, or by (model, size)."""
    return [
        make_record(seed, run := f"{model} {size}", cost=None if model == "dnn" else of_run(cost, run), **further)
        for model in PAPER_MODELS
        for size in SIZES
        for seed in SEEDS
    ]


def of_run(value, run: str):
    return value.get(run, 0.01) if isinstance(value, dict) else value


def tried_of(gains: dict | None = None, models=PAPER_MODELS) -> list[RunRecord]:
    """The runs by which the regime was chosen; gains: "dnn SE 1, double rate" -> its gain in test AUC."""
    gains, regime, found = gains or {}, REGIME, []
    for model, size, seed in product(models, ("SE 1", "SE 4", "ME 4"), range(50, 53)):
        rate = regime.rates[model][("SE 1", "SE 4", "ME 4").index(size)]
        options = {"hidden": (regime.hidden,) * 2} if "hidden" in model_options(model) else {}
        usual = {"learning_rate": rate, "batch_size": regime.batch_size}
        changes = {"": (usual, options)}
        for factor, name in ((0.5, "half the rate"), (2, "double rate")):
            changes[name] = usual | {"learning_rate": factor * rate}, options
        if size == "SE 1":
            changes["double width"] = usual, {"hidden": (2 * regime.hidden,) * 2}
        for name, (training, of_model) in changes.items():
            gain = gains.get(f"{model} {size}, {name}", 0.0002) if name else 0.0
            found.append(make_record(seed, f"{model} {size}", auc=gain, training=training, options=of_model))
    return found


def regularised_of(distance=0.3, projected=0.9, norm=0.1) -> list[RunRecord]:
    """The runs of Evidence III; what was measured with the penalty, by size where a dict."""
    found = []
    for seed in SEEDS:
        for scale in SCALES:
            run = f"dcnv2 SE {scale}"
            of_size = {
                "distance_to_unitary": of_run(distance, run) if isinstance(distance, dict) else distance,
                "projected_abundance": projected,
                "embedding_norm": norm,
            }
            found.append(make_record(seed, f"{run} unitary", **at_best(**of_size)))
            found.append(make_record(seed, run, **at_best(**BOTH)))
    return found


def restricted_of(free=None, restricted=None, weight=None) -> list[RunRecord]:
    """The runs of Figure 9: what was measured of sets without and with restricted norms."""
    free = {"pattern_correlation": 0.5, "pattern_spread": 0.1, "projection_norm": 2.0} | (free or {})
    restricted = {"pattern_correlation": 0.99, "pattern_spread": 0.01, "projection_norm": 2.1} | (restricted or {})
    return [
        record
        for seed in SEEDS
        for size in ("ME 4", "ME 10")
        for record in (
            make_record(seed, f"dcnv2 {size}", **at_best(**free)),
            make_record(seed, f"dcnv2 {size} norm_divergence", weight=weight, **at_best(**restricted)),
        )
    ]


def latent_of(*gains: float) -> list[RunRecord]:
    """gains: of DNN at 4x and 10x and of DCNv2 at 4x and 10x."""
    cases = zip([f"{model} SE {scale}" for model in ("dnn", "dcnv2") for scale in (4, 10)], gains, strict=True)
    runs = {"dnn SE 1": 0.0, "dcnv2 SE 1": 0.0, **dict(cases)}
    return [make_record(s, run, auc=auc, data={"latent_size": 24}) for run, auc in runs.items() for s in SEEDS[:3]]


def repeated_of() -> list[RunRecord]:
    return [
        replace(record, scores=record.scores | {"test_auc": 0.7 + seed / 1000})
        for model in ("dnn", "dcnv2")
        for size in ("SE 1", "SE 4", "ME 4")
        for seed in range(10)
        for record in [make_record(100, f"{model} {size}", training={"dropout_seed": seed + 1})]
    ]


USUAL = {
    "tables": tables_of(),
    TRIED: tried_of(),
    "evidence_i": [make_record(seed, "ffm SE 1", cost=0.02) for seed in SEEDS],
    "evidence_iii": regularised_of(),
    "patterns": restricted_of(),
    "latent": latent_of(-0.002, -0.001, -0.001, 0.0004),
    "noise": repeated_of(),
}


def check(name: str, **changes) -> Check:
    """changes: experiment -> its records in place of the usual ones."""
    records = USUAL | changes
    return check_of(name, lambda experiment: Runs(records.get(experiment, []), "criteo_like", SCALES), "criteo_like")


def make_claim(*names: str, judged=(("dcnv2", "SE", 10),), values=(1.0, 1.1, 1.2), **further) -> Claim:
    effect = Effect("x", values, "above", 0.0)
    return Claim("a", "b", "c", "d", (effect,), "criteo_like", checks=names, judged=judged, **further)


def verdict(claim: Claim, **changes) -> tuple[str, str]:
    names = (*claim.checks, LIVE) if claim.averaged else claim.checks
    gated = gate(claim, [check(name, **changes) for name in names])
    return gated.verdict, gated.reason


@pytest.mark.parametrize("name", CHECKS)
def test_what_was_applied_passes_and_without_runs_no_check_was_made(name):
    assert check(name).outcome == ("-" if name == NOISE else "passes")
    assert check(name, **{experiment: [] for experiment in USUAL}).outcome == ("-" if name == NOISE else "not run")


def test_a_check_that_was_not_made_leaves_its_claims_untestable():
    claim = gate(make_claim(TRAINED_OUT, LIVE), [])
    assert (claim.verdict, claim.reason) == ("not testable here", f"{TRAINED_OUT}: not run; {LIVE}: not run")


def test_only_the_log_that_is_made_of_latent_vectors_is_asked_whether_larger_ones_help():
    assert names_for("criteo_like") == list(CHECKS)
    assert set(CHECKS) - set(names_for("avazu_like")) == {LATENT}


def test_a_claim_without_checks_is_judged_as_it_is():
    assert verdict(make_claim(), tried=[]) == ("supported", "")


def test_too_few_seeds_come_before_a_check_that_failed():
    assert verdict(make_claim(TRAINED_OUT, values=[1.0, 2.0]), tried=[])[0] == "not tested"


# Trained out


@pytest.mark.parametrize("run", ["dcnv2 SE 1, double rate", "dcnv2 SE 4, half the rate", "dcnv2 SE 1, double width"])
def test_a_model_that_gains_a_thousandth_by_another_rate_or_width_is_not_trained_out(run):
    changes = {"tried": tried_of({run: 0.0012})}
    expected = ("not testable here", f"{TRAINED_OUT}: fails in 1 of 5")
    assert check(TRAINED_OUT, **changes).outcome == "fails in 1 of 38"
    assert verdict(make_claim(TRAINED_OUT), **changes) == expected
    assert verdict(make_claim(TRAINED_OUT, judged=(("dnn", "SE", 10),)), **changes) == ("supported", "")


def test_runs_by_which_the_weight_of_the_penalty_was_chosen_are_not_asked():
    penalised = [make_record(seed, "dcnv2 SE 1 unitary", auc=-0.5) for seed in range(50, 53)]
    usual = {"learning_rate": 8e-3, "batch_size": 512}
    penalised = [
        replace(r, config=r.config | {"training": r.config["training"] | usual, "options": {"hidden": [400, 400]}})
        for r in penalised
    ]
    assert check(TRAINED_OUT, tried=tried_of() + penalised).outcome == "passes"


def test_a_model_with_its_dnn_elsewhere_is_told_from_the_published_one(monkeypatch):
    """DCNv2's cross network alone has a rate of its own, at which it is trained out where DCNv2 is not."""
    monkeypatch.setattr(checks, "kinds_of", lambda _: [("dcnv2", "base"), ("dcnv2 alone", "base")])
    monkeypatch.setattr(
        checks, "REGIMES", {"criteo_like": LogRegime(512, 400, REGIME.rates | {"dcnv2 alone": (4e-3,) * 3})}
    )
    alone = [
        make_record(50, "dcnv2 SE 1", auc=auc, training={"learning_rate": rate, "batch_size": 512}, options=options)
        for rate, auc in ((2e-3, 0.0), (4e-3, 0.0), (8e-3, 0.0005))
        for options in [{"hidden": (400, 400), "dnn": "alone"}]
    ]
    rows = check(TRAINED_OUT, tried=tried_of({"dcnv2 SE 1, double rate": 0.002}) + alone).rows
    found = rows.set_index(["model", "measure"])["passes"]
    assert found["dcnv2", "double rate"] == "no"
    assert found["dcnv2 alone", "double rate"] == found["dcnv2 alone", "half the rate"] == "yes"
    table = check_table(check(TRAINED_OUT, tried=tried_of() + alone))
    assert set(table["model"]) == {"DCNv2", "DCNv2, DNN alone"}


def test_a_gain_below_a_thousandth_passes_and_so_does_a_loss():
    assert verdict(make_claim(TRAINED_OUT), tried=tried_of({"dcnv2 SE 1, double rate": 0.0009}))[0] == "supported"
    assert verdict(make_claim(TRAINED_OUT), tried=tried_of({"dcnv2 SE 1, double rate": -0.01}))[0] == "supported"


AVERAGED = {"judged": tuple((model, "SE", scale) for model in PAPER_MODELS for scale in (1, 10)), "averaged": True}


def test_of_an_average_the_models_mean_has_to_be_trained_out_and_others_are_named():
    """Of six models one gains 0.004, the others 0.0002: the mean is 0.00083; of 0.006 it is 0.00117."""
    one = {"tried": tried_of({"dnn SE 1, double rate": 0.004})}
    assert verdict(make_claim(TRAINED_OUT, **AVERAGED), **one) == ("supported", f"{TRAINED_OUT} fails for DNN")
    much = {"tried": tried_of({"dnn SE 1, double rate": 0.006})}
    assert verdict(make_claim(TRAINED_OUT, **AVERAGED), **much)[0] == "not testable here"


def test_one_seed_makes_the_check_and_a_rate_that_was_not_tried_does_not():
    assert check(TRAINED_OUT, tried=[r for r in tried_of() if r.config["seed"] == 50]).outcome == "passes"
    rate = 2 * REGIME.rates["ipnn"][0]
    assert check(TRAINED_OUT, tried=[r for r in tried_of() if not is_of(r, "ipnn", rate)]).outcome == "not run"


def is_of(record: RunRecord, model: str, rate: float) -> bool:
    return record.config["model"] == model and record.config["training"]["learning_rate"] == rate


def test_single_embedding_is_judged_without_what_multi_embedding_gains():
    changes = {"tried": tried_of({"dcnv2 ME 4, double rate": 0.002})}
    assert verdict(make_claim(TRAINED_OUT), **changes) == ("supported", "")
    assert verdict(make_claim(TRAINED_OUT, judged=(("dcnv2", "ME", 4),)), **changes)[0] == "not testable here"


def test_a_model_that_was_not_checked_is_not_testable():
    assert verdict(make_claim(TRAINED_OUT, judged=(("gdcn", "SE", 4),))) == (
        "not testable here",
        f"{TRAINED_OUT}: not run",
    )


# Stopping


@pytest.mark.parametrize(
    ("looks", "gap"),
    [
        ([0.70, 0.72, 0.73, 0.71], 0.73 - 0.71),  # within the second epoch of two looks: (0.72 + 0.71) / 2 around it
        ([0.70, 0.72, 0.71, 0.71], 0.0),  # at the end of the first
        ([0.73, 0.72, 0.71, 0.71], 0.01),  # before the first end
        ([0.70, 0.72, 0.73], 0.01),  # training ended within the epoch
    ],
)
def test_the_gap_is_that_to_the_epochs_ends_around_the_best_look(looks, gap):
    record = make_record(100, "dnn SE 1", looks=looks, training={"looks_per_epoch": 2})
    expected = 0.73 - (0.72 + 0.71) / 2 if looks == [0.70, 0.72, 0.73, 0.71] else gap
    assert gap_at_best(record) == pytest.approx(expected)


def test_with_one_look_an_epoch_the_best_look_is_at_an_epochs_end():
    record = make_record(100, "dnn SE 1", looks=[0.73, 0.72, 0.71], training={"looks_per_epoch": 1})
    assert gap_at_best(record) == 0.0


def with_gaps(**gaps: float) -> list[RunRecord]:
    """Runs whose best look is that much above the ends around it, by embedding."""
    return [
        make_record(
            seed,
            f"{model} {size}",
            looks=[0.6, 0.7, 0.7 + gaps[size[:2]], 0.7],
            training={"looks_per_epoch": 2},
        )
        for model in PAPER_MODELS
        for size in SIZES
        for seed in SEEDS
    ]


@pytest.mark.parametrize(
    ("gaps", "outcome"),
    [
        ({"SE": 0.0004, "ME": 0.0004}, "passes"),
        ({"SE": 0.0012, "ME": 0.0012}, "fails in 1 of 2"),
        ({"SE": 0.0001, "ME": 0.0008}, "fails in 1 of 2"),
        ({"SE": 0.0012, "ME": 0.0002}, "fails in 2 of 2"),
    ],
)
def test_a_lucky_look_and_one_that_is_luckier_at_one_size_make_stopping_unfair(gaps, outcome):
    changes = {"tables": with_gaps(**gaps), "tried": []}
    assert check(STOPPING, **changes).outcome == outcome
    assert (verdict(make_claim(STOPPING), **changes)[0] == "supported") == (outcome == "passes")


def test_a_gap_as_large_as_the_bound_is_not_below_it():
    runs = [
        make_record(seed, f"dnn {size}", looks=[0.0, 0.0, 0.001, 0.0], training={"looks_per_epoch": 2})
        for size in SIZES
        for seed in SEEDS
    ]
    assert check(STOPPING, tables=runs).outcome == "fails in 1 of 2"


# Interactions


@pytest.mark.parametrize(
    ("cost", "expected"), [(0.0009, "not testable here"), (0.002, "supported"), (0.0, "not testable here")]
)
def test_an_interaction_that_costs_nothing_to_be_without_is_not_live(cost, expected):
    changes = {"tables": tables_of({"dcnv2 SE 10": cost})}
    assert verdict(make_claim(LIVE), **changes)[0] == expected
    assert verdict(make_claim(LIVE, judged=(("dcnv2", "ME", 10), ("dnn", "SE", 10))), **changes) == ("supported", "")
    average = verdict(make_claim(TRAINED_OUT, **AVERAGED), **changes)
    assert average == ("supported", f"{LIVE} fails for DCNv2" * (expected != "supported"))


def test_the_law_of_ffm_needs_live_interactions_too():
    off = [make_record(seed, "ffm SE 1", cost=0.0002) for seed in SEEDS]
    claim = make_claim(LIVE, judged=(("ffm", "SE", 1), ("dcnv2", "SE", 10)))
    assert verdict(claim)[0] == "supported"
    assert verdict(claim, evidence_i=off) == ("not testable here", f"{LIVE}: fails in 1 of 2")
    assert verdict(claim, evidence_i=[]) == ("not testable here", f"{LIVE}: not run")


# Manipulations


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "supported"),
        ({"distance": 0.5}, "not testable here"),  # of 0.8: more than half
        ({"distance": 0.4}, "supported"),
        ({"projected": 0.7}, "not testable here"),
        ({"norm": 0.2}, "supported"),  # which the claim's words say
    ],
)
def test_the_penalty_is_applied_if_it_halves_the_distance_and_the_projections_keep_abundance(changes, expected):
    assert verdict(make_claim(EVIDENCE_III), evidence_iii=regularised_of(**changes))[0] == expected


def test_only_the_sizes_that_are_judged_have_to_be_regularised():
    records = regularised_of(distance={"dcnv2 SE 4": 0.7, "dcnv2 SE 1": 0.3, "dcnv2 SE 10": 0.3})
    of_all = make_claim(EVIDENCE_III, judged=tuple(("dcnv2", "SE", scale) for scale in SCALES))
    assert verdict(of_all, evidence_iii=records)[0] == "not testable here"
    assert verdict(make_claim(EVIDENCE_III), evidence_iii=records)[0] == "supported"


@pytest.mark.parametrize(
    ("free", "restricted", "weight", "expected"),
    [
        ({}, {}, None, "supported"),
        ({"pattern_correlation": 0.8}, {}, None, "not testable here"),  # and the spread is twice the initial
        ({"pattern_correlation": 0.8, "pattern_spread": 0.16}, {}, None, "supported"),
        ({}, {"pattern_correlation": 0.9}, None, "not testable here"),
        ({}, {"projection_norm": 1.7}, None, "not testable here"),
        ({}, {}, 0.5, "not testable here"),
    ],
)
def test_norms_can_be_restricted_only_if_they_differ(free, restricted, weight, expected):
    claim = make_claim(FIGURE_9D, judged=(("dcnv2", "ME", 10),))
    assert verdict(claim, patterns=restricted_of(free, restricted, weight))[0] == expected


@pytest.mark.parametrize(
    ("gains", "expected"),
    [((-0.002, -0.001, -0.001, 0.0004), "supported"), ((-0.002, -0.001, -0.001, -0.0004), "not testable here")],
)
def test_single_embedding_can_fail_to_scale_only_where_a_larger_one_could_help(gains, expected):
    assert verdict(make_claim(LATENT), latent=latent_of(*gains))[0] == expected


def test_noise_is_shown_and_gates_nothing():
    rows = check(NOISE).rows
    assert set(rows["passes"]) == {"-"}
    of_dropout = rows[rows["measure"] == "deviation over dropout"]
    assert of_dropout["value"].tolist() == pytest.approx([0.0030277] * 6, abs=1e-6)
    assert set(of_dropout["seeds"]) == {10}


# Tables


def test_every_check_has_a_row_per_log_and_its_numbers_as_text():
    every = [check(name) for name in CHECKS]
    table = outcomes_table(every)
    assert table["check"].tolist() == list(CHECKS)
    assert list(table) == ["check", "criteo_like, synthetic"]
    for one in every:
        rows = check_table(one)
        assert len(rows) == len(one.rows)
        assert not rows.isna().any().any()


def test_the_table_of_all_checks_says_what_came_of_them_on_each_log():
    of_other = replace(check(LATENT), dataset="movielens")
    assert outcomes_table([check(STOPPING), of_other]).to_dict("records") == [
        {"check": "stopping is fair", "criteo_like, synthetic": "passes", "movielens": ""},
        {"check": "a larger embedding could help", "criteo_like, synthetic": "", "movielens": of_other.outcome},
    ]


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        (TRAINED_OUT, 3, "DNN | SE 4x | half the rate | +0.00019 | +0.00017 to +0.00021 | 3 | < 0.001 | yes"),
        (STOPPING, 0, " | all | gap, median over all runs | +0.00000 | - | 1 | < 0.001 | yes"),
        (STOPPING, 1, " | all | largest difference of the medians between sizes | +0.00000 | - | 1 | < 0.0005 | yes"),
        (STOPPING, 2, " | ME 4x | gap, median over the runs | +0.00000 | - | 1 |  | -"),
        (LIVE, 0, "FFM | base | cost in test AUC | +0.02000 | +0.01804 to +0.02196 | 5 | interval > 0.001 | yes"),
        (LIVE, -1, " | ME 10x | test AUC, DCNv2 minus DNN | +0.00000 | +0.00000 to +0.00000 | 5 |  | -"),
        (EVIDENCE_III, 1, "DCNv2 | base | IA(E_i W^T) / IA(E_i) | 0.900 | 0.900 to 0.900 | 5 | at least 0.8 | yes"),
        (
            EVIDENCE_III,
            0,
            "DCNv2 | base | distance to a multiple of a unitary matrix, over that without the penalty | 0.375 | 0.375 "
            "to 0.375 | 5 | at most 0.5 | yes",
        ),
        (
            EVIDENCE_III,
            2,
            "DCNv2 | base | change of the embeddings' norm | 0.000 | - | 1 | within 0.25, or it reads so | -",
        ),
        (FIGURE_9D, 0, "DCNv2 | ME 4x | weight of the restriction | 1.000 | 1.000 to 1.000 | 5 | = 1 | yes"),
        (
            FIGURE_9D,
            1,
            "DCNv2 | ME 4x | correlation of patterns, unrestricted | 0.500 | 0.500 to 0.500 | 5 | < 0.7, or the spread "
            "3 times the initial | yes",
        ),
        (
            FIGURE_9D,
            2,
            "DCNv2 | ME 4x | spread of the norms over the initial, unrestricted | 2.000 | 2.000 to 2.000 | 5 | see "
            "above | -",
        ),
        (
            FIGURE_9D,
            3,
            "DCNv2 | ME 4x | correlation of patterns, restricted | 0.990 | 0.990 to 0.990 | 5 | at least 0.95 | yes",
        ),
        (
            FIGURE_9D,
            4,
            "DCNv2 | ME 4x | change of the mean norm by the restriction | 0.050 | 0.050 to 0.050 | 5 | within 0.1 | "
            "yes",
        ),
        (
            LATENT,
            3,
            "DCNv2 | SE 10x | test AUC over the base | +0.00038 | +0.00033 to +0.00043 | 3 | interval above 0 for one "
            "| yes",
        ),
        (NOISE, 2, "DNN | SE 4x | deviation over dropout | +0.00303 | - | 10 |  | -"),
        (NOISE, 3, "DNN | SE 4x | deviation over seeds | +0.00158 | - | 5 |  | -"),
    ],
)
def test_a_check_is_shown_with_its_interval_and_its_bound(name, row, expected):
    table = check_table(check(name))
    assert list(table) == ["model", "size", "measure", "value", "95 % interval", "seeds", "bound", "passes"]
    assert " | ".join(map(str, table.iloc[row])) == expected


def test_what_was_not_run_is_of_no_seeds():
    row = check(LIVE, tables=[]).rows.iloc[1]
    assert (row["model"], row["seeds"], row["passes"]) == ("ipnn", 0, "not run")
    assert row[["value", "low", "high"]].isna().all()


def test_a_check_of_the_whole_log_is_of_no_size():
    first = check(STOPPING).rows.iloc[0]
    assert (first["model"], first["embedding"], first["scale"]) == ("", "", 0)


def test_dcnv2_minus_dnn_stands_beside_the_interactions():
    rows = check(LIVE).rows
    assert (rows["measure"] == "test AUC, DCNv2 minus DNN").sum() == len(SIZES)
    assert Runs(USUAL["tables"]).scales == list(SCALES)
