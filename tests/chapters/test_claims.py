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

from paper_code.chapters import claims as of_claims
from paper_code.chapters.claims import Ledger, claims_table, ledger, ledger_table
from paper_code.chapters.fig02_collapse import collapse_claims
from paper_code.chapters.fig04_toy import toy_claim
from paper_code.chapters.fig08_scalability import scalability_claims
from paper_code.chapters.ledger_lines import SUMMARY
from paper_code.chapters.ledger_page import (
    badges,
    claims_html,
    details_html,
    ledger_html,
    part_html,
    summary_table,
    summary_texts,
    tally,
)
from paper_code.chapters.shared.rules import Claim, Effect, corrected, holm_factors, same_distance
from paper_code.chapters.shared.tables import Runs
from paper_code.models import MODEL_LABELS
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.experiments import PAPER_MODELS, run_configs, sizes_of
from paper_code.runs.profiles import PROFILES
from paper_code.runs.reading import stored_records
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.spectra import random_spectrum
from paper_code.toy import ToyResult

SCALES, SCALES_OF_LAPTOP = (1, 2, 10), sizes_of(PROFILES["laptop"], "criteo_like")
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
        looks=[0.7],
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
        collapse_claims(Runs(records))


def test_the_ledger_counts_the_answers():
    claim = make_claim(*(Effect("x", [1, 2, 3], "above", bound) for bound in (-9, -8, 2, 19)))
    row = ledger_table([claim]).iloc[0]
    assert (row["yes"], row["undecided"], row["against"], row["verdict"]) == (2, 1, 1, "mixed")
    assert "2 yes, 1 undecided, 1 against" in claims_html([claim])


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
UNDECIDED = Effect("undecided", [-5.0, 5.1, -0.1], "above", 0.0)
TWO_SEEDS = Effect("two seeds", [5.0, 5.1], "above", 0.0)


@pytest.mark.parametrize(
    ("effects", "verdict", "of_ours"),
    [
        ([HOLDS], "supported", "holds"),
        ([FAILS], "contradicted", "contradicted"),
        ([UNDECIDED], "inconclusive", "inconclusive"),
        ([HOLDS, HOLDS], "supported", "holds"),
        ([HOLDS, FAILS], "mixed", "in part"),
        ([FAILS, HOLDS, UNDECIDED], "mixed", "in part"),
        ([HOLDS, UNDECIDED], "inconclusive", "in part"),
        ([FAILS, UNDECIDED], "inconclusive", "inconclusive"),
        ([FAILS, FAILS], "contradicted", "contradicted"),
        ([TWO_SEEDS], "not tested", "not tested"),
        ([HOLDS, TWO_SEEDS], "not tested", "not tested"),
        ([Effect("one seed", [5.0], "above", 0.0)], "not tested", "not tested"),
        ([Effect("no seed", [], "above", 0.0)], "not tested", "not tested"),
    ],
)
def test_the_verdict_follows_from_what_the_effects_answer(effects, verdict, of_ours):
    assert make_claim(*effects).verdict == verdict
    assert make_claim(*effects, section="ours, not in the paper").verdict == of_ours


@pytest.mark.parametrize("effect", [HOLDS, FAILS])
def test_a_sign_that_depends_on_the_learning_rate_makes_a_verdict_mixed(effect):
    claim = make_claim(effect, other_sign=True)
    assert (claim.verdict, claim.reason) == ("mixed", "depends on the learning rate")
    assert make_claim(UNDECIDED, other_sign=True).verdict == "inconclusive"
    assert make_claim(effect, other_sign=False).verdict == make_claim(effect).verdict


def test_a_claim_whose_check_failed_is_not_testable_whatever_its_effects():
    claim = make_claim(HOLDS, failed="trained out: fails in 1 of 7")
    assert (claim.verdict, claim.reason) == ("not testable here", "trained out: fails in 1 of 7")
    assert claim.answers == ["-"]
    assert make_claim(TWO_SEEDS, failed="trained out: not run").verdict == "not tested"


@pytest.mark.parametrize(("number", "confidence"), [(1, 0.95), (2, 0.975), (4, 0.9875), (5, 0.99)])
def test_the_error_probability_is_divided_among_the_effects(number, confidence):
    assert make_claim(*[HOLDS] * number).confidence == pytest.approx(confidence)


def test_an_effect_that_holds_alone_can_fail_among_several():
    """Bonferroni: the mean 3 of 2, 3, 4 is above 0 at 95 % (0.52 to 5.48), not at 97.5 % (-0.58 to 6.58)."""
    weak = Effect("weak", [2, 3, 4], "above", 0.0)
    assert make_claim(weak).verdict == "supported"
    assert make_claim(weak, HOLDS).verdict == "inconclusive"
    assert make_claim(weak, weak).verdict == "inconclusive"


# Figure 8 and Table 1


def test_records_like_the_papers_support_all_six_claims():
    claims = scalability_claims(Runs(make_sweep(as_published)))
    assert [claim.name for claim in claims] == [
        f"{name}-{model}"
        for model in ("dnn", "dcnv2")
        for name in ("single-embedding", "multi-embedding-better", "multi-embedding-scales")
    ]
    assert set(verdicts(claims).values()) == {"supported"}


def test_the_effects_are_differences_of_the_same_seed():
    single, better, scales = scalability_claims(Runs(make_sweep(as_published, models=["dcnv2"])))

    def expected(of, over):
        def total(run, seed):
            return as_published(*run, seed) if run[1] > 1 else 0.0

        return [total(of, seed) - total(over, seed) for seed in range(5)]

    pairs = {
        "test AUC, single 10x minus base": (single, ("SE", 10), ("SE", 1), "below", 0.001, 0.00018),
        "test AUC, multi 2x minus single 2x": (better, ("ME", 2), ("SE", 2), "above", 0, 0.00007),
        "test AUC, multi 10x minus single 10x": (better, ("ME", 10), ("SE", 10), "above", 0, 0.00028),
        "test AUC, multi 10x minus base": (scales, ("ME", 10), ("SE", 1), "above", 0, 0.00046),
        "test AUC, multi 10x minus multi 2x": (scales, ("ME", 10), ("ME", 2), "above", 0, 0.00037),
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
    tables = [claims_table(scalability_claims(Runs(r))) for r in (records, shuffled)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("changed", "claim", "verdict"),
    [
        ({("SE", 10): 0.005}, "single-embedding-dnn", "contradicted"),
        ({("SE", 10): 0.005}, "multi-embedding-better-dnn", "mixed"),
        ({("SE", 2): 0.005, ("SE", 10): 0.005}, "multi-embedding-better-dnn", "contradicted"),
        ({("ME", 10): 0.0005}, "multi-embedding-scales-dnn", "mixed"),
        ({("ME", 10): -0.0001}, "multi-embedding-scales-dnn", "contradicted"),
        ({("SE", 10): 0.0009}, "single-embedding-dnn", "supported"),
        ({("SE", 10): 0.00099}, "single-embedding-dnn", "inconclusive"),
    ],
)
def test_a_verdict_changes_with_the_records(changed, claim, verdict):
    """as_published gives single 10x a gain of -0.001, multi 2x 0.0008 and multi 10x 0.004."""

    def gain(embedding, scale, seed):
        usual = as_published(embedding, scale, seed)
        noise = 0.00001 * ((seed * 7 + scale) % 5)
        return changed[embedding, scale] + noise if (embedding, scale) in changed else usual

    claims = verdicts(scalability_claims(Runs(make_sweep(gain, models=["dnn"]))))
    assert claims[claim] == verdict


def test_a_seed_without_all_its_runs_is_left_out():
    records = make_sweep(as_published, models=["dnn"], seeds=range(4))

    def without(seeds):
        lost = {"embedding_size": 10, "num_sets": 10}
        return [r for r in records if not (r.config["seed"] in seeds and lost == {key: r.config[key] for key in lost})]

    for claim in scalability_claims(Runs(without([0]))):
        assert [len(e.values) for e in claim.effects] == [3 if "multi 10x" in e.name else 4 for e in claim.effects]
        assert claim.verdict == "supported"
    assert verdicts(scalability_claims(Runs(without([0, 3])))) == {
        "single-embedding-dnn": "supported",  # needs no ME 10x
        "multi-embedding-better-dnn": "not tested",
        "multi-embedding-scales-dnn": "not tested",
    }


def test_avazu_logs_are_held_against_the_avazu_columns():
    claims = scalability_claims(Runs(make_sweep(as_published, models=["dnn"], dataset="avazu_like")))
    assert {claim.section for claim in claims} == {"Section 5.2, Table 1 (Avazu)"}
    assert claims[0].effects[0].published == pytest.approx(0.78648 - 0.78744)


# Figures 1b and 2


def test_equal_singular_values_are_no_collapse():
    """Information abundance min(D, K) is above that of a random matrix."""
    full = [[1.0] * min(d, 10) for d in CARDINALITIES]
    (claim,) = collapse_claims(Runs([make_record(seed, spectra=full) for seed in range(3)]))
    assert claim.effects[0].mean > 1
    assert claim.verdict == "contradicted"


def test_matrices_of_rank_one_are_collapsed():
    rank_one = [[2.0] + [0.0] * (min(d, 10) - 1) for d in CARDINALITIES]
    (claim,) = collapse_claims(Runs([make_record(seed, spectra=rank_one) for seed in range(3)]))
    assert claim.verdict == "supported"


def test_the_share_is_the_mean_over_fields_of_learned_over_random():
    spectra = [[4.0, 1.0, 1.0, 0.0], [3.0, 1.5] + [0.0] * 18, [5.0] + [1.0] * 19]
    learned = [6 / 4, 4.5 / 3, 24 / 5]
    shares = []
    for abundance, d in zip(learned, CARDINALITIES, strict=True):
        random_values = random_spectrum(d, 20)
        shares.append(abundance / (random_values.sum() / random_values[0]))
    (claim,) = collapse_claims(Runs([make_record(seed, size=20, spectra=spectra) for seed in range(3)]))
    np.testing.assert_allclose(claim.effects[0].values, [np.mean(shares)] * 3, rtol=1e-12)


def test_two_seeds_do_not_test_the_collapse():
    assert collapse_claims(Runs([make_record(seed) for seed in range(2)]))[0].verdict == "not tested"


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
    assert claim.verdict == "supported"


def test_the_toy_claim_fails_if_nothing_or_the_other_case_collapses():
    assert toy_claim(toy_result(3, SPREAD), toy_result(100, SPREAD)).verdict == "inconclusive"
    assert toy_claim(toy_result(3, SPREAD), toy_result(100, COLLAPSED)).verdict == "contradicted"
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
    assert table[head].to_numpy().tolist() == [
        [
            *("gains", "test AUC, x", "+0.00200", "-0.00158 to +0.00558", "above 0", "+0.00046", "3", "undecided"),
            "inconclusive",
        ],
        [
            *("gains", "test AUC, y", "-0.01000", "-0.01000 to -0.01000", "below 0.001", "-", "3", "yes"),
            "inconclusive",
        ],
        ["share", "ratio", "0.30", "0.18 to 0.42", "below 0.5", "-", "3", "yes", "supported"],
        ["few", "ratio", "0.28", "fewer than 3 seeds", "below 0.5", "-", "2", "-", "not tested"],
    ]
    numbers = ["level", "half width", "power", "p", "sign-flip p", "without one"]
    assert table[numbers].to_numpy().tolist() == [
        ["97.5 %", "0.00358", "0.04", "0.0742", "0.2500", "-"],
        ["97.5 %", "0.00000", "-", "< 0.0001", "0.2500", "-"],
        ["95.0 %", "0.12", "-", "0.0202", "0.2500", "-"],
        ["95.0 %", "-", "-", "-", "-", "-"],
    ]


def test_differences_below_the_digits_shown_leave_the_table_as_it_is():
    """Another processor's rounding is no change."""

    def moved(embedding, scale, seed):
        return as_published(embedding, scale, seed) + 1e-9 * (seed + 1)

    tables = [claims_table(scalability_claims(Runs(make_sweep(gain)))) for gain in (as_published, moved)]
    assert tables[0].equals(tables[1])


def test_the_table_holds_every_effect_with_its_claims_verdict():
    claims = scalability_claims(Runs(make_sweep(as_published)))
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
        *scalability_claims(Runs(make_sweep(as_published))),
        *collapse_claims(Runs([make_record(seed) for seed in range(2)])),
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
    assert "● supported</span>" in visible(claims_html([claim]))
    failed = dataclasses.replace(claim, effects=(FAILS,))
    assert "✕ contradicted</span>" in visible(claims_html([failed]))
    assert "Rule and effects: 0 yes, 0 undecided, 1 against" in claims_html([failed])


def visible(text: str) -> str:
    """Without the spans that hide the marks from screen readers."""
    return re.sub(r'<span aria-hidden="true">(.)</span>', r"\1", text)


def test_several_verdicts_have_a_badge_each():
    assert visible(badges("2 supported, 1 not testable here")) == (
        '<span class="verdict supported">● 2 supported</span><br>'
        '<span class="verdict not-testable-here">□ 1 not testable here</span>'
    )


def test_a_tally_counts_claims_by_verdict():
    claims = [make_claim(effect) for effect in (FAILS, TWO_SEEDS, HOLDS, HOLDS)]
    assert tally(claims) == "2 supported, 1 contradicted, 1 not tested"
    assert tally(claims[:1]) == "contradicted"
    assert tally([]) == "-"


def test_every_claim_stands_in_one_line_of_the_ledger():
    found = ledger(("criteo_like", "avazu_like"))
    for claim in found:
        assert len([line for line in SUMMARY if line.of([claim])]) == 1, claim.name
    for line in SUMMARY:
        assert line.of(found), line
    for names in ([line.label for line in SUMMARY], [(line.part, line.anchor) for line in SUMMARY]):
        assert len(set(names)) == len(names)


def test_a_line_shows_a_number_where_the_last_effects_of_its_claims_are_alike():
    claims = Ledger(["criteo_like"], seeds=[0], results_dir="nowhere").claims()
    of_model = rf"({'|'.join(MODEL_LABELS.values())}) \S+, "
    for line in (line for line in SUMMARY if line.measure):
        assert len({re.sub(of_model, "", claim.effects[-1].name) for claim in line.of(claims)}) <= 1, line


ON_CRITEO = {"name": "figure-9a-x", "dataset": "criteo_like", "chapter": "fig09_analysis"}
ON_AVAZU = ON_CRITEO | {"dataset": "avazu_like"}


@pytest.fixture
def first_runs(monkeypatch):
    """Of the first runs are those on criteo_like by which Figure 9 is judged."""
    monkeypatch.setattr(of_claims, "OF_FIRST_REGIME", {("patterns", "criteo_like")})


def test_the_summary_counts_effects_and_verdicts_of_the_papers_claims_by_data_set():
    both, other = make_claim(HOLDS, FAILS, **ON_CRITEO), make_claim(FAILS, **ON_AVAZU)
    asked_of_another = make_claim(HOLDS, **ON_CRITEO | {"section": "not in the paper"})
    table = summary_table([both, other, asked_of_another])
    assert table[["dataset", "yes", "undecided", "against", "verdict"]].to_numpy().tolist() == [
        ["criteo_like", 1, 0, 1, "mixed"],
        ["avazu_like", 0, 0, 1, "contradicted"],
    ]
    assert set(table["part"]) == {"the cure"}
    assert summary_texts([both, other, asked_of_another]) == {
        "verdicts": "1 mixed, 1 contradicted",
        **{"number_of_claims": "2", "number_of_other_claims": "1"},
    }
    gated = make_claim(HOLDS, failed="trained out: not run", **ON_CRITEO)
    assert summary_table([gated])[["yes", "undecided", "against"]].to_numpy().tolist() == [[0, 0, 0]]


def cells(text: str) -> list[list[str]]:
    """The texts of a table's cells, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", text.replace("<br>", " "))
    return [
        [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)]
        for row in rows
    ]


def test_a_line_of_the_ledger_has_its_verdict_and_its_number_on_each_log_and_leads_to_its_details(first_runs):
    of_ours = make_claim(FAILS, **ON_AVAZU | {"name": "map-where", "chapter": "reach", "section": "not in the paper"})
    text = ledger_html([make_claim(HOLDS, **ON_CRITEO), make_claim(FAILS, **ON_AVAZU), of_ours])
    assert cells(text) == [
        ["claim", "criteo_like synthetic", "avazu_like synthetic"],
        ["The cure"],
        [
            "Multi embedding collapses less (9a) share of random, multi over single; Figure 9",
            *("● supported† 5.00 ± 0.25", "✕ contradicted -5.00 ± 0.25"),
        ],
        ["Ours and newer models"],
        ["The gain is where the collapse is rank correlation; when it helps", "", "✕ contradicted -5.00 ± 0.25"],
    ]
    for link in ("claims_cure.html#figure-9a", "fig09_analysis.html", "claims_ours.html#map-where", "reach.html"):
        assert f'<a href="{link}">' in text


def test_a_line_of_several_claims_has_their_verdicts_and_their_range_beside_the_papers(
    first_runs,
):
    claims = [
        make_claim(
            Effect("test AUC, SE 10x minus base", [mean - 1e-5, mean, mean + 1e-5], "below", 0.0, published=published),
            **ON_CRITEO | {"name": f"single-embedding-{number}", "headline": number == 0},
        )
        for number, (mean, published) in enumerate([(-0.002, 0.001), (0.0031, -0.0012), (-0.001, float("nan"))])
    ]
    (_, _, (label, cell)) = cells(ledger_html(claims))
    assert label.endswith("the paper: Criteo -0.0012 to +0.0010")
    assert cell == "● 2 supported ✕ 1 contradicted -0.0020 to +0.0031"
    assert "<strong><a" in ledger_html(claims)
    assert "<strong><a" not in ledger_html(claims[1:])


def test_a_claim_that_needs_no_log_spans_all_and_one_that_was_not_tested_has_no_number(first_runs):
    toy = make_claim(HOLDS, name="toy-collapse", chapter="fig04_toy")
    of_first = make_claim(HOLDS, **ON_CRITEO)
    text = ledger_html([toy, make_claim(TWO_SEEDS, **ON_CRITEO), make_claim(HOLDS, **ON_AVAZU)])
    assert re.search(r'<td colspan="2">.*?supported', text)
    assert ["● supported 5.00 ± 0.25"] in [row[1:] for row in cells(text)]
    assert ["- not tested", "● supported 5.00 ± 0.25"] in [row[1:] for row in cells(text)]
    assert "first runs" in ledger_html([toy, of_first])
    assert "first runs" not in ledger_html([toy])


def test_the_details_have_of_every_claim_of_a_part_its_rule_effects_and_commands():
    claims = [
        *(make_claim(HOLDS, FAILS, **ON_CRITEO), make_claim(FAILS, UNDECIDED, **ON_AVAZU)),
        make_claim(HOLDS, name="toy-collapse", statement="another"),
    ]
    text = details_html("the cure", claims)
    assert text.count("<table") == text.count('class="claim"') == 1
    assert '<h2 id="figure-9a">' in text
    for words in ("figure-9a-x", ">d</p>", "1 yes, 0 undecided, 1 against", "0 yes, 1 undecided, 1 against"):
        assert words in text
    for claim in claims[:2]:
        assert badges(claim.verdict) in text
        assert claim.command.replace("&", "&amp;") in text
    assert [row[:2] for row in cells(re.sub(r"\n\s*", "", text))] == [
        *(["criteo_like", "holds"], ["criteo_like", "fails"], ["avazu_like", "fails"], ["avazu_like", "undecided"])
    ]
    assert "another" not in text
    assert "another" in details_html("the cause", claims)


def test_the_details_of_a_part_are_those_of_the_whole_ledger(tmp_path):
    whole = Ledger(["criteo_like", "avazu_like"], seeds=[0, 1, 2], results_dir=tmp_path).claims()
    found = part_html("the phenomenon", "criteo_like", "laptop", [0, 1, 2], tmp_path)
    assert found == details_html("the phenomenon", whole)
    assert found.count('class="claim"') == 3 + len(PAPER_MODELS)


# The ledger


def test_the_p_value_is_that_of_the_interval():
    """An effect holds at confidence c exactly if its p-value is below 1 - c."""
    effect = Effect("x", [0.5, 1.0, 1.2, 0.8], "above", 0.0)
    assert effect.p_value == pytest.approx(stats.ttest_1samp(effect.values, 0.0).pvalue)
    assert effect.holds(1 - effect.p_value * 1.001)
    assert not effect.holds(1 - effect.p_value * 0.999)
    assert dataclasses.replace(effect, side="below").p_value == effect.p_value
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
    assert effect.p_value == pytest.approx(stats.ttest_1samp(effect.values, np.sign(middle)).pvalue)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # only the signs as they are and all of them flipped have so large a mean
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32),
        ([-1.0, 2.0, 3.0], 4 / 8),  # and -1, -2, -3 with both
        (list(range(1, 11)), 2 / 1024),
        ([-1.0, 1.0, 0.0], 1.0),
    ],
)
def test_the_sign_flip_p_counts_all_patterns_of_signs(values, p):
    assert Effect("x", values, "above", 0.0).sign_flip_p == pytest.approx(p)
    shifted = [value + 7 for value in values]
    assert Effect("x", shifted, "above", 7.0).sign_flip_p == pytest.approx(p)


def test_of_very_many_seeds_sign_patterns_are_drawn():
    values = np.random.default_rng(0).normal(0.1, 1, 40)
    effect = Effect("x", values, "above", 0.0)
    assert effect.sign_flip_p == pytest.approx(effect.p_value, abs=0.03)
    assert effect.sign_flip_p == effect.sign_flip_p


def test_the_power_is_how_often_the_published_effect_would_be_seen():
    """Of many experiments like it, with the deviation of these seeds."""
    effect = Effect("x", [1.0, 2.0, 3.0, 2.5, 1.5], "above", 0.0, published=0.8)
    draws = np.random.default_rng(0).normal(0.8, np.std(effect.values, ddof=1), (20_000, 5))
    seen = stats.ttest_1samp(draws, 0, axis=1)
    share = np.mean((seen.pvalue < 0.05) & (draws.mean(axis=1) > 0))
    assert effect.power(0.95) == pytest.approx(share, abs=0.01)
    assert effect.power(0.99) < effect.power(0.95)
    assert dataclasses.replace(effect, published=80.0).power(0.95) == pytest.approx(1.0)
    assert np.isnan(dataclasses.replace(effect, published=float("nan")).power(0.95))


@pytest.mark.parametrize(("auc", "distance"), [(0.8134, 0.001), (0.747, 0.0012), (0.897, 0.00067), (0.98, 0.00018)])
def test_a_thousandth_of_the_papers_auc_is_another_distance_elsewhere(auc, distance):
    assert same_distance(auc) == pytest.approx(distance, abs=1e-5)


def test_a_verdict_that_differs_in_d_prime_is_said():
    """At an AUC of 0.98 a gain of 0.0005 is less than 0.001, and more than the same distance in d'."""
    values = [0.0005, 0.00051, 0.00049]
    claim = make_claim(Effect("test AUC", values, "below", 0.001, in_d_prime=same_distance(0.98)))
    assert (claim.verdict, claim.verdict_in_d_prime) == ("supported", "contradicted")
    assert claim.reason == "in d' contradicted"
    assert make_claim(Effect("test AUC", values, "below", 0.001, in_d_prime=0.0012)).reason == ""
    assert make_claim(HOLDS).verdict_in_d_prime is None


# Holm


def with_p(p: float, seeds: int = 5) -> Effect:
    """An effect above zero of that p-value."""
    deviations = np.linspace(-1, 1, seeds)
    error = np.std(deviations, ddof=1) / np.sqrt(seeds)
    return Effect("x", (deviations + stats.t.isf(p / 2, seeds - 1) * error).tolist(), "above", 0.0)


def headline(*effects: Effect, **changes) -> Claim:
    return make_claim(*effects, **{"headline": True, "dataset": "criteo_like"} | changes)


@pytest.mark.parametrize(
    ("p_values", "factors"),
    [
        ([0.01], [1]),
        ([0.01, 0.02, 0.03], [3, 2, 1.3333333]),  # of the last 0.04, that of the second
        ([0.03, 0.01, 0.02], [1.3333333, 3, 2]),
        ([0.04, 0.001], [1, 2]),
        ([0.0, 0.5], [2, 1]),
    ],
)
def test_holms_factors(p_values, factors):
    assert holm_factors(p_values) == pytest.approx(factors)


@settings(deadline=None)
@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=6))
def test_holm_rejects_one_after_the_other_until_one_is_not(p_values):
    rejected = set()
    for rank, number in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[number] * (len(p_values) - rank) >= 0.05:
            break
        rejected.add(int(number))
    factors = holm_factors(p_values)
    assert {n for n, p in enumerate(p_values) if p * factors[n] < 0.05} == rejected


def test_headline_claims_are_corrected_for_each_other_log_by_log():
    claims = [headline(with_p(p)) for p in (0.011, 0.02, 0.03, 0.2)]
    assert {claim.verdict for claim in claims[:3]} == {"supported"}
    assert [claim.verdict for claim in corrected(claims)] == [
        "supported",
        "inconclusive",
        "inconclusive",
        "inconclusive",
    ]
    others = [dataclasses.replace(claim, dataset="avazu_like") for claim in claims[1:]]
    assert [claim.verdict for claim in corrected([claims[0], *others])] == ["supported", *["inconclusive"] * 3]
    assert [claim.verdict for claim in corrected(claims[:2])] == ["supported", "supported"]


def test_descriptive_claims_are_not_corrected_and_correct_none():
    claims = [headline(with_p(0.04)), *(make_claim(with_p(0.04), dataset="criteo_like") for _ in range(5))]
    assert corrected(claims)[0].verdict == "supported"
    assert corrected(claims)[1:] == claims[1:]


@pytest.mark.parametrize("change", [{"failed": "trained out: not run"}, {"effects": (TWO_SEEDS,)}])
def test_a_headline_claim_that_is_not_judged_makes_nothing_else_easier(change):
    """With p = 0.03 a second claim holds at 0.05 alone, and not beside another; nor if that one is not judged."""
    other = dataclasses.replace(headline(with_p(0.001)), **change)
    assert corrected([headline(with_p(0.03)), other])[0].verdict == "inconclusive"
    assert corrected([headline(with_p(0.03)), headline(with_p(0.001))])[0].verdict == "supported"


def test_a_headline_claim_of_two_effects_has_the_larger_p():
    claim = headline(with_p(1e-6), with_p(0.03))
    assert claim.p_value == pytest.approx(0.03)
    assert corrected([claim])[0].verdict == "supported"
    assert corrected([claim, headline(with_p(0.5))])[0].verdict == "inconclusive"
    against = dataclasses.replace(with_p(0.001), side="below")
    assert corrected([headline(with_p(0.001), against)])[0].verdict == "mixed"


def test_the_table_says_which_claims_count_with_their_corrected_p():
    claims = corrected([headline(with_p(0.01)), headline(with_p(0.5)), make_claim(with_p(0.01), with_p(0.02))])
    table = ledger_table(claims)
    assert table[["counts", "p"]].to_numpy().tolist() == [
        *(["headline", "0.0200"], ["headline", "0.5000"], ["descriptive", "0.0400"])
    ]


# All of them


def test_without_records_every_claim_on_records_is_there_and_not_tested(tmp_path):
    claims = ledger(["criteo_like", "avazu_like"], results_dir=tmp_path, seeds=[0, 1, 2])
    assert [c.name for c in claims if c.verdict != "not tested"] == ["toy-collapse", "linear-multi-embedding-is-single"]
    keys = [(claim.name, claim.dataset) for claim in claims]
    assert len(set(keys)) == len(keys)
    for model in PAPER_MODELS:
        for name in ("single-embedding", "multi-embedding-better", "multi-embedding-scales"):
            assert {(f"{name}-{model}", dataset) for dataset in ("criteo_like", "avazu_like")} <= set(keys)
    assert {effect.name for claim in claims for effect in claim.effects if "4x" in effect.name}
    assert ledger_table(claims)["verdict"].tolist() == [claim.verdict for claim in claims]
    assert "not tested" in claims_html(claims)


def test_the_ledger_judges_what_a_chapter_judges_gated_by_its_checks(tmp_path):
    """The same records, the same effects; without the runs of the checks nothing on AUC is testable."""
    dataset, seeds = "criteo_like", [0, 1, 2]
    store = RunStore(tmp_path)
    for config in run_configs("scalability", dataset, seeds=seeds):
        if config.model != "dnn":
            continue
        gain = config.num_sets**2 / 1e4 + config.embedding_size / 1e7 * (1 + config.seed)
        sizes = config.seed, config.model, config.embedding_size, config.num_sets
        record = make_record(*sizes, test_auc=0.7 + config.seed / 100 + gain, spectra=[[1.0]])
        store.put(config, dataclasses.replace(record, config=config.to_json()))
    of_chapter = scalability_claims(
        Runs(stored_records("scalability", dataset, "laptop", seeds, tmp_path), dataset, SCALES_OF_LAPTOP)
    )
    assert {claim.verdict for claim in of_chapter} == {"supported"}
    book = Ledger([dataset], seeds=seeds, results_dir=tmp_path)
    found = {claim.name: claim for claim in book.claims("single-embedding", "multi-embedding")}
    assert len(of_chapter) == 3
    for claim in of_chapter:
        in_ledger = found[claim.name]
        assert in_ledger.verdict == "not testable here"
        assert "trained out: not run" in in_ledger.reason
        assert dataclasses.replace(in_ledger, failed="") == claim
    assert {claim.name.split("-")[0] for claim in book.claims("single-embedding", "multi-embedding")} == {
        "single",
        "multi",
    }


def with_other_seeds_and_lower_auc(record: RunRecord) -> RunRecord:
    seed = (7 * record.config["seed"] + 3) % 10
    return dataclasses.replace(
        record,
        config=record.config | {"seed": seed, "data": record.config["data"] | {"seed": seed}},
        scores=record.scores | {"test_auc": record.scores["test_auc"] - 0.05},
        epochs=[epoch | {"validation_auc": epoch["validation_auc"] - 0.05} for epoch in record.epochs],
        looks=[look - 0.05 for look in record.looks],
    )


def test_no_committed_verdict_depends_on_the_numbers_of_the_seeds_or_on_the_level_of_auc(monkeypatch):
    """Of no claim and of no check of the log that stands for Criteo."""
    usual, changed = Ledger(["criteo_like"]), Ledger(["criteo_like"])
    records = usual.records
    monkeypatch.setattr(of_claims, "of_first_regime", lambda claim: False)
    monkeypatch.setattr(changed, "records", lambda *asked: list(map(with_other_seeds_and_lower_auc, records(*asked))))
    of_usual, of_changed = ([(c.name, c.verdict) for c in book.claims()] for book in (usual, changed))
    assert of_changed == of_usual
    assert len({verdict for _, verdict in of_usual}) > 3
    of_usual, of_changed = ([(c.name, c.outcome) for c in book.checks("criteo_like")] for book in (usual, changed))
    assert of_changed == of_usual


def test_every_claim_on_auc_and_on_interactions_is_gated():
    """As the book's page "The regime" has it."""
    book = Ledger(["criteo_like"], seeds=[0], results_dir="nowhere")
    gates = {claim.name: set(claim.checks) for claim in book.claims()}
    for name, checks in gates.items():
        of_auc = any(
            word in name for word in ("embedding-dnn", "better", "scales", "average", "control-", "gain", "9d")
        )
        assert {"trained out", "stopping is fair"} <= checks or not of_auc, name
    live = {name for name, checks in gates.items() if "interactions live" in checks}
    assert {"law", "finding-2", "figure-9c", "figure-9d", "evidence-iii-abundance", "evidence-iv-auc"} <= live
    latent = {name for name, checks in gates.items() if "a larger embedding could help" in checks}
    assert latent == {
        *("average-single", "average-drops", "evidence-iv-auc"),
        *(f"single-embedding-{model}" for model in (*PAPER_MODELS, "gdcn", "rankmixer")),
    }
    assert {name for name, checks in gates.items() if "Evidence III applied" in checks} == {
        *("evidence-iii-abundance", "evidence-iii-scalability", "evidence-iii-overfitting", "finding-2")
    }
    assert {name for name, checks in gates.items() if "Figure 9d applied" in checks} == {"figure-9d"}


def test_at_most_six_claims_of_a_log_count():
    names = ["embedding-collapse", "law", "average-single", "average-drops", "average-multi-4x"]
    for dataset in ("criteo_like", "avazu_like"):
        claims = Ledger([dataset], seeds=[0], results_dir="nowhere").claims()
        assert [claim.name for claim in claims if claim.headline] == names


def test_a_claim_on_runs_of_the_first_regime_is_not_testable_and_says_so():
    """Its checks are of the regime, and its runs are not."""
    (claim,) = Ledger(["criteo_like"]).claims("own-interactions")
    assert claim.tested
    assert (claim.verdict, claim.reason) == ("not testable here", "of this project's first runs")
