"""Seeded synthetic click logs that imitate what makes Criteo and Avazu special.

Heavy-tailed ids, fields that are coarser copies of one another, cardinalities from 5 to 6,200, values that are read
seldom, and a label that needs interactions. The book's page "The synthetic logs" is the data card; nothing here was
chosen to make a claim of the paper come out.

Entities are sized so that 200,000 rows to train and validate on give as many rows per value, rows over the sum of
cardinalities, as the logs imitated: 42 for Criteo, 20 for Avazu. Seeds 0 to 9 have 42.0 to 42.1 and 20.1, and twice
that at 400,000 rows.
"""

from dataclasses import dataclass

import numpy as np

from paper_code.data.click_log import ClickLog, Field, rows_of_share, split_rows

LATENT_SIZE = 6
PATTERNS = 3
NOISE = 0.3
VOCABULARIES = ("train", "all")
INTERACTIONS = {
    ("user", "ad"): 1.0,
    ("user", "site"): 0.7,
    ("ad", "site"): 0.7,
    ("device", "ad"): 0.5,
    ("hour", "ad"): 0.4,
    ("position", "ad"): 0.4,
    ("position", "site"): 0.3,
}
POSITION_PROBABILITIES = (0.6, 0.25, 0.1, 0.05)


@dataclass(frozen=True)
class Entity:
    """A tree of nodes, coarse to fine: nodes per level and the share of each level in latent and bias variance."""

    nodes: tuple[int, ...]
    variance_shares: tuple[float, ...]
    bias_shares: tuple[float, ...]


@dataclass(frozen=True)
class Tree:
    """An entity drawn at random: ancestors (leaves, levels), latents (leaves, latent size) and biases (leaves,)."""

    ancestors: np.ndarray
    latents: np.ndarray
    biases: np.ndarray


@dataclass(frozen=True)
class LogDefinition:
    """What distinguishes one synthetic log from another."""

    name: str
    entities: dict[str, Entity]
    exponents: dict[str, float]
    fields: tuple[str, ...]
    click_rate: float
    threshold: int


CRITEO_LIKE = LogDefinition(
    name="criteo_like",
    entities={
        "user": Entity((12, 45, 3_000), (0.50, 0.35, 0.15), (0.30, 0.30, 0.40)),
        "ad": Entity((10, 24, 150, 900), (0.4, 0.3, 0.2, 0.1), (0.25, 0.25, 0.25, 0.25)),
        "site": Entity((6, 18, 450), (0.5, 0.3, 0.2), (0.35, 0.30, 0.35)),
        "device": Entity((5, 90), (0.5, 0.5), (0.5, 0.5)),
    },
    exponents={"user": 0.7, "ad": 1.05, "site": 1.1},
    fields=(
        *("user_0", "user_1", "user_2", "device_0", "device_1", "ad_0", "ad_1", "ad_2", "ad_3"),
        *("site_0", "site_2", "hour", "position", "counter"),
    ),
    click_rate=0.256,
    threshold=10,
)

AVAZU_LIKE = LogDefinition(
    name="avazu_like",
    entities={
        "user": Entity((12, 44, 2_050), (0.50, 0.35, 0.15), (0.30, 0.30, 0.40)),
        "ad": Entity((9, 18, 126, 765), (0.4, 0.3, 0.2, 0.1), (0.25, 0.25, 0.25, 0.25)),
        "site": Entity((20, 147, 440), (0.5, 0.4, 0.1), (0.35, 0.45, 0.20)),
        "device": Entity((4, 265), (0.5, 0.5), (0.5, 0.5)),
    },
    exponents={"user": 0.6, "ad": 1.0, "site": 1.3},
    fields=(
        *("address", "user_2", "device_0", "device_1", "ad_0", "ad_1", "ad_2", "ad_3"),
        *("site_0", "site_1", "site_2", "hour", "position"),
    ),
    click_rate=0.17,
    threshold=3,
)


def criteo_like(seed: int, rows: int = 400_000, test_rows: int = 200_000, **variation) -> ClickLog:
    """A log of 14 fields in the manner of Criteo: `rows` to train and validate on, `test_rows` more to test on.

    variation: see `generate`.
    """
    return generate(CRITEO_LIKE, seed, rows, test_rows, **variation)


def avazu_like(seed: int, rows: int = 400_000, test_rows: int = 200_000, **variation) -> ClickLog:
    """A log of 13 fields in the manner of Avazu: `rows` to train and validate on, `test_rows` more to test on.

    variation: see `generate`.
    """
    return generate(AVAZU_LIKE, seed, rows, test_rows, **variation)


def generate(
    definition: LogDefinition,
    seed: int,
    rows: int,
    test_rows: int,
    *,
    noise: float = NOISE,
    patterns: int = PATTERNS,
    latent_size: int = LATENT_SIZE,
    vocabulary: str | None = None,
) -> ClickLog:
    """Draw a world from the seed, then its impressions and clicks.

    noise: standard deviation of a row's own noise on its logit. patterns: P, of interactions. latent_size: of the
    latent vectors; the interactions have the same variance at any. vocabulary: the rows that values are counted on:
    "train", the training rows of the split by the same seed; "all", as many rows of the test sample as there are
    validation rows too, as in a log split 8:1:1; None: all but the test sample.

    Click probabilities of the first `rows` do not depend on `test_rows`, nor do their fields unless the vocabulary is
    "all"; their clicks do.

    The `click_probability` of the log is that given all that the fields can tell: the row's own noise, which no model
    can see, is averaged out, so its AUC is the Bayes AUC.
    """
    if rows < 10 or test_rows < 0:
        raise ValueError(f"rows={rows}, test_rows={test_rows}: expected at least 10 rows and no negative number")
    if noise < 0 or patterns < 1 or latent_size < 1:
        raise ValueError(
            f"noise={noise}, patterns={patterns}, latent_size={latent_size}: expected no negative noise, at least one "
            "pattern and a latent size of at least 1"
        )
    if vocabulary not in (None, *VOCABULARIES):
        raise ValueError(f"vocabulary is {vocabulary!r}, expected one of {', '.join(VOCABULARIES)} or None")
    world = World(definition, np.random.default_rng([seed, 0]), patterns, latent_size)
    parts = [world.impressions(rows, np.random.default_rng([seed, 1]))]
    if test_rows:
        parts.append(world.impressions(test_rows, np.random.default_rng([seed, 2])))
    effects = [world.effects(part) for part in parts]
    train_main, train_interactions = effects[0]
    logits = np.concatenate(
        [
            0.9 * (main - train_main.mean()) / train_main.std()
            + 1.1 * (interactions - train_interactions.mean()) / train_interactions.std()
            for main, interactions in effects
        ]
    )
    logits += offset_for_click_rate(logits[:rows], definition.click_rate, noise)
    click_probability = mean_click_probability(logits, noise)
    rng = np.random.default_rng([seed, 3])
    labels = rng.random(len(logits)) < sigmoid(logits + noise * rng.standard_normal(len(logits)))

    columns = {name: np.concatenate([part[name] for part in parts]) for name in definition.fields}
    if vocabulary == "train":
        counted = split_rows(rows + test_rows, seed, test_rows).train
    else:
        counted = slice(rows + (rows_of_share(rows, 1, 9) if vocabulary == "all" else 0))
    ids, cardinalities = encode_columns(columns, counted, definition.threshold)
    variation = {"noise": noise, "patterns": patterns, "latent_size": latent_size, "vocabulary": vocabulary}
    usual = {"noise": NOISE, "patterns": PATTERNS, "latent_size": LATENT_SIZE, "vocabulary": None}
    variation = {name: value for name, value in variation.items() if value != usual[name]}
    by_cardinality = sorted(definition.fields, key=cardinalities.get)
    return ClickLog(
        name=definition.name,
        fields=tuple(Field(name, cardinalities[name]) for name in by_cardinality),
        ids=np.stack([ids[name] for name in by_cardinality], axis=1),
        labels=labels.astype(np.uint8),
        threshold=definition.threshold,
        source={"generator": definition.name, "seed": seed} | variation,
        test_rows=test_rows,
        click_probability=click_probability.astype(np.float32),
    )


class World:
    """Everything that is drawn once: trees, who owns what, who is shown what, and the true interactions."""

    def __init__(
        self,
        definition: LogDefinition,
        rng: np.random.Generator,
        patterns: int = PATTERNS,
        latent_size: int = LATENT_SIZE,
    ):
        self.definition = definition
        self.trees = {name: draw_tree(entity, rng, latent_size) for name, entity in definition.entities.items()}
        self.latents = {name: tree.latents for name, tree in self.trees.items()}
        self.latents["hour"] = rng.standard_normal((24, latent_size))
        self.latents["position"] = rng.standard_normal((4, latent_size))
        users, devices, sites, ads = (len(self.latents[name]) for name in ("user", "device", "site", "ad"))
        self.device_of_user = draw_zipf(devices, 1.1, 0, users, rng)
        self.position_of_site = rng.choice(4, sites, p=POSITION_PROBABILITIES)
        user_groups, site_groups = (definition.entities[name].nodes[0] for name in ("user", "site"))
        # row 0 is the permutation common to all groups, row 1 + g that of group g
        self.site_of_rank = np.stack([rng.permutation(sites) for _ in range(1 + user_groups)])
        self.ad_of_rank = np.stack([rng.permutation(ads) for _ in range(1 + site_groups)])
        mixing = rng.standard_normal((latent_size, patterns))
        self.pattern_logits = 1.5 * self.latents["site"] @ mixing / np.sqrt(latent_size)
        shape = (patterns, latent_size, latent_size)
        self.forms = {pair: rng.standard_normal(shape) / latent_size for pair in INTERACTIONS}

    def impressions(self, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Columns of raw values: the leaf of every entity, and every field of both logs, each (rows,)."""
        exponents = self.definition.exponents
        users, sites, ads = (len(self.latents[name]) for name in ("user", "site", "ad"))
        user = draw_zipf(users, exponents["user"], 5, rows, rng)
        user_group = self.trees["user"].ancestors[user, 0]
        site_rank = draw_zipf(sites, exponents["site"], 2, rows, rng)
        site = self.site_of_rank[(1 + user_group) * (rng.random(rows) < 0.5), site_rank]
        site_group = self.trees["site"].ancestors[site, 0]
        ad_rank = draw_zipf(ads, exponents["ad"], 2, rows, rng)
        ad = self.ad_of_rank[(1 + site_group) * (rng.random(rows) < 0.5), ad_rank]
        hours = 1 + 0.6 * np.sin(2 * np.pi * np.arange(24) / 24)
        usual_position = rng.random(rows) < 0.8
        columns = {
            "user": user,
            "device": self.device_of_user[user],
            "site": site,
            "ad": ad,
            "hour": rng.choice(24, rows, p=hours / hours.sum()),
            "position": np.where(usual_position, self.position_of_site[site], rng.integers(4, size=rows)),
        }
        for name, tree in self.trees.items():
            for level in range(tree.ancestors.shape[1]):
                columns[f"{name}_{level}"] = tree.ancestors[columns[name], level]
        activity = self.trees["user"].biases[user] + 0.7 * rng.standard_normal(rows)
        columns["counter"] = np.floor(6 * np.clip(activity, -3, 3)).astype(np.int64) + 20
        columns["address"] = 3 * user + rng.integers(3, size=rows)
        return columns

    def effects(self, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Main effects and interactions of every row, not yet standardised, each (rows,)."""
        main = sum(
            weight * self.trees[name].biases[columns[name]]
            for name, weight in {"user": 1.0, "ad": 1.0, "site": 0.8, "device": 0.4}.items()
        )
        main = main + 0.3 * self.latents["hour"][columns["hour"], 0]
        main = main + 0.5 * self.latents["position"][columns["position"], 0]
        mixture = softmax(self.pattern_logits)[columns["site"]]
        interactions = np.zeros(len(main))
        for (first, second), weight in INTERACTIONS.items():
            left = np.einsum("nx,pxy->npy", self.latents[first], self.forms[first, second])[columns[first]]
            right = self.latents[second][columns[second]]
            by_pattern = (left @ right[:, :, None])[:, :, 0]
            interactions += weight * (by_pattern * mixture).sum(axis=1)
        return main, interactions


def draw_tree(entity: Entity, rng: np.random.Generator, latent_size: int = LATENT_SIZE) -> Tree:
    """Draw an entity: a child is its parent plus Gaussian noise and picks its parent by a Zipf(0.8) law."""
    ancestors = np.arange(entity.nodes[0])[:, None]
    latents, biases = np.zeros((1, latent_size)), np.zeros(1)
    parent = np.zeros(entity.nodes[0], dtype=np.int64)
    for level, nodes in enumerate(entity.nodes):
        if level:
            parent = draw_zipf(entity.nodes[level - 1], 0.8, 0, nodes, rng)
            ancestors = np.column_stack([ancestors[parent], np.arange(nodes)])
        spread, bias_spread = np.sqrt(entity.variance_shares[level]), np.sqrt(entity.bias_shares[level])
        latents = latents[parent] + spread * rng.standard_normal((nodes, latent_size))
        biases = biases[parent] + bias_spread * rng.standard_normal(nodes)
    return Tree(ancestors, latents, biases)


def draw_zipf(values: int, exponent: float, shift: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` draws from 0..values-1 with probability proportional to (1 + rank + shift) ** -exponent."""
    cumulative = np.cumsum((1.0 + shift + np.arange(values)) ** -exponent)
    return np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right").clip(max=values - 1)


def encode_columns(
    columns: dict[str, np.ndarray], counted: slice | np.ndarray, threshold: int
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Ids and cardinality of every column, as for the raw logs, counted on the rows `counted`.

    Id 0 is shared by the values seen fewer than `threshold` times; the others are 1, 2, ... by falling count.
    """
    ids, cardinalities = {}, {}
    for name, values in columns.items():
        counts = np.bincount(values[counted], minlength=values.max() + 1)
        kept = np.flatnonzero(counts >= threshold)
        kept = kept[np.argsort(-counts[kept], kind="stable")]
        id_of_value = np.zeros(len(counts), dtype=np.int32)
        id_of_value[kept] = np.arange(1, len(kept) + 1)
        ids[name], cardinalities[name] = id_of_value[values], len(kept) + 1
    return ids, cardinalities


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def mean_click_probability(logits: np.ndarray, noise: float = NOISE) -> np.ndarray:
    """The mean of sigmoid(logit + noise * N(0, 1)) over the row's noise, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    return sum(w * sigmoid(logits + noise * x) for x, w in zip(nodes, weights / weights.sum(), strict=True))


def offset_for_click_rate(logits: np.ndarray, click_rate: float, noise: float = NOISE) -> float:
    """The number to add to all logits so that the mean click probability is `click_rate`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if mean_click_probability(logits + middle, noise).mean() < click_rate else (low, middle)
        )
    return (low + high) / 2
