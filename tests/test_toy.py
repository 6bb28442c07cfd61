import dataclasses

import numpy as np
import pytest
import torch

from paper_code.toy import combined_feature, draw_world, gradient, gradient_terms, run_toy


def in_double(world):
    fields = {f.name: getattr(world, f.name) for f in dataclasses.fields(world)}
    return dataclasses.replace(world, **{k: v.double() for k, v in fields.items() if k != "x3"})


@pytest.mark.parametrize("third_cardinality", [3, 100])
def test_the_field_terms_of_section_4_1_sum_to_the_gradient(third_cardinality):
    world = in_double(draw_world(0, third_cardinality))
    torch.testing.assert_close(sum(gradient_terms(world).values()), gradient(world), rtol=1e-10, atol=1e-14)


def test_the_term_of_a_field_with_fewer_values_than_dimensions_has_its_rank():
    """The degeneration: with D_3 = 3 every row of theta_3 lies in the three dimensions that E_3 spans."""
    terms = gradient_terms(in_double(draw_world(0, 3)))
    assert torch.linalg.matrix_rank(terms[3]) == 3
    assert torch.linalg.matrix_rank(terms[2]) == 10


def test_the_combined_feature_is_the_sum_over_pairs_of_one_hot_products():
    """h = sum over i > j of 1_{x_i}' E_i E_j' 1_{x_j} for one row, written out."""
    world = in_double(draw_world(3, 5))
    x = (17, 42, world.x3[17, 42].item())
    tables = [world.e1, world.e2, world.e3]
    h = 0.0
    for i in range(3):
        for j in range(i):
            one_hot_i = torch.eye(len(tables[i]), dtype=torch.float64)[x[i]]
            one_hot_j = torch.eye(len(tables[j]), dtype=torch.float64)[x[j]]
            h += one_hot_i @ tables[i] @ tables[j].T @ one_hot_j
    torch.testing.assert_close(combined_feature(world.e1, world)[17, 42], h)


def test_training_is_plain_gradient_descent_on_e1():
    """The batched run equals torch.optim.SGD with learning rate 1 on the same world."""
    seeds = (4, 7)
    found = run_toy(3, seeds, iterations=30, points=3)
    for row, seed in enumerate(seeds):
        world = draw_world(seed, 3)
        e1 = world.e1.clone().requires_grad_()
        optimizer = torch.optim.SGD([e1], lr=1.0)
        for _ in range(30):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(combined_feature(e1, world), world.y)
            loss.backward()
            optimizer.step()
        expected = torch.linalg.svdvals(e1.detach())
        np.testing.assert_allclose(found.singular_values[row, -1], expected, rtol=1e-4)


def test_both_cases_of_a_seed_share_everything_but_field_3():
    small, large = draw_world(5, 3), draw_world(5, 100)
    for name in ("e1", "e2", "y"):
        assert torch.equal(getattr(small, name), getattr(large, name))
    assert small.x3.max() < 3
    assert large.x3.max() < 100


def test_the_world_is_that_of_appendix_a():
    world = draw_world(0, 100)
    assert world.x3.shape == world.y.shape == (100, 100)
    assert set(world.y.unique().tolist()) == {0.0, 1.0}
    assert abs(world.e1.mean()) < 0.15
    assert abs(world.e1.std() - 1) < 0.1


def test_the_same_seed_gives_the_same_bits():
    first, second = (run_toy(3, [1, 2], iterations=20, points=2) for _ in range(2))
    assert np.array_equal(first.singular_values, second.singular_values)


def test_result_shapes():
    result = run_toy(100, [0, 1, 2], iterations=20, points=4, embedding_size=6)
    assert result.iterations.tolist() == [0, 5, 10, 15, 20]
    assert result.singular_values.shape == (3, 5, 6)
    assert result.information_abundance.shape == (3, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"third_cardinality": 0}, "third_cardinality: expected at least 1"),
        ({"seeds": []}, "seeds: expected at least 1"),
        ({"iterations": 10, "points": 3}, "points=3 does not divide iterations=10"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        run_toy(**{"third_cardinality": 3, "iterations": 10, "points": 1} | arguments)
