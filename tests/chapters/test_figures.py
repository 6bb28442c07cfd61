"""A figure shows the numbers of its table, and its table follows from the records."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from paper_code.chapters.fig02_collapse import abundance_figure, spectra_figure
from paper_code.chapters.fig04_toy import toy_figure
from paper_code.chapters.fig08_scalability import scalability_figure
from paper_code.chapters.shared.style import save_figure
from paper_code.models import build_model
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.record import RunRecord
from paper_code.spectra import random_spectrum, singular_values
from paper_code.toy import ToyResult

CARDINALITIES = {"late": 300, "few": 4, "middle": 40}
SIZE = 20
SCALES = (1, 2, 10)
LINES = [("SE", 1), ("SE", 2), ("SE", 10), ("ME", 2), ("ME", 10)]


@pytest.fixture(autouse=True)
def matplotlib_as_installed():
    """Default settings, a backend without windows, and no figure left open."""
    mpl.use("Agg")
    with mpl.rc_context():
        mpl.rcdefaults()
        yield
    plt.close("all")


def make_record(seed, model="dcnv2", size=SIZE, num_sets=1, test_auc=0.75, spectra=(), dataset="criteo_like"):
    """A record that no run made. spectra: the singular values of each field of CARDINALITIES."""
    data = DataConfig(dataset, seed, 1_000, 500)
    return RunRecord(
        config=RunConfig(data, model, size, num_sets, seed).to_json(),
        fields=[{"name": n, "cardinality": d} for n, d in CARDINALITIES.items()],
        parameters=1,
        scores={"test_auc": test_auc, "test_log_loss": 0.5, "best_epoch": 1},
        epochs=[
            {
                "training_loss": [0.5] * 10,
                "validation_auc": 0.7,
                "measurements": {"information_abundance": [1.0] * len(CARDINALITIES)},
            }
        ],
        spectra={"side_by_side": [list(values) for values in spectra or [[1.0]] * len(CARDINALITIES)]},
        provenance={"seconds": 1.0},
        looks=[0.7],
    )


def learned_values(seed: int) -> list[np.ndarray]:
    """Singular values of every field, largest first, for the collapse figures."""
    generator = np.random.default_rng(seed)
    return [np.sort(generator.uniform(0, 5, min(d, SIZE)))[::-1] for d in CARDINALITIES.values()]


def auc(model: str, embedding: str, scale: int, seed: int) -> float:
    """Made-up test AUC: a base of its own for every seed and model, and a gain that depends on the seed too."""
    gain = {"SE": -0.0002, "ME": 0.0004}[embedding] * scale * (1 + 0.3 * seed) if scale > 1 else 0.0
    return 0.7 + 0.01 * seed + 0.03 * (model == "dcnv2") + gain


def made_up_gains(model: str, embedding: str, scale: int, seeds) -> list[float]:
    return [auc(model, embedding, scale, seed) - auc(model, "SE", 1, seed) for seed in seeds]


def make_sweep(seeds=(0, 1, 2), dataset="criteo_like") -> list[RunRecord]:
    def sizes(embedding, scale):
        return {"size": 10, "num_sets": scale} if embedding == "ME" else {"size": 10 * scale, "num_sets": 1}

    return [
        make_record(seed, model, **sizes(*line), test_auc=auc(model, *line, seed), dataset=dataset)
        for model in ("dnn", "dcnv2")
        for seed in seeds
        for line in LINES
    ]


@pytest.fixture
def collapse_records() -> list[RunRecord]:
    return [make_record(seed, spectra=learned_values(seed)) for seed in range(3)]


@pytest.fixture
def toy_results() -> tuple[ToyResult, ToyResult]:
    """Four seeds, three points of time, five singular values."""
    values = np.random.default_rng(0).uniform(0.1, 1, (2, 4, 3, 5))
    iterations = np.array([0, 50, 100])
    seeds = (3, 5, 7, 9)
    return ToyResult(3, seeds, iterations, values[0]), ToyResult(100, seeds, iterations, values[1])


@pytest.fixture(params=["toy", "abundance", "spectra", "scalability"])
def drawn(request, collapse_records, toy_results):
    """Of every figure function in turn: a function that draws it, its data set and how many seeds it shows."""
    return {
        "toy": (lambda: toy_figure(*toy_results), "Toy experiment", "4 seeds"),
        "abundance": (lambda: abundance_figure(collapse_records), "criteo_like", "3 seeds"),
        "spectra": (lambda: spectra_figure(collapse_records), "criteo_like", "seed 0"),
        "scalability": (lambda: scalability_figure(make_sweep()), "criteo_like", "3 seeds"),
    }[request.param]


def titles(figure: Figure) -> list[str]:
    """Each in one line, as it was before it was wrapped."""
    above = figure.get_suptitle()
    found = ([above] if above else []) + [axes.get_title() for axes in figure.axes]
    return [" ".join(title.split()) for title in found]


def without_blanks(text: str) -> str:
    """A label with mathematics is stored letter by letter."""
    return "".join(text.split())


# What all figures have in common


def test_a_figure_comes_with_the_table_of_its_numbers(drawn):
    figure, data = drawn[0]()
    assert isinstance(figure, Figure)
    assert isinstance(data, pd.DataFrame)
    assert len(data) > 0
    assert not data.isna().any().any()


def test_the_title_names_data_set_and_seeds(drawn):
    draw, dataset, seeds = drawn
    assert any(dataset in title and seeds in title for title in titles(draw()[0]))


def test_every_axis_is_labelled_or_shares_the_scale_of_one_that_is(drawn):
    figure = drawn[0]()[0]
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            assert axes.get_ylabel()
            continue
        assert axes.get_xlabel()
        sharing = [other for other in figure.axes if axes.get_shared_y_axes().joined(axes, other)]
        assert figure.get_supylabel() or any(other.get_ylabel() for other in [axes, *sharing])


def test_drawing_and_saving_leave_matplotlib_as_it_was(drawn, tmp_path):
    before = dict(mpl.rcParams)
    save_figure(*drawn[0](), "name", tmp_path, "in words")
    assert dict(mpl.rcParams) == before


def test_a_saved_figure_is_svg_with_real_text_png_and_csv(drawn, tmp_path):
    figure, data = drawn[0]()
    assert (
        save_figure(figure, data, "name", tmp_path / "new", "in words") == (tmp_path / "new" / "name.svg").read_text()
    )
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"new/name.svg", "new/name.png", "new/data/name.csv"}
    svg = ElementTree.parse(tmp_path / "new" / "name.svg")
    words = without_blanks("".join("".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")))
    for axes in figure.axes:
        for label in (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()):
            assert without_blanks(label.split("$")[0]) in words
    assert (tmp_path / "new" / "name.png").read_bytes().startswith(b"\x89PNG")
    stored = pd.read_csv(tmp_path / "new" / "data" / "name.csv")
    pd.testing.assert_frame_equal(stored, data.reset_index(drop=True), check_dtype=False, rtol=1e-5, atol=1e-12)


def test_the_same_numbers_give_the_same_bytes(drawn, tmp_path):
    for folder in ("first", "again"):
        save_figure(*drawn[0](), "name", tmp_path / folder, "in words")
    assert_same_files(tmp_path / "first", tmp_path / "again")
    assert b"<dc:date>" not in (tmp_path / "first" / "name.svg").read_bytes()


def test_saving_a_figure_again_gives_the_same_bytes(drawn, tmp_path):
    figure, data = drawn[0]()
    for folder in ("first", "again"):
        save_figure(figure, data, "name", tmp_path / folder, "in words")
    assert_same_files(tmp_path / "first", tmp_path / "again")


def assert_same_files(first, again) -> None:
    for path in ("name.svg", "name.png", "data/name.csv"):
        same = (first / path).read_bytes() == (again / path).read_bytes()
        assert same, path


def test_an_svg_stands_in_a_page_beside_others_with_a_label_and_ids_of_its_own(drawn, tmp_path):
    alt = 'a "curve" <below> 1 & above 0'
    figure, data = drawn[0]()
    ids = []
    for name in ("one", "two"):
        svg = save_figure(figure, data, name, tmp_path, alt)
        root = ElementTree.fromstring(svg)
        assert (root.get("role"), root.get("aria-label")) == ("img", alt)
        assert root.get("style") == "stroke-linejoin: round; stroke-linecap: butt"
        assert not list(root.iter("{http://www.w3.org/2000/svg}style"))
        ids.append([element.get("id") for element in root.iter() if element.get("id")])
        assert len(ids[-1]) == len(set(ids[-1])) > 0
        assert {used.split("-")[0] for used in ids[-1]} == {name}
        pointed = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert len(pointed) > 0
        assert set(pointed) <= set(ids[-1])
    assert not set(ids[0]) & set(ids[1])


def test_an_svg_has_no_ground_of_its_own_and_a_png_a_white_one(drawn, tmp_path):
    svg = save_figure(*drawn[0](), "name", tmp_path, "in words")
    patch = ElementTree.fromstring(svg).find(".//*[@id='name-patch_1']/{http://www.w3.org/2000/svg}path")
    assert "fill: none" in patch.get("style")
    np.testing.assert_array_equal(plt.imread(tmp_path / "name.png")[0, 0], [1, 1, 1, 1])


def test_a_relative_folder_is_below_the_projects_root(monkeypatch, tmp_path, toy_results):
    monkeypatch.setattr("paper_code.runs.profiles.PROJECT_FOLDER", tmp_path)
    save_figure(*toy_figure(*toy_results), "toy", "figures", "in words")
    assert (tmp_path / "figures" / "data" / "toy.csv").is_file()


# Figure 4


def test_the_toy_figure_shows_mean_and_range_of_information_abundance(toy_results):
    figure, data = toy_figure(*toy_results)
    (axes,) = figure.axes
    assert len(data) == 2 * 4 * 3
    for line, band, case, result in zip(axes.lines, axes.collections, ("Small", "Large"), toy_results, strict=True):
        abundance = result.singular_values.sum(2) / result.singular_values.max(2)
        wide = data[data["case"] == case].pivot(index="seed", columns="iteration", values="information_abundance")
        assert wide.index.tolist() == [3, 5, 7, 9]
        assert wide.columns.tolist() == [0, 50, 100]
        np.testing.assert_allclose(wide.to_numpy(), abundance)
        assert line.get_label() == f"{case} ($D_3$ = {result.third_cardinality})"
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([[0, 50, 100], abundance.mean(0)]))
        edges = {tuple(point) for point in band.get_paths()[0].vertices.round(9)}
        for border in (abundance.min(0), abundance.max(0)):
            assert set(zip([0.0, 50.0, 100.0], border.round(9), strict=True)) <= edges


# Figure 2


def test_the_abundance_figure_shows_learned_beside_random_by_cardinality(collapse_records):
    figure, data = abundance_figure(collapse_records)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["few (4)", "middle (40)", "late (300)"]
    learned = np.array([[v.sum() / v.max() for v in learned_values(seed)] for seed in range(3)])  # (seeds, fields)
    random = [random_spectrum(d, SIZE) for d in CARDINALITIES.values()]
    random = np.array([v.sum() / v.max() for v in random])
    for column, expected in (("learned", learned), ("random", np.tile(random, (3, 1)))):
        wide = data.pivot(index="seed", columns="field", values=column)[list(CARDINALITIES)]
        np.testing.assert_allclose(wide.to_numpy(), expected)
    order = [1, 2, 0]  # by cardinality
    of_random, of_learned = (container for container in axes.containers if hasattr(container, "patches"))
    assert of_random.get_label() == "random matrix of the same shape"
    assert of_learned.get_label() == "learned"
    np.testing.assert_allclose([bar.get_height() for bar in of_random], random[order])
    np.testing.assert_allclose([bar.get_height() for bar in of_learned], learned.mean(0)[order])
    (whiskers,) = (c.lines[2][0] for c in axes.containers if hasattr(c, "has_yerr"))
    ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([learned.min(0), learned.max(0)])[order])


def test_a_title_names_model_size_and_sets(collapse_records):
    (single,) = titles(abundance_figure(collapse_records)[0])
    assert single == "DCNv2, $K$ = 20, criteo_like, synthetic (1,000 rows), mean and range over 3 seeds"
    record = make_record(7, "dnn", 10, 2, spectra=learned_values(7), dataset="avazu_2014")
    assert titles(abundance_figure([record])[0]) == ["DNN, $K$ = 10, 2 sets, avazu_2014 (1,000 rows), seed 7"]


# Figure 1b


def test_the_spectra_figure_shows_the_first_seeds_normalised_singular_values(collapse_records):
    figure, data = spectra_figure(collapse_records)
    *panels, colorbar = figure.axes
    kinds = ["learned", "at initialisation", "random, same shapes"]
    assert [axes.get_title() for axes in panels] == kinds
    assert colorbar.get_ylabel() == "cardinality of the field"
    random = [random_spectrum(d, SIZE) for d in CARDINALITIES.values()]
    initial = [singular_values(m) for m in build_model("dcnv2", CARDINALITIES.values(), SIZE).side_by_side_matrices()]
    for axes, kind, values in zip(panels, kinds, (learned_values(0), initial, random), strict=True):
        for line, field, of_field in zip(axes.lines, CARDINALITIES, values, strict=True):
            expected = of_field / of_field[0]
            rows = data[(data["matrix"] == kind) & (data["field"] == field)]
            assert rows["k"].tolist() == list(range(1, len(expected) + 1))
            np.testing.assert_allclose(rows["normalised"], expected)
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert rows["normalised"].iloc[0] == 1


def test_the_spectra_figure_counts_the_columns_of_all_sets():
    """Two sets of ten stand beside random matrices of twenty columns."""
    two_sets = [make_record(0, size=10, num_sets=2, spectra=learned_values(0))]
    one_set = [make_record(0, size=20, num_sets=1, spectra=learned_values(0))]
    two, one = (spectra_figure(records)[1] for records in (two_sets, one_set))
    before = two["matrix"] == "at initialisation"  # these are the model's own
    assert two[~before].equals(one[~before])
    assert two[["matrix", "field", "k"]].equals(one[["matrix", "field", "k"]])


# Figure 8


def test_gains_are_over_the_same_seeds_base():
    seeds = (0, 1, 2)
    _, data = scalability_figure(make_sweep(seeds))
    ours = data[data["source"] == "ours"].set_index(["model", "embedding", "scale"])
    assert len(ours) == 2 * 2 * 3
    for (model, embedding, scale), row in ours.iterrows():
        gains = made_up_gains(model, embedding, scale, seeds)
        assert row["seeds"] == 3
        assert row["gain"] == pytest.approx(np.mean(gains), abs=1e-12)
        if scale > 1:
            high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))[1]
            assert row["half_interval"] == pytest.approx(high - np.mean(gains), rel=1e-6)


def test_the_base_has_gain_zero_without_an_interval_on_every_line():
    _, data = scalability_figure(make_sweep())
    base = data[data["scale"] == 1]
    assert len(base) == 2 * 2 * 2
    assert base["gain"].tolist() == base["half_interval"].tolist() == [0.0] * 8


def test_one_seed_has_no_interval():
    _, data = scalability_figure(make_sweep(seeds=[4]))
    ours = data[data["source"] == "ours"]
    assert set(ours["half_interval"]) == {0.0}
    assert set(ours["seeds"]) == {1}


@pytest.mark.parametrize(
    ("dataset", "base", "largest"),
    [
        ("criteo_like", {"dnn": 0.81228, "dcnv2": 0.81339}, {"dnn": 0.81287, "dcnv2": 0.81385}),
        ("avazu_like", {"dnn": 0.78744, "dcnv2": 0.78786}, {"dnn": 0.78884, "dcnv2": 0.78942}),
    ],
)
def test_the_published_gains_are_those_of_the_papers_table(dataset, base, largest):
    figure, data = scalability_figure(make_sweep(dataset=dataset))
    published = data[data["source"] == "published"].set_index(["model", "embedding", "scale"])
    assert len(published) == 2 * 2 * 5
    for model in ("dnn", "dcnv2"):
        assert published.loc[(model, "ME", 10), "gain"] == pytest.approx(largest[model] - base[model], abs=1e-9)
        assert published.loc[(model, "ME", 1), "gain"] == 0
    assert set(published["half_interval"]) == {0.0}
    paper = "Criteo" if dataset == "criteo_like" else "Avazu"
    assert titles(figure) == [f"Published: {paper}", f"Ours: {dataset}, synthetic (1,000 rows), 3 seeds"]


def test_the_lines_and_intervals_drawn_are_those_of_the_table():
    figure, data = scalability_figure(make_sweep())
    left, right = figure.axes
    names = {("dnn", "SE"): "DNN single", ("dnn", "ME"): "DNN multi"}
    names |= {("dcnv2", "SE"): "DCNv2 single", ("dcnv2", "ME"): "DCNv2 multi"}
    for axes, source in ((left, "published"), (right, "ours")):
        drawn = {container.get_label(): container for container in axes.containers}
        assert sorted(drawn) == sorted(names.values())
        for key, name in names.items():
            rows = data[(data["source"] == source) & (data["model"] == key[0]) & (data["embedding"] == key[1])]
            line, _, bars = drawn[name].lines
            x, y = line.get_xydata().astype(float).T
            np.testing.assert_allclose(y, rows["gain"])
            # side by side, yet each nearer to its own size than to any other
            assert np.abs(np.log(x / rows["scale"])).max() < np.log(2) / 4
            if source == "published":
                assert not bars  # the paper's intervals are not of the gains
                continue
            spans = np.array([segment[:, 1] for segment in bars[0].get_segments()])
            low, high = rows["gain"] - rows["half_interval"], rows["gain"] + rows["half_interval"]
            np.testing.assert_allclose(spans, np.column_stack([low, high]).astype(float), atol=1e-15)


def test_sizes_ascend_on_every_line_and_the_ticks_name_them():
    figure, data = scalability_figure(make_sweep())
    for _, line in data.groupby(["source", "model", "embedding"]):
        assert all(a < b for a, b in pairwise(line["scale"]))
    ticks = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert ticks == ["base", "2x", "3x", "4x", "10x"]  # ours have no 3x and 4x, the published do


def test_the_figure_follows_the_records():
    before, after = make_sweep(), make_sweep()
    after[-1].scores["test_auc"] += 0.003  # dcnv2, ME 10x, seed 2
    old, new = (
        scalability_figure(records)[1].set_index(["source", "model", "embedding", "scale"])["gain"]
        for records in (before, after)
    )
    changed = new - old
    assert changed["ours", "dcnv2", "ME", 10] == pytest.approx(0.001)
    assert (changed.abs() > 1e-12).sum() == 1
