"""A claim's verdict follows from its rule, Student's t and the records, and from nothing else."""

import dataclasses
import html
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from paper_code.claims import (
    SUMMARY,
    Claim,
    Effect,
    badges,
    claims_html,
    claims_table,
    collapse_claims,
    corrected_verdicts,
    ledger,
    ledger_html,
    ledger_table,
    scalability_claims,
    summary_html,
    summary_table,
    summary_texts,
    toy_claim,
)
from paper_code.experiments import PAPER_MODELS, PROFILES, run_configs, stored_records
from paper_code.runs import DataConfig, RunConfig, RunRecord, RunStore
from paper_code.spectra import random_spectrum
from paper_code.toy import ToyResult

SCALES = (1, 2, 10)
CARDINALITIES = (4, 40, 300)


def make_epoch(fields: int, loss: float = 0.5, auc: float = 0.7) -> dict:
    measurements = {"information_abundance": [1.0] * fields}
    return {"training_loss": [loss] * 10, "validation_auc": auc, "measurements": measurements}


def make_record(
    seed=0, model="dcnv2", size=10, num_sets=1, test_auc=0.75, spectra=((1.0,),), dataset="criteo_like"
) -> RunRecord:
    """A record that no run made: the fields are named a, b, ... and `spectra` are their singular values."""
    data = DataConfig(dataset, seed, 1_000, 500)
    return RunRecord(
        config=RunConfig(data, model, size, num_sets, seed).to_json(),
        fields=[{"name": n, "cardinality": d} for n, d in zip("abc", CARDINALITIES[: len(spectra)], strict=False)],
        parameters=1,
        scores={"test_auc": test_auc, "test_log_loss": 0.5, "best_epoch": 1},
        epochs=[make_epoch(len(spectra))],
        spectra={"side_by_side": [list(values) for values in spectra]},
        provenance={"device": "cpu", "seconds": 1.0, "training_seconds": 0.9},
    )


def sizes_of(embedding: str, scale: int) -> dict:
    return {"size": 10, "num_sets": scale} if embedding == "ME" else {"size": 10 * scale, "num_sets": 1}


def make_sweep(gain, models=("dnn", "dcnv2"), seeds=range(5), dataset="criteo_like") -> list[RunRecord]:
    """Records of a scalability sweep: a seed's base AUC plus gain(embedding, scale, seed).

    The base differs by 0.01 from seed to seed, ten times the gains that count: only pairs can tell.
    """
    runs = [("SE", scale) for scale in SCALES] + [("ME", scale) for scale in SCALES[1:]]
    return [
        make_record(
            seed, model, **sizes_of(*run), test_auc=0.7 + 0.01 * seed + gain(*run, seed) * (run[1] > 1), dataset=dataset
        )
        for model in models
        for seed in seeds
        for run in runs
    ]


def as_published(embedding: str, scale: int, seed: int) -> float:
    """The paper's picture: single embedding loses a little with size, multi embedding wins, with noise by seed."""
    mean = -0.0001 * scale if embedding == "SE" else 0.0004 * scale
    return mean + 0.00001 * ((seed * 7 + scale) % 5)


def make_claim(*effects: Effect, **changes) -> Claim:
    return Claim(**{"name": "a", "section": "b", "statement": "c", "rule": "d", "effects": effects} | changes)


def verdicts(claims) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in claims}


# Interval and rule


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9875])
@pytest.mark.parametrize("values", [[0.1, 0.4, -0.2], [3.0, 3.1, 2.9, 3.3, 2.7], list(range(10))])
def test_the_interval_is_students_t(values, confidence):
    effect = Effect("x", values, "above", 0.0)
    expected = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
    assert effect.interval(confidence) == pytest.approx(expected, rel=1e-12)
    assert effect.mean == pytest.approx(np.mean(values))


def test_the_interval_of_1_2_3():
    """t(0.975, 2) = 4.3027, standard error 1 / sqrt(3)."""
    assert Effect("x", [1, 2, 3], "above", 0.0).interval(0.95) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)


@pytest.mark.parametrize(
    ("bound", "side", "holds"),
    [
        (2 - 2.49, "above", True),
        (2 - 2.47, "above", False),
        (2 + 2.49, "above", False),
        (2 + 2.49, "below", True),
        (2 + 2.47, "below", False),
        (2 - 2.49, "below", False),
        (2, "above", False),
        (2, "below", False),
    ],
)
def test_an_effect_holds_if_the_whole_interval_lies_on_the_claimed_side(bound, side, holds):
    assert Effect("x", [1, 2, 3], side, bound).holds(0.95) is holds


@pytest.mark.parametrize(
    ("bound", "side", "answer"),
    [
        (-0.5, "above", "yes"),
        (2, "above", "undecided"),
        (4.5, "above", "against"),
        (4.5, "below", "yes"),
        (2, "below", "undecided"),
        (-0.5, "below", "against"),
    ],
)
def test_an_effect_that_does_not_hold_is_undecided_or_against(bound, side, answer):
    """The interval of 1, 2, 3 is -0.48 to 4.48."""
    assert Effect("x", [1, 2, 3], side, bound).answer(0.95) == answer
    assert Effect("x", [1, 3], side, bound).answer(0.95) == "-"


def test_an_effect_that_is_no_number_for_a_seed_is_not_tested():
    effect = Effect("x", [1.0, float("nan"), 2.0, 3.0], "above", 0.0)
    assert make_claim(effect).verdict == "not tested"
    assert effect.answer(0.95) == "-"


def test_records_of_two_logs_are_not_judged_together():
    records = [make_record(dataset=name) for name in ("criteo_like", "avazu_like")]
    with pytest.raises(ValueError, match="avazu_like, criteo_like: expected those of one data set"):
        collapse_claims(records)


def test_the_ledger_counts_the_answers():
    claim = make_claim(*(Effect("x", [1, 2, 3], "above", bound) for bound in (-9, -8, 2, 19)))
    row = ledger_table([claim]).iloc[0]
    assert (row["yes"], row["undecided"], row["against"], row["verdict"]) == (2, 1, 1, "partly reproduced")
    assert "2 yes, 1 undecided, 1 against" in ledger_html([claim])


def test_an_effect_that_equals_its_bound_does_not_hold():
    for side in ("above", "below"):
        assert not Effect("x", [0.5, 0.5, 0.5], side, 0.5).holds(0.95)


@settings(deadline=None)
@given(
    st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=3, max_size=6),
    st.floats(-100, 100, allow_subnormal=False),
    st.sampled_from(["above", "below"]),
)
def test_below_is_the_mirror_image_of_above(values, bound, side):
    mirrored = Effect("x", [-v for v in values], {"above": "below", "below": "above"}[side], -bound)
    assert Effect("x", values, side, bound).holds(0.95) == mirrored.holds(0.95)


# Verdict

HOLDS = Effect("holds", [5.0, 5.1, 4.9], "above", 0.0)
FAILS = Effect("fails", [-5.0, -5.1, -4.9], "above", 0.0)
TWO_SEEDS = Effect("two seeds", [5.0, 5.1], "above", 0.0)


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([HOLDS], "reproduced"),
        ([FAILS], "not reproduced"),
        ([HOLDS, HOLDS], "reproduced"),
        ([HOLDS, FAILS], "partly reproduced"),
        ([FAILS, HOLDS, HOLDS], "partly reproduced"),
        ([FAILS, FAILS], "not reproduced"),
        ([TWO_SEEDS], "not tested"),
        ([HOLDS, TWO_SEEDS], "not tested"),
        ([Effect("one seed", [5.0], "above", 0.0)], "not tested"),
        ([Effect("no seed", [], "above", 0.0)], "not tested"),
    ],
)
def test_all_hold_some_hold_none_holds_too_few_seeds(effects, verdict):
    assert make_claim(*effects).verdict == verdict


@pytest.mark.parametrize(("number", "confidence"), [(1, 0.95), (2, 0.975), (4, 0.9875), (5, 0.99)])
def test_the_error_probability_is_divided_among_the_effects(number, confidence):
    assert make_claim(*[HOLDS] * number).confidence == pytest.approx(confidence)


def test_an_effect_that_holds_alone_can_fail_among_several():
    """Bonferroni: the mean 3 of 2, 3, 4 is above 0 at 95 % (0.52 to 5.48), not at 97.5 % (-0.58 to 6.58)."""
    weak = Effect("weak", [2, 3, 4], "above", 0.0)
    assert make_claim(weak).verdict == "reproduced"
    assert make_claim(weak, HOLDS).verdict == "partly reproduced"
    assert make_claim(weak, weak).verdict == "not reproduced"


# Figure 8 and Table 1


def test_records_like_the_papers_reproduce_all_six_claims():
    claims = scalability_claims(make_sweep(as_published))
    assert [claim.name for claim in claims] == [
        f"{name}-{model}"
        for model in ("dnn", "dcnv2")
        for name in ("single-embedding", "multi-embedding-better", "multi-embedding-scales")
    ]
    assert set(verdicts(claims).values()) == {"reproduced"}


def test_the_effects_are_differences_of_the_same_seed():
    single, better, scales = scalability_claims(make_sweep(as_published, models=["dcnv2"]))

    def expected(of, over):
        def total(run, seed):
            return as_published(*run, seed) if run[1] > 1 else 0.0

        return [total(of, seed) - total(over, seed) for seed in range(5)]

    pairs = {
        "test AUC, SE 10x minus base": (single, ("SE", 10), ("SE", 1), "below", 0.001, 0.00018),
        "test AUC, ME 2x minus SE 2x": (better, ("ME", 2), ("SE", 2), "above", 0, 0.00007),
        "test AUC, ME 10x minus SE 10x": (better, ("ME", 10), ("SE", 10), "above", 0, 0.00028),
        "test AUC, ME 10x minus base": (scales, ("ME", 10), ("SE", 1), "above", 0, 0.00046),
        "test AUC, ME 10x minus ME 2x": (scales, ("ME", 10), ("ME", 2), "above", 0, 0.00037),
    }
    found = {effect.name: (claim, effect) for claim in (single, better, scales) for effect in claim.effects}
    assert found.keys() == pairs.keys()
    for name, (claim, of, over, side, bound, published) in pairs.items():
        effect = found[name][1]
        assert found[name][0] is claim
        np.testing.assert_allclose(effect.values, expected(of, over), atol=1e-12)
        assert (effect.side, effect.bound) == (side, bound)
        assert effect.published == pytest.approx(published, abs=1e-9)


def test_the_order_of_the_records_does_not_matter():
    records = make_sweep(as_published, models=["dnn"])
    shuffled = random.Random(0).sample(records, len(records))
    tables = [claims_table(scalability_claims(r)) for r in (records, shuffled)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("changed", "claim", "verdict"),
    [
        ({("SE", 10): 0.005}, "single-embedding-dnn", "not reproduced"),
        ({("SE", 10): 0.005}, "multi-embedding-better-dnn", "partly reproduced"),
        ({("SE", 2): 0.005, ("SE", 10): 0.005}, "multi-embedding-better-dnn", "not reproduced"),
        ({("ME", 10): 0.0005}, "multi-embedding-scales-dnn", "partly reproduced"),
        ({("ME", 10): -0.0001}, "multi-embedding-scales-dnn", "not reproduced"),
        ({("SE", 10): 0.0009}, "single-embedding-dnn", "reproduced"),
        ({("SE", 10): 0.0010}, "single-embedding-dnn", "not reproduced"),
    ],
)
def test_a_verdict_changes_with_the_records(changed, claim, verdict):
    """as_published gives single 10x a gain of -0.001, multi 2x 0.0008 and multi 10x 0.004."""

    def gain(embedding, scale, seed):
        usual = as_published(embedding, scale, seed)
        noise = 0.00001 * ((seed * 7 + scale) % 5)
        return changed[embedding, scale] + noise if (embedding, scale) in changed else usual

    claims = verdicts(scalability_claims(make_sweep(gain, models=["dnn"])))
    assert claims[claim] == verdict


def test_a_seed_without_all_its_runs_is_left_out():
    records = make_sweep(as_published, models=["dnn"], seeds=range(4))

    def without(seeds):
        lost = {"embedding_size": 10, "num_sets": 10}
        return [r for r in records if not (r.config["seed"] in seeds and lost == {key: r.config[key] for key in lost})]

    for claim in scalability_claims(without([0])):
        assert [len(e.values) for e in claim.effects] == [3 if "ME 10x" in e.name else 4 for e in claim.effects]
        assert claim.verdict == "reproduced"
    assert verdicts(scalability_claims(without([0, 3]))) == {
        "single-embedding-dnn": "reproduced",  # needs no ME 10x
        "multi-embedding-better-dnn": "not tested",
        "multi-embedding-scales-dnn": "not tested",
    }


def test_avazu_logs_are_held_against_the_avazu_columns():
    claims = scalability_claims(make_sweep(as_published, models=["dnn"], dataset="avazu_like"))
    assert {claim.section for claim in claims} == {"Section 5.2, Table 1 (Avazu)"}
    assert claims[0].effects[0].published == pytest.approx(0.78648 - 0.78744)


# Figures 1b and 2


def test_equal_singular_values_are_no_collapse():
    """Information abundance min(D, K) is above that of a random matrix."""
    full = [[1.0] * min(d, 10) for d in CARDINALITIES]
    (claim,) = collapse_claims([make_record(seed, spectra=full) for seed in range(3)])
    assert claim.effects[0].mean > 1
    assert claim.verdict == "not reproduced"


def test_matrices_of_rank_one_are_collapsed():
    rank_one = [[2.0] + [0.0] * (min(d, 10) - 1) for d in CARDINALITIES]
    (claim,) = collapse_claims([make_record(seed, spectra=rank_one) for seed in range(3)])
    assert claim.verdict == "reproduced"


def test_the_share_is_the_mean_over_fields_of_learned_over_random():
    spectra = [[4.0, 1.0, 1.0, 0.0], [3.0, 1.5] + [0.0] * 18, [5.0] + [1.0] * 19]
    learned = [6 / 4, 4.5 / 3, 24 / 5]
    shares = []
    for abundance, d in zip(learned, CARDINALITIES, strict=True):
        random_values = random_spectrum(d, 20)
        shares.append(abundance / (random_values.sum() / random_values[0]))
    (claim,) = collapse_claims([make_record(seed, size=20, spectra=spectra) for seed in range(3)])
    np.testing.assert_allclose(claim.effects[0].values, [np.mean(shares)] * 3, rtol=1e-12)


def test_two_seeds_do_not_test_the_collapse():
    assert collapse_claims([make_record(seed) for seed in range(2)])[0].verdict == "not tested"


# Figure 4


def toy_result(third_cardinality: int, last_values: list[list[float]]) -> ToyResult:
    """Of every seed the singular values [1, 1, 1] at the start and `last_values` at the end."""
    values = np.array([[[1.0, 1.0, 1.0], last] for last in last_values])
    return ToyResult(third_cardinality, tuple(range(len(last_values))), np.array([0, 10]), values)


COLLAPSED = [[1.0, 0.1, 0.0], [1.0, 0.2, 0.0], [1.0, 0.15, 0.0]]
SPREAD = [[1.0, 0.9, 0.8], [1.0, 0.8, 0.8], [1.0, 0.9, 0.9]]


def test_the_toy_claim_compares_the_ends_in_pairs():
    claim = toy_claim(toy_result(3, COLLAPSED), toy_result(100, SPREAD))
    np.testing.assert_allclose(claim.effects[0].values, [1.1 - 2.7, 1.2 - 2.6, 1.15 - 2.8])
    assert claim.verdict == "reproduced"


def test_the_toy_claim_fails_if_nothing_or_the_other_case_collapses():
    assert toy_claim(toy_result(3, SPREAD), toy_result(100, SPREAD)).verdict == "not reproduced"
    assert toy_claim(toy_result(3, SPREAD), toy_result(100, COLLAPSED)).verdict == "not reproduced"
    assert toy_claim(toy_result(3, COLLAPSED[:2]), toy_result(100, SPREAD[:2])).verdict == "not tested"


# Tables


def test_the_table_is_text_with_stable_digits():
    claims = [
        make_claim(
            Effect("test AUC, x", [0.001, 0.002, 0.003], "above", 0.0, published=0.00046),
            Effect("test AUC, y", [-0.01, -0.01, -0.01], "below", 0.001),
            name="gains",
        ),
        make_claim(Effect("ratio", [0.25, 0.3, 0.35], "below", 0.5), name="share"),
        make_claim(Effect("ratio", [0.25, 0.3], "below", 0.5), name="few"),
    ]
    head = ["claim", "effect", "ours", "interval", "claimed", "paper", "seeds", "holds", "verdict"]
    table = claims_table(claims)
    assert table.columns.tolist() == head
    assert table.to_numpy().tolist() == [
        [
            *("gains", "test AUC, x", "+0.00200", "-0.00158 to +0.00558", "above 0", "+0.00046", "3", "undecided"),
            "partly reproduced",
        ],
        [
            *("gains", "test AUC, y", "-0.01000", "-0.01000 to -0.01000", "below 0.001", "-", "3", "yes"),
            "partly reproduced",
        ],
        ["share", "ratio", "0.30", "0.18 to 0.42", "below 0.5", "-", "3", "yes", "reproduced"],
        ["few", "ratio", "0.28", "fewer than 3 seeds", "below 0.5", "-", "2", "-", "not tested"],
    ]


def test_differences_below_the_digits_shown_leave_the_table_as_it_is():
    """Another processor's rounding is no change."""

    def moved(embedding, scale, seed):
        return as_published(embedding, scale, seed) + 1e-9 * (seed + 1)

    tables = [claims_table(scalability_claims(make_sweep(gain))) for gain in (as_published, moved)]
    assert tables[0].equals(tables[1])


def test_the_table_holds_every_effect_with_its_claims_verdict():
    claims = scalability_claims(make_sweep(as_published))
    table = claims_table(claims)
    expected = [(claim.name, effect.name, claim.verdict) for claim in claims for effect in claim.effects]
    assert list(table[["claim", "effect", "verdict"]].itertuples(index=False, name=None)) == expected


def test_html_escapes_what_is_not_markup():
    claim = make_claim(
        Effect("p < q & r", [1.0, 1.1, 1.2], "above", 0.0),
        section="Section 1 <i>",
        statement="IA < K & more",
        rule="x > y <b>",
    )
    text = claims_html([claim])
    for words in ("p < q & r", "Section 1 <i>", "IA < K & more", "x > y <b>"):
        assert words not in text
        assert html.escape(words) in text


def test_html_has_of_every_claim_its_words_rule_verdict_and_whole_effects():
    claims = [
        *scalability_claims(make_sweep(as_published)),
        *collapse_claims([make_record(seed) for seed in range(2)]),
        toy_claim(toy_result(3, SPREAD), toy_result(100, SPREAD)),
    ]
    text = html.unescape(claims_html(claims))
    for claim in claims:
        for words in (claim.statement, claim.section, claim.rule, badges(claim.verdict)):
            assert words in text
        for effect in claim.effects:
            assert f"<td>{effect.name}</td>" in text
    assert text.count("<table") == len(claims)
    assert "..." not in text


def test_html_changes_its_verdict_with_the_effect():
    claim = make_claim(HOLDS)
    assert "● reproduced</span>" in visible(claims_html([claim]))
    failed = dataclasses.replace(claim, effects=(FAILS,))
    assert "○ not reproduced</span>" in visible(claims_html([failed]))
    assert "Rule and effects: 0 yes, 0 undecided, 1 against" in claims_html([failed])


def visible(text: str) -> str:
    """Without the spans that hide the marks from screen readers."""
    return re.sub(r'<span aria-hidden="true">(.)</span>', r"\1", text)


def test_several_verdicts_have_a_badge_each():
    assert visible(badges("2 reproduced, 1 not reproduced")) == (
        '<span class="verdict reproduced">● 2 reproduced</span><br>'
        '<span class="verdict not-reproduced">○ 1 not reproduced</span>'
    )


def test_the_book_sums_up_every_claim_of_the_paper_once():
    for claim in (claim for claim in ledger(("criteo_like", "avazu_like")) if claim.of_paper):
        lines = [label for _, label, name in SUMMARY if claim.name.startswith(name)]
        assert len(lines) == 1, claim.name
    assert len({label for _, label, _ in SUMMARY}) == len(SUMMARY)


def test_the_summary_counts_effects_and_verdicts_by_data_set():
    name = {"name": "figure-9a-x", "dataset": "criteo_like", "chapter": "fig09_analysis"}
    both = make_claim(HOLDS, FAILS, **name)
    other = make_claim(FAILS, **name | {"dataset": "avazu_like"})
    asked_of_another = make_claim(HOLDS, **name | {"section": "not in the paper"})
    table = summary_table([both, other, asked_of_another])
    assert table[["dataset", "yes", "undecided", "against", "verdict"]].to_numpy().tolist() == [
        ["criteo_like", 1, 0, 1, "partly reproduced"],
        ["avazu_like", 0, 0, 1, "not reproduced"],
    ]
    assert set(table["part"]) == {"the cure"}
    label = table["label"][0]
    texts = summary_texts([both, other, asked_of_another])
    assert texts == {
        "verdicts": "1 partly reproduced, 1 not reproduced",
        **{"number_of_claims": "2", "number_of_other_claims": "1", "number_of_effects": "3"},
        **{"number_yes": "1", "number_undecided": "0", "number_against": "2"},
        **{"held": "none", "mixed": f"{label} (1 partly reproduced, 1 not reproduced)", "not_held": "none"},
    }
    assert summary_texts([other])["not_held"] == label
    assert summary_texts([make_claim(HOLDS, **name)])["held"] == label
    html_text = summary_html([both, other])
    assert '<a href="fig09_analysis.html">' in html_text
    assert html_text.count("<tr>") == 1


# The ledger


def test_the_p_value_is_that_of_the_interval():
    """An effect holds at confidence c exactly if its p-value is below 1 - c."""
    effect = Effect("x", [0.5, 1.0, 1.2, 0.8], "above", 0.0)
    assert effect.p_value == pytest.approx(stats.ttest_1samp(effect.values, 0.0).pvalue)
    assert effect.holds(1 - effect.p_value * 1.001)
    assert not effect.holds(1 - effect.p_value * 0.999)
    assert dataclasses.replace(effect, side="below").p_value == 1
    assert Effect("x", [1.0, 1.0, 1.0], "above", 0.0).p_value == 0


@pytest.mark.parametrize(
    ("middle", "answer"), [(0.0, "yes"), (0.5, "yes"), (-0.5, "yes"), (0.95, "undecided"), (-1.05, "undecided")]
)
def test_an_effect_within_its_bound_has_its_whole_interval_there(middle, answer):
    effect = Effect("x", [middle - 0.1, middle, middle + 0.1], "within", 1.0)
    assert effect.answer(0.95) == answer
    assert effect.holds(0.95) is (answer == "yes")
    if abs(middle) < 1:
        assert effect.holds(1 - effect.p_value * 1.001)
        assert not effect.holds(1 - effect.p_value * 0.999)


@pytest.mark.parametrize("middle", [1.5, -1.5])
def test_an_effect_beyond_its_bound_on_either_side_is_against(middle):
    effect = Effect("x", [middle - 0.1, middle, middle + 0.1], "within", 1.0)
    assert effect.answer(0.95) == "against"
    assert effect.p_value == 1


def test_a_chance_effect_among_many_does_not_survive_the_correction():
    """One effect with p = 0.04 holds alone, and not beside forty that have nothing."""
    generator = np.random.default_rng(0)
    alone = make_claim(Effect("x", [0.1, 0.55, 1.0, 0.55, 0.2], "above", 0.0))
    assert 0.02 < alone.effects[0].p_value < 0.05
    nothing = [make_claim(Effect("x", generator.normal(-1, 1, 5), "above", 0.0)) for _ in range(40)]
    assert alone.verdict == "reproduced"
    assert corrected_verdicts([alone]) == ["reproduced"]
    assert corrected_verdicts([alone, *nothing])[0] == "not reproduced"
    strong = make_claim(Effect("x", [1.0, 1.01, 0.99, 1.0, 1.0], "above", 0.0))
    assert corrected_verdicts([strong, *nothing])[0] == "reproduced"


def test_the_correction_never_makes_a_verdict_better():
    order = ["not tested", "not reproduced", "partly reproduced", "reproduced"]
    generator = np.random.default_rng(1)
    claims = [
        make_claim(*(Effect("x", generator.normal(0.5, 1, seeds), "above", 0.0) for _ in range(3)))
        for seeds in generator.integers(2, 6, 60)
    ]
    for claim, corrected in zip(claims, corrected_verdicts(claims), strict=True):
        assert order.index(corrected) <= order.index(claim.verdict)
        assert (corrected == "not tested") == (claim.verdict == "not tested")


def test_without_records_every_claim_on_records_is_there_and_not_tested(tmp_path):
    claims = ledger(["criteo_like", "avazu_like"], results_dir=tmp_path, seeds=[0, 1, 2])
    assert [c.name for c in claims if c.verdict != "not tested"] == ["toy-collapse", "linear-multi-embedding-is-single"]
    keys = [(claim.name, claim.dataset) for claim in claims]
    assert len(set(keys)) == len(keys)
    for model in PAPER_MODELS:
        for name in ("single-embedding", "multi-embedding-better", "multi-embedding-scales"):
            assert {(f"{name}-{model}", dataset) for dataset in ("criteo_like", "avazu_like")} <= set(keys)
    assert {effect.name for claim in claims for effect in claim.effects if "10x" in effect.name}
    assert ledger_table(claims)["verdict"].tolist() == [claim.verdict for claim in claims]
    assert "not tested" in claims_html(claims)


def test_the_ledger_judges_what_a_chapter_judges(tmp_path):
    """The same records, the same verdict."""
    dataset, profile = "criteo_like", PROFILES["laptop"]
    store = RunStore(tmp_path)
    for config in run_configs("scalability", dataset, seeds=[0, 1, 2]):
        if config.model != "dnn":
            continue
        record = make_record(
            config.seed,
            config.model,
            config.embedding_size,
            config.num_sets,
            test_auc=0.7
            + config.seed / 100
            + config.num_sets**2 / 1e4
            + config.embedding_size / 1e7 * (1 + config.seed),
            spectra=[[1.0]],
        )
        store.put(config, dataclasses.replace(record, config=config.to_json()))
    of_chapter = scalability_claims(stored_records("scalability", dataset, "laptop", [0, 1, 2], tmp_path))
    of_ledger = {(c.name, c.dataset): c for c in ledger([dataset], seeds=[0, 1, 2], results_dir=tmp_path)}
    assert len(of_chapter) == 3
    assert {claim.verdict for claim in of_chapter} == {"reproduced"}
    for claim in of_chapter:
        assert of_ledger[claim.name, dataset] == claim
    assert len(of_ledger["multi-embedding-better-dnn", dataset].effects) == len(profile.scales) - 1
