"""An alternative text says in numbers what its figure's table holds, and follows it."""

import importlib
import pkgutil
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paper_code import chapters
from paper_code.chapters import fig02_collapse, fig03_interaction_collapse, fig08_scalability
from paper_code.chapters.consistency import published_intervals
from paper_code.chapters.optimizer import absent_table, optimizer_lines
from paper_code.chapters.shared import words

KEYS = ["model", "variant", "embedding", "scale"]


def gains(lines: dict[tuple, dict[int, float]], half: float = 0.001, **columns) -> pd.DataFrame:
    """From (model, variant, embedding) -> scale -> gain."""
    rows = [(*line, scale, gain) for line, of_scales in lines.items() for scale, gain in of_scales.items()]
    table = pd.DataFrame(rows, columns=[*KEYS, "gain"])
    return table.assign(half_interval=np.where(table["scale"] > 1, half, 0.0), seeds=2, **columns)


OURS = gains({("dnn", "plain", "SE"): {1: 0.0, 10: -0.00234}, ("dcnv2", "plain", "ME"): {1: 0.0, 10: 0.00567}})
PUBLISHED = gains({("dcnv2", "plain", "ME"): {1: 0.0, 10: 0.00046}}, half=0.0)
ABUNDANCE = pd.DataFrame(
    {"model": "dnn", "variant": "plain", "embedding": "SE", "scale": [1, 10], "seeds": 2, "half_interval": 0.0}
).assign(information_abundance=[3.71, 4.83], initial=[6.8, 38.9], random=[6.9, 39.1])
CURVES = pd.DataFrame(
    [
        ("dcnv2", variant, seed, epoch, loss, auc)
        for variant, auc in (("plain", 0.71), ("unitary", 0.72))
        for seed in (0, 1)
        for epoch, loss in ((0.5, 0.6), (1.0, 0.5))
    ],
    columns=["model", "variant", "seed", "epoch", "training_loss", "validation_auc"],
)
MEASURES = pd.DataFrame(
    [
        ("a over b", "stable rank", 1.25, 1.1, 1.4, "above", 1.0, "yes", 5),
        ("a over b", "effective rank", 0.75, 0.7, 0.8, "above", 1.0, "against", 5),
    ],
    columns=["comparison", "measure", "mean", "low", "high", "side", "bound", "answer", "seeds"],
)
OPTIMIZERS = pd.DataFrame(
    [
        ("criteo_like", model, embedding, 4, seed, decay, decoupled, 0.7 + gain, 1, share, 0.5, 0.25)
        for seed in (0, 1)
        for model, embedding, gain in (("dcnv2", "SE", 0.0), ("dcnv2", "ME", 0.003), ("ffm", "SE", 0.0))
        for decay, decoupled, share in ((0.0, False, 0.5), (0.001, False, 0.25), (0.001, True, 0.5))
    ],
    columns=[
        *("dataset", "model", "embedding", "scale", "seed", "weight_decay", "decoupled", "test_auc", "best_epoch"),
        *("share_of_random", "own", "other"),
    ],
)
MAP = pd.DataFrame(
    [
        ("criteo_like", 0.0, 50_000, 5, 1, 0.71, 0.709, -0.001, 0.5, 0.6, 0.002, 3),
        ("criteo_like", 2.0, 200_000, 10, 9, 0.70, 0.703, 0.003, 0.25, 0.5, 0.002, 3),
    ],
    columns=[
        *("dataset", "noise", "rows", "base", "patterns", "single", "multi", "gain", "share", "multi_share"),
        *("half_interval", "seeds"),
    ],
)
ALTERNATIVES = pd.DataFrame(
    [
        ("avazu_like", "dnn", kind, scale, gain, seconds, 1000.0, 0.5, 0.001, 5)
        for kind, scale, gain, seconds in (
            ("single", 1, 0.0, 9.0),
            ("single", 4, 0.001, 12.4),
            ("single", 10, 0.002, 25.0),
            ("multi", 4, 0.0035, 18.2),
        )
    ],
    columns=["dataset", "model", "kind", "scale", "gain", "seconds", "parameters", "share", "half_interval", "seeds"],
)
CHANGES = pd.DataFrame(
    [
        ("criteo_like", "rows shuffled", "shuffle", "dnn", "SE", 4, -0.0012, 0.003, 5),
        ("criteo_like", "rows shuffled", "shuffle", "dnn", "ME", 4, 0.0002, 0.001, 5),
    ],
    columns=["dataset", "choice", "variant", "model", "embedding", "scale", "change", "half_interval", "seeds"],
)
LEDGER = pd.DataFrame(
    [
        ("the phenomenon", "one", "criteo_like", 5, 1, 0, "partly"),
        ("the phenomenon", "one", "avazu_like", 3, 2, 1, "partly"),
        ("the cure", "two", "", 0, 0, 0, "not tested"),
    ],
    columns=["part", "label", "dataset", "yes", "undecided", "against", "verdict"],
)


def of_fields() -> pd.DataFrame:
    """Two seeds, two fields; the gap is largest for the field b."""
    rows = [(0, "a", 4, 2.0, 3.9, 4.0), (1, "a", 4, 2.2, 3.9, 4.0), (0, "b", 90, 5.0, 87.0, 88.0)]
    rows.append((1, "b", 90, 5.2, 87.0, 88.0))
    return pd.DataFrame(rows, columns=["seed", "field", "cardinality", "learned", "initial", "random"])


def of_law() -> pd.DataFrame:
    random = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"rank": range(1, 8), "mean_over_j": random.random(7), "relative_mean_over_i": random.random(7)})
        for _ in range(4)
    ]
    cases = [(case, seed) for case in ("learned: mean and range", "at initialisation") for seed in (0, 1)]
    means = [p.assign(panel="means", model="ffm", case=c, seed=s) for p, (c, s) in zip(parts, cases, strict=True)]
    return pd.concat([pd.DataFrame({"panel": ["pairs"], "model": ["ffm"]}), *means], ignore_index=True)


def of_patterns() -> pd.DataFrame:
    norms = {"at initialisation": [0.8, 0.9, 1.0], "1": [0.1, 0.2, 0.3], "2": [0.3, 0.2, 0.1]}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    rows = [(s, i, j, norm) for s, of in norms.items() for (i, j), norm in zip(pairs, of, strict=True)]
    return pd.DataFrame(rows, columns=["set", "i", "j", "norm"])


def of_toy() -> pd.DataFrame:
    values = {"Small": [[7.8, 6.1], [7.6, 6.5]], "Large": [[7.9, 7.4], [7.7, 7.6]]}
    rows = [
        (c, s, t, x) for c, of in values.items() for s, xs in enumerate(of) for t, x in zip((0, 2000), xs, strict=True)
    ]
    return pd.DataFrame(rows, columns=["case", "seed", "iteration", "information_abundance"])


def of_sets() -> pd.DataFrame:
    whole = [of_fields().assign(panel="a", embedding=name) for name in ("single", "multi, side by side")]
    whole[1]["learned"] *= 2
    sets = pd.DataFrame({"panel": "b", "field": ["a", "b"], "lowest_1": [1.0, 2.0], "lowest_2": [3.0, 5.0]})
    return pd.concat([*whole, sets.assign(set_initial=[6.0, 7.0])], ignore_index=True)


def of_spectra() -> pd.DataFrame:
    return pd.DataFrame(
        {"matrix": ["learned"] * 4, "field": ["a"] * 4, "k": [1, 2, 3, 4], "normalised": [1.0, 0.2, 0.05, 0.01]}
    )


def panels(**tables) -> pd.DataFrame:
    return pd.concat([table.assign(panel=name) for name, table in tables.items()], ignore_index=True)


def sources(**tables) -> pd.DataFrame:
    return pd.concat([table.assign(source=name) for name, table in tables.items()], ignore_index=True)


REGULARIZED = gains({("dcnv2", "plain", "SE"): {1: 0.0, 4: 0.001}, ("dcnv2", "unitary", "SE"): {1: 0.0, 4: -0.002}})
CALLS = [("MultiEmbedding", 2, 20, 2), ("CrossNetwork", 2, 20, 2), ("linear", 1, 1, 2)]
# every description -> a table, and what the text must say of it
SPEED = pd.DataFrame(
    {"participant": ["ours", "loop"], "ratio_median": [1.0, 1.5], "seconds_per_step": 0.2, "floor_seconds": 0.1}
)
CASES = {
    "toy": (of_toy, ["Small: from 7.7 to 6.3, seeds between 6.1 and 6.5", "Large: from 7.8 to 7.5", "2 seeds"]),
    "abundance": (of_fields, ["3.6 learned", "45 at init", "46 random", "2 of 2 fields", "b: 5.1 against 88"]),
    "spectra": (of_spectra, ["1 panel", "1 field", "learned 50 %"]),
    "law": (of_law, ["FFM", "2 seeds"]),
    "regularized": (
        lambda: panels(gain=REGULARIZED, information_abundance=ABUNDANCE, curve=CURVES),
        ["single +0.0010 ± 0.0010", "regularised single -0.0020", "0.500 and 0.7100", "0.500 and 0.7200"],
    ),
    "dnn_dcnv2": (
        lambda: panels(information_abundance=ABUNDANCE, published=PUBLISHED, ours=OURS),
        ["3.7 at base and 4.8 at 10x", "random matrices 6.9 and 39", "+0.0005", "-0.0023 ± 0.0010"],
    ),
    "architecture": (
        lambda: pd.DataFrame(CALLS, columns=["module", "sets", "size", "num_sets"]),
        ["1 model", "2 embedding sets", "CrossNetwork, 2 times 20 numbers; linear, 1 number"],
    ),
    "sets_abundance": (
        of_sets,
        ["single 3.6", "side by side 7.2", "shape 46", "from 1.5", "to 4.0", "initialisation 6.5"],
    ),
    "patterns": (of_patterns, ["0.9 in the first set at initialisation", "0.2, the largest 0.3", "-1.00"]),
    "variants": (lambda: REGULARIZED, ["1 panel", "(regularised)", "at 4x, DCNv2 single +0.0010", "-0.0020 ± 0.0010"]),
    "scalability": (
        lambda: sources(published=PUBLISHED, ours=OURS),
        ["base and 10x", "DNN single -0.0023 ± 0.0010", "DCNv2 multi +0.0057 ± 0.0010", "Published: at 10x, DCNv2"],
    ),
    "models": (lambda: sources(published=PUBLISHED, ours=OURS), ["2 panels", "DCNv2 multi +0.0057", "+0.0005."]),
    "published": (published_intervals, ["Criteo, single: DNN -0.0009 ± 0.0001", "NFwFM +0.0025 ± 0.0007"]),
    "measures": (lambda: MEASURES, ["a over b, claimed above 1: stable rank 1.25, yes; effective rank 0.75, against"]),
    "decay": (
        lambda: absent_table(0.01, 0.001, steps=100),
        ["After 100 steps", "0.001: -0.00", "decoupled 0.001: -0.0"],
    ),
    "optimizer": (
        lambda: optimizer_lines(OPTIMIZERS),
        ["without and at 0.001", "a share of random: DCNv2 single 0.50 and 0.25", "multi minus single embedding"],
    ),
    "reach": (
        lambda: MAP,
        ["better at 1 of 2 points, from -0.0010 at noise 0, 50,000 rows, K 5, P 1 to +0.0030", "0.25 to 0.50", "-1.00"],
    ),
    "alternatives": (lambda: ALTERNATIVES, ["At 4x", "DNN: single +0.0010 in 12 seconds, multi +0.0035 in 18 seconds"]),
    "changes": (lambda: CHANGES, ["rows shuffled, DNN single -0.0012 ± 0.0030", "DNN multi +0.0002 ± 0.0010"]),
    "speed": (lambda: SPEED, ["1 case,", "loop: 1.5 to 1.5, median 1.5, 1 case", "dense floor: 2.0 to 2.0"]),
    "ledger": (lambda: LEDGER, ["2 claims", "8 hold, 3 undecided, 1 against", "the cure: 0 hold", "not judged: 1"]),
}


DEFINED = {
    name: value
    for module in pkgutil.iter_modules(chapters.__path__)
    for name, value in vars(importlib.import_module(f"paper_code.chapters.{module.name}")).items()
}


def test_every_figure_has_a_description():
    figures = {name.removesuffix("_figure") for name in DEFINED if name.endswith("_figure")} - {"save"}
    described = {name.removeprefix("describe_") for name in DEFINED if name.startswith("describe_")}
    assert CASES.keys() == figures == described


@pytest.mark.parametrize("name", CASES)
def test_a_description_says_the_numbers_of_its_table_in_a_few_plain_sentences(name):
    table, parts = CASES[name]
    text = DEFINED[f"describe_{name}"](table())
    for part in parts:
        assert part in text
    assert text.endswith(".")
    assert len(text) > 100
    assert not re.search(r"nan|\binf\b|e[+-]\d|\d\.\d{5}|\$|  ", text)


def test_the_law_is_told_in_rank_correlations():
    data = of_law()
    seeds = [seed for _, seed in data[data["case"] == "learned: mean and range"].groupby("seed")]
    columns = ("mean_over_j", "relative_mean_over_i")
    expected = [np.mean([stats.spearmanr(seed["rank"], seed[name])[0] for seed in seeds]) for name in columns]
    assert "learned {:+.2f} and {:+.2f}".format(*expected) in fig03_interaction_collapse.describe_law(data)


def test_a_description_follows_its_table():
    """More learned abundance than random is not told as a collapse."""
    data = of_fields().assign(learned=lambda table: table["random"] + 1)
    assert "below random in 0 of 2 fields" in fig02_collapse.describe_abundance(data)


@pytest.mark.parametrize("name", ["scalability", "models"])
def test_what_is_not_published_is_said_to_be_missing(name):
    text = DEFINED[f"describe_{name}"](sources(ours=OURS))
    assert text.endswith("None of it is published.")


def test_one_seed_has_no_interval_and_nothing_is_minus_zero():
    ours = gains({("dnn", "plain", "SE"): {1: 0.0, 4: -0.00001}}, half=0.0)
    text = fig08_scalability.describe_scalability(sources(ours=ours))
    assert "DNN single +0.0000." in text
    assert "±" not in text


@pytest.mark.parametrize(("value", "text"), [(4.283, "4.3"), (9.96, "10"), (38.4, "38"), (0.52, "0.5"), (123.0, "120")])
def test_information_abundance_has_two_digits(value, text):
    assert words.abundance_text(value) == text
