"""Fit and evaluate one model by the paper's protocol (Appendix C.2). Nothing here knows about files."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from paper_code.data.click_log import ClickLog, Split
from paper_code.training.config import TrainingConfig
from paper_code.training.cuda_graph import WORTH, Recording
from paper_code.training.deferral import WINDOW, deferred, is_large, tables_of
from paper_code.training.process import find_device, resident, seeded, set_up_process
from paper_code.training.weight_average import WeightAverage

EVALUATION_BATCH = 8192
LOSS_POINTS = 10


@dataclass(frozen=True)
class Epoch:
    """A whole epoch: mean training loss (of its tenths in order), validation scores at its end, measurements.

    raw_validation_auc: of the weights themselves where their average is scored.
    """

    training_loss: list[float]
    validation_auc: float
    validation_log_loss: float
    training_seconds: float
    measurements: dict = field(default_factory=dict)
    raw_validation_auc: float | None = None


@dataclass(frozen=True)
class Fit:
    """What training gives.

    epochs: the whole ones; training may have stopped within a further one. looks: validation AUC at every look.
    best_look: the first of the highest, counted from 1. training_seconds: of all steps.
    test_auc, test_log_loss: at the best look. raw_test_auc, raw_weights: likewise, of the weights themselves where
    their average is scored. measured: at the end of the config's measured_epoch: test_auc, and what `measure` gave for
    the scored model and, as "raw", for the weights themselves where their average is scored.
    """

    epochs: list[Epoch]
    looks: list[float]
    best_look: int
    looks_per_epoch: int
    training_seconds: float
    test_auc: float
    test_log_loss: float
    raw_test_auc: float | None = None
    raw_weights: dict | None = None
    measured: dict | None = None

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, in which the best look was taken."""
        return math.ceil(self.best_look / self.looks_per_epoch)


def fit(
    model: nn.Module,
    log: ClickLog,
    split: Split,
    config: TrainingConfig,
    *,
    seed: int,
    device: str = "auto",
    penalty: nn.Module | None = None,
    after_epoch: Callable[[nn.Module], dict] | None = None,
    measure: Callable[[nn.Module], dict] | None = None,
    progress: bool = False,
) -> Fit:
    """Train `model` until validation AUC has not risen for `patience` epochs; leave it as it was at its best look.

    The training rows are read in the order of the split, the same in every epoch, as in the authors' code, unless the
    config has them shuffled. The seed decides that and the dropout: with the same seed, machine and number of threads
    the result is the same, bit for bit.
    penalty: called with the model and the ids of every step, added to its loss, and trained with the model; the losses
    reported are without it.
    after_epoch: called with the scored model after every epoch; what it returns is kept in that epoch's measurements.
    measure: called at the end of the config's measured_epoch, see `Fit`.
    Changes settings of the process, see `set_up_process`.
    Raises ValueError if a part of the split has no clicks or nothing else, FloatingPointError if the loss diverges.
    """
    device = find_device(device)
    check_labels(log.labels, split)
    set_up_process(device)
    ids, labels = resident(torch.from_numpy(log.ids), device), resident(torch.from_numpy(log.labels), device)
    model.to(device)
    if penalty is not None:
        penalty.to(device)
    average = WeightAverage(model, config.averaging) if config.averaging else None
    scored = average.model if average else model
    trainer = Trainer(model, penalty, make_optimizer(model, penalty, config), ids, labels, device, config, average)
    train_rows = torch.from_numpy(split.train).to(ids.device)
    shuffler = torch.Generator().manual_seed(seed)
    looks_per_epoch = min(config.looks, len(batches_of(train_rows, config.batch_size)))
    epochs, looks, best_look, best_weights, raw_weights, measured = [], [], 0, None, None, None
    seconds_before = seconds = 0.0

    def scores_of(part: str, of: nn.Module) -> tuple[float, float]:
        logits = predict(of, ids, getattr(split, part), device)
        if not np.isfinite(logits).all():
            raise FloatingPointError(
                f"the model's output is not finite in epoch {len(epochs) + 1}; "
                f"learning_rate={config.learning_rate} may be too high"
            )
        return scores(log.labels[getattr(split, part)], logits)

    def going_on() -> bool:
        if config.measured_epoch and len(epochs) < config.measured_epoch:
            return len(epochs) < config.max_epochs
        return len(looks) - best_look < config.patience * looks_per_epoch and len(epochs) < config.max_epochs

    with seeded(device, seed if config.dropout_seed is None else config.dropout_seed), progress_bar(progress) as bar:
        while going_on():
            if config.shuffle:
                train_rows = train_rows[torch.randperm(len(train_rows), generator=shuffler).to(ids.device)]
            losses = []
            for batches in parts(batches_of(train_rows, config.batch_size), looks_per_epoch):
                started = time.perf_counter()
                losses.extend(trainer.train(batches, bar))
                seconds += time.perf_counter() - started
                if not np.isfinite(losses).all():
                    step = int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
                    raise FloatingPointError(
                        f"the training loss is {losses[step - 1]} at step {step} of epoch {len(epochs) + 1}; "
                        f"learning_rate={config.learning_rate} may be too high"
                    )
                auc, validation_loss = scores_of("validation", scored)
                looks.append(auc)
                bar.set_postfix_str(f"look {len(looks)}, loss {np.mean(losses):.4f}, validation AUC {auc:.4f}")
                if best_look == 0 or auc > looks[best_look - 1]:
                    best_look, best_weights = len(looks), deepcopy(scored.state_dict())
                    raw_weights = deepcopy(model.state_dict()) if average else None
                if len(looks) % looks_per_epoch and not going_on():
                    break
            else:
                tenths = [float(np.mean(part)) for part in np.array_split(losses, min(LOSS_POINTS, len(losses)))]
                measurements = after_epoch(scored) if after_epoch else {}
                raw_auc = scores_of("validation", model)[0] if average else None
                epochs.append(Epoch(tenths, auc, validation_loss, seconds - seconds_before, measurements, raw_auc))
                seconds_before = seconds
                if len(epochs) == config.measured_epoch:
                    measured = {"test_auc": scores_of("test", scored)[0]} | (measure(scored) if measure else {})
                    if average:
                        raw = {"test_auc": scores_of("test", model)[0]} | (measure(model) if measure else {})
                        measured["raw"] = raw
        raw_test_auc = None
        if average:
            model.load_state_dict(raw_weights)
            raw_test_auc = scores_of("test", model)[0]
        model.load_state_dict(best_weights)
        test_auc, test_loss = scores_of("test", model)
    return Fit(
        epochs, looks, best_look, looks_per_epoch, seconds, test_auc, test_loss, raw_test_auc, raw_weights, measured
    )


def refitted_auc(
    model: nn.Module, log: ClickLog, split: Split, config: TrainingConfig, *, seed: int, device: str = "auto"
) -> float:
    """Test AUC of the model after one more epoch from its weights as they are, those that are frozen aside.

    The optimizer starts anew; all else is as the config has it. The model is changed.
    """
    once = replace(config, max_epochs=1, looks_per_epoch=None, measured_epoch=None)
    return fit(model, log, split, once, seed=seed, device=device).test_auc


def make_optimizer(model: nn.Module, penalty: nn.Module | None, config: TrainingConfig) -> torch.optim.Adam:
    """The protocol's optimizer of all parameters that are not frozen, which are already where they are trained.

    If embeddings have a weight decay of their own, the first of two groups has the weights of `tables_of` the model.
    """
    parameters = [*model.parameters(), *(penalty.parameters() if penalty is not None else [])]
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    on_gpu = parameters[0].is_cuda  # where its steps may be part of a CUDA graph
    if config.embedding_weight_decay is not None:
        of_values = {table.weight for table in tables_of(model)}
        parameters = [
            {"params": [p for p in parameters if p in of_values], "weight_decay": config.embedding_weight_decay},
            {"params": [p for p in parameters if p not in of_values]},
        ]
    algorithm = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    options = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    return algorithm(parameters, **options, fused=True, capturable=on_gpu)


class Trainer:
    """Takes training steps of a model, and of a penalty beside its loss if there is one.

    Faster with the same bits, but for one unit in the last place in tables of one column: large tables on a CPU are
    updated in windows (see `deferral`), unless the weights are averaged after every step, for which every row has to be
    up to date; and where all is on a GPU the step is recorded and replayed (see `cuda_graph`), unless a penalty waits
    for the GPU.
    """

    def __init__(
        self,
        model: nn.Module,
        penalty: nn.Module | None,
        optimizer: torch.optim.Optimizer,
        ids: Tensor,
        labels: Tensor,
        device: torch.device,
        config: TrainingConfig,
        average: WeightAverage | None = None,
    ):
        self.model, self.penalty, self.optimizer, self.average = model, penalty, optimizer, average
        self.ids, self.labels, self.device = ids, labels, device
        self.mixed_precision = config.mixed_precision
        self.member_logits = getattr(model, "member_logits", lambda batch: model(batch).unsqueeze(1))
        can_record = ids.is_cuda and (penalty is None or not getattr(penalty, "waits", True))
        self.recording = Recording(lambda rows: self.step(rows, ids[rows])) if can_record else None
        self.defers = average is None and is_large(model, device)

    def train(self, batches: Sequence[Tensor], bar: tqdm) -> np.ndarray:
        """One step for each of the batches of row numbers; the loss of every step, without the penalty."""
        self.model.train()
        losses = []
        for loss in self.losses(batches):
            losses.append(loss)
            if self.average is not None:
                self.average.update()
            bar.update()
        return torch.stack(losses).cpu().numpy()

    def losses(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        if self.recording and (self.recording.graph or len(batches) >= WORTH):
            yield from self.recording(batches)
            return
        for first in range(0, len(batches), WINDOW):
            window = batches[first : first + WINDOW]
            of_window = [self.ids[rows] for rows in window]
            with deferred(self.model, self.optimizer, of_window) if self.defers else nullcontext(of_window) as inputs:
                for rows, batch in zip(window, inputs, strict=True):
                    yield self.step(rows, batch)

    def step(self, rows: Tensor, batch: Tensor) -> Tensor:
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
            logits = self.member_logits(batch)
        if self.mixed_precision:
            logits = logits.float()
        loss = cross_entropy(logits, self.labels[rows].to(self.device, logits.dtype))
        self.optimizer.zero_grad()
        (loss if self.penalty is None else loss + self.penalty(self.model, batch)).backward()
        self.optimizer.step()
        return loss.detach() / logits.shape[1]


def batches_of(rows: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """The row numbers in batches. A last batch of one row, over which batch normalisation has no variance, is left
    out."""
    batches = rows.split(batch_size)
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def parts(batches: Sequence[Tensor], number: int) -> Iterator[Sequence[Tensor]]:
    """The batches in so many parts of nearly equal length."""
    ends = np.linspace(0, len(batches), number + 1).round().astype(int)
    return (batches[start:end] for start, end in pairwise(ends))


def progress_bar(shown: bool) -> tqdm:
    return tqdm(unit=" batches", disable=not shown)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over the batch of the loss of (batch, members) logits, summed over the members of an ensemble, so that
    each is trained as if it were alone."""
    return sum(F.binary_cross_entropy_with_logits(of_member, labels) for of_member in logits.unbind(dim=1))


@torch.no_grad()
def predict(model: nn.Module, ids: Tensor, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Logits of the given rows of ids (rows, fields), in evaluation mode."""
    model.eval()
    batches = torch.from_numpy(rows).to(ids.device).split(EVALUATION_BATCH)
    return torch.cat([model(ids[batch].to(device)) for batch in batches]).cpu().numpy()


def scores(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """AUC and mean log loss."""
    return float(roc_auc_score(labels, logits)), float(log_loss(labels, expit(logits.astype(np.float64))))


def check_labels(labels: np.ndarray, split: Split) -> None:
    for part in ("train", "validation", "test"):
        found = np.unique(labels[getattr(split, part)])
        if found.tolist() != [0, 1]:
            raise ValueError(
                f"the {part} part of the split holds the labels {found.tolist()}, expected both 0 and 1: "
                "the log is too small or its labels are wrong"
            )
