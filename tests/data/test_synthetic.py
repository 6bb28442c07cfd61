"""The synthetic logs are what their definition says, checked by counting rows and by slow code of its own.

Statistical tolerances are stated in standard errors; seeds are fixed, so a test that passes keeps passing.
"""

import hashlib
from collections import Counter

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chisquare
from sklearn.metrics import roc_auc_score

from paper_code.data import SYNTHETIC_LOGS
from paper_code.data.synthetic import (
    AVAZU_LIKE,
    CRITEO_LIKE,
    Entity,
    World,
    draw_tree,
    draw_zipf,
    encode_columns,
    mean_click_probability,
)

FIELDS = {
    "criteo_like": {
        *("user_0", "user_1", "user_2", "device_0", "device_1", "ad_0", "ad_1", "ad_2", "ad_3"),
        *("site_0", "site_2", "hour", "position", "counter"),
    },
    "avazu_like": {
        *("address", "user_2", "device_0", "device_1", "ad_0", "ad_1", "ad_2", "ad_3"),
        *("site_0", "site_1", "site_2", "hour", "position"),
    },
}
# nodes, coarse to fine
TREES = {
    "criteo_like": {"user": [12, 45, 3_000], "ad": [10, 24, 150, 900], "site": [6, 18, 450], "device": [5, 90]},
    "avazu_like": {"user": [12, 44, 2_050], "ad": [9, 18, 126, 765], "site": [20, 147, 440], "device": [4, 265]},
}
# the most ids a field can have beside the shared one
NODES = {
    "criteo_like": {
        **{"user_0": 12, "user_1": 45, "user_2": 3_000, "device_0": 5, "device_1": 90},
        **{"ad_0": 10, "ad_1": 24, "ad_2": 150, "ad_3": 900, "site_0": 6, "site_2": 450},
        **{"hour": 24, "position": 4, "counter": 37},  # floor(6 c) + 20 for c in [-3, 3]: 2 to 38
    },
    "avazu_like": {
        **{"address": 6_150, "user_2": 2_050, "device_0": 4, "device_1": 265},
        **{"ad_0": 9, "ad_1": 18, "ad_2": 126, "ad_3": 765, "site_0": 20, "site_1": 147, "site_2": 440},
        **{"hour": 24, "position": 4},
    },
}
THRESHOLD = {"criteo_like": 10, "avazu_like": 3}
CLICK_RATE = {"criteo_like": 0.256, "avazu_like": 0.17}
DEFINITIONS = {"criteo_like": CRITEO_LIKE, "avazu_like": AVAZU_LIKE}


@pytest.fixture(scope="module", params=["criteo_like", "avazu_like"])
def full_log(request):
    """The log at its full size, seed 0."""
    return SYNTHETIC_LOGS[request.param](0)


@pytest.fixture(scope="module", params=["criteo_like", "avazu_like"])
def small_log(request):
    return SYNTHETIC_LOGS[request.param](0, rows=20_000, test_rows=5_000)


@pytest.fixture(scope="module", params=["criteo_like", "avazu_like"])
def sample(request):
    """A world and the raw values of 150,000 impressions in it."""
    world = World(DEFINITIONS[request.param], np.random.default_rng(3))
    return world, world.impressions(150_000, np.random.default_rng(4))


def column(log, name: str) -> np.ndarray:
    return log.ids[:, [field.name for field in log.fields].index(name)]


def assert_drawn_from(values: np.ndarray, probabilities: np.ndarray) -> None:
    """Chi-square test at 1e-4; cells that expect fewer than 10 draws count as one."""
    counts = np.bincount(values, minlength=len(probabilities))
    assert len(counts) == len(probabilities)
    expected = probabilities / probabilities.sum() * len(values)
    rare = expected < 10
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert chisquare(counts, expected).pvalue > 1e-4


def zipf(values: int, exponent: float, shift: int) -> np.ndarray:
    weights = np.array([1 / (rank + shift) ** exponent for rank in range(1, values + 1)])
    return weights / weights.sum()


# The log as a whole


def test_fields(full_log):
    assert {field.name for field in full_log.fields} == FIELDS[full_log.name]
    assert full_log.cardinalities == sorted(full_log.cardinalities)
    for field in full_log.fields:
        assert field.cardinality <= NODES[full_log.name][field.name] + 1
    assert full_log.ids.dtype == np.int32
    assert full_log.ids.shape == (600_000, len(full_log.fields))


def test_cardinalities_are_from_5_to_6_200(full_log):
    """The paper's Table 2: 45.8 million rows over 1.09 million values on Criteo, 40.4 over 2.02 million on Avazu."""
    assert full_log.cardinalities[0] == 5
    assert full_log.cardinalities[-1] == {"criteo_like": 3_001, "avazu_like": 6_151}[full_log.name]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "rows_per_value"), [("criteo_like", 42), ("avazu_like", 20)])
def test_200_000_rows_have_as_many_rows_per_value_as_the_log_imitated(name, rows_per_value, seed):
    log = SYNTHETIC_LOGS[name](seed, rows=200_000, test_rows=0)
    assert log.rows / sum(log.cardinalities) == pytest.approx(rows_per_value, rel=0.01)


def test_ids_are_below_the_cardinality_and_all_but_the_shared_one_occur(full_log):
    for ids, field in zip(full_log.ids.T, full_log.fields, strict=True):
        found = np.unique(ids[:400_000])
        assert found[-1] == field.cardinality - 1
        assert len(found) == field.cardinality - (found[0] != 0)
        assert ids.min() >= 0
        assert ids.max() < field.cardinality


def test_click_rate(full_log):
    """The mean click probability of the first rows is the rate; the labels stray by four standard errors at most."""
    rate = CLICK_RATE[full_log.name]
    assert set(np.unique(full_log.labels)) == {0, 1}
    assert full_log.labels.dtype == np.uint8
    assert full_log.click_probability[:400_000].mean(dtype=np.float64) == pytest.approx(rate, abs=1e-6)
    for part in (full_log.labels[:400_000], full_log.labels[400_000:]):
        assert part.mean() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / len(part)) ** 0.5)


def test_bayes_auc_is_about_080(full_log):
    assert roc_auc_score(full_log.labels, full_log.click_probability) == pytest.approx(0.80, abs=0.02)


def test_labels_follow_the_click_probability(full_log):
    """In every fiftieth of the rows by probability the clicks are as many as expected, in both parts."""
    for rows in (np.arange(400_000), np.arange(400_000, 600_000)):
        probability = full_log.click_probability[rows].astype(np.float64)
        z = []
        for part in np.array_split(np.argsort(probability), 50):
            p = probability[part]
            z.append((full_log.labels[rows][part].sum() - p.sum()) / (p * (1 - p)).sum() ** 0.5)
        assert np.abs(z).max() < 4.5
        assert np.square(z).sum() < 50 + 4 * 100**0.5  # chi-square with 50 degrees of freedom


def test_no_single_field_tells_much(full_log):
    """The label needs interactions: the best single field, its click rates known, stays far below the Bayes AUC."""
    for ids, field in zip(full_log.ids.T, full_log.fields, strict=True):
        ids, labels = ids[:400_000], full_log.labels[:400_000]
        counts = np.bincount(ids, minlength=field.cardinality)
        rates = np.bincount(ids, labels, minlength=field.cardinality) / counts.clip(min=1)
        if field.cardinality < 2_000:  # rates of rare ids would fit their own labels
            assert roc_auc_score(labels, rates[ids]) < 0.72


# Seeds and sizes


@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
def test_the_same_seed_gives_the_same_bits(name):
    first, again, other = (SYNTHETIC_LOGS[name](seed, rows=2_000, test_rows=500) for seed in (5, 5, 6))
    assert first.fields == again.fields
    assert first.fingerprint == again.fingerprint != other.fingerprint
    for array in ("ids", "labels", "click_probability"):
        assert np.array_equal(getattr(first, array), getattr(again, array))
    assert not np.array_equal(first.labels, other.labels)
    # another seed is another world, not only other rows of it
    assert abs(first.click_probability[:100] - other.click_probability[:100]).max() > 0.1


@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
def test_the_global_random_state_does_not_matter(name):
    np.random.seed(0)  # noqa: NPY002
    first = SYNTHETIC_LOGS[name](1, rows=100, test_rows=0)
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(first.ids, SYNTHETIC_LOGS[name](1, rows=100, test_rows=0).ids)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("criteo_like", "8db60732bdde720c"), ("avazu_like", "b120dc5ba4a81363")],
)
def test_the_ids_of_a_seed_stay_what_they_are(name, expected):
    """A record names its log by seed and sizes only: a change here would make every stored record stale."""
    ids = SYNTHETIC_LOGS[name](0, rows=5_000, test_rows=1_000).ids
    assert hashlib.sha256(ids.astype("<i4").tobytes()).hexdigest()[:16] == expected


# What can be varied


@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
def test_the_usual_variation_is_the_usual_log(name):
    usual = SYNTHETIC_LOGS[name](1, 3_000, 500)
    said = SYNTHETIC_LOGS[name](1, 3_000, 500, noise=0.3, patterns=3, latent_size=6, vocabulary=None)
    assert np.array_equal(usual.ids, said.ids)
    assert np.array_equal(usual.labels, said.labels)
    assert usual.source == said.source == {"generator": name, "seed": 1}


@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
def test_noise_lowers_the_bayes_auc_and_changes_neither_ids_nor_click_rate(name):
    logs = [SYNTHETIC_LOGS[name](1, 30_000, 0, noise=noise) for noise in (0.0, 0.3, 2.0)]
    aucs = [roc_auc_score(log.labels, log.click_probability) for log in logs]
    assert aucs[0] > aucs[1] > aucs[2] + 0.05
    for log in logs:
        assert np.array_equal(log.ids, logs[0].ids)
        assert log.labels.mean() == pytest.approx(CLICK_RATE[name], abs=0.01)
        assert log.click_probability.mean() == pytest.approx(CLICK_RATE[name], abs=1e-3)
    assert logs[2].source["noise"] == 2.0


def test_the_click_probability_is_that_of_labels_drawn_again_and_again():
    """The noise of a row averaged out, against 20,000 draws for each of 50 logits."""
    logits = np.linspace(-3, 3, 50)
    draws = np.random.default_rng(0).standard_normal((20_000, 1))
    expected = (1 / (1 + np.exp(-(logits + 2.0 * draws)))).mean(axis=0)
    assert np.abs(mean_click_probability(logits, 2.0) - expected).max() < 0.004


@pytest.mark.parametrize("patterns", [1, 9])
def test_the_number_of_patterns_is_that_of_the_bilinear_forms(patterns):
    world = World(CRITEO_LIKE, np.random.default_rng(0), patterns)
    assert {len(forms) for forms in world.forms.values()} == {patterns}
    assert world.pattern_logits.shape == (450, patterns)
    log = SYNTHETIC_LOGS["criteo_like"](0, 3_000, 0, patterns=patterns)
    assert roc_auc_score(log.labels, log.click_probability) > 0.7
    assert log.source["patterns"] == patterns


def test_a_larger_latent_size_leaves_the_variance_of_the_interactions():
    """And of the patterns' logits; means over 20 worlds, whose sums of squares are those of a bilinear form."""
    squares = {6: [], 24: []}
    for size, found in squares.items():
        for seed in range(20):
            world = World(CRITEO_LIKE, np.random.default_rng(seed), latent_size=size)
            _, interactions = world.effects(world.impressions(2_000, np.random.default_rng(seed)))
            found.append([np.square(interactions).mean(), np.square(world.pattern_logits).mean()])
    np.testing.assert_allclose(np.mean(squares[24], axis=0), np.mean(squares[6], axis=0), rtol=0.25)
    log = SYNTHETIC_LOGS["criteo_like"](0, 3_000, 0, latent_size=24)
    assert log.source["latent_size"] == 24
    assert roc_auc_score(log.labels, log.click_probability) > 0.7


@pytest.mark.parametrize("vocabulary", ["train", "all"])
def test_the_vocabulary_is_counted_on_the_rows_asked_for(vocabulary):
    """The rows are the same; every id of its own occurs often enough among those counted, no other value does."""
    log = SYNTHETIC_LOGS["avazu_like"](4, 9_000, 5_000, vocabulary=vocabulary)
    counted = log.split(4).train if vocabulary == "train" else np.arange(10_000)
    for ids, field in zip(log.ids.T, log.fields, strict=True):
        counts = np.bincount(ids[counted], minlength=field.cardinality)[1:]
        assert counts.min() >= 3
        assert (np.diff(counts) <= 0).all()
    usual = SYNTHETIC_LOGS["avazu_like"](4, 9_000, 5_000)
    assert np.array_equal(log.labels, usual.labels)
    more = sum(log.cardinalities) - sum(usual.cardinalities)
    assert more < 0 if vocabulary == "train" else more > 0


@pytest.mark.parametrize(
    ("variation", "words"),
    [
        ({"noise": -1.0}, "noise=-1.0"),
        ({"patterns": 0}, "patterns=0"),
        ({"latent_size": 0}, "latent_size=0"),
        ({"vocabulary": "test"}, "'test'.*train, all"),
    ],
)
def test_what_cannot_be_generated_is_refused(variation, words):
    with pytest.raises(ValueError, match=words):
        SYNTHETIC_LOGS["criteo_like"](0, 1_000, 0, **variation)


@pytest.mark.parametrize("attribute", ["ids", "click_probability", "cardinalities"])
@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
@pytest.mark.parametrize("vocabulary", [None, "train"])
def test_the_first_rows_do_not_depend_on_how_many_are_drawn_for_the_test(name, attribute, vocabulary):
    """Without a sample for the test the split has a test part, so there are fewer training rows to count values on."""
    fewest = 10 if vocabulary else 0
    alone, few, many = (
        SYNTHETIC_LOGS[name](2, rows=3_000, test_rows=n, vocabulary=vocabulary) for n in (fewest, 20, 2_000)
    )
    for other in (few, many):
        assert np.array_equal(getattr(alone, attribute)[:3_000], getattr(other, attribute)[:3_000])


def test_the_split_is_8_to_1_and_the_fresh_rows(small_log):
    assert small_log.rows == 25_000
    split = small_log.split(0)
    assert len(split.train) == 17_777
    assert len(split.validation) == 2_223
    assert split.test.tolist() == list(range(20_000, 25_000))
    assert sorted([*split.train, *split.validation]) == list(range(20_000))


def test_the_test_rows_are_new_rows_of_the_same_world(small_log):
    first, fresh = small_log.ids[:20_000], small_log.ids[20_000:]
    assert not np.array_equal(first[:5_000], fresh)
    probability = small_log.click_probability.astype(np.float64)
    spread = probability.std()
    difference = probability[:20_000].mean() - probability[20_000:].mean()
    assert abs(difference) < 4 * spread * (1 / 20_000 + 1 / 5_000) ** 0.5
    assert roc_auc_score(small_log.labels[20_000:], probability[20_000:]) > 0.75


@pytest.mark.parametrize(("rows", "test_rows"), [(9, 0), (0, 100), (-5, 0), (100, -1)])
def test_impossible_sizes_are_refused_by_name(rows, test_rows):
    with pytest.raises(ValueError, match=f"rows={rows}, test_rows={test_rows}"):
        SYNTHETIC_LOGS["criteo_like"](0, rows, test_rows)


# Encoding


def test_encoding_equals_a_dictionary_of_counts():
    rng = np.random.default_rng(0)
    columns = {"a": rng.integers(50, size=300) ** 2, "b": rng.integers(3, size=300), "c": np.arange(300)}
    ids, cardinalities = encode_columns(columns, slice(200), threshold=4)
    for name, values in columns.items():
        counts = Counter(values[:200].tolist())
        kept = sorted((value for value in counts if counts[value] >= 4), key=lambda value: (-counts[value], value))
        assert cardinalities[name] == len(kept) + 1
        assert ids[name].tolist() == [kept.index(value) + 1 if value in kept else 0 for value in values.tolist()]


def test_rare_values_are_counted_on_the_first_rows_only(small_log):
    """Every id of its own occurs often enough among the first rows, more frequent ones first; the rest share id 0."""
    assert small_log.threshold == THRESHOLD[small_log.name]
    for ids, field in zip(small_log.ids.T, small_log.fields, strict=True):
        counts = np.bincount(ids[:20_000], minlength=field.cardinality)[1:]
        assert counts.min() >= small_log.threshold
        assert (np.diff(counts) <= 0).all()
    largest = small_log.ids[:, -1]
    assert (largest[:20_000] == 0).any()
    assert (largest[20_000:] == 0).any()


def coarse_and_fine(name: str) -> list[tuple[str, str]]:
    pairs = [("device_0", "device_1"), ("ad_0", "ad_1"), ("ad_1", "ad_2"), ("ad_2", "ad_3"), ("device_1", "user_2")]
    if name == "criteo_like":
        return [*pairs, ("user_0", "user_1"), ("user_1", "user_2"), ("site_0", "site_2")]
    return [*pairs, ("site_0", "site_1"), ("site_1", "site_2"), ("user_2", "address")]


def test_coarse_fields_are_functions_of_fine_ones(full_log):
    """Trees: whoever knows the fine id, if it is one of its own, knows the coarse one. A user has one device."""
    for coarse, fine in coarse_and_fine(full_log.name):
        fine_ids, coarse_ids = column(full_log, fine), column(full_log, coarse)
        coarse_of_fine = np.full(fine_ids.max() + 1, -1)
        coarse_of_fine[fine_ids] = coarse_ids
        own = fine_ids > 0
        assert np.array_equal(coarse_of_fine[fine_ids[own]], coarse_ids[own]), (coarse, fine)
        # and it is coarser: several fine ids share a coarse one
        assert len(np.unique(coarse_of_fine[1:])) < 0.7 * len(coarse_of_fine), (coarse, fine)


# Trees


def test_the_trees_of_the_definition(sample):
    world, _ = sample
    for entity, nodes in TREES[world.definition.name].items():
        ancestors = world.trees[entity].ancestors
        assert ancestors.shape == (nodes[-1], len(nodes))
        for level, of_level in enumerate(nodes):
            assert 0 <= ancestors[:, level].min() <= ancestors[:, level].max() < of_level
        assert np.array_equal(ancestors[:, -1], np.arange(len(ancestors)))
        assert world.trees[entity].latents.shape == (nodes[-1], 6)
        assert sum(world.definition.entities[entity].variance_shares) == pytest.approx(1)
        assert sum(world.definition.entities[entity].bias_shares) == pytest.approx(1)
        for level in range(1, ancestors.shape[1]):  # a tree: a node has one parent
            edges = np.unique(ancestors[:, level - 1 : level + 1], axis=0)
            assert len(edges) == len(np.unique(edges[:, 1]))


def variance_within(values: np.ndarray, groups: np.ndarray) -> tuple[float, int]:
    """Pooled variance (leaves, size) around the means of the groups, and its degrees of freedom."""
    _, group = np.unique(groups, return_inverse=True)
    counts = np.bincount(group)
    means = np.stack([np.bincount(group, column) for column in values.T], axis=1) / counts[:, None]
    degrees = (len(values) - len(counts)) * values.shape[1]
    return np.square(values - means[group]).sum() / degrees, degrees


@pytest.mark.parametrize("what", ["latents", "biases"])
def test_every_level_has_its_share_of_the_variance(what):
    """Within a level's nodes the variance is the sum of the shares of the levels below it, within nothing it is 1.

    One leaf stands for each node of the level in question, so that those compared are independent given their common
    ancestor. The variance of n Gaussian draws has the relative standard error sqrt(2 / n); four of them are allowed.
    """
    shares = {"latents": (0.5, 0.35, 0.15), "biases": (0.2, 0.3, 0.5)}
    entity = Entity((3_000, 20_000, 60_000), shares["latents"], shares["biases"])
    tree = draw_tree(entity, np.random.default_rng(0))
    values = getattr(tree, what).reshape(60_000, -1)
    above = np.column_stack([np.zeros(60_000, dtype=int), tree.ancestors])  # level 0 has one common ancestor
    for level in range(3):
        _, one_leaf_per_node = np.unique(above[:, level + 1], return_index=True)
        found, degrees = variance_within(values[one_leaf_per_node], above[one_leaf_per_node, level])
        assert found == pytest.approx(sum(shares[what][level:]), rel=4 * (2 / degrees) ** 0.5)
        assert degrees > 1_500  # so that four standard errors tell the shares apart


def test_children_pick_their_parents_by_zipf_08():
    tree = draw_tree(Entity((40, 50_000), (0.5, 0.5), (0.5, 0.5)), np.random.default_rng(1))
    assert_drawn_from(tree.ancestors[:, 0], zipf(40, 0.8, 0))


@pytest.mark.parametrize(("values", "exponent", "shift"), [(10, 0.7, 5), (300, 1.1, 0), (1_500, 1.3, 2), (1, 1.0, 0)])
def test_zipf_draws_have_their_frequencies(values, exponent, shift):
    draws = draw_zipf(values, exponent, shift, 100_000, np.random.default_rng(0))
    assert draws.min() >= 0
    if values > 1:
        assert_drawn_from(draws, zipf(values, exponent, shift))
    else:
        assert draws.max() == 0


# Impressions


def test_users_come_by_zipf(sample):
    world, columns = sample
    exponent = {"criteo_like": 0.7, "avazu_like": 0.6}[world.definition.name]
    assert_drawn_from(columns["user"], zipf(NODES[world.definition.name]["user_2"], exponent, 5))


def test_a_user_owns_one_device_by_zipf_11(sample):
    world, columns = sample
    devices = {}
    for user, device in zip(columns["user"].tolist(), columns["device"].tolist(), strict=True):
        assert devices.setdefault(user, device) == device
    assert_drawn_from(world.device_of_user, zipf(NODES[world.definition.name]["device_1"], 1.1, 0))


@pytest.mark.parametrize(("shown", "given"), [("site", "user"), ("ad", "site")])
def test_half_of_what_is_shown_is_targeted_at_the_coarsest_group(sample, shown, given):
    """Given the group, the rank of what is shown is Zipf under the group's own order half of the time, else under the
    common one: so the shares mix half and half."""
    world, columns = sample
    exponents = {"criteo_like": {"ad": 1.05, "site": 1.1}, "avazu_like": {"ad": 1.0, "site": 1.3}}
    of_rank = getattr(world, f"{shown}_of_rank")
    by_rank = zipf(of_rank.shape[1], exponents[world.definition.name][shown], 2)
    groups = world.trees[given].ancestors[columns[given], 0]
    assert len(of_rank) == 1 + world.definition.entities[given].nodes[0]
    for group in np.unique(groups):
        expected = np.zeros(len(by_rank))
        expected[of_rank[0]] += by_rank / 2
        expected[of_rank[1 + group]] += by_rank / 2
        assert_drawn_from(columns[shown][groups == group], expected)


def test_hours(sample):
    _, columns = sample
    assert_drawn_from(columns["hour"], np.array([1 + 0.6 * np.sin(2 * np.pi * h / 24) for h in range(24)]))


def test_position_is_the_sites_own_in_80_percent_of_the_rows(sample):
    """Uniform otherwise, so a row shows its site's own with probability .8 + .2 / 4 and each other with .05."""
    world, columns = sample
    own = world.position_of_site[columns["site"]]
    assert_drawn_from((columns["position"] - own) % 4, np.array([0.85, 0.05, 0.05, 0.05]))
    assert_drawn_from(world.position_of_site, np.array([0.6, 0.25, 0.1, 0.05]))


def test_counter_and_address(sample):
    world, columns = sample
    rng = np.random.default_rng(9)
    biases = world.trees["user"].biases[columns["user"]]
    other_draw = np.floor(6 * np.clip(biases + 0.7 * rng.standard_normal(len(biases)), -3, 3)) + 20
    difference = columns["counter"] - other_draw
    assert abs(difference.mean()) < 4 * difference.std() / len(difference) ** 0.5
    assert columns["counter"].std() == pytest.approx(other_draw.std(), rel=0.01)
    assert columns["counter"].min() >= 2
    assert columns["counter"].max() <= 38
    # the noise about the user's bias is 0.7, counted in sixths
    inside = np.abs(biases) < 1
    residual = (columns["counter"] - 20 + 0.5) / 6 - biases
    assert residual[inside].std() == pytest.approx(0.7, rel=0.02)
    assert np.array_equal(columns["address"] // 3, columns["user"])
    assert_drawn_from(columns["address"] % 3, np.ones(3))


# Labels


PAIRS = {
    **{("user", "ad"): 1.0, ("user", "site"): 0.7, ("ad", "site"): 0.7, ("device", "ad"): 0.5},
    **{("hour", "ad"): 0.4, ("position", "ad"): 0.4, ("position", "site"): 0.3},
}


def find_form(world, first: str, second: str) -> np.ndarray:
    """The bilinear forms (patterns, 6, 6) that take the first entity's latent from the left."""
    if (first, second) in world.forms:
        return world.forms[first, second]
    return world.forms[second, first].transpose(0, 2, 1)


def test_effects_equal_the_definition_row_by_row(sample):
    world, columns = sample
    rows = {name: values[:60] for name, values in columns.items()}
    main, interactions = world.effects(rows)
    for row in range(60):
        latent = {name: world.latents[name][rows[name][row]] for name in world.latents}
        bias = {name: world.trees[name].biases[rows[name][row]] for name in world.trees}
        expected = bias["user"] + bias["ad"] + 0.8 * bias["site"] + 0.4 * bias["device"]
        expected += 0.3 * latent["hour"][0] + 0.5 * latent["position"][0]
        assert main[row] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        weights = np.exp(world.pattern_logits[rows["site"][row]])
        expected = 0.0
        for (first, second), weight in PAIRS.items():
            for pattern in range(3):
                form = find_form(world, first, second)[pattern]
                value = sum(latent[first][x] * form[x, y] * latent[second][y] for x in range(6) for y in range(6))
                expected += weight * weights[pattern] / weights.sum() * value
        assert interactions[row] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_bilinear_forms_have_standard_deviation_one_sixth(sample):
    """756 Gaussian entries: the standard error of their standard deviation is 2.6 %."""
    world, _ = sample
    entries = np.concatenate([form.ravel() for form in world.forms.values()])
    assert entries.shape == (3 * 36 * len(PAIRS),)
    assert entries.std() == pytest.approx(1 / 6, rel=0.1)
    assert abs(entries.mean()) < 4 / 6 / len(entries) ** 0.5


def test_the_patterns_are_linear_in_the_sites_latents():
    """1.5 z A / sqrt(6): the entries of A, solved for over 40 worlds, are standard normal (3 % standard error)."""
    entries = []
    for seed in range(40):
        world = World(CRITEO_LIKE, np.random.default_rng(seed))
        matrix, residuals, *_ = np.linalg.lstsq(world.latents["site"], world.pattern_logits, rcond=None)
        assert residuals.max() < 1e-20
        entries.append(matrix * 6**0.5 / 1.5)
    assert np.std(entries) == pytest.approx(1, rel=0.12)
    assert abs(np.mean(entries)) < 4 / np.size(entries) ** 0.5


@pytest.mark.parametrize("name", SYNTHETIC_LOGS)
def test_click_probability_is_the_logistic_mean_of_the_standardised_effects(name):
    """logit = 0.9 main + 1.1 interactions + offset, averaged over N(0, 0.3^2) on a fine grid; the mean is the rate."""
    log = SYNTHETIC_LOGS[name](7, rows=4_000, test_rows=0)
    world = World(DEFINITIONS[name], np.random.default_rng([7, 0]))
    main, interactions = world.effects(world.impressions(4_000, np.random.default_rng([7, 1])))
    logits = 0.9 * (main - main.mean()) / main.std() + 1.1 * (interactions - interactions.mean()) / interactions.std()
    grid = np.linspace(-6, 6, 301)
    density = np.exp(-(grid**2) / 2)

    def probability(offset: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(logits[:, None] + offset + 0.3 * grid))) @ density / density.sum()

    offset = brentq(lambda x: probability(x).mean() - CLICK_RATE[name], -10, 10)
    np.testing.assert_allclose(log.click_probability, probability(offset), atol=1e-6)


def test_the_mean_over_the_noise_is_that_of_many_draws():
    logits = np.array([-4.0, -1.0, 0.0, 2.5])
    noise = 0.3 * np.random.default_rng(0).standard_normal((400_000, 1))
    draws = 1 / (1 + np.exp(-(logits + noise)))
    errors = np.abs(mean_click_probability(logits) - draws.mean(axis=0))
    assert (errors < 4 * draws.std(axis=0) / len(draws) ** 0.5).all()
