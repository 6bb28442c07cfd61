"""Training follows the protocol of Appendix C.2, and the same seed gives the same bits."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from paper_code.data import ClickLog, Field, Split, split_rows
from paper_code.models import build_model
from paper_code.training import fitting, weight_average
from paper_code.training.config import TrainingConfig
from paper_code.training.fitting import fit, scores
from paper_code.training.process import find_device

CARDINALITIES = [6, 40, 11]
ROWS = 900
SPLIT = split_rows(ROWS, 0)


@pytest.fixture(scope="module")
def log() -> ClickLog:
    """Clicks that depend on every field."""
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(d, size=ROWS) for d in CARDINALITIES], axis=1).astype(np.int32)
    logits = sum(rng.standard_normal(d)[column] for d, column in zip(CARDINALITIES, ids.T, strict=True)) - 0.5
    labels = (rng.random(ROWS) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    return log_of(ids, labels, CARDINALITIES)


def log_of(ids, labels, cardinalities) -> ClickLog:
    fields = tuple(Field(f"field_{i}", d) for i, d in enumerate(cardinalities))
    return ClickLog("log", fields, np.asarray(ids, np.int32), np.asarray(labels, np.uint8), 1, {})


def small_model(seed=0, dropout=0.2):
    return build_model("dcnv2", CARDINALITIES, 4, 2, seed, hidden=(8, 8), cross_layers=1, dropout=dropout)


def run(model, log, *, seed=0, after_epoch=None, measure=None, split=SPLIT, **config):
    config = TrainingConfig(**{"batch_size": 64, "max_epochs": 4} | config)
    return fit(model, log, split, config, seed=seed, device="cpu", after_epoch=after_epoch, measure=measure)


def equal_weights(first, second) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Recorder(nn.Module):
    """A model of one weight that keeps the rows it is trained on: field 0 of its log is the number of the row."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, ids):
        if self.training:
            self.batches.append(ids[:, 0].tolist())
        return self.weight * ids[:, 0]


def numbered_log(rows: int) -> ClickLog:
    return log_of(np.arange(rows)[:, None], np.arange(rows) % 2, [rows])


# The seed


def test_the_same_seed_gives_the_same_bits(log):
    models = [small_model() for _ in range(2)]
    torch.manual_seed(1)
    first = run(models[0], log)
    torch.manual_seed(2)  # the global state is not where the seed's numbers come from
    second = run(models[1], log)
    assert equal_weights(*models)
    assert (first.best_epoch, first.test_auc, first.test_log_loss) == (
        second.best_epoch,
        second.test_auc,
        second.test_log_loss,
    )
    assert [(e.training_loss, e.validation_auc, e.validation_log_loss) for e in first.epochs] == [
        (e.training_loss, e.validation_auc, e.validation_log_loss) for e in second.epochs
    ]


def test_another_seed_gives_another_dropout(log):
    models = [small_model() for _ in range(2)]
    fits = [run(model, log, seed=seed) for seed, model in enumerate(models)]
    assert not equal_weights(*models)
    assert fits[0].epochs[0].training_loss != fits[1].epochs[0].training_loss


def test_without_dropout_the_seed_decides_nothing(log):
    """The order of the rows is the split's, not the seed's."""
    models = [small_model(dropout=0.0) for _ in range(2)]
    for seed, model in enumerate(models):
        run(model, log, seed=seed)
    assert equal_weights(*models)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("deterministic", "warn_only"), [(False, False), (True, False), (True, True)])
def test_the_global_state_is_as_before(log, deterministic, warn_only, fails):
    def stop(model):
        raise RuntimeError("stopped")

    def state():
        flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        return (
            *flags,
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.random.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
        )

    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    try:
        before = state()
        if fails:
            with pytest.raises(RuntimeError, match="stopped"):
                run(small_model(), log, after_epoch=stop)
        else:
            run(small_model(), log, max_epochs=1)
        assert state() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_algorithms_are_deterministic_in_training(log):
    flags = []
    run(
        small_model(),
        log,
        max_epochs=1,
        after_epoch=lambda model: flags.append(torch.are_deterministic_algorithms_enabled()) or {},
    )
    assert flags == [True]


def test_it_trains_the_same_where_the_c_library_is_another(log, monkeypatch):
    models = [small_model() for _ in range(2)]
    run(models[0], log, max_epochs=1)
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    run(models[1], log, max_epochs=1)
    assert equal_weights(*models)


# Early stopping


def with_validation_aucs(monkeypatch, aucs):
    """Let the validation AUCs be these, then the test AUC 0.123."""
    sequence = iter(aucs)
    monkeypatch.setattr(fitting, "scores", lambda labels, logits: (next(sequence, 0.123), 0.5))


EARLY_STOPPING = [
    # AUCs, patience, most epochs, epochs trained, best epoch (from 1)
    ([0.6, 0.7, 0.65, 0.66, 0.67, 0.9], 3, 100, 5, 2),
    ([0.6, 0.5, 0.5, 0.61, 0.5, 0.5, 0.62, 0.5, 0.5, 0.5, 0.9], 3, 100, 10, 7),  # a new best starts the count anew
    ([0.7, 0.7, 0.7, 0.7, 0.9], 3, 100, 4, 1),  # as good as the best is not a new best
    ([0.7, 0.5, 0.6, 0.65, 0.9], 3, 100, 4, 1),  # better than the last epoch is not a new best
    ([0.6, 0.7, 0.69, 0.9], 1, 100, 3, 2),
    ([0.6, 0.5, 0.7, 0.5, 0.6, 0.9], 2, 100, 5, 3),
    ([0.1, 0.2, 0.3, 0.4, 0.5], 3, 4, 4, 4),
    ([0.1, 0.2, 0.3, 0.2, 0.5], 3, 4, 4, 3),
    ([0.1, 0.2], 3, 1, 1, 1),
]


@pytest.mark.parametrize(("aucs", "patience", "max_epochs", "trained", "best"), EARLY_STOPPING)
def test_stops_at_the_nth_epoch_in_a_row_without_a_new_best(
    log, monkeypatch, aucs, patience, max_epochs, trained, best
):
    with_validation_aucs(monkeypatch, aucs[:trained])
    after = []
    model = small_model()
    found = run(
        model,
        log,
        patience=patience,
        max_epochs=max_epochs,
        after_epoch=lambda m: after.append(copy.deepcopy(m)) or {"epoch": len(after)},
    )
    assert len(found.epochs) == len(after) == trained
    assert [epoch.validation_auc for epoch in found.epochs] == aucs[:trained]
    assert found.best_epoch == best
    assert found.test_auc == 0.123
    assert [epoch.measurements for epoch in found.epochs] == [{"epoch": n} for n in range(1, trained + 1)]
    for epoch, state in enumerate(after, start=1):  # the running means of batch normalisation among them
        assert equal_weights(model, state) == (epoch == best)


def test_the_test_scores_are_those_of_the_best_epoch(log):
    """With a learning rate that overfits at once; the scores are computed by the caller, in one batch."""
    after = []
    model = small_model()
    found = run(
        model, log, learning_rate=0.03, max_epochs=8, after_epoch=lambda m: after.append(copy.deepcopy(m)) or {}
    )
    aucs = [epoch.validation_auc for epoch in found.epochs]
    assert found.best_epoch == 1 + int(np.argmax(aucs)) < len(aucs)
    for rows, state, auc, log_loss in [
        *(
            (SPLIT.validation, m, e.validation_auc, e.validation_log_loss)
            for m, e in zip(after, found.epochs, strict=True)
        ),
        (SPLIT.test, after[found.best_epoch - 1], found.test_auc, found.test_log_loss),
        (SPLIT.test, model, found.test_auc, found.test_log_loss),
    ]:
        with torch.no_grad():
            logits = state.eval()(torch.from_numpy(log.ids[rows])).numpy()
        assert auc == pytest.approx(auc_by_pairs(log.labels[rows], logits), abs=2e-4)  # ties aside
        assert log_loss == pytest.approx(log_loss_by_rows(log.labels[rows], logits), rel=1e-5)


def test_measurements_are_empty_without_a_function(log):
    found = run(small_model(), log, max_epochs=2)
    assert [epoch.measurements for epoch in found.epochs] == [{}, {}]


# Batches


@pytest.mark.parametrize(
    ("train_rows", "sizes"),
    [(40, [16, 16, 8]), (32, [16, 16]), (34, [16, 16, 2]), (33, [16, 16]), (10, [10]), (17, [16])],
)
def test_batches_follow_the_order_of_the_split_in_every_epoch(train_rows, sizes):
    """Unshuffled, as in the authors' code; a last batch of one row, which has no variance, is left out."""
    order = np.random.default_rng(1).permutation(60)
    split = Split(order[:train_rows], order[train_rows:-8], order[-8:])
    log = numbered_log(60)
    model = Recorder()
    # clicks in every part, whatever its rows
    for part in (split.train, split.validation, split.test):
        log.labels[part] = np.arange(len(part)) % 2
    found = fit(model, log, split, TrainingConfig(batch_size=16, max_epochs=3), seed=0, device="cpu")
    batches = [split.train[start : start + 16].tolist() for start in range(0, train_rows, 16)][: len(sizes)]
    assert [len(batch) for batch in batches] == sizes
    assert model.batches == batches * len(found.epochs)


def test_shuffled_every_epoch_has_an_order_of_its_own_from_the_seed():
    split, orders = split_rows(100, 3), {}
    for seed in (0, 0, 1):
        model = Recorder()
        fit(model, numbered_log(100), split, TrainingConfig(batch_size=16, max_epochs=2, shuffle=True), seed=seed)
        rows = [row for batch in model.batches for row in batch]
        epochs = rows[:80], rows[80:160]
        assert [sorted(epoch) for epoch in epochs] == [sorted(split.train.tolist())] * 2
        assert epochs[0] != epochs[1] != split.train.tolist() != epochs[0]
        assert orders.setdefault(seed, rows) == rows
    assert orders[0] != orders[1]


# An ensemble


def test_the_members_of_an_ensemble_are_trained_as_if_each_were_alone(log):
    """Weights of either member after eight steps, in float64 and without dropout: those of a model of its own."""
    options = {"hidden": (8, 8), "dropout": 0.0}
    ensemble = build_model("dnn", CARDINALITIES, 4, 2, ensemble=True, **options).double()
    members = [build_model("dnn", CARDINALITIES, 4, **options).double() for _ in range(2)]
    for number, member in enumerate(members):
        state = {}
        for (key, mine), (_, of_both) in zip(member.state_dict().items(), ensemble.state_dict().items(), strict=True):
            if key == "embedding.weight":
                of_both = of_both.unflatten(1, (2, 4)).transpose(0, 1)
            state[key] = of_both if mine.dim() == 0 else of_both.reshape(2, *mine.shape)[number].clone()
        member.load_state_dict(state)
    config = {"batch_size": 90, "max_epochs": 1, "weight_decay": 1e-2}
    losses = [run(member, log, **config).epochs[0].training_loss for member in members]
    found = run(ensemble, log, **config).epochs[0].training_loss
    np.testing.assert_allclose(found, np.mean(losses, axis=0), rtol=1e-9)
    ids = torch.from_numpy(log.ids[:50])
    expected = torch.stack([member.eval()(ids) for member in members]).mean(dim=0)
    torch.testing.assert_close(ensemble.eval()(ids), expected, rtol=1e-9, atol=1e-12)


def test_every_part_is_seen_in_its_own_mode():
    """Training rows in training mode only, each once an epoch; the others in evaluation mode, without gradients."""
    seen = {True: [], False: []}

    class Watcher(Recorder):
        def forward(self, ids):
            seen[self.training].append(ids[:, 0].tolist())
            assert torch.is_grad_enabled() == self.training
            return super().forward(ids)

    split = split_rows(200, 3)
    log = numbered_log(200)
    fit(Watcher(), log, split, TrainingConfig(batch_size=50, max_epochs=1), seed=0, device="cpu")
    assert [row for batch in seen[True] for row in batch] == split.train.tolist()
    assert [row for batch in seen[False] for row in batch] == [*split.validation.tolist(), *split.test.tolist()]


# The optimiser


def adam_by_hand(model, log, rows, batch_size, epochs, learning_rate, weight_decay, decoupled) -> list[float]:
    """Adam of Kingma and Ba with L2 coupled into the gradient (Appendix C.2), or AdamW of Loshchilov and Hutter,
    written out; the loss of every step."""
    parameters = list(model.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    losses, step = [], 0
    model.train()
    for _ in range(epochs):
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            probability = torch.sigmoid(model(torch.from_numpy(log.ids[batch])))
            clicked = torch.from_numpy(log.labels[batch] == 1)
            loss = -torch.where(clicked, probability.log(), (1 - probability).log()).mean()
            losses.append(loss.item())
            step += 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, torch.autograd.grad(loss, parameters), first, second, strict=True):
                    if decoupled:
                        p *= 1 - learning_rate * weight_decay
                    else:
                        g = g + weight_decay * p
                    m.mul_(0.9).add_(g, alpha=0.1)
                    v.mul_(0.999).add_(g * g, alpha=0.001)
                    p -= learning_rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return losses


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-6, 1e-2])
def test_the_optimiser_is_adam_with_coupled_weight_decay_or_adamw(log, monkeypatch, weight_decay, decoupled):
    """In float64 and over 32 steps: every weight to ten digits, those of values that do not occur included."""
    found, expected = small_model(dropout=0.0).double(), small_model(dropout=0.0).double()
    with_validation_aucs(monkeypatch, [0.5, 0.6])  # the last epoch is the best
    protocol = {"weight_decay": weight_decay, "decoupled": decoupled}
    result = run(found, log, batch_size=45, max_epochs=2, learning_rate=3e-3, **protocol)
    losses = adam_by_hand(expected, log, SPLIT.train, 45, 2, 3e-3, **protocol)
    assert len(losses) == 32
    for (name, a), b in zip(found.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")
    for epoch, of_epoch in zip(result.epochs, np.split(np.array(losses), 2), strict=True):
        tenths = [part.mean() for part in np.array_split(of_epoch, 10)]
        np.testing.assert_allclose(epoch.training_loss, tenths, rtol=1e-9)


def test_torchs_own_unfused_adam_gives_the_same_in_float32(log, monkeypatch):
    found, expected = small_model(dropout=0.0), small_model(dropout=0.0)
    with_validation_aucs(monkeypatch, [0.5])
    run(found, log, max_epochs=1, weight_decay=1e-2)
    optimizer = torch.optim.Adam(expected.parameters(), lr=1e-3, weight_decay=1e-2, fused=False, foreach=False)
    for batch in torch.from_numpy(SPLIT.train).split(64):
        logits = expected.train()(torch.from_numpy(log.ids)[batch])
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(log.labels)[batch].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_mixed_precision_changes_the_training_and_not_the_evaluation(log):
    """Half of the digits in the products: near the other, not the same, and weights and scores in float32."""
    found = {}
    for mixed in (False, True):
        model = build_model("dcnv2", log.cardinalities, 16, 2, hidden=(16,), dropout=0.0)
        dtypes = set()
        model.head.register_forward_hook(lambda _, inputs, output, dtypes=dtypes: dtypes.add(output.dtype))
        config = TrainingConfig(batch_size=32, max_epochs=1, mixed_precision=mixed)
        found[mixed] = fit(model, log, SPLIT, config, seed=0, device="cpu")
        assert dtypes == ({torch.float32, torch.bfloat16} if mixed else {torch.float32})
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    losses = [fit.epochs[0].training_loss for fit in found.values()]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)


def test_the_defaults_are_the_papers():
    """Appendix C.2."""
    config = TrainingConfig()
    assert (config.batch_size, config.learning_rate, config.weight_decay, config.patience) == (2048, 1e-3, 1e-6, 3)


# Scores


def auc_by_pairs(labels, logits) -> float:
    """The share of the pairs of a click and a non-click in which the click has the higher logit; ties count half."""
    clicked, others = logits[labels == 1], logits[labels == 0]
    higher = (clicked[:, None] > others).sum() + 0.5 * (clicked[:, None] == others).sum()
    return higher / (len(clicked) * len(others))


def log_loss_by_rows(labels, logits) -> float:
    rows = zip(labels.tolist(), logits.tolist(), strict=True)
    return sum(math.log1p(math.exp(-x if y else x)) for y, x in rows) / len(labels)


@pytest.mark.parametrize("ties", [False, True])
def test_scores_equal_their_definitions(ties):
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.3).astype(np.uint8)
    logits = (2 * rng.standard_normal(400) + labels).astype(np.float32)
    if ties:
        logits = np.round(logits)
    auc, log_loss = scores(labels, logits)
    assert auc == pytest.approx(auc_by_pairs(labels, logits), abs=1e-12)
    assert log_loss == pytest.approx(log_loss_by_rows(labels, logits), rel=1e-9)


def test_perfect_and_useless_scores():
    labels = np.array([0, 0, 1, 1], np.uint8)
    assert scores(labels, np.array([-2, -1, 1, 2], np.float32))[0] == 1
    assert scores(labels, np.array([2, 1, -1, -2], np.float32))[0] == 0
    assert scores(labels, np.zeros(4, np.float32)) == (0.5, pytest.approx(math.log(2)))


def test_the_auc_sees_differences_that_a_probability_near_one_hides():
    labels = np.array([0, 1, 0, 1], np.uint8)
    assert scores(labels, np.array([60, 61, 62, 63], np.float32))[0] == 0.75


def test_extreme_logits_have_scores_too():
    """A rate too high makes such logits before it makes NaN: no warning, and a large but finite loss."""
    auc, log_loss = scores(np.array([0, 1, 1], np.uint8), np.array([-1000, -800, 1000], np.float32))
    assert auc == 1
    assert 10 < log_loss < math.inf


# What cannot be trained


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_with_one_kind_of_label_is_named(log, part, label):
    labels = log.labels.copy()
    labels[getattr(SPLIT, part)] = label
    model = small_model()
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=rf"{part} part .*\[{label}\], expected both 0 and 1: the log is too small"):
        run(model, log_of(log.ids, labels, CARDINALITIES))
    assert equal_weights(model, before)


def test_a_part_without_rows_is_named(log):
    with pytest.raises(ValueError, match=r"validation part .*\[\]"):
        run(small_model(), log, split=Split(SPLIT.train, SPLIT.validation[:0], SPLIT.test))


def test_labels_other_than_0_and_1_are_refused(log):
    labels = log.labels.copy()
    labels[SPLIT.train[0]] = 2
    with pytest.raises(ValueError, match=r"train part .*\[0, 1, 2\]"):
        run(small_model(), log_of(log.ids, labels, CARDINALITIES))


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_diverging_loss_names_epoch_and_step(number):
    class Diverging(Recorder):
        def forward(self, ids):
            logits = super().forward(ids)
            # with 3 batches an epoch, batch 5 is step 2 of epoch 2
            return logits * (number if len(self.batches) == 5 and self.training else 1.0) + 0 * self.weight

    split = split_rows(60, 0)
    log = numbered_log(60)
    for part in (split.train, split.validation, split.test):
        log.labels[part] = np.arange(len(part)) % 2
    with pytest.raises(FloatingPointError, match=r"step 2 of epoch 2; learning_rate=0\.001"):
        fit(Diverging(), log, split, TrainingConfig(batch_size=16, max_epochs=3), seed=0, device="cpu")


@pytest.mark.parametrize("batch_size", [64, 1_000])
def test_a_learning_rate_far_too_high_says_so(log, batch_size):
    """Also when an epoch is one step, so that the first loss is still that of the first weights."""
    with pytest.raises(FloatingPointError, match=r"epoch 1\b.*learning_rate=1e\+30"):
        run(small_model(), log, batch_size=batch_size, learning_rate=1e30)


# Devices


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device() == find_device("auto") == find_device("cpu") == torch.device("cpu")


def test_auto_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto").type == "cuda"
    assert find_device("cuda:1") == torch.device("cuda:1")


def test_a_device_that_is_not_named_is_found(log, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = TrainingConfig(batch_size=64, max_epochs=1)
    found = fit(small_model(), log, SPLIT, config, seed=0)
    assert found.test_auc == run(small_model(), log, max_epochs=1).test_auc
    assert fitting.refitted_auc(small_model(), log, SPLIT, config, seed=0) == found.test_auc


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu0", "Cuda"])
def test_an_unknown_device_is_named(name):
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        find_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_a_gpu_that_is_not_there_is_named(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"device '{name}'.*use auto or cpu"):
        find_device(name)


def test_a_gpu_beyond_the_last_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="device 'cuda:2'"):
        find_device("cuda:2")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has that device")
def test_another_kind_of_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="device 'mps'"):
        find_device("mps")


# The regime: several looks an epoch, the average of the weights, two weight decays


def test_patience_is_counted_in_epochs_worth_of_looks(log, monkeypatch):
    """Four looks an epoch and patience one: it stops at the fourth look in a row without a new best, in mid-epoch."""
    aucs = [0.6, 0.61, 0.7, 0.5, 0.5, 0.5, 0.69]
    with_validation_aucs(monkeypatch, [*aucs, 0.9])
    found = run(small_model(), log, patience=1, looks_per_epoch=4, max_epochs=9)
    assert found.looks == aucs
    assert (found.best_look, found.best_epoch) == (3, 1)
    assert len(found.epochs) == 1  # the second is not whole
    assert found.epochs[0].validation_auc == 0.5


def test_the_model_is_left_as_it_was_at_its_best_look(log):
    model = small_model()
    found = run(model, log, learning_rate=0.03, looks_per_epoch=3, max_epochs=4, patience=4)
    assert len(found.looks) == 12
    assert found.best_look == 1 + int(np.argmax(found.looks))
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(log.ids[SPLIT.validation])).numpy()
    assert scores(log.labels[SPLIT.validation], logits)[0] == max(found.looks)


def test_looks_train_the_same_steps(log):
    models = [small_model() for _ in range(2)]
    fits = [run(m, log, looks_per_epoch=n, max_epochs=2) for m, n in zip(models, (None, 5), strict=True)]
    assert fits[0].epochs[1].training_loss == fits[1].epochs[1].training_loss
    assert (len(fits[0].looks), len(fits[1].looks)) == (2, 10)
    assert fits[1].looks[4::5] == fits[0].looks


def test_there_are_no_more_looks_than_batches(log):
    found = run(small_model(), log, looks_per_epoch=100, batch_size=300, max_epochs=2, patience=2)
    assert len(found.looks) == 2 * math.ceil(len(SPLIT.train) / 300)


def test_every_run_is_trained_to_its_measured_epoch(log, monkeypatch):
    with_validation_aucs(monkeypatch, [0.7, 0.6, 0.5, 0.4])
    found = run(small_model(), log, patience=1, measured_epoch=4, max_epochs=9)
    assert len(found.epochs) == 4
    assert found.best_epoch == 1


def test_what_is_measured_at_equal_epochs_is_the_model_then(log):
    after, model = [], small_model()
    found = run(
        model,
        log,
        averaging=0.9,
        measured_epoch=2,
        max_epochs=3,
        patience=3,
        measure=lambda trained: {"norm": trained.embedding.weight.norm().item()},
        after_epoch=lambda scored: after.append(scored.embedding.weight.norm().item()) or {},
    )
    assert found.measured["norm"] == after[1]
    assert found.measured["raw"]["norm"] != after[1]
    assert 0 < found.measured["test_auc"] != found.measured["raw"]["test_auc"]


def test_the_average_is_scored_and_the_raw_weights_are_kept(log):
    """The averaged weights recomputed from those after every step, one look at the end."""
    model, seen = small_model(dropout=0.0), []

    class Watched(weight_average.WeightAverage):
        def update(self):
            super().update()
            seen.append(model.embedding.weight.detach().clone())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fitting, "WeightAverage", Watched)
        found = run(model, log, averaging=0.8, max_epochs=1)
    weights = torch.tensor([0.8**age for age in reversed(range(len(seen)))])
    expected = (torch.stack(seen) * weights[:, None, None]).sum(dim=0) / weights.sum()
    torch.testing.assert_close(model.embedding.weight.detach(), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(found.raw_weights["embedding.weight"], seen[-1])
    assert found.raw_test_auc != found.test_auc
    assert found.epochs[0].raw_validation_auc != found.epochs[0].validation_auc
    plain = run(small_model(), log, max_epochs=1)
    assert (plain.raw_test_auc, plain.raw_weights, plain.epochs[0].raw_validation_auc) == (None, None, None)


def test_embeddings_have_a_weight_decay_of_their_own(log):
    """Of FM: the table and the linear terms per value, not its constant; against one optimizer for each part."""
    for decays in ((0.1, 0.0), (0.0, 0.1)):
        model, by_hand = (build_model("fm", CARDINALITIES, 4) for _ in range(2))
        run(model, log, max_epochs=2, weight_decay=decays[0], embedding_weight_decay=decays[1])
        tables = [by_hand.embedding.weight, by_hand.linear_terms.weight]
        optimizers = [
            torch.optim.Adam(tables, lr=1e-3, weight_decay=decays[1]),
            torch.optim.Adam([by_hand.linear_terms.bias], lr=1e-3, weight_decay=decays[0]),
        ]
        for _ in range(2):
            for rows in torch.from_numpy(SPLIT.train).split(64):
                loss = F.binary_cross_entropy_with_logits(
                    by_hand(torch.from_numpy(log.ids)[rows]), torch.from_numpy(log.labels)[rows].float()
                )
                by_hand.zero_grad()
                loss.backward()
                for optimizer in optimizers:
                    optimizer.step()
        for ours, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_the_dropout_seed_changes_dropout_alone(log):
    models = [small_model() for _ in range(3)]
    for model, dropout_seed in zip(models, (None, 0, 1), strict=True):
        run(model, log, dropout_seed=dropout_seed, shuffle=True, max_epochs=1)
    assert equal_weights(models[0], models[1])  # the run's seed is 0
    assert not equal_weights(models[0], models[2])
    without = [small_model(dropout=0.0) for _ in range(2)]
    for model, dropout_seed in zip(without, (None, 1), strict=True):
        run(model, log, dropout_seed=dropout_seed, shuffle=True, max_epochs=1)
    assert equal_weights(*without)


def test_refitting_trains_all_but_what_is_frozen_for_one_epoch(log):
    model = small_model()
    run(model, log, max_epochs=1)
    before = copy.deepcopy(model)
    before.switch_off_interaction()
    refitted = copy.deepcopy(before)
    config = TrainingConfig(batch_size=64, max_epochs=9, looks_per_epoch=3, averaging=0.9, measured_epoch=2)
    auc = fitting.refitted_auc(refitted, log, SPLIT, config, seed=0, device="cpu")
    assert 0 < auc < 1
    for (name, new), old in zip(refitted.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(new, old) == name.startswith("interaction."), name


@pytest.mark.parametrize(
    "changes",
    [
        {"looks_per_epoch": 0},
        {"averaging": 1.0},
        {"averaging": -0.1},
        {"embedding_weight_decay": -1e-6},
        {"embedding_weight_decay": math.nan},
        {"measured_epoch": 0},
    ],
)
def test_settings_of_the_regime_that_make_no_sense_are_named(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=f"{name} is .*expected"):
        TrainingConfig(**changes)
