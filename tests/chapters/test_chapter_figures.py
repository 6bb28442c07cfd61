"""The figures of Sections 4 and 5 and of Appendix D draw what their records, and the paper's tables, say."""

from collections import Counter
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from scipy import stats

from paper_code.chapters import (
    fig02_collapse,
    fig03_interaction_collapse,
    fig05_regularized,
    fig06_dnn_dcnv2,
    fig07_architecture,
    fig08_scalability,
    fig09_analysis,
    ledger_page,
)
from paper_code.chapters.fig03_interaction_collapse import (
    initial_sub_embedding_abundance,
    randomly_projected_abundance,
    sub_embedding_abundance,
)
from paper_code.chapters.shared import style
from paper_code.models import MODEL_LABELS, base_embedding_size, build_model
from paper_code.published import published_auc
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.measurement import measure
from paper_code.runs.record import RunRecord
from paper_code.spectra import random_spectrum
from paper_code.training.config import RegularizerConfig

CARDINALITIES = {"late": 300, "few": 4, "middle": 40, "many": 120, "some": 9}
FIELDS, N, SEEDS = list(CARDINALITIES), len(CARDINALITIES), (0, 1, 2)
BY_CARDINALITY = np.array([1, 4, 2, 3, 0])
VARIANTS = {"plain": {}, "shared_interaction": {"options": {"shared_interaction": True}}}
VARIANTS |= {name: {"regularizer": RegularizerConfig(name)} for name in ("unitary", "norm_divergence")}
WORDS = {"plain": "", "unitary": "regularised ", "norm_divergence": "restricted "}
WORDS |= {"shared_interaction": "shared interaction ", "SE": "single", "ME": "multi"}


@pytest.fixture(autouse=True, scope="module")
def matplotlib_as_installed():
    """Default settings, a backend without windows, and no figure left open."""
    mpl.use("Agg")
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["figure.max_open_warning"] = 0
        yield
    plt.close("all")


# Records that no run made


def make_record(seed, model="dcnv2", size=10, num_sets=1, spectra=None, dataset="criteo_like", **variant) -> RunRecord:
    """Random scores and curves, of more epochs with every seed, and random singular values if none are given."""
    config = RunConfig(DataConfig(dataset, seed, 1_000, 500), model, size, num_sets, seed, **variant)
    random = np.random.default_rng(int(config.hash, 16))
    values = [random.uniform(1, 5, min(d, size * num_sets)).tolist() for d in CARDINALITIES.values()]
    after_epoch = {"measurements": {"information_abundance": [1.0] * N}}
    return RunRecord(
        config=config.to_json(),
        fields=[{"name": name, "cardinality": d} for name, d in CARDINALITIES.items()],
        parameters=1,
        scores={"test_auc": random.uniform(0.7, 0.8), "test_log_loss": 0.5, "best_epoch": 1},
        epochs=[
            {"training_loss": random.uniform(0.4, 0.5, 10).tolist(), "validation_auc": random.uniform()} | after_epoch
            for _ in range(2 + seed)
        ],
        spectra=spectra or {"side_by_side": values},
        provenance={"seconds": 1.0},
        looks=[0.7],
    )


def measured(seed: int, model="dcnv2", size=10, num_sets=1) -> RunRecord:
    """Of a model whose embeddings and projections are uneven and not those that its seed gives."""
    built = build_model(model, CARDINALITIES.values(), size, num_sets, seed + 100)
    random = np.random.default_rng([seed, size, num_sets])
    for matrix in built.embedding.weight.data.split(list(CARDINALITIES.values())):
        strength = len(matrix) / 60 * random.uniform(0.5, 1)
        matrix *= torch.from_numpy(np.exp(-random.uniform(0, strength, matrix.shape[1])))
    if model == "dcnv2":
        factors = torch.from_numpy(random.uniform(0.2, 1.5, (num_sets, N, 1)))
        built.interaction.layers[0].weight.data *= factors.repeat_interleave(size, dim=1)
    return make_record(seed, model, size, num_sets, measure(built))


def before_training(record: RunRecord):
    config = record.config
    sizes = config["embedding_size"], config["num_sets"], config["seed"]
    return build_model(config["model"], CARDINALITIES.values(), *sizes)


def sweep(lines: dict, dataset="criteo_like") -> dict[tuple, list[RunRecord]]:
    """From (model, variant, embedding) -> scales: (model, variant, embedding, scale) -> a record per seed."""
    found = {}
    for model, variant, embedding, scale in [(*line, scale) for line, scales in lines.items() for scale in scales]:
        sets = scale if embedding == "ME" else 1
        further = {"num_sets": sets, "dataset": dataset} | VARIANTS[variant]
        size = base_embedding_size(model, N) * scale // sets
        found[model, variant, embedding, scale] = [make_record(seed, model, size, **further) for seed in SEEDS]
    return found


def flat(records: dict[tuple, list[RunRecord]]) -> list[RunRecord]:
    return [record for of_seeds in records.values() for record in of_seeds]


def of_paper(models, dataset="criteo_like"):
    scales = {"SE": (1, 2, 10), "ME": (2, 10)}
    return sweep({(model, "plain", embedding): scales[embedding] for model in models for embedding in scales}, dataset)


def of_figure(name: str):
    """Records that a figure's function may be given."""
    single = {("dcnv2", variant, "SE"): (1, 2, 10) for variant in ("plain", "unitary")}
    scales = {"plain": (2, 10), "norm_divergence": (2, 10), "shared_interaction": (10,), "unitary": (2,)}
    return {
        "3": lambda: [[measured(seed, *of) for seed in SEEDS] for of in (("ffm", 32), ("dcnv2", 20))],
        "5": lambda: sweep(single),
        "6": lambda: sweep({(model, "plain", "SE"): (1, 2, 10) for model in ("dcnv2", "dnn")}),
        "9ab": lambda: [[measured(seed, "dcnv2", *of) for seed in SEEDS] for of in ((30,), (10, 3))],
        "9d": lambda: sweep(single | {("dcnv2", variant, "ME"): scales[variant] for variant in scales}),
    }[name]()


def architectures(name="dcnv2", num_sets=(1, 2)):
    return [build_model(name, [50, 7], 10, sets, hidden=(8, 6)) for sets in num_sets]


def abundance(of):
    """Information abundance of singular values or of a matrix; of a nested list of these an array."""
    if isinstance(of, torch.Tensor):
        of = np.linalg.svd(of.detach().double().numpy(), compute_uv=False)
    return np.sum(of) / np.max(of) if np.isscalar(of[0]) else np.array([abundance(part) for part in of])


def random_abundance(columns: int) -> np.ndarray:
    return abundance([random_spectrum(d, columns).tolist() for d in CARDINALITIES.values()])


# What all figures have in common

LOG = "criteo_like, synthetic (1,000 rows)"
ALL = {  # every figure, and what one of its titles says
    "3": (lambda: fig03_interaction_collapse.law_figure(*of_figure("3")), [LOG, "3 seeds"]),
    "5": (lambda: fig05_regularized.regularized_figure(flat(of_figure("5"))), [LOG, "3 seeds"]),
    "6": (lambda: fig06_dnn_dcnv2.dnn_dcnv2_figure(flat(of_figure("6"))), [LOG, "3 seeds"]),
    "7": (lambda: fig07_architecture.architecture_figure(architectures()), ["$M$ = 2", "$N$ = 2"]),
    "9ab": (lambda: fig09_analysis.sets_abundance_figure(*of_figure("9ab")), [LOG, "3 sets", "3 seeds"]),
    "9c": (lambda: fig09_analysis.patterns_figure(measured(4, num_sets=2)), [LOG, "2 sets", "seed 4"]),
    "9d": (lambda: fig09_analysis.variants_figure(flat(of_figure("9d"))), [LOG, "3 seeds"]),
    "10": (lambda: fig08_scalability.models_figure(flat(of_paper(["dnn", "ipnn"]))), ["Criteo", LOG, "3 seeds"]),
    "1a": (lambda: fig08_scalability.scalability_figure(flat(of_paper(["dnn"])), ["SE"]), [LOG, "3 seeds"]),
}


@pytest.fixture(params=ALL, scope="module")
def drawn(request) -> tuple[Figure, pd.DataFrame, list[str]]:
    draw, title = ALL[request.param]
    return *draw(), title


def titles(figure: Figure) -> list[str]:
    """Each in one line, as it was before it was wrapped."""
    found = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return [" ".join(title.split()) for title in found]


def test_a_figure_comes_with_a_table_and_a_title_that_names_log_rows_and_seeds(drawn):
    figure, data, parts = drawn
    assert isinstance(figure, Figure)
    assert isinstance(data, pd.DataFrame)
    assert len(data) > 0
    assert any(all(part in title for part in parts) for title in titles(figure))


def test_every_axis_is_labelled_or_shares_the_scale_of_one_that_is(drawn):
    figure = drawn[0]
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            assert axes.get_ylabel() or axes.get_xlabel()
        elif axes.axison:  # Figure 7 has no scales
            assert any(other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes))
            sharing = axes.get_shared_y_axes().get_siblings(axes)
            assert figure.get_supylabel() or any(other.get_ylabel() for other in sharing)


def test_a_figure_is_saved_as_svg_with_real_text_png_and_csv(drawn, tmp_path):
    figure, data, _ = drawn
    style.save_figure(figure, data, "name", tmp_path, "in words")
    svg = ElementTree.parse(tmp_path / "name.svg").iter("{http://www.w3.org/2000/svg}text")
    words = "".join("".join("".join(text.itertext()) for text in svg).split())  # mathematics is stored by the letter
    labels = [label for axes in figure.axes if axes.axison for label in (axes.get_xlabel(), axes.get_ylabel())]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    for text in (*titles(figure), *labels, *legends):
        assert "".join(text.split("$")[0].split()) in words
    assert (tmp_path / "name.png").read_bytes().startswith(b"\x89PNG")
    stored = pd.read_csv(tmp_path / "data" / "name.csv")
    pd.testing.assert_frame_equal(stored, data.reset_index(drop=True), check_dtype=False, rtol=1e-5, atol=1e-12)


# To be read at 400 pixels, in greyscale and on a dark page

LEDGER = pd.DataFrame(
    [
        ("the phenomenon", "learned embeddings collapse", "criteo_like", 5, 0, 0, "supported"),
        ("the phenomenon", "learned embeddings collapse", "avazu_like", 3, 2, 1, "mixed"),
        (
            "the cause",
            "in a toy experiment one field collapses another, whatever it is",
            "",
            1,
            0,
            0,
            "supported",
        ),
        ("the cure", "several embedding sets", "criteo_like", 0, 0, 0, "not tested"),
        ("the cure", "several embedding sets", "avazu_like", 0, 1, 12, "inconclusive"),
    ],
    columns=["part", "label", "dataset", "yes", "undecided", "against", "verdict"],
)
EVERY = {name: draw for name, (draw, _) in ALL.items()} | {"ledger": lambda: ledger_page.ledger_figure(LEDGER)}


@pytest.mark.parametrize("name", EVERY)
def test_a_figure_is_narrow_and_its_smallest_text_is_read_without_zoom(name):
    figure = EVERY[name]()[0]
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    assert width == 5.4
    assert height <= 8.5
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(texts) > 5
    assert min(text.get_fontsize() for text in texts) >= 8


@pytest.mark.parametrize("name", EVERY)
def test_titles_legends_and_labels_are_within_the_figure(name):
    figure = EVERY[name]()[0]
    figure.draw_without_rendering()
    whole = figure.bbox.padded(2)
    above = [axes.title for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
    legends = figure.legends + [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts = [text for axes in figure.axes for text in axes.texts]
    for artist in (*above, *legends, *texts):
        box = artist.get_window_extent()
        if box.width:
            assert whole.x0 <= box.x0 < box.x1 <= whole.x1
            assert whole.y0 <= box.y0 < box.y1 <= whole.y1


def test_no_two_models_share_colour_or_marker_and_none_has_the_papers_grey_or_the_variants_ink():
    assert style.COLORS.keys() == style.MARKERS.keys() == MODEL_LABELS.keys()
    colors = [to_hex(color) for color in style.COLORS.values()]
    assert len({*colors, to_hex(style.GREY), to_hex(style.INK)}) == len(colors) + 2
    markers = [*style.MARKERS.values(), *style.VARIANT_MARKERS.values()]
    assert len(set(markers)) == len(markers)
    answers = {to_hex(look["facecolor"]) for _, look, _ in style.ANSWER_LOOKS.values()}
    assert not answers & {*colors, to_hex(style.GREY)}


def luminance(color) -> float:
    return float(np.dot(to_rgb(color), [0.299, 0.587, 0.114]))


def test_answers_are_told_apart_in_greyscale():
    of_answers = sorted(luminance(look["facecolor"]) for _, look, _ in style.ANSWER_LOOKS.values())
    assert np.diff(of_answers).min() > 0.2
    for _, look, ink in style.ANSWER_LOOKS.values():
        assert abs(luminance(look["facecolor"]) - luminance(ink)) > 0.35


@pytest.mark.parametrize("name", ["5", "6", "9d", "10", "1a"])
def test_lines_are_dashed_and_open_if_and_only_if_of_single_embedding(name):
    containers = [container for axes in EVERY[name]()[0].axes for container in axes.containers]
    assert len(containers) > 1
    for container in containers:
        line, single = container.lines[0], container.get_label().endswith("single")
        assert line.get_linestyle() == ("--" if single else "-")
        assert (line.get_markerfacecolor() == "none") == single


def test_random_bars_are_hatched_and_learned_ones_are_not():
    figure = EVERY["9ab"]()[0]
    for container in figure.axes[0].containers:
        if hasattr(container, "patches"):
            hatched = {bool(bar.get_hatch()) for bar in container}
            assert hatched == {container.get_label().startswith("random")}


# What held


def test_the_ledger_divides_a_bar_for_each_claim_and_data_set_as_its_effects_are():
    figure, data = ledger_page.ledger_figure(LEDGER)
    assert data is LEDGER
    (axes,) = figure.axes
    bars = [(bar.get_facecolor(), bar.get_x(), bar.get_width()) for bar in axes.patches]
    counts = [
        (answer, row[answer]) for row in LEDGER.to_dict("records") for answer in style.ANSWER_LOOKS if row[answer]
    ]
    assert [color for color, *_ in bars] == [
        to_rgba(style.ANSWER_LOOKS[answer][1]["facecolor"]) for answer, _ in counts
    ]
    (_, left, whole), *partly, (_, _, spanning) = bars[:5]
    assert [width / whole for *_, width in partly] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert partly[0][1] > left + whole
    assert spanning > 2 * whole  # a claim of no data set
    words = [" ".join(text.get_text().split()) for text in axes.texts]
    assert {*LEDGER["part"], *LEDGER["label"], "criteo_ like", "avazu_ like", "-"} <= set(words)
    (legend,) = figure.findobj(Legend)
    assert legend.get_title().get_text().endswith("□ not testable here and - not tested")
    assert {"5", "3", "2", "12"} <= set(words)
    assert "supported" not in words


def test_what_is_not_judged_has_the_marks_of_its_verdicts_with_their_numbers():
    rows = [("the cure", "several sets", log, 0, 0, 0, verdict) for log, verdict in UNJUDGED.items()]
    (axes,) = ledger_page.ledger_figure(pd.DataFrame(rows, columns=LEDGER.columns))[0].axes
    assert {"□ 4  - 2", "□"} <= {text.get_text().strip() for text in axes.texts}


UNJUDGED = {"criteo_like": "4 not testable here, 2 not tested", "avazu_like": "not testable here"}

# Figure 3

BOTH = pytest.mark.parametrize(("column", "model"), [(0, "ffm"), (1, "dcnv2")])
CASES = {
    "learned: mean and range": sub_embedding_abundance,
    "learned $E_i$, random projections": randomly_projected_abundance,
    "at initialisation": initial_sub_embedding_abundance,
}


@BOTH
def test_figure_3_sorts_the_fields_by_their_own_abundance_and_leaves_the_diagonal_out(column, model):
    records = of_figure("3")
    figure, data = fig03_interaction_collapse.law_figure(*records)
    heat, own = figure.axes[column], abundance(records[column][0].spectra["side_by_side"])
    order = sorted(range(N), key=lambda field: own[field])
    names = [FIELDS[field] for field in order]
    assert names not in (FIELDS, sorted(FIELDS, key=CARDINALITIES.get))
    pairs = np.array(records[column][0].spectra["sub_embedding_information_abundance"], dtype=float)[order][:, order]
    np.fill_diagonal(pairs, np.nan)
    (image,) = heat.images
    assert heat.get_title().startswith(MODEL_LABELS[model])
    assert (tuple(image.get_extent()), image.origin) == ((0.5, N + 0.5) * 2, "lower")
    table = data[(data["model"] == model) & (data["panel"] == "pairs")]
    wide = table.pivot(index="i", columns="j", values="sub_embedding_abundance").loc[names, names]
    for shown in (image.get_array().filled(np.nan), wide):
        np.testing.assert_array_equal(shown, pairs)
    assert dict(zip(table["i"], table["field_abundance"], strict=True)) == dict(zip(FIELDS, own, strict=True))


@BOTH
def test_figure_3_holds_the_learned_means_of_all_seeds_against_those_of_two_cases_in_ink(column, model):
    records = of_figure("3")
    figure, data = fig03_interaction_collapse.law_figure(*records)
    panels = figure.axes[2 + column : 6 : 2]
    for number, (label, case) in enumerate(CASES.items()):
        means = []
        for record in records[column]:
            pairs, order = case(record), np.argsort(abundance(record.spectra["side_by_side"]))
            of_i = [np.mean([pairs[i, j] for j in range(N) if j != i]) for i in range(N)]
            of_j = [np.mean([pairs[i, j] / of_i[i] for i in range(N) if i != j]) for j in range(N)]
            means.append(np.array([of_i, of_j])[:, order])
            rows = data[(data["panel"] == "means") & (data["model"] == model) & (data["seed"] == record.config["seed"])]
            rows = rows[rows["case"] == label.replace("$", "")]
            np.testing.assert_allclose(rows[["mean_over_j", "relative_mean_over_i"]].T, means[-1])
        for axes, values in zip(panels, np.stack(means, axis=1), strict=True):
            lines = [line for line in axes.lines if not line.get_label().startswith("_")]
            assert len(lines) == len(CASES)
            assert lines[number].get_label() == label
            assert lines[number].get_color() == (style.INK if number else style.COLORS[model])
            assert lines[number].get_linestyle() == ("--", "-.", ":")[number]
            known = np.column_stack([range(1, N + 1), values.mean(axis=0)])
            np.testing.assert_allclose(lines[number].get_xydata(), known)
            if not number:
                band = axes.collections[0].get_paths()[0].vertices.round(9)
                edges = [*enumerate(values.min(axis=0).round(9), 1), *enumerate(values.max(axis=0).round(9), 1)]
                assert {tuple(corner) for corner in band} >= set(edges)


# Lines over the model sizes: Figures 1a, 5, 6, 8, 9d, 10 and 11


def assert_lines(axes, table: pd.DataFrame, column: str, expected: dict[tuple, dict], source: str = "") -> None:
    """On the axes and in the table are these lines alone: (model, variant, embedding) -> scale -> a value per seed, of
    which mean and 95 % interval are shown. source: the beginning of the labels looked at, in place of the model."""
    lines = {c.get_label(): c.lines for c in axes.containers if c.get_label().startswith(source)}
    labels = {f"{source or MODEL_LABELS[key[0]]} {WORDS[key[1]]}{WORDS[key[2]]}": key for key in expected}
    assert lines.keys() == labels.keys()
    assert len(table) == sum(len(values) for values in expected.values())
    for label, key in labels.items():
        rows, scales = table[(table[["model", "variant", "embedding"]] == list(key)).all(axis=1)], list(expected[key])
        line, _, bars = lines[label]
        x, y = np.array(line.get_xydata(), dtype=float).T
        assert rows["scale"].tolist() == scales
        # side by side, yet each nearer to its own size than to any other
        assert np.abs(np.log(x / scales)).max() < np.log(4 / 3) / 2
        values = np.array(list(expected[key].values()))  # (scales, seeds)
        means, seeds = values.mean(axis=1), values.shape[1]
        half = stats.t.ppf(0.975, seeds - 1) * stats.sem(values, axis=1) if seeds > 1 else 0 * means
        ends = [segment[:, 1] for segment in bars[0].get_segments()] if bars else np.column_stack([y, y])
        known_ends = np.column_stack([means - half, means + half])
        for shown, known in ((rows[column], means), (y, means), (rows["half_interval"], half), (ends, known_ends)):
            np.testing.assert_allclose(shown, known, rtol=1e-9, atol=1e-14)


def lines_of(records: dict, part: str | None = None) -> list[tuple]:
    """The lines there are, or those of one model or embedding."""
    return list(dict.fromkeys(key[:3] for key in records if part in (None, *key)))


def assert_gains(axes, table: pd.DataFrame, records: dict, part: str | None = None, source: str = "") -> None:
    """Per seed over the base of the regularised model for that model, over the plain one for all others."""
    auc = {key: np.array([record.scores["test_auc"] for record in of_seeds]) for key, of_seeds in records.items()}
    expected = {line: {1: np.zeros(len(SEEDS))} for line in lines_of(records, part)}
    for model, variant, embedding, scale in records:
        if part in (None, model, embedding):
            base = auc[model, "unitary" if variant == "unitary" else "plain", "SE", 1]
            expected[model, variant, embedding][scale] = auc[model, variant, embedding, scale] - base
    assert_lines(axes, table, "gain", expected, source)


def assert_published(axes, table: pd.DataFrame, dataset: str, lines: list[tuple], source: str = "") -> None:
    expected = {}
    for model, variant, embedding in lines:
        auc = published_auc(dataset, [model]).set_index(["embedding", "scale"])["auc_mean"]
        gains = {scale: [value - auc["SE", 1]] for scale, value in auc[embedding].items()}
        expected[model, variant, embedding] = {1: [0.0]} | gains
    assert_lines(axes, table, "gain", expected, source)


def assert_abundance(axes, table: pd.DataFrame, records: dict) -> None:
    """By size, mean over the fields: learned, and in two lines more before training and of random matrices."""
    learned, scales = {line: {} for line in lines_of(records)}, [1, 2, 10]
    for (*line, scale), of_seeds in records.items():
        learned[tuple(line)][scale] = abundance([r.spectra["side_by_side"] for r in of_seeds]).mean(axis=1)
    assert_lines(axes, table, "information_abundance", learned)
    built = [[before_training(r).side_by_side_matrices() for r in records["dcnv2", "plain", "SE", s]] for s in scales]
    initial, random = abundance(built).mean(axis=(1, 2)), [random_abundance(10 * scale).mean() for scale in scales]
    lines = {line.get_label(): line for line in axes.lines}
    for label, column, known in (("at initialisation", "initial", initial), ("random matrices", "random", random)):
        np.testing.assert_allclose(lines[label].get_xydata(), np.column_stack([scales, known]))
        np.testing.assert_allclose(table[column], table["scale"].map(dict(zip(scales, known, strict=True))))


def test_figure_5_shows_gain_and_abundance_of_the_plain_and_the_regularised_model():
    records = of_figure("5")
    figure, data = fig05_regularized.regularized_figure(flat(records))
    assert_gains(figure.axes[0], data[data["panel"] == "gain"], records)
    assert_abundance(figure.axes[1], data[data["panel"] == "information_abundance"], records)


def test_figure_5_shows_the_course_of_training_of_every_seed_at_the_largest_size():
    records = of_figure("5")
    figure, data = fig05_regularized.regularized_figure(flat(records))
    *_, of_loss, of_auc = figure.axes
    assert of_loss.get_title() == of_auc.get_title() == "size 10x"
    curves = data[data["panel"] == "curve"].set_index(["variant", "seed"])
    runs = [(variant, record) for variant in ("plain", "unitary") for record in records["dcnv2", variant, "SE", 10]]
    for (variant, record), loss, auc in zip(runs, of_loss.lines, of_auc.lines, strict=True):
        rows, epochs = curves.loc[[(variant, record.config["seed"])]], record.epochs
        for x, y in (loss.get_data(), (rows["epoch"], rows["training_loss"])):
            np.testing.assert_allclose(x, np.arange(1, 10 * len(epochs) + 1) / 10)
            assert list(y) == [value for epoch in epochs for value in epoch["training_loss"]]
        ends = rows[rows["validation_auc"].notna()]
        for x, y in (auc.get_data(), (ends["epoch"], ends["validation_auc"])):
            assert list(zip(x, y, strict=True)) == [(n, e["validation_auc"]) for n, e in enumerate(epochs, start=1)]
        color = style.INK if variant == "unitary" else style.COLORS["dcnv2"]
        assert loss.get_color() == auc.get_color() == color


def test_figure_6_shows_abundance_and_gains_of_single_embedding_alone():
    records = of_figure("6")
    figure, data = fig06_dnn_dcnv2.dnn_dcnv2_figure(flat(records))
    of_abundance, left, right = figure.axes
    assert_abundance(of_abundance, data[data["panel"] == "information_abundance"], records)
    assert_published(left, data[data["panel"] == "published"], "criteo", lines_of(records))
    assert_gains(right, data[data["panel"] == "ours"], records)
    assert [axes.get_title() for axes in figure.axes] == ["Ours", "Published: Criteo", "Ours"]
    assert left.get_ylim() == right.get_ylim()


@pytest.mark.parametrize("embedding", ["SE", "ME"])
def test_figures_1a_and_8_may_show_one_embedding_alone(embedding):
    records = of_paper(["dnn", "dcnv2"])
    figure, data = fig08_scalability.scalability_figure(flat(records), [embedding])
    published, ours = figure.axes
    assert_published(published, data[data["source"] == "published"], "criteo", lines_of(records, embedding))
    assert_gains(ours, data[data["source"] == "ours"], records, embedding)
    shown = [f"{name} {WORDS[embedding]}" for name in ("DNN", "DCNv2")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == shown


def test_figure_9d_starts_a_variant_from_its_own_base_or_if_it_has_none_from_the_plain_one():
    records = of_figure("9d")
    figure, data = fig09_analysis.variants_figure(flat(records))
    variants = ("norm_divergence", "shared_interaction", "unitary")
    panels = {" ".join(axes.get_title().split()): axes for axes in figure.axes}
    assert sorted(panels) == sorted(WORDS[variant].strip() for variant in variants)
    for variant in variants:  # the plain model in every panel
        of_panel = {key: of_seeds for key, of_seeds in records.items() if key[1] in ("plain", variant)}
        axes = panels[WORDS[variant].strip()]
        assert_gains(axes, data[data["variant"].isin(["plain", variant])], of_panel)
        looks = {(key[1], line.get_color(), line.get_marker()) for key, line in drawn_lines(axes, of_panel)}
        own = style.VARIANT_MARKERS[variant]
        assert looks == {("plain", style.COLORS["dcnv2"], "s"), (variant, style.INK, own)}


def drawn_lines(axes, records: dict) -> list[tuple]:
    lines = {container.get_label(): container.lines[0] for container in axes.containers}
    return [(key, lines[f"{MODEL_LABELS[key[0]]} {WORDS[key[1]]}{WORDS[key[2]]}"]) for key in lines_of(records)]


def test_a_single_variant_has_one_panel_and_is_named_in_the_legend():
    records = sweep({("dcnv2", variant, "ME"): (2, 10) for variant in ("plain", "norm_divergence")} | BASES)
    (axes,) = (figure := fig09_analysis.variants_figure(flat(records))[0]).axes
    assert axes.get_title() == "restricted"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["DCNv2 single", "DCNv2 multi", "restricted multi"]


BASES = {("dcnv2", "plain", "SE"): (1,)}


@pytest.mark.parametrize("number", [1, 3, 4, 5, 6])
def test_the_lowest_panel_of_every_column_has_the_sizes_below_it(number):
    records = of_paper(PAPER_MODELS[:number])
    panels = fig08_scalability.models_figure(flat(records))[0].axes
    for place, axes in enumerate(panels):
        lowest = place + 2 >= number
        shown = [label for label in axes.get_xticklabels() if label.get_visible() and label.get_text()]
        assert [label.get_text() for label in shown] == ["base", "2x", "3x", "4x", "10x"] * lowest
        assert bool(axes.get_xlabel()) == lowest


def test_published_lines_are_grey_with_the_models_markers_beside_ours_in_colour():
    records = of_paper(["dnn", "dcnv2"])
    published, ours = fig08_scalability.scalability_figure(flat(records))[0].axes
    for (model, _, embedding), theirs in drawn_lines(published, records):
        (line,) = (line for key, line in drawn_lines(ours, records) if key == (model, "plain", embedding))
        assert (theirs.get_color(), line.get_color()) == (style.GREY, style.COLORS[model])
        for drawn in (theirs, line):
            assert (drawn.get_marker(), drawn.get_markeredgecolor()) == (style.MARKERS[model], style.COLORS[model])


# of NFwFM 10x on Avazu is not published, of GDCN nothing
@pytest.mark.parametrize(
    ("dataset", "given"), [("criteo_like", [*PAPER_MODELS[::-1]]), ("avazu_like", ["nfwfm", "gdcn", "dnn", "dcnv2"])]
)
def test_figures_10_and_11_show_the_papers_table_in_grey_beside_ours(dataset, given):
    records = of_paper(given, dataset)
    figure, data = fig08_scalability.models_figure(flat(records))
    models = sorted(given, key=list(MODEL_LABELS).index)
    assert [axes.get_title() for axes in figure.axes] == [MODEL_LABELS[model] for model in models]
    for axes, model in zip(figure.axes, models, strict=True):
        ours, published = (data[(data["model"] == model) & (data["source"] == s)] for s in ("ours", "published"))
        assert_gains(axes, ours, records, model, "ours")
        assert_published(axes, published, dataset, lines_of(records, model) * (model != "gdcn"), "published")
        for container in axes.containers:
            color = style.COLORS[model] if container.get_label().startswith("ours") else style.GREY
            line, single = container.lines[0], container.get_label().endswith("single")
            assert line.get_color() == line.get_markeredgecolor() == color
            assert line.get_markerfacecolor() == ("none" if single else color)


# Figure 7


@pytest.mark.parametrize("name", ["dnn", "ipnn", "nfwfm", "dcnv2", "gdcn"])
@pytest.mark.parametrize("num_sets", [1, 2, 3])
def test_the_trace_is_of_the_modules_in_order_with_the_sizes_that_they_put_out(name, num_sets):
    (model,) = architectures(name, [num_sets])
    combined = model.eval().interaction(model.embedding(torch.zeros(1, 2, dtype=torch.int64)))
    of_sets = [("MultiEmbedding", num_sets, 2 * 10), (type(model.interaction).__name__, *combined.shape[1:])]
    head = [("hidden block", num_sets, 8), ("hidden block", 1, 6), ("linear", 1, 1)]
    assert fig07_architecture.trace(model) == of_sets + head


def test_a_trace_leaves_the_model_as_it_was():
    (model,) = architectures(num_sets=[2])
    fig07_architecture.trace(model)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("hidden", [(8,), (8, 6, 5, 4)])
def test_figure_7_has_room_for_every_box(hidden):
    models = [build_model("dcnv2", [50, 7], 10, sets, hidden=hidden) for sets in (1, 2)]
    for axes in fig07_architecture.architecture_figure(models)[0].axes:
        low, high = axes.get_ylim()
        assert all(low < y < high for y in (text.get_position()[1] for text in axes.texts))


def test_equal_seeds_have_whiskers_of_no_length():
    (record,) = [measured(0, "dcnv2", 30)]
    fig02_collapse.abundance_figure([record] * 3)
    fig09_analysis.sets_abundance_figure([record] * 3, [measured(0, "dcnv2", 10, 3)] * 3)


@pytest.mark.parametrize("name", ["fm", "ffm", "xdeepfm", "finalmlp"])
def test_a_model_without_a_mean_head_has_no_trace(name):
    with pytest.raises(TypeError, match="MeanHead"):
        fig07_architecture.trace(build_model(name, [50, 7], 10))


@pytest.mark.parametrize("num_sets", [1, 2])
def test_figure_7_joins_the_boxes_as_the_model_joins_its_modules(num_sets):
    models = architectures()
    figure, data = fig07_architecture.architecture_figure(models)
    axes, rows = figure.axes[num_sets - 1], data[data["num_sets"] == num_sets]
    calls = [(call.module, call.sets, call.size) for call in fig07_architecture.trace(models[num_sets - 1])]
    assert list(zip(rows["module"], rows["sets"], rows["size"], strict=True)) == calls
    cross, projection, mean, hidden = ("CrossNetwork\n20", "hidden block\n8", "mean over the sets", "hidden block\n6")
    expected = [(hidden, "linear\n1"), ("linear\n1", "logit")] + [(mean, hidden)] * (num_sets > 1)
    for m in range(1, num_sets + 1):
        tables = [f"$E_1^{{({m})}}$\n50$\\times$10", f"$E_2^{{({m})}}$\n7$\\times$10"]
        expected += [*zip(("$x_1$", "$x_2$"), tables, strict=True), *((table, cross) for table in tables)]
        expected += [(cross, projection), (projection, mean if num_sets > 1 else hidden)]
    boxes = [text for text in axes.texts if text.get_text()]
    at = {(round(x, 6), round(y)): text.get_text() for text in boxes for x, y in [text.get_position()]}
    arrows = [arrow for arrow in axes.texts if not arrow.get_text()]  # from an upper edge to a lower one
    starts = [at[round(arrow.xyann[0], 6), round(arrow.xyann[1] - 0.3)] for arrow in arrows]
    ends = [at[round(arrow.xy[0], 6), round(arrow.xy[1] + 0.3)] for arrow in arrows]
    assert Counter(zip(starts, ends, strict=True)) == Counter(expected)
    counts = Counter(text.get_text() for text in boxes)
    assert (counts[cross], counts[projection], counts[mean]) == (num_sets, num_sets, int(num_sets > 1))
    into = {
        (start[:-1].split("(")[1][0], arrow.xy[0]) for start, arrow in zip(starts, arrows, strict=True) if "E" in start
    }
    assert len(into) == len({x for _, x in into}) == num_sets  # a set's embeddings go into its own interaction
    patches = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len(patches) == len(boxes) - 1  # all but the logit
    low, high = axes.get_ylim()
    assert all(low < patch.get_y() < patch.get_y() + patch.get_height() < high for patch in patches)


# Figures 9a, 9b and 9c


def test_figure_9a_shows_single_and_multi_embedding_beside_random_matrices_by_cardinality():
    single, multi = of_figure("9ab")
    figure, data = fig09_analysis.sets_abundance_figure(single, multi)
    above = figure.axes[0]
    bars = {container.get_label(): container for container in above.containers if hasattr(container, "patches")}
    heights = {label: [bar.get_height() for bar in container] for label, container in bars.items()}
    np.testing.assert_allclose(heights["random matrix of that shape"], random_abundance(30)[BY_CARDINALITY])
    for name, records in (("single", single), ("multi, side by side", multi)):
        values = abundance([record.spectra["side_by_side"] for record in records])
        table = data[data["embedding"] == name].pivot(index="seed", columns="field", values="learned")
        np.testing.assert_allclose(table[FIELDS], values)
        values = values[:, BY_CARDINALITY]
        assert (np.diff(values.mean(axis=0)) < 0).any()  # so that the order is not that of information abundance
        np.testing.assert_allclose(heights[f"learned, {name}"], values.mean(axis=0))
        ends = [segment[:, 1] for segment in bars[f"learned, {name}"].errorbar.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, np.column_stack([values.min(axis=0), values.max(axis=0)]))
    before = abundance([before_training(record).side_by_side_matrices() for record in multi]).mean(axis=0)
    (mark,) = (line for line in above.lines if line.get_label() == "at initialisation")
    np.testing.assert_allclose(mark.get_ydata(), before[BY_CARDINALITY])


def test_figure_9b_shows_every_set_from_the_lowest_to_the_highest_beside_those_before_training():
    single, multi = of_figure("9ab")
    figure, data = fig09_analysis.sets_abundance_figure(single, multi)
    ticks = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert ticks == ["few (4)", "some (9)", "middle (40)", "many (120)", "late (300)"]
    by_set = abundance([record.spectra["per_set"] for record in multi])  # (seeds, sets, fields)
    ranked = np.sort(by_set, axis=1).mean(axis=0)
    assert not np.allclose(ranked, np.sort(by_set.mean(axis=0), axis=0))  # ranked within a seed
    before = abundance([before_training(record).embedding_matrices() for record in multi]).mean(axis=(0, 1))
    of_single = abundance([record.spectra["side_by_side"] for record in single]).mean(axis=0)
    lines = figure.axes[1].lines
    assert [line.get_label() for line in (lines[0], *lines[3:])] == ["a set", "single", "a set at initialisation"]
    drawn = [line.get_ydata() for line in lines]
    np.testing.assert_allclose(drawn, np.array([*ranked, of_single, before])[:, BY_CARDINALITY])
    table = data[data["panel"] == "b"].set_index("field").loc[FIELDS]
    np.testing.assert_allclose(table[["lowest_1", "lowest_2", "lowest_3", "set_initial"]].T, [*ranked, before])


@pytest.mark.parametrize(("most", "shown"), [(1, 1), (2, 2), (5, 3)])
def test_figure_9c_shows_the_first_sets_beside_the_initial_one_in_one_colour_scale(most, shown):
    record, apart = measured(1, num_sets=3), ~np.eye(N, dtype=bool)
    figure, data = fig09_analysis.patterns_figure(record, most)
    *panels, _ = figure.axes
    learned = np.array(record.spectra["interaction_norms"])
    initial = before_training(record).interaction_patterns().detach().numpy()
    assert f"at initialisation, mean {initial[0, apart].mean():.2f}" in titles(figure)[1]
    assert [axes.get_title() for axes in panels[1:]] == [f"set {number + 1}" for number in range(shown)]
    for number, (axes, norms) in enumerate(zip(panels, [initial[0], *learned[:shown]], strict=True)):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array().mask, ~apart)
        np.testing.assert_allclose(image.get_array()[apart], norms[apart])
        assert image.get_clim() == (learned[:, apart].min(), learned[:, apart].max())
        table = (
            data[data["set"] == (str(number) if number else "at initialisation")]
            .pivot(index="i", columns="j", values="norm")
            .loc[FIELDS, FIELDS]
        )
        np.testing.assert_allclose(table.to_numpy()[apart], norms[apart])
