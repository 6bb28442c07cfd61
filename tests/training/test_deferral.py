"""Deferred updates of embedding tables against Adam that updates every row in every step."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from paper_code.models import build_model
from paper_code.models.embedding import MultiEmbedding
from paper_code.training import deferral
from paper_code.training.config import TrainingConfig
from paper_code.training.deferral import deferred, is_large
from paper_code.training.fitting import Trainer

CARDINALITIES = [700, 3, 150]
CPU = torch.device("cpu")


def random_batches(number: int, rows: int = 32) -> list[Tensor]:
    """Ids as skewed as those of a log, so that most rows are read in few windows, some in none."""
    generator = torch.Generator().manual_seed(1)
    cardinalities = torch.tensor(CARDINALITIES)
    return [
        (cardinalities ** torch.rand(rows, len(CARDINALITIES), generator=generator)).floor().int() % cardinalities.int()
        for _ in range(number)
    ]


def logistic_steps(model: nn.Module, optimizer: torch.optim.Adam, batches, first: int = 0) -> None:
    """Steps from number `first` on, each with labels of its own."""
    for number, ids in enumerate(batches, first):
        labels = torch.rand(len(ids), generator=torch.Generator().manual_seed(number)).round()
        loss = F.binary_cross_entropy_with_logits(model(ids), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def in_windows(model: nn.Module, optimizer: torch.optim.Adam, batches: list[Tensor], window: int, take_steps) -> None:
    for first in range(0, len(batches), window):
        with deferred(model, optimizer, batches[first : first + window]) as inputs:
            take_steps(model, optimizer, inputs, first)


def state(model: nn.Module, optimizer: torch.optim.Adam) -> list[Tensor]:
    """Weights, moments and counts of steps."""
    of_optimizer = [value for of_one in optimizer.state.values() for _, value in sorted(of_one.items())]
    return [*(parameter.data for parameter in model.parameters()), *of_optimizer]


# Threads share a tensor at places that need not be multiples of the kernel's vectors, whose rounding differs.
pytestmark = pytest.mark.usefixtures("one_thread")


# With rows of a multiple of 16 values the kernel rounds each the same, wherever in a table it stands, so that all bits
# are equal, also after hundreds of steps of a model that is trained.
@pytest.mark.parametrize("model_name", ["dnn", "dcnv2", "fm"])
@pytest.mark.parametrize("algorithm", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("weight_decay", [0, 1e-6, 1e-2])
def test_hundreds_of_steps_give_the_same_bits_as_dense_adam(model_name, algorithm, weight_decay, monkeypatch):
    monkeypatch.setattr(deferral, "PIECE", 1024)  # several pieces
    sets = {"num_sets": 1} if model_name == "fm" else {"num_sets": 2, "hidden": (16,), "dropout": 0}
    batches, found = random_batches(300), []
    for window in (None, 16):
        model = build_model(model_name, CARDINALITIES, embedding_size=16, **sets)
        model.linear_terms = None  # one value a row, see the next test
        optimizer = algorithm(model.parameters(), lr=1e-2, weight_decay=weight_decay, fused=True)
        if window is None:
            logistic_steps(model, optimizer, batches)
        else:
            in_windows(model, optimizer, batches, window, logistic_steps)
        found.append(state(model, optimizer))
    assert all(torch.equal(dense, ours) for dense, ours in zip(*found, strict=True))


@pytest.mark.parametrize("columns", [1, 3, 10, 37])
@pytest.mark.parametrize("window", [1, 7, 1000])
def test_rows_of_any_size_are_as_after_dense_adam_to_rounding(columns, window):
    """The gradients are given here, so that differences of rounding are not amplified by the training."""
    batches, found = random_batches(300), []
    generator = torch.Generator().manual_seed(2)
    gradients = [torch.randn(*batch.shape, columns, generator=generator) for batch in batches]

    def given_steps(table: MultiEmbedding, optimizer: torch.optim.Adam, inputs, first: int = 0) -> None:
        for number, ids in enumerate(inputs, first):
            optimizer.zero_grad()
            table(ids).backward(gradients[number][:, None])
            optimizer.step()

    for size in (None, window):
        table = MultiEmbedding(CARDINALITIES, columns, 1)
        table.weight.data = torch.randn(table.weight.shape, generator=torch.Generator().manual_seed(3))
        optimizer = torch.optim.Adam(table.parameters(), lr=1e-2, weight_decay=1e-3, fused=True)
        if size is None:
            given_steps(table, optimizer, batches)
        else:
            in_windows(table, optimizer, batches, size, given_steps)
        found.append(state(table, optimizer))
    for dense, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-6)


def test_rows_that_no_step_reads_are_decayed_in_every_step():
    model = build_model("dnn", [5, 4], embedding_size=4, hidden=(3,))
    before = model.embedding.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.1, fused=True)
    with deferred(model, optimizer, [torch.zeros(8, 2, dtype=torch.int32)] * 5) as batches:
        assert model.embedding.weight.shape == (2, 4)
        logistic_steps(model, optimizer, batches)
    unread = [row for row in range(9) if row not in (0, 5)]
    # with so strong a decay Adam's step is nearly the learning rate, 1e-3, towards zero
    expected = before[unread] - 5e-3 * before[unread].sign()
    torch.testing.assert_close(model.embedding.weight.detach()[unread], expected, rtol=0, atol=1e-4)


def test_an_interrupted_window_leaves_what_dense_steps_had_left():
    batches, found = random_batches(10), []
    for interrupted in (False, True):
        model = build_model("dnn", CARDINALITIES, embedding_size=16, hidden=(16,), dropout=0)
        optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-3, fused=True)
        if interrupted:
            with pytest.raises(KeyboardInterrupt), deferred(model, optimizer, batches) as inputs:  # noqa: PT012
                logistic_steps(model, optimizer, inputs[:4])
                raise KeyboardInterrupt
        else:
            logistic_steps(model, optimizer, batches[:4])
        found.append(state(model, optimizer))
        assert model(batches[9]).shape == (32,)  # ids are those of the whole table again
    assert all(torch.equal(dense, ours) for dense, ours in zip(*found, strict=True))


def test_large_are_tables_beyond_the_cache_on_a_cpu():
    with torch.device("meta"):
        small, large = (build_model("dnn", [rows, 2], embedding_size=16) for rows in (2**18 - 3, 2**18))
    assert not is_large(small, CPU)
    assert is_large(large, CPU)
    assert not is_large(large, torch.device("cuda"))
    assert not is_large(nn.Linear(2**12, 2**12), CPU)


def test_training_defers_what_is_large(monkeypatch):
    """An epoch of a `Trainer` gives the same bits whether it defers or not."""
    batches, found = random_batches(40), []
    ids, labels = torch.cat(batches), torch.arange(40 * 32) % 2
    for large in (1, 2**40):
        monkeypatch.setattr(deferral, "LARGE", large)
        model = build_model("dcnv2", CARDINALITIES, embedding_size=16, num_sets=2, hidden=(16,), dropout=0.5)
        optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-3, fused=True)
        torch.manual_seed(0)
        rows = torch.arange(len(ids)).split(32)
        with tqdm(disable=True) as bar:
            losses = Trainer(model, None, optimizer, ids, labels, CPU, TrainingConfig()).train(rows, bar)
        found.append([torch.from_numpy(losses), *state(model, optimizer)])
    assert all(torch.equal(dense, ours) for dense, ours in zip(*found, strict=True))
