"""The rules by which the regime is chosen, on made-up scores."""

from types import SimpleNamespace

import pandas as pd
import pytest

from paper_code.models import model_options
from paper_code.runs import choices
from paper_code.runs.choices import Chooser, chosen_batch, chosen_rate, chosen_width, further_rates, rate_variants
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.profiles import PROFILES, log_of_profile
from paper_code.runs.regime import REGIMES, LogRegime
from paper_code.runs.store import RunStore
from paper_code.runs.variants import Variant, run_config


def means(scores: dict) -> pd.Series:
    return pd.Series(scores)


def test_the_smallest_rate_within_the_tolerance_is_chosen():
    assert chosen_rate(means({1e-3: 0.7496, 2e-3: 0.7500, 4e-3: 0.7490})) == 1e-3
    assert chosen_rate(means({1e-3: 0.7494, 2e-3: 0.7500, 4e-3: 0.7499})) == 2e-3


@pytest.mark.parametrize(
    ("scores", "further"),
    [
        ({1e-3: 0.70, 2e-3: 0.75, 4e-3: 0.74}, []),
        ({1e-3: 0.75, 2e-3: 0.74, 4e-3: 0.73}, [5e-4]),
        ({1e-3: 0.73, 2e-3: 0.74, 4e-3: 0.75}, [8e-3]),
        ({1e-3: 0.7498, 2e-3: 0.7500, 4e-3: 0.74}, [5e-4]),
        ({1e-3: 0.7499, 2e-3: 0.7498, 4e-3: 0.75}, [5e-4, 8e-3]),
    ],
)
def test_an_edge_extends_the_rates(scores, further):
    assert further_rates(means(scores)) == further


def test_the_largest_batch_that_is_as_good_is_chosen():
    scores = {(256, 2e-3): 0.7500, (256, 4e-3): 0.7490, (512, 4e-3): 0.7496, (1024, 8e-3): 0.7494}
    assert chosen_batch(means(scores)) == 512


def test_the_smallest_width_that_doubling_does_not_improve_is_chosen():
    def scores(gain_of_dnn, gain_of_dcnv2):
        of_first = {("dnn", 256): 0.75, ("dnn", 512): 0.75 + gain_of_dnn}
        of_second = {("dcnv2", 256): 0.76, ("dcnv2", 512): 0.76 + gain_of_dcnv2}
        return means(of_first | of_second)

    assert chosen_width(scores(0.0005, 0.0009)) == 256
    assert chosen_width(scores(0.0005, 0.0011)) == 400  # the paper's


def test_rates_are_tried_until_no_choice_is_at_an_edge(tmp_path, monkeypatch):
    """A model whose best rate is 32e-3, one whose best is 1e-3; each rate is trained once."""
    trained = []
    peaks = {"dnn": 32e-3, "dcnv2": 1e-3}

    def records(self, variants, seeds):
        trained.extend((variant.model, variant.training["learning_rate"]) for variant in variants)
        return list(variants)

    def means_by(variants, key):
        distances = {v.training["learning_rate"]: abs(v.training["learning_rate"] - peaks[v.model]) for v in variants}
        return pd.Series({rate: 0.75 - 2 * distance for rate, distance in distances.items()})

    monkeypatch.setattr(Chooser, "records", records)
    monkeypatch.setattr(choices, "means_by", means_by)
    dnn, dcnv2 = Chooser("criteo_like", RunStore(tmp_path)).rates([("dnn", "base", 64, 8), ("dcnv2", "multi", 64, 8)])
    assert sorted(dnn.index) == [4e-3, 8e-3, 16e-3, 32e-3, 64e-3]
    assert chosen_rate(dnn) == 32e-3
    assert min(dcnv2.index) == 5e-4
    assert chosen_rate(dcnv2) == 1e-3
    assert set(trained) == {("dnn", rate) for rate in dnn.index} | {("dcnv2", rate) for rate in dcnv2.index}


def test_sizes_are_chosen_first_and_with_them_the_rates_of_every_model_and_kind(tmp_path, monkeypatch, capsys):
    """A batch of 512 is as good as one of 256, and a width of 400 is needed; every kind has a best rate of its own."""
    best = {"base": 1e-3, "single": 2e-3, "multi": 4e-3}
    asked = []

    def rates(self, kinds):
        asked.extend(kinds)
        return [means({rate: 0.75 - abs(rate - best[kind]) for rate in (1e-3, 2e-3, 4e-3)}) for _, kind, *_ in kinds]

    monkeypatch.setattr(Chooser, "batch", lambda _: means({(256, 2e-3): 0.75, (512, 2e-3): 0.75, (1024, 2e-3): 0.7}))
    monkeypatch.setattr(
        Chooser,
        "width",
        lambda *_: means({("dnn", 256): 0.7, ("dnn", 512): 0.8, ("dcnv2", 256): 0.7, ("dcnv2", 512): 0.7}),
    )
    monkeypatch.setattr(Chooser, "rates", rates)
    doubled = []
    monkeypatch.setattr(Chooser, "records", lambda self, variants, seeds: doubled.extend(variants))
    regime = Chooser("criteo_like", RunStore(tmp_path)).regime()
    assert (regime.batch_size, regime.hidden) == (512, 400)
    assert {of_kind[2:] for of_kind in asked} == {(512, 400)}
    of_several = dict.fromkeys((*PAPER_MODELS, "gdcn", "rankmixer"), (1e-3, 2e-3, 4e-3))
    assert regime.rates == of_several | {"ffm": (1e-3,) * 3}
    assert regime.learning_rate("dcnv2", 4, 1) == 2e-3
    of_doubled = [(v.model, v.options["hidden"], v.training["learning_rate"]) for v in doubled]
    assert of_doubled == [("dnn", (800, 800), 1e-3), ("dcnv2", (800, 800), 1e-3)]
    assert "criteo_like dcnv2 multi" in capsys.readouterr().out


@pytest.mark.parametrize(("distance", "projected", "tried"), [(1.0, 0.0, 5), (1e-6, 1e6, 1), (1e-6, 0.0, 5)])
def test_weights_are_tried_until_one_applies_the_penalty(tmp_path, monkeypatch, distance, projected, tried):
    """It applies if the distance to a unitary falls, and if the projected abundance is high."""

    def records(self, variants, seeds):
        (variant,) = variants
        at = {"distance_to_unitary": 2.0 * (distance if variant.regularizer else 1), "projected_abundance": projected}
        return [SimpleNamespace(moments={"best": at})] * 3

    monkeypatch.setattr(Chooser, "records", records)
    table = Chooser("criteo_like", RunStore(tmp_path)).unitary(4)
    assert table["weight"].tolist() == list(choices.UNITARY_WEIGHTS[:tried])
    assert table["distance"].tolist() == [distance] * tried
    assert table["projected"].tolist() == [projected] * tried


def test_means_of_runs_by_several_values_can_be_asked_by_each():
    def record(model, width, auc):
        config = {"model": model, "options": {"hidden": [width, width]}}
        return SimpleNamespace(config=config, looks=[0.1, auc])

    records = [record("dnn", 256, 0.7), record("dnn", 256, 0.8), record("dcnv2", 256, 0.6), None]
    means = choices.means_by(records, lambda config: (config["model"], config["options"]["hidden"][0]))
    assert means["dnn", 256] == pytest.approx(0.75)
    assert means.unstack().loc["dcnv2", 256] == 0.6


def test_runs_of_a_choice_differ_in_the_rate_alone():
    configs = choices.configs_of("criteo_like", choices.rate_variants("dcnv2", "multi", 128, 64, [1e-3, 2e-3]), [50])
    values = [config.to_json() for config in configs]
    assert [v["training"].pop("learning_rate") for v in values] == [1e-3, 2e-3]
    assert values[0] == values[1]
    assert (values[0]["num_sets"], values[0]["options"]["hidden"]) == (4, [64, 64])
    assert "hidden" not in model_options("ffm")  # and a model without hidden layers has no width
    assert choices.rate_variants("ffm", "base", 128, 64, [1e-3])[0].options == {}


def test_where_a_dnn_stands_has_a_learning_rate_of_its_own(monkeypatch):
    dnns = [Variant("fm", options={"dnn": "stacked"}), Variant("dcnv2", options={"dnn": "alone"}), Variant("dcnv2", 4)]
    monkeypatch.setitem(choices.EXPERIMENTS, "dnns", lambda scales: dnns)
    monkeypatch.setitem(choices.PLAN, "criteo_like", ("dnns",))
    assert choices.kinds_of("criteo_like") == [("dcnv2", "single"), ("fm stacked", "base"), ("dcnv2 alone", "base")]
    (variant,) = rate_variants("dcnv2 alone", "base", 512, 400, [4e-3])
    assert (variant.model, variant.options) == ("dcnv2", {"hidden": (400, 400), "dnn": "alone"})
    regime = LogRegime(512, 400, {"dcnv2": (8e-3, 8e-3, 8e-3), "dcnv2 alone": (1e-3, 2e-3, 4e-3)})
    monkeypatch.setitem(REGIMES, "criteo_like", regime)
    profile, data = PROFILES["laptop"], log_of_profile(PROFILES["laptop"], "criteo_like", 0)
    rates = [run_config(profile, data, 39, variant, 0).training.learning_rate for variant in dnns[1:]]
    assert rates == [1e-3, 8e-3]
