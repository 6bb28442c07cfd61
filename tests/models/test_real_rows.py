"""Every model learns from real rows of Criteo and Avazu: its test AUC is clearly above chance."""

import numpy as np
import pytest

from paper_code.data import load_click_log, prepare_avazu, prepare_criteo
from paper_code.data.click_log import Split
from paper_code.models import MODELS, base_embedding_size, build_model
from paper_code.training.config import TrainingConfig
from paper_code.training.fitting import fit

RAW = {"criteo": (prepare_criteo, "train_10k.txt"), "avazu": (prepare_avazu, "train_6k.csv")}
PROTOCOL = TrainingConfig(batch_size=64, weight_decay=1e-5, patience=1, max_epochs=4)
SIZES = [
    (name, m)
    for name, architecture in MODELS.items()
    for m in (1, 4)
    if m == 1 or not architecture.factorization_machine
]


@pytest.fixture(scope="module", params=RAW)
def log_and_split(request, real_data, tmp_path_factory):
    """The encoded log, a quarter of its rows to test on."""
    prepare, file = RAW[request.param]
    folder = tmp_path_factory.mktemp("data") / request.param
    prepare(real_data / request.param / file, folder, progress=False)
    log = load_click_log(folder)
    rows = np.random.default_rng(0).permutation(log.rows)
    validation, test = log.rows // 20, log.rows // 4
    return log, Split(rows[validation + test :], rows[:validation], rows[validation : validation + test])


def standard_error_at_chance(labels: np.ndarray) -> float:
    """Of the AUC of scores that know nothing (Hanley and McNeil, 1982, at 1/2)."""
    clicks = int(labels.sum())
    others = len(labels) - clicks
    return ((clicks + others + 1) / (12 * clicks * others)) ** 0.5


@pytest.mark.parametrize(("name", "num_sets"), SIZES)
def test_a_model_beats_chance(log_and_split, name, num_sets):
    log, split = log_and_split
    options = {} if name in ("fm", "ffm") else {"hidden": (64, 64)}
    size = base_embedding_size(name, len(log.fields))
    model = build_model(name, log.cardinalities, size, num_sets, seed=0, **options)
    result = fit(model, log, split, PROTOCOL, seed=0, device="cpu")
    chance = standard_error_at_chance(log.labels[split.test])
    assert result.test_auc > 0.5 + 4 * chance
