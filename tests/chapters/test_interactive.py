"""The interactive figures show the numbers of the static ones, and say where each comes from."""

import json

import numpy as np
import pytest
import vl_convert

from paper_code.chapters import fig03_chart, fig03_interaction_collapse, fig04_chart, fig08_chart
from paper_code.chapters.shared import gains, tables, vega
from paper_code.chapters.shared.tables import Runs
from paper_code.chapters.shared.words import EMBEDDING_LABELS
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc
from paper_code.runs.reading import records_of, stored_records
from paper_code.toy import run_toy

DIGITS = 1e-5  # relative: the specifications have six significant digits
LOGS = ("criteo_like", "avazu_like")


@pytest.fixture(scope="module")
def of_logs():
    return {name: records_of("tables", name) for name in LOGS}


@pytest.fixture(scope="module")
def law_records():
    """Of Figure 3: FFM's and DCNv2's."""
    of_dcnv2 = Runs(records_of("evidence_ii", "criteo_like")).records_of("dcnv2", "SE")
    return records_of("evidence_i", "criteo_like"), of_dcnv2


@pytest.fixture(scope="module")
def toy_results():
    return tuple(run_toy(cardinality, seeds=(0, 1), iterations=20, points=4) for cardinality in (3, 100))


@pytest.fixture(scope="module")
def charts(of_logs, law_records, toy_results):
    return {
        "law": fig03_chart.law_chart(*law_records),
        "toy": fig04_chart.toy_chart(*toy_results),
        "gains": fig08_chart.gains_chart(of_logs, "avazu_like"),
    }


def data_of(chart: dict) -> list[dict]:
    """The rows that the whole chart has."""
    return chart["data"]["values"]


def parameters(chart: dict) -> dict[str, dict]:
    return {parameter["name"]: parameter for parameter in chart["params"]}


@pytest.mark.parametrize("name", ["law", "toy", "gains"])
class TestSpecifications:
    def test_it_compiles_without_a_word(self, name, charts, capfd):
        assert vl_convert.vegalite_to_svg(charts[name]).startswith("<svg")
        assert capfd.readouterr() == ("", "")

    def test_it_is_small_strict_json(self, name, charts):
        assert len(json.dumps(charts[name], allow_nan=False)) < 150_000

    def test_it_names_no_other_host(self, name, charts):
        assert "http" not in json.dumps({key: value for key, value in charts[name].items() if key != "$schema"})


def test_the_law_chart_has_every_pair_of_the_first_records(charts, law_records):
    shown = {}
    for row in data_of(charts["law"]["vconcat"][1]):
        for j, cardinality, of_j, value in zip(
            row["j"], row["cardinality_j"], row["abundance_j"], row["abundance"], strict=True
        ):
            shown[row["model"], row["i"], j] = (
                *(row["cardinality_i"], cardinality),
                *(row["abundance_i"], of_j, value),
            )
    expected = {}
    for records in law_records:
        record = records[0]
        pairs, of_fields = fig03_interaction_collapse.sub_embedding_abundance(record), tables.field_abundance(record)
        for i, j in np.argwhere(~np.isnan(pairs)):
            one, other = record.fields[i], record.fields[j]
            expected[MODEL_LABELS[record.config["model"]], one["name"], other["name"]] = (
                *(one["cardinality"], other["cardinality"]),
                *(of_fields[i], of_fields[j], pairs[i, j]),
            )
    assert shown.keys() == expected.keys()
    for key, values in expected.items():
        assert shown[key] == pytest.approx(values, rel=DIGITS)


def test_the_law_chart_begins_with_the_trend_along_the_other_field(charts, law_records):
    trend = charts["law"]["vconcat"][0]
    rows = data_of(trend["layer"][0])
    shown = {(row["model"], row["case"], row["rank"]): row["relative"] for row in rows}
    titles = json.loads(trend["title"]["text"]["expr"].removesuffix("[model]"))
    for records in law_records:
        label = MODEL_LABELS[records[0].config["model"]]
        means, correlations = [], []
        for record in records:
            _, of_j = fig03_interaction_collapse.law_means(fig03_interaction_collapse.sub_embedding_abundance(record))
            means.append(of_j[np.argsort(tables.field_abundance(record))])
            correlations.append(fig03_interaction_collapse.with_other_field(record))
        for rank, expected in enumerate(np.mean(means, axis=0), start=1):
            assert shown[label, "learned", rank] == pytest.approx(expected, rel=DIGITS)
        assert titles[label][1].startswith(f"{np.mean(correlations):+.2f} learned, ")
    assert len(shown) == 2 * 2 * len(law_records[0][0].fields)


def test_the_law_of_many_fields_stays_small():
    records = records_of("few_rows", "criteo_80k")
    of_models = [[r for r in records if r.config["model"] == model][:1] for model in ("ffm", "dcnv2")]
    assert len(json.dumps(fig03_chart.law_chart(*of_models))) < 300_000


def test_the_toy_chart_has_every_singular_value_and_abundance(charts, toy_results):
    rows = iter(data_of(charts["toy"]))
    for case, result in zip(("Small (D₃ = 3)", "Large (D₃ = 100)"), toy_results, strict=True):
        for point, iteration in enumerate(result.iterations):
            row = next(rows)
            assert (row["case"], row["iteration"]) == (case, iteration)
            values, abundance = result.singular_values[:, point], result.information_abundance[:, point]
            for end, function in {"": np.mean, "_from": np.min, "_to": np.max}.items():
                assert row["value" + end] == pytest.approx(function(values, axis=0), rel=DIGITS)
                assert row["abundance" + end] == pytest.approx(function(abundance), rel=DIGITS)
    assert not list(rows)


def test_the_slider_stops_at_every_measured_iteration(charts, toy_results):
    slider = parameters(charts["toy"])["iteration"]["bind"]
    stops = range(slider["min"], slider["max"] + 1, slider["step"])
    assert list(stops) == list(toy_results[0].iterations)


@pytest.mark.parametrize("dataset", LOGS)
class TestGains:
    def points(self, charts, dataset, kind):
        return {
            (row["model"], row["embedding"], row["size"]): row
            for row in data_of(charts["gains"])
            if (row["dataset"], row["kind"]) == (dataset, kind)
        }

    def test_ours_are_the_gains_and_intervals_of_the_figures(self, charts, of_logs, dataset):
        points = self.points(charts, dataset, "ours")
        expected = gains.gains(tables.results_table(of_logs[dataset]))
        assert len(points) == len(expected)
        for row in expected.itertuples():
            point = points[MODEL_LABELS[row.model], EMBEDDING_LABELS[row.embedding], row.scale]
            ends = [row.gain - row.half_interval, row.gain + row.half_interval]
            assert [point["gain"], point["low"], point["high"]] == pytest.approx([row.gain, *ends], rel=DIGITS)
            assert point["seeds"] == row.seeds
            text = f"{ends[0]:+.4f} to {ends[1]:+.4f}" if row.scale > 1 else "none"
            assert point["interval"] == text
            assert point["source"] == f"ours, {dataset}, synthetic"

    def test_the_scores_are_those_of_the_tables(self, charts, of_logs, dataset):
        table = gains.auc_table(of_logs[dataset], spread=True)
        for _, row in table.iterrows():
            points = self.points(charts, dataset, row["source"].split(",")[0])
            for size in (1, 2, 3, 4, 10):
                text = row["base" if size == 1 else f"{size}x"]
                if text:
                    point = points[row["model"], row["embedding"], size]
                    assert f"{point['auc']} ± {point['deviation']}" == text
                    assert point["source"] == row["source"]

    def test_the_published_are_labelled_and_have_no_interval(self, charts, dataset):
        points = self.points(charts, dataset, "published")
        paper = {"criteo_like": "Criteo", "avazu_like": "Avazu"}[dataset]
        scores = published_auc(dataset, list(MODEL_LABELS))
        bases = scores["model"].nunique()  # each stands at the begin of both lines
        assert len(points) == len(scores) + bases
        assert {row["source"] for row in points.values()} == {f"published, {paper}"}
        assert {row["line"] for row in points.values()} == {"published"}
        assert {row["interval"] for row in points.values()} == {"none"}
        assert all(row["low"] == row["gain"] == row["high"] for row in points.values())


def test_the_gains_begin_with_one_model(charts):
    assert parameters(charts["gains"])["model"]["value"] == "DCNv2"


def test_the_dropdowns_offer_logs_models_and_sources(charts):
    found = parameters(charts["gains"])
    assert found["dataset"]["value"] == "avazu_like"
    assert found["dataset"]["bind"]["labels"] == ["criteo_like, synthetic", "avazu_like, synthetic"]
    models = ["DNN", "IPNN", "NFwFM", "xDeepFM", "DCNv2", "FinalMLP"]
    assert sorted(found["model"]["bind"]["options"]) == sorted(["all models", *models])
    assert found["shown"]["bind"]["labels"] == ["both", "ours", "paper"]
    assert charts["gains"]["usermeta"]["filters_tables"]


def test_the_title_names_both_sources(charts):
    titles = json.loads(charts["gains"]["title"]["text"]["expr"].removesuffix("[dataset]"))
    assert titles["criteo_like"][0] == "Published: Criteo"
    assert titles["criteo_like"][1].startswith("Ours: criteo_like, synthetic (200,000 rows)")
    assert titles["avazu_like"][0] == "Published: Avazu"


def test_single_embedding_alone(of_logs):
    chart = fig08_chart.gains_chart(of_logs, embeddings=["SE"])
    assert {row["embedding"] for row in data_of(chart)} == {"single"}


def test_a_model_that_the_paper_lacks_has_ours_alone():
    records = [r for r in stored_records("newer", "criteo_like") if r.config["model"] == "gdcn"]
    chart = fig08_chart.gains_chart({"criteo_like": records})
    assert {row["kind"] for row in data_of(chart)} == {"ours"}
    assert parameters(chart)["shown"]["bind"]["options"] == ["ours"]
    assert parameters(chart)["model"]["bind"]["options"] == ["GDCN"]
    assert "Published" not in chart["title"]["text"]["expr"]
    vl_convert.vegalite_to_svg(chart)


def test_the_bundle_is_one_classic_script_that_defines_vega_embed():
    script = vega.vega_bundle()
    assert script.startswith('(() => { "use strict";')
    assert "window.vegaEmbed=" in script
    assert "import.meta" not in script
