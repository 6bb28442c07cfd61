"""The paper's own numbers: Tables 3 and 4 (Table 1 is their means)."""

from pathlib import Path

import pandas as pd

from paper_code.models import MODEL_LABELS


def published_auc(dataset: str, models: tuple[str, ...] | list[str]) -> pd.DataFrame:
    """Test AUC as published: columns model, embedding (SE or ME), scale, auc_mean, auc_std; three runs each.

    dataset: any log's name; those that begin with "avazu" are held against Table 4, all others against Table 3.
    """
    table = pd.read_csv(Path(__file__).with_name("published_auc.csv"))
    table = table[table["dataset"] == published_dataset(dataset).lower()].drop(columns="dataset")
    names = {label: name for name, label in MODEL_LABELS.items()}
    table["model"] = table["model"].map(names)
    return table[table["model"].isin(models)].reset_index(drop=True)


def published_dataset(dataset: str) -> str:
    """The paper's data set that a log is held against."""
    return "Avazu" if dataset.startswith("avazu") else "Criteo"


def published_gain(dataset: str, model: str, of: tuple[str, int], over: tuple[str, int]) -> float:
    """The published difference in mean test AUC between two (embedding, scale), e.g. ("ME", 10) over ("SE", 10).

    NaN where the paper has no value (NFwFM at 10x on Avazu).
    """
    table = published_auc(dataset, [model]).set_index(["embedding", "scale"])["auc_mean"]
    return float(table.get(of, float("nan")) - table.get(over, float("nan")))
