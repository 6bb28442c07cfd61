"""The paper's own numbers: Table 2, Tables 3 and 4 (Table 1 is their means), and the memory of its footnote 1."""

import math
from functools import cache
from pathlib import Path

import pandas as pd

from paper_code.models import MODEL_LABELS

# Table 2: rows, fields, and of the cardinalities D_i the sum, the largest and the smallest
STATISTICS = {
    "Criteo": {"rows": 45.8e6, "fields": 39, "sum": 1_080_000, "largest": 190_000, "smallest": 4},
    "Avazu": {"rows": 40.4e6, "fields": 22, "sum": 2_020_000, "largest": 1_610_000, "smallest": 5},
}
# footnote 1: "the embedding of NFwFM with 10x size on Avazu costs nearly 37.6GB memory", above the limit of the GPU
NFWFM_AVAZU_10X_GB = 37.6
# Section 5.2: the average gain of the largest multi-embedding models over the base, over all models and both data sets
PUBLISHED_AVERAGE_GAIN = 0.00106


def published_auc(dataset: str, models: tuple[str, ...] | list[str]) -> pd.DataFrame:
    """Test AUC as published: columns model, embedding (SE or ME), scale, auc_mean, auc_std; three runs each.

    dataset: any log's name; those that begin with "avazu" are held against Table 4, all others against Table 3.
    """
    table = published_table()
    of_data = (table["dataset"] == published_dataset(dataset).lower()) & table["model"].isin(models)
    return table[of_data].drop(columns="dataset").reset_index(drop=True)


@cache
def published_table() -> pd.DataFrame:
    """Tables 3 and 4 as they are in the package's file, models by our names."""
    names = {label: name for name, label in MODEL_LABELS.items()}
    table = pd.read_csv(Path(__file__).with_name("published_auc.csv"))
    return table.assign(model=table["model"].map(names))


def published_dataset(dataset: str) -> str:
    """The paper's data set that a log is held against."""
    return "Avazu" if dataset.startswith("avazu") else "Criteo"


def published_gain(dataset: str, model: str, of: tuple[str, int], over: tuple[str, int]) -> float:
    """The published difference in mean test AUC between two (embedding, scale), e.g. ("ME", 10) over ("SE", 10).

    NaN where the paper has no value (NFwFM at 10x on Avazu).
    """
    means, log = published_means(), published_dataset(dataset).lower()
    return means.get((log, model, *of), math.nan) - means.get((log, model, *over), math.nan)


@cache
def published_means() -> dict[tuple[str, str, str, int], float]:
    """(data set, model, embedding, scale) -> mean test AUC."""
    return published_table().set_index(["dataset", "model", "embedding", "scale"])["auc_mean"].to_dict()
