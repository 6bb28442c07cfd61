"""The regime of the laptop profile: what was chosen for each log, by which rule. The book's page "The regime" explains.

Everything here was chosen on validation AUC, by runs of `CHOICE_SEEDS`, which are used for nothing else, before any run
that a claim is judged by. `paper_code.runs.choices` recomputes the choices from the records of these runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHOICE_SEEDS = (50, 51, 52)
"""Seeds of the runs by which the regime was chosen."""
RATE_SEEDS = CHOICE_SEEDS[:1]
"""Seeds of the choice of learning rates, which compares rates within a seed: a ladder of them for every model and kind
of embedding is most of the cost of the choices."""
COMPARED = 4
"""The size at which the learning rates of single and of multi embedding were chosen, and are compared."""
HEADLINE_SEEDS = tuple(range(100, 106))
"""Seeds of the runs by which claims are judged; what is descriptive has the first three or five."""
DECAY_TIMES_ROWS = 37
"""Training rows times weight decay on Criteo, 36.7 million times 1e-6: against a loss averaged over so many rows the
penalty on what a row reads only sometimes, an embedding, is a prior of this precision."""
WEIGHT_DECAY = 1e-6
"""The paper's, of all that every row reads: cross layers, hidden layers, field weights."""
AVERAGING = 0.999
LOOKS_PER_EPOCH = 5
PATIENCE = 2
MEASURED_EPOCH = 3
RATES = (4e-3, 8e-3)
"""Learning rates tried first; a choice at the edge extends the list by factors of two."""
WIDTHS = (128, 256, 400)
"""Widths of the hidden layers tried, if at least N K at the base size; the last is the paper's."""
TOLERANCE = 0.0005
"""The smallest rate whose mean validation AUC is within this of the best is chosen."""
WORTHWHILE = 0.001
"""What doubling a width or a rate has to gain to matter."""

MOST_DISTANCE, LEAST_PROJECTED = 0.5, 0.8
"""When Evidence III's penalty is applied: the distance to a multiple of a unitary matrix over that without the penalty,
and IA(E_i W^T) / IA(E_i)."""


def learner(model: str, options: Mapping[str, object]) -> str:
    """What has learning rates of its own: the model, with where its DNN stands if not where it was published to:
    "dcnv2", "dcnv2 alone"."""
    return f"{model} {options['dnn']}" if options.get("dnn") else model


@dataclass(frozen=True)
class LogRegime:
    """What was chosen for a log.

    hidden: the width of both hidden layers. rates: learning rates by `learner`, of the base size, of larger single and
    of multi embeddings, chosen at 4x.
    unitary: the weight of Evidence III's penalty by size, see `paper_code.runs.choices`.
    """

    batch_size: int
    hidden: int
    rates: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    unitary: dict[int, float] = field(default_factory=dict)

    def learning_rate(self, learner: str, scale: int, num_sets: int) -> float:
        """scale: of the embedding size."""
        base, single, multi = self.rates.get(learner, (DEFAULT_RATE,) * 3)
        return multi if num_sets > 1 else single if scale > 1 else base


DEFAULT_RATE = 2e-3
"""For a model or log for which none was chosen."""


def default_regime(num_fields: int) -> LogRegime:
    """For a log for which nothing was chosen: the narrowest hidden layers that are as wide as ten values per field."""
    return LogRegime(512, next((width for width in WIDTHS if width >= 10 * num_fields), WIDTHS[-1]))


REGIMES = {
    "criteo_like": LogRegime(
        batch_size=512,
        hidden=400,
        rates={
            "dnn": (8e-3, 4e-3, 4e-3),
            "ipnn": (8e-3, 8e-3, 8e-3),
            "nfwfm": (8e-3, 8e-3, 8e-3),
            "xdeepfm": (8e-3, 4e-3, 4e-3),
            "dcnv2": (8e-3, 8e-3, 4e-3),
            "finalmlp": (16e-3, 8e-3, 16e-3),
            "ffm": (2e-3, 2e-3, 2e-3),
        },
    ),
    "criteo_80k": LogRegime(
        batch_size=128,
        hidden=400,
        rates={"dnn": (8e-3, 2e-3, 2e-3), "dcnv2": (8e-3, 8e-3, 8e-3), "ffm": (5e-4, 5e-4, 5e-4)},
    ),
    "avazu_like": LogRegime(batch_size=256, hidden=256),
    "movielens": LogRegime(batch_size=2048, hidden=128),
}
