"""Information abundance and its relatives keep the laws of Definition 1 on matrices of known spectrum."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.spectra import (
    effective_rank,
    effective_rank_of,
    energy_dimensions_of,
    information_abundance,
    information_abundance_of,
    random_information_abundance,
    random_singular_values,
    random_spectrum,
    singular_values,
    stable_rank,
    stable_rank_of,
    streamed_singular_values,
)

MEASURES = [information_abundance, effective_rank, stable_rank]
sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)
exponents = st.integers(-100, 100)


def orthonormal(rows: int, columns: int, seed: int) -> np.ndarray:
    """(rows, columns) with orthonormal columns, rows >= columns."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, columns)))[0]


def matrix_of_spectrum(spectrum, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """U diag(spectrum) V' with random orthonormal U (rows, k) and V (columns, k)."""
    k = len(spectrum)
    return orthonormal(rows, k, seed) * np.asarray(spectrum) @ orthonormal(columns, k, seed + 1).T


def gaussian(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (500, 10), (3, 40)])
def test_all_singular_values_equal_gives_the_number_of_dimensions(measure, rows, columns):
    k = min(rows, columns)
    matrix = orthonormal(max(rows, columns), k, seed=1)
    assert measure(matrix if rows >= columns else matrix.T) == pytest.approx(k, rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_rank_one_gives_one(measure):
    assert measure(np.outer(np.arange(1, 50), [1.0, -2.0, 3.0])) == pytest.approx(1, abs=1e-12)
    assert measure(np.full((4, 1), -3.0)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("spectrum", "abundance", "effective", "stable"),
    [
        ([4, 2, 1, 1], 2.0, 2 ** (1 / 2 + 2 / 4 + 3 / 8 + 3 / 8), (16 + 4 + 1 + 1) / 16),
        ([1, 1, 1, 0], 3.0, 3.0, 3.0),
        ([10, 0, 0], 1.0, 1.0, 1.0),
        ([3, 1], 4 / 3, np.exp(0.75 * np.log(4 / 3) + 0.25 * np.log(4)), 10 / 9),
    ],
)
def test_measures_of_known_spectra(spectrum, abundance, effective, stable):
    """Entropies in bits of (1/2, 1/4, 1/8, 1/8) and the like, by hand; the matrices have these spectra too."""
    matrix = matrix_of_spectrum(spectrum, 60, 6)
    for found, expected in [
        (information_abundance_of(spectrum), abundance),
        (effective_rank_of(spectrum), effective),
        (stable_rank_of(spectrum), stable),
        (information_abundance(matrix), abundance),
        (effective_rank(matrix), effective),
        (stable_rank(matrix), stable),
    ]:
        assert found == pytest.approx(expected, rel=1e-10)


def test_the_order_of_the_singular_values_does_not_matter():
    for measure in (information_abundance_of, effective_rank_of, stable_rank_of):
        assert measure([1, 5, 2]) == pytest.approx(measure([5, 2, 1]), rel=1e-14)


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, seeds)
def test_bounds(rows, columns, seed):
    """1 <= stable rank <= information abundance <= rank, and the effective rank lies between 1 and the rank."""
    matrix = gaussian(rows, columns, seed)
    most = min(rows, columns) * (1 + 1e-12)
    assert 1 <= stable_rank(matrix) <= information_abundance(matrix) * (1 + 1e-12) <= most * (1 + 1e-12)
    assert 1 - 1e-12 <= effective_rank(matrix) <= most


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, seeds, exponents, st.sampled_from(MEASURES))
def test_scale_does_not_matter(rows, columns, seed, exponent, measure):
    matrix = gaussian(rows, columns, seed)
    assert measure(-(10.0**exponent) * matrix) == pytest.approx(measure(matrix), rel=1e-10)


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, seeds, st.sampled_from(MEASURES))
def test_rotations_do_not_matter(rows, columns, seed, measure):
    """A change of basis in the embedding space, or of the values, leaves the measure."""
    matrix = gaussian(rows, columns, seed)
    rotated = orthonormal(rows, rows, seed + 1) @ matrix @ orthonormal(columns, columns, seed + 2)
    assert measure(rotated) == pytest.approx(measure(matrix), rel=1e-10)


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, seeds, st.sampled_from(MEASURES))
def test_a_matrix_and_its_transpose_agree(rows, columns, seed, measure):
    matrix = gaussian(rows, columns, seed)
    assert measure(matrix.T) == pytest.approx(measure(matrix), rel=1e-10)


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, seeds)
def test_zero_rows_and_columns_add_nothing(rows, columns, seed):
    matrix = gaussian(rows, columns, seed)
    padded = np.pad(matrix, ((0, 5), (2, 0)))
    for measure in MEASURES:
        assert measure(padded) == pytest.approx(measure(matrix), rel=1e-10)


@pytest.mark.parametrize(("rows", "columns"), [(190_000, 10), (10, 5_000), (300, 100), (1, 8), (8, 1), (1, 1)])
def test_singular_values_are_numpys(rows, columns):
    matrix = gaussian(rows, columns, 3)
    found = singular_values(matrix)
    assert found.dtype == np.float64
    assert found.shape == (min(rows, columns),)
    assert (np.diff(found) <= 0).all()
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False), rtol=1e-11)


@pytest.mark.parametrize("rows", [400, 11])
def test_small_singular_values_are_not_lost_by_squaring(rows):
    """Through E'E, whose condition is the square, nothing below 1e-8 would be left of this spectrum."""
    spectrum = 10.0 ** -np.arange(11)
    found = singular_values(matrix_of_spectrum(spectrum, rows, 11, seed=5))
    np.testing.assert_allclose(found, spectrum, rtol=1e-4)
    assert information_abundance_of(found) == pytest.approx(spectrum.sum(), rel=1e-12)


@pytest.mark.parametrize("measure", [*MEASURES, singular_values])
def test_arrays_and_tensors_give_the_same(measure):
    single = gaussian(50, 4, 0).astype(np.float32)
    double = single.astype(np.float64)
    expected = measure(double)
    for matrix in (
        single,
        np.asfortranarray(double),
        np.pad(double, 2)[2:-2, 2:-2],
        torch.from_numpy(single),
        torch.from_numpy(double),
        torch.from_numpy(double).requires_grad_(),
        torch.nn.Parameter(torch.from_numpy(single)),
        torch.from_numpy(double.T.copy()).T,
    ):
        np.testing.assert_allclose(measure(matrix), expected, rtol=1e-12)


def test_a_read_only_array_is_a_matrix_too():
    """As pandas and memory maps hand them out; PyTorch's warning of them, else given once a process, is an error."""
    matrix = gaussian(6, 3, 0)
    expected = information_abundance(matrix)
    matrix.flags.writeable = False
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        assert information_abundance(matrix) == expected
    finally:
        torch.set_warn_always(before)


def test_a_reversed_array_is_a_matrix_too():
    matrix = gaussian(6, 3, 0)
    assert information_abundance(matrix[::-1]) == pytest.approx(information_abundance(matrix), rel=1e-12)


def test_the_matrix_is_left_as_it_was():
    parameter = torch.nn.Parameter(torch.from_numpy(gaussian(20, 3, 0)))
    before = parameter.detach().clone()
    for measure in MEASURES:
        assert isinstance(measure(parameter), float)
    assert torch.equal(parameter, before)
    assert parameter.requires_grad
    assert parameter.grad is None


def test_whole_numbers_are_numbers():
    assert information_abundance(np.diag([2, 1])) == pytest.approx(1.5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (5,), (2, 3, 4), ()])
@pytest.mark.parametrize("measure", [*MEASURES, singular_values])
def test_what_is_no_matrix_is_refused_with_its_shape(measure, shape):
    shown = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"expected a matrix .* found shape {shown}"):
        measure(np.ones(shape))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("measure", [*MEASURES, singular_values])
def test_a_number_that_is_not_finite_is_named_by_its_place(measure, number):
    matrix = np.ones((7, 5))
    matrix[4, 2] = number
    with pytest.raises(ValueError, match=f"{number} in row 4, column 2"):
        measure(matrix)


@pytest.mark.parametrize("measure", MEASURES)
def test_zeros_have_no_measure(measure):
    with pytest.raises(
        ValueError, match=r"^every singular value is zero: a matrix of zeros has no information abundance or rank$"
    ):
        measure(np.zeros((4, 3)))


def test_zeros_have_singular_values():
    assert singular_values(np.zeros((4, 3))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("of", [information_abundance_of, effective_rank_of, stable_rank_of, energy_dimensions_of])
@pytest.mark.parametrize("values", [[], [1, -0.5], [1, np.nan], [np.inf, 1], [[1, 2]], [0, 0]])
def test_what_is_no_spectrum_is_refused(of, values):
    with pytest.raises(ValueError, match="singular value"):
        of(np.array(values, dtype=float))


@pytest.mark.parametrize("row_normalised", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(4, 10), (10, 10), (60, 4), (900, 20), (2, 2)])
def test_the_random_spectrum_is_the_mean_of_matrices_drawn(rows, columns, row_normalised):
    """Of other draws, within five standard errors: its information abundance is the mean of those of the draws."""
    matrices = np.random.default_rng(1).standard_normal((1000, rows, columns))
    if row_normalised:
        matrices /= np.sqrt((matrices**2).sum(axis=2, keepdims=True))
    values = np.linalg.svd(matrices, compute_uv=False)
    abundances = values.sum(axis=1) / values[:, 0]
    found = random_spectrum(rows, columns, row_normalised)
    assert found.shape == (min(rows, columns),)
    assert found[0] == 1
    draws = min(10_000, np.ceil(1_000_000 / (rows * columns)))
    error = abundances.std() * np.sqrt(1 / draws + 1 / 1000)
    assert abs(found.sum() - abundances.mean()) < 5 * error
    if not row_normalised:
        assert random_information_abundance(rows, columns) == pytest.approx(found.sum())


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (4, 10), (10, 10), (200, 10), (100, 100), (10_000, 100)])
def test_the_draws_of_the_random_spectrum_are_enough(rows, columns):
    """The standard error of its information abundance is below half a per cent."""
    draws = min(10_000, np.ceil(1_000_000 / (rows * columns)))
    values = random_singular_values(rows, columns, 50, seed=3)
    abundances = values.sum(axis=1) / values[:, 0]
    assert abundances.std() / np.sqrt(draws) < 0.005 * abundances.mean()


def test_a_random_matrix_is_hardly_collapsed_and_the_more_rows_the_less():
    """Definition 1's comparison: the spectrum of a tall random matrix is flat, so the measures are close to K."""
    found = [random_information_abundance(rows, 10) for rows in (10, 100, 1000, 20_000, 10_000_000)]
    assert found == sorted(found)
    assert 9.5 < found[3] < found[4] <= 10


def test_all_who_ask_for_a_random_spectrum_get_one_array_that_cannot_be_changed():
    assert random_spectrum(30, 5) is random_spectrum(30, 5)
    with pytest.raises(ValueError, match="read-only"):
        random_spectrum(30, 5)[0] = 2


def test_no_measure_of_an_array_imports_torch():
    code = (
        "import sys; from paper_code.spectra import information_abundance, random_information_abundance\n"
        "print(information_abundance([[1, 0], [0, 0.5]]), random_information_abundance(50, 4), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert float(found[0]) == 1.5
    assert 1 < float(found[1]) < 4
    assert found[2] == "False"


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize(("rows", "columns"), [(20_000, 10), (10, 500), (1_000, 64), (257, 64), (8, 1), (1, 1)])
@pytest.mark.parametrize("step", [7, 100, 1_000, 20_000])
def test_without_torch_the_whole_and_its_blocks_have_numpys_singular_values(rows, columns, step):
    """Also of a spectrum over twelve orders of magnitude."""
    matrix = gaussian(rows, columns, 3) * 10.0 ** -np.linspace(0, 12, columns)
    expected = np.linalg.svd(matrix, compute_uv=False)
    found = streamed_singular_values(matrix[start : start + step] for start in range(0, rows, step))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * expected[0])
    np.testing.assert_allclose(singular_values(matrix), expected, rtol=0, atol=1e-13 * expected[0])


@pytest.mark.usefixtures("without_torch")
def test_without_torch_what_is_no_matrix_is_refused_likewise():
    for matrix, words in [
        (np.ones(3), r"expected a matrix .* found shape \(3,\)"),
        (np.ones((0, 3)), r"expected a matrix .* found shape \(0, 3\)"),
        (np.array([[1, 2], [3, np.inf]]), "inf in row 1, column 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            singular_values(matrix)
    with pytest.raises(ValueError, match="expected 3 columns as in the first block, found 4"):
        streamed_singular_values([np.ones((2, 3)), np.ones((2, 4))])


@pytest.mark.parametrize("step", [1, 3, 7, 40, 400, 1000])
def test_blocks_of_rows_have_the_singular_values_of_the_whole(step):
    """Over twelve orders of magnitude, with the error of a decomposition at once: E'E would lose the lower half."""
    spectrum = 10.0 ** -np.arange(13)
    matrix = matrix_of_spectrum(spectrum, 400, 13, seed=5)
    found = streamed_singular_values(matrix[start : start + step] for start in range(0, 400, step))
    np.testing.assert_allclose(found, spectrum, rtol=1e-2)
    np.testing.assert_allclose(found, singular_values(matrix), rtol=0, atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, seeds, st.lists(st.integers(1, 5), max_size=4))
def test_how_the_rows_are_cut_does_not_matter(rows, columns, seed, cuts):
    matrix = gaussian(rows, columns, seed)
    blocks = [block for block in np.split(matrix, sorted({cut for cut in cuts if cut < rows})) if len(block)]
    found = streamed_singular_values(iter(blocks))
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False), rtol=1e-9, atol=1e-13)


def test_what_are_no_blocks_is_refused():
    for blocks, words in [
        ([], "at least one block"),
        ([np.ones((2, 3)), np.ones((2, 4))], "expected 3 columns as in the first block, found 4"),
        ([np.ones((2, 3)), np.full((1, 3), np.nan)], "nan in row 0, column 0"),
        ([np.ones(3)], "expected a matrix"),
    ]:
        with pytest.raises(ValueError, match=words):
            streamed_singular_values(blocks)


@pytest.mark.parametrize(
    ("spectrum", "share", "dimensions"),
    [([1, 0, 0], 0.99, 1), ([1, 1, 1, 1], 0.99, 4), ([1, 1, 1, 1], 0.5, 2), ([0.1, 3], 0.99, 1), ([1, 3], 0.99, 2)],
)
def test_dimensions_that_carry_a_share_of_the_energy(spectrum, share, dimensions):
    assert energy_dimensions_of(spectrum, share) == dimensions


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, seeds, st.floats(0.01, 0.999))
def test_the_dimensions_left_out_hold_the_rest_of_the_energy(rows, columns, seed, share):
    values = singular_values(gaussian(rows, columns, seed))
    energy = (values**2).sum()
    kept = energy_dimensions_of(values, share)
    assert (values[:kept] ** 2).sum() >= share * energy * (1 - 1e-12)
    assert (values[: kept - 1] ** 2).sum() < share * energy * (1 + 1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(60, 4), (5, 5), (3, 20), (1, 1), (7, 1)])
def test_singular_values_of_random_matrices_are_those_of_matrices_drawn(rows, columns):
    """In the mean and in the standard deviation of each, within five standard errors of 4,000 draws."""
    draws = 4_000
    found = random_singular_values(rows, columns, draws, seed=0)
    matrices = np.random.default_rng(1).standard_normal((draws, rows, columns))
    expected = np.linalg.svd(matrices, compute_uv=False)
    assert found.shape == expected.shape
    error = np.sqrt(expected.var(axis=0) * 2 / draws)
    assert (abs(found.mean(axis=0) - expected.mean(axis=0)) < 5 * error).all()
    np.testing.assert_allclose(found.std(axis=0), expected.std(axis=0), rtol=5 * np.sqrt(1 / draws) * 1.5)


def test_random_singular_values_are_drawn_by_seed_and_nearly_equal_for_many_rows():
    found = random_singular_values(10_000_000, 8, 3, seed=0)
    assert np.array_equal(found, random_singular_values(10_000_000, 8, 3, seed=0))
    assert not np.array_equal(found, random_singular_values(10_000_000, 8, 3, seed=1))
    np.testing.assert_allclose(found, 10_000_000**0.5, rtol=2e-3)
