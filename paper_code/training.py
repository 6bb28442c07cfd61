"""Fit and evaluate one model by the paper's protocol (Appendix C.2). Nothing here knows about files."""

import ctypes
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from paper_code.cuda_graph import WORTH, replayed
from paper_code.data.click_log import ClickLog, Split
from paper_code.deferral import WINDOW, deferred, is_large

EVALUATION_BATCH = 8192
LOSS_POINTS_PER_EPOCH = 10


@dataclass(frozen=True)
class TrainingConfig:
    """The paper's protocol: Adam with coupled weight decay, early stopping on validation AUC.

    decoupled: AdamW, whose decay is apart from the gradient and its normalisation.
    shuffle: read the training rows in a new order in every epoch; the authors' code reads them in the same.
    mixed_precision: multiply matrices in bfloat16 while training; weights, loss and evaluation stay in float32.
    """

    batch_size: int = 2048
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    patience: int = 3
    max_epochs: int = 100
    decoupled: bool = False
    shuffle: bool = False
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "patience", "max_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf):
            raise ValueError(
                f"learning_rate is {self.learning_rate} and weight_decay {self.weight_decay}, "
                "expected a positive number and one that is not negative, both finite"
            )


@dataclass(frozen=True)
class Epoch:
    """One epoch: mean training loss (of tenths of the epoch in order), validation scores, seconds, measurements."""

    training_loss: list[float]
    validation_auc: float
    validation_log_loss: float
    training_seconds: float
    measurements: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """What training gives: every epoch, the best one (counted from 1) and its test scores."""

    epochs: list[Epoch]
    best_epoch: int
    test_auc: float
    test_log_loss: float


def find_device(device: str = "auto") -> torch.device:
    """The device of that name; "auto" is the first CUDA device if there is one, else the CPU.

    Raises ValueError if the name is unknown or the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} does not exist; expected auto, cpu, cuda or cuda:1 and so on")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type == "cuda" and (found.index or 0) >= count:
        raise ValueError(f"device {device!r}: PyTorch finds {count} CUDA devices here; use auto or cpu")
    return found


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
    progress: bool = False,
) -> Fit:
    """Train `model` until validation AUC has not risen for `patience` epochs; leave it at its best epoch.

    The training rows are read in the order of the split, the same in every epoch, as in the authors' code, unless the
    config has them shuffled. The seed decides that and the dropout: with the same seed, machine and number of threads
    the result is the same, bit for bit.
    penalty: called with the model and the ids of every step, added to its loss, and trained with the model; the losses
    reported are without it.
    after_epoch: called with the model after every epoch; what it returns is kept in that epoch's measurements.
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
    optimizer = make_optimizer(model, penalty, config)
    train_rows = torch.from_numpy(split.train).to(ids.device)
    shuffler = torch.Generator().manual_seed(seed)
    epochs, best_auc, best_epoch, best_weights = [], -math.inf, 0, None
    with seeded(device, seed), tqdm(unit=" batches", disable=not progress) as bar:
        while len(epochs) - best_epoch < config.patience and len(epochs) < config.max_epochs:
            started = time.perf_counter()
            if config.shuffle:
                train_rows = train_rows[torch.randperm(len(train_rows), generator=shuffler).to(ids.device)]
            batches = train_rows.split(config.batch_size)
            losses = train_epoch(model, penalty, optimizer, ids, labels, batches, device, bar, config.mixed_precision)
            seconds = time.perf_counter() - started
            if not np.isfinite(losses).all():
                step = int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
                raise FloatingPointError(
                    f"the training loss is {losses[step - 1]} at step {step} of epoch {len(epochs) + 1}; "
                    f"learning_rate={config.learning_rate} may be too high"
                )
            logits = predict(model, ids, split.validation, device)
            if not np.isfinite(logits).all():
                raise FloatingPointError(
                    f"the model's output is not finite after epoch {len(epochs) + 1}; "
                    f"learning_rate={config.learning_rate} may be too high"
                )
            auc, validation_loss = scores(log.labels[split.validation], logits)
            measurements = after_epoch(model) if after_epoch else {}
            tenths = [float(part.mean()) for part in np.array_split(losses, min(LOSS_POINTS_PER_EPOCH, len(losses)))]
            epochs.append(Epoch(tenths, auc, validation_loss, seconds, measurements))
            bar.set_postfix_str(f"epoch {len(epochs)}, loss {losses.mean():.4f}, validation AUC {auc:.4f}")
            if auc > best_auc:
                best_auc, best_epoch, best_weights = auc, len(epochs), deepcopy(model.state_dict())
        model.load_state_dict(best_weights)
        test_auc, test_loss = scores(log.labels[split.test], predict(model, ids, split.test, device))
    return Fit(epochs, best_epoch, test_auc, test_loss)


def make_optimizer(model: nn.Module, penalty: nn.Module | None, config: TrainingConfig) -> torch.optim.Adam:
    """The protocol's optimizer of all parameters, which are already where they are trained."""
    parameters = [*model.parameters(), *(penalty.parameters() if penalty is not None else [])]
    algorithm = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    on_gpu = parameters[0].is_cuda  # where its steps may be part of a CUDA graph
    options = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    return algorithm(parameters, **options, fused=True, capturable=on_gpu)


def train_epoch(
    model: nn.Module,
    penalty: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    ids: Tensor,
    labels: Tensor,
    batches: tuple[Tensor, ...],
    device: torch.device,
    bar: tqdm,
    mixed_precision: bool = False,
) -> np.ndarray:
    """One pass over the batches of row numbers; the loss of every step, without the penalty.

    Faster with the same bits, but for one unit in the last place in tables of one column: large tables on a CPU are
    updated in windows (`paper_code.deferral`), and where all is on a GPU the step is recorded and replayed
    (`paper_code.cuda_graph`), unless there is a penalty, which may wait for it.
    """
    model.train()
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches = batches[:-1]  # batch normalisation has no variance over one row
    of_members = getattr(model, "member_logits", lambda batch: model(batch).unsqueeze(1))

    def step(rows: Tensor, batch: Tensor) -> Tensor:
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
            logits = of_members(batch)
        if mixed_precision:
            logits = logits.float()
        loss = cross_entropy(logits, labels[rows].to(device, logits.dtype))
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty(model, batch)).backward()
        optimizer.step()
        return loss.detach() / logits.shape[1]

    losses = []
    if ids.is_cuda and penalty is None and len(batches) >= WORTH:
        for loss in replayed(lambda rows: step(rows, ids[rows]), batches):
            losses.append(loss)
            bar.update()
    else:
        defer = is_large(model, device)
        for first in range(0, len(batches), WINDOW):
            window = batches[first : first + WINDOW]
            ids_of_window = [ids[rows] for rows in window]
            with deferred(model, optimizer, ids_of_window) if defer else nullcontext(ids_of_window) as inputs:
                for rows, batch in zip(window, inputs, strict=True):
                    losses.append(step(rows, batch))
                    bar.update()
    return torch.stack(losses).cpu().numpy()


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


def resident(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device if it takes less than half of the memory free there, else where it is."""
    if device.type == "cuda" and tensor.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return tensor.to(device)
    return tensor


def set_up_process(device: torch.device) -> None:
    """Settings of the process for the speed of training.

    PyTorch flushes denormal numbers to zero, which Adam's moments of rare values would become. On a CPU the process
    keeps the memory that it frees, where the C library is glibc: by default a large tensor is a mapping of its own,
    given back when it is freed, and in every step the system then has to find and to clear pages anew, which is a good
    part of the step at the paper's sizes.
    """
    torch.set_flush_denormal(True)
    if device.type != "cpu":
        return
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings
        mallopt(-1, -1)  # M_TRIM_THRESHOLD: nothing is given back


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Random numbers from the seed and deterministic algorithms; both as before afterwards.

    New memory is not filled, as PyTorch else does in this mode: nothing here reads it first, and it takes time.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill_before = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.utils.deterministic.fill_uninitialized_memory = fill_before
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
