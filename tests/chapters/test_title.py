"""The title page: one answer per question and log, and none where nothing was measured."""

from dataclasses import replace

import pytest

from paper_code.chapters import claims, title
from paper_code.chapters.claims import OF_RECORDS
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.runs.experiments import run_configs
from paper_code.runs.profiles import FIRST


def claim(name: str, dataset: str, values=(0.30, 0.31, 0.32), **further) -> Claim:
    effects = tuple(Effect("an effect", values, "below", 0.5, published=-0.0003) for _ in range(2))
    return Claim(name, "Section 3", "A statement.", "A rule.", effects, dataset, "fig02_collapse", **further)


@pytest.fixture
def of_the_regime(monkeypatch):
    monkeypatch.setattr(claims, "OF_FIRST_REGIME", set())


def test_every_question_is_of_a_claim_of_the_ledger():
    names = [name for judged in OF_RECORDS for name in judged.names]
    for question in title.QUESTIONS:
        assert question.claim.startswith(tuple(names))


def test_a_claim_is_of_the_first_regime_with_any_of_its_experiments(monkeypatch):
    monkeypatch.setattr(claims, "OF_FIRST_REGIME", {("evidence_ii", "criteo_like"), ("few_rows", "criteo_80k")})
    for name, dataset, expected in [
        ("law", "criteo_like", True),
        ("law", "avazu_like", False),
        ("embedding-collapse", "criteo_like", False),
        ("embedding-collapse", "criteo_80k", True),
        ("logs-single", "", False),
    ]:
        assert claims.of_first_regime(claim(name, dataset)) == expected
    monkeypatch.setattr(claims, "OF_FIRST_REGIME", {("tables", "avazu_like")})
    assert claims.of_first_regime(claim("logs-single", ""))


def test_an_answer_has_its_effect_interval_and_verdict(of_the_regime):
    found = title.answers([claim("embedding-collapse", "movielens"), claim("embedding-collapse", "criteo_like")])
    row = title.answers_table(found).iloc[0]
    assert list(row.index) == ["question", "the paper", "MovieLens-1M", "criteo_like, synthetic", "verdict"]
    assert row["MovieLens-1M"].startswith("0.31 (0.27 to 0.35)<br>")  # Bonferroni over the claim's two effects
    assert "supported" in row["MovieLens-1M"]
    assert "supported" in row["verdict"]
    told = title.findings(found)
    assert told["collapse"] == "0.31 (0.27 to 0.35) on MovieLens-1M and 0.31 (0.27 to 0.35) on criteo_like, synthetic"
    assert told["seeds"] == "3"


def test_a_rank_correlation_is_told_as_one(of_the_regime):
    found = title.answers([claim("interaction-collapse-dcnv2", "criteo_like", (0.5493, 0.5493, 0.5493))])
    assert title.findings(found)["law_dcnv2"].startswith("+0.50 (+0.50 to +0.50)")


def test_runs_of_the_first_regime_answer_nothing(monkeypatch):
    monkeypatch.setattr(claims, "OF_FIRST_REGIME", {("collapse", "criteo_like")})
    found = title.answers([claim("embedding-collapse", "criteo_like")])
    assert title.answers_table(found).loc[0, "criteo_like, synthetic"] == title.AWAITED
    assert title.findings(found) == {
        "untestable": "nothing that has been measured so far",
        "contradicted": "nothing so far",
        **dict.fromkeys(["collapse", "single", "multi", "law_ffm", "law_dcnv2", "seeds"], f"[{title.AWAITED}]"),
    }


def test_what_a_check_forbids_is_told_with_the_check(of_the_regime):
    found = title.answers([claim("embedding-collapse", "frappe", failed="interactions live: fails")])
    told = title.findings(found)
    assert told["untestable"] == "A statement (Frappe; interactions live: fails)"
    assert told["collapse"] == "0.31 (0.27 to 0.35) on Frappe (not testable here)"
    assert "not testable here" in title.answers_table(found).loc[0, "Frappe"]


def test_a_claim_that_answers_two_questions_is_told_once(of_the_regime):
    failed = "interactions live: fails"
    names = ("interaction-collapse-ffm", "interaction-collapse-dcnv2")
    found = title.answers([claim(name, "frappe", failed=failed) for name in names])
    assert len(found) == 2
    assert title.findings(found)["untestable"] == "A statement (Frappe; interactions live: fails)"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported", "supported", title.AWAITED], "supported"),
        (["supported", "contradicted"], "by log"),
        (["supported", "not testable here"], "supported"),
        (["not testable here", title.AWAITED], "not testable here"),
        ([title.AWAITED], title.AWAITED),
    ],
)
def test_the_verdict_over_the_logs(verdicts, expected):
    assert title.verdict_over(verdicts) == expected


def test_the_papers_number_is_named_by_the_log_that_ours_stands_for(of_the_regime):
    question = next(q for q in title.QUESTIONS if q.claim == "average-single")
    effect = replace(claim("average-single", "avazu_like").effects[0], published=-0.001)
    of_avazu = replace(claim("average-single", "avazu_like"), effects=(effect,))
    assert title.published(question, [claim("average-single", "criteo_like"), of_avazu]) == (
        "Criteo -0.0003; Avazu -0.0010"
    )


def test_the_logs_are_those_with_runs_of_the_plan(tmp_path):
    """Of MovieLens there is one; of Frappe only one that chose its regime; of Criteo's rows one of the first regime."""
    (of_plan,) = run_configs("tables", "movielens", seeds=[100])[:1]
    (of_choice,) = run_configs("tables", "frappe", seeds=[50])[:1]
    (of_first,) = run_configs("few_rows", "criteo_80k", FIRST)[:1]
    for config in (of_plan, of_choice, of_first):
        path = tmp_path / config.data.name / f"{config.hash}.json"
        path.parent.mkdir()
        path.touch()
    assert claims.logs_beside("avazu_like", tmp_path) == ("criteo_like", "avazu_like", "movielens")
    assert claims.logs_beside("mine", tmp_path) == ("mine",)
