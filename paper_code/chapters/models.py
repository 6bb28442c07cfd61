"""Parameters and memory of the models at the paper's sizes, computed: no memory is taken, nothing is trained."""

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from paper_code.chapters.shared.words import size_text
from paper_code.models import MODEL_LABELS, MODELS, base_embedding_size, number_of_parameters
from paper_code.published import NFWFM_AVAZU_10X_GB, STATISTICS
from paper_code.runs.cost import BYTES, TRAINING_COPIES

SCALES = (1, 2, 3, 4, 10)


@lru_cache
def paper_cardinalities(dataset: str) -> tuple[int, ...]:
    """Cardinalities with the number, sum, largest and smallest of Table 2, in ascending order.

    dataset: Criteo or Avazu. Their logarithms rise evenly, as those of real fields roughly do, to a power by which the
    sum is met: d_i = smallest (largest / smallest)^((i / (N - 1))^p).
    """
    known = STATISTICS[dataset]
    places = np.linspace(0, 1, known["fields"])

    def cardinalities(power: float) -> np.ndarray:
        return np.floor(known["smallest"] * (known["largest"] / known["smallest"]) ** (places**power))

    power = brentq(lambda power: cardinalities(power).sum() - known["sum"], 0.1, 10)
    found = cardinalities(power).astype(int)
    found[0], found[-1] = known["smallest"], known["largest"]
    found[-2] += known["sum"] - found.sum()  # rounding
    return tuple(found.tolist())


@lru_cache(maxsize=1024)
def parameters(model: str, dataset: str, scale: int, num_sets: int) -> tuple[int, int]:
    """Parameters of the embeddings, and of everything else, at the paper's hyperparameters (Appendix C.2).

    scale: of the base embedding size.
    """
    cardinalities = paper_cardinalities(dataset)
    return number_of_parameters(model, cardinalities, scale * base_embedding_size(model, len(cardinalities)), num_sets)


def size_table(dataset: str) -> pd.DataFrame:
    """A row per model, embedding (SE or ME) and scale: parameters of the embeddings and of the rest; bytes of the
    weights; bytes while training, which is weights, gradients and Adam's two moments without activations."""
    rows = []
    for model, architecture in MODELS.items():
        for embedding in ("SE", "ME"):
            for scale in SCALES:
                if embedding == "ME" and (scale == 1 or architecture.factorization_machine):
                    continue
                embeddings, others = parameters(model, dataset, *((scale, 1) if embedding == "SE" else (1, scale)))
                weights = BYTES * (embeddings + others)
                row = (model, embedding, scale, embeddings, others, weights, TRAINING_COPIES * weights)
                rows.append(row)
    return pd.DataFrame(
        rows,
        columns=["model", "embedding", "scale", "embeddings", "others", "weight_bytes", "training_bytes"],
    )


def memory_table(dataset: str) -> pd.DataFrame:
    """GB (10^9 bytes) while training, by model, embedding and scale, as text with one digit."""
    table = size_table(dataset)
    wide = table.pivot_table(index=["model", "embedding"], columns="scale", values="training_bytes", sort=False)
    wide = wide.map(lambda value: "" if pd.isna(value) else f"{value / 1e9:.1f}")
    wide.columns = list(map(size_text, wide.columns))
    return wide.reset_index().assign(model=lambda t: t["model"].map(MODEL_LABELS))


def parameter_table() -> pd.DataFrame:
    """Parameters beside the embeddings, in thousands: on both data sets the base, single and multi embedding at 10x."""
    columns = {}
    for dataset in STATISTICS:
        for name, sizes in {"base": (1, 1), "single 10x": (10, 1), "multi 10x": (1, 10)}.items():
            columns[f"{dataset}, {name}"] = [
                "-"
                if architecture.factorization_machine and sizes[1] > 1
                else f"{parameters(model, dataset, *sizes)[1] / 1e3:,.0f}"
                for model, architecture in MODELS.items()
            ]
    return pd.DataFrame({"model": list(MODEL_LABELS.values())} | columns)


def nfwfm_on_avazu() -> dict[str, float]:
    """The paper's footnote 1 beside what the sizes give, in GiB (2^30 bytes): the 10x embeddings of NFwFM on Avazu
    alone, these while training, and how many times the embeddings the published number is."""
    embeddings = BYTES * parameters("nfwfm", "Avazu", 10, 1)[0] / 2**30
    return {
        "embeddings": embeddings,
        "training": TRAINING_COPIES * embeddings,
        "published": NFWFM_AVAZU_10X_GB,
        "published_over_embeddings": NFWFM_AVAZU_10X_GB / embeddings,
    }
