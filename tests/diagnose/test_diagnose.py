"""Any model's embedding tables are found, measured as the slow obvious code would, and read from files without risk."""

import io
import json
import pickle
import re
import shlex
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from paper_code import cli
from paper_code.diagnose import DiagnosisError, diagnose
from paper_code.diagnose.readers import READERS, recognised
from paper_code.models import build_model
from tests import fuzz

PROJECT = Path(__file__).parents[2]
MEASURES = ("information_abundance", "effective_rank", "stable_rank", "share_of_random", "energy_dimensions")
sizes = st.integers(2, 12)
seeds = st.integers(0, 2**32 - 1)


pytestmark = pytest.mark.usefixtures("one_thread")


def matrix_of_spectrum(spectrum, rows: int, seed: int = 0) -> np.ndarray:
    """(rows, k) with these k singular values."""
    draw, k = np.random.default_rng(seed), len(spectrum)
    left, right = (np.linalg.qr(draw.standard_normal((n, k)))[0] for n in (rows, k))
    return left * np.asarray(spectrum) @ right.T


def gaussian(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def only(report):
    (table,) = report.tables
    return table


def names(report) -> list[str]:
    return [table.name for table in report.tables]


# Measurements


def test_tables_of_known_spectra():
    report = diagnose(
        {
            "flat": matrix_of_spectrum([1] * 8, 500),
            "one": matrix_of_spectrum([1] + [0] * 7, 500),
            "half": matrix_of_spectrum([3] * 4 + [0] * 4, 500),
            "decay": matrix_of_spectrum(10.0 ** -np.arange(13), 500),
            "few": matrix_of_spectrum([1] * 8, 500)[:5],
            "zeros": np.zeros((500, 8)),
        }
    )
    flat, one, half, decay, few, zeros = report.tables
    assert [round(table.information_abundance, 9) for table in (flat, one, half)] == [8, 1, 4]
    assert [table.energy_dimensions for table in (flat, one, half, decay)] == [8, 1, 4, 1]
    np.testing.assert_allclose(decay.singular_values, 10.0 ** -np.arange(13), rtol=1e-2)
    verdicts = ["not collapsed", "collapsed", "not collapsed", "collapsed", "too few rows", "all zeros"]
    assert [table.verdict for table in report.tables] == verdicts
    assert all(getattr(zeros, measure) is None for measure in MEASURES)
    assert len(few.singular_values) == 5


def test_the_bound_is_that_of_the_ledgers_claim():
    from paper_code.chapters.fig02_collapse import collapse_claims
    from paper_code.chapters.shared.tables import Runs
    from paper_code.diagnose.report import COLLAPSED_BELOW

    (effect,) = collapse_claims(Runs([], "criteo_like", [1]))[0].effects
    assert (effect.side, effect.bound) == ("below", COLLAPSED_BELOW)


def test_an_untrained_model_is_not_collapsed():
    model = build_model("dcnv2", [200, 900, 5000], embedding_size=10, num_sets=1, seed=0)
    tables = diagnose(model).tables
    assert [table.verdict for table in tables] == ["not collapsed"] * 3
    assert all(0.9 < table.share_of_random < 1.1 for table in tables)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), sizes, seeds)
def test_measures_are_those_of_the_obvious_code(rows, columns, seed):
    matrix = gaussian(rows, columns, seed) * np.random.default_rng(seed + 1).uniform(0, 1, columns) ** 6
    found = only(diagnose({"table": matrix}))
    values = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, values, rtol=1e-9, atol=1e-12)
    assert found.information_abundance == pytest.approx(values.sum() / values[0])
    assert found.stable_rank == pytest.approx((values**2).sum() / values[0] ** 2)
    shares = values[values > 0] / values.sum()
    assert found.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    kept = found.energy_dimensions
    assert (values[: kept - 1] ** 2).sum() <= 0.99 * (values**2).sum() * (1 + 1e-9)
    assert (values[:kept] ** 2).sum() >= 0.99 * (values**2).sum() * (1 - 1e-9)
    assert found.share_of_random == found.information_abundance / found.random_information_abundance


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), sizes, seeds, st.integers(-100, 100))
def test_scale_and_the_order_of_rows_and_columns_do_not_matter(rows, columns, seed, exponent):
    matrix = gaussian(rows, columns, seed)
    draw = np.random.default_rng(seed)
    other = matrix[draw.permutation(rows)][:, draw.permutation(columns)] * 10.0**exponent
    one, two = (only(diagnose({"table": it})) for it in (matrix, other))
    for measure in MEASURES:
        assert getattr(one, measure) == pytest.approx(getattr(two, measure), rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), sizes, seeds)
def test_fields_of_a_table_are_measured_as_tables_of_their_own(cardinalities, columns, seed):
    matrix = gaussian(sum(cardinalities), columns, seed)
    together = diagnose({"table": matrix}, fields=cardinalities)
    apart = diagnose({str(i): part for i, part in enumerate(np.split(matrix, np.cumsum(cardinalities)[:-1]))})
    assert [table.field for table in together.tables] == [f"field {i}" for i in range(len(cardinalities))]
    for one, two in zip(together.tables, apart.tables, strict=True):
        assert (one.rows, one.columns, one.verdict) == (two.rows, two.columns, two.verdict)
        np.testing.assert_allclose(one.singular_values, two.singular_values, rtol=1e-9, atol=1e-12)


def test_fields_larger_and_smaller_than_a_block_are_cut_right(monkeypatch):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", 64)
    matrix, cardinalities = gaussian(200, 4), [1, 70, 15, 1, 1, 112]
    found = diagnose({"table": matrix}, fields=cardinalities).tables
    for table, part in zip(found, np.split(matrix, np.cumsum(cardinalities)[:-1]), strict=True):
        np.testing.assert_allclose(table.singular_values, np.linalg.svd(part, compute_uv=False), rtol=1e-9)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (12, 6), (2000, 10), (3, 8)])
def test_random_is_the_mean_of_matrices_drawn(rows, columns):
    found = only(diagnose({"table": gaussian(rows, columns)}))
    values = np.linalg.svd(np.random.default_rng(1).standard_normal((500, rows, columns)), compute_uv=False)
    abundances = values.sum(axis=1) / values[:, 0]
    draws = min(10_000, 1_000_000 / (rows * columns))
    error = abundances.std() * np.sqrt(1 / 500 + 1 / draws)
    assert abs(found.random_information_abundance - abundances.mean()) < 5 * error


def test_half_precision_is_measured_in_double():
    """In half precision the squares of these would be zero."""
    matrix = torch.from_numpy(matrix_of_spectrum([1, 0.5, 0.25], 100) * 1e-3)
    for kind in (torch.float16, torch.bfloat16):
        found = only(diagnose({"table": matrix.to(kind)}))
        assert found.information_abundance == pytest.approx(1.75, rel=0.02)
        assert found.dtype == str(kind).removeprefix("torch.")


def test_extreme_numbers_are_measured_or_named():
    matrix = matrix_of_spectrum([1, 1, 1], 50)
    for scale in (1e-300, 1e300):
        assert only(diagnose({"table": matrix * scale})).information_abundance == pytest.approx(3)
    with pytest.raises(DiagnosisError, match=r"the mapping: .* table \(50, 3\): its numbers are too large"):
        diagnose({"table": np.full((50, 3), 1.7e308)})


# Which matrices are tables


def test_the_embedding_layers_of_a_module_are_its_tables():
    class Own(nn.EmbeddingBag):
        pass

    model = nn.ModuleDict(
        {
            "user": nn.Embedding(30, 4, padding_idx=0),
            "bag": nn.EmbeddingBag(20, 4, mode="sum"),
            "own": Own(25, 3),
            "weight_of_one": nn.Embedding(20, 1),
            "layer": nn.Linear(4, 500),
        }
    )
    report = diagnose(model)
    assert names(report) == ["user.weight", "bag.weight", "own.weight"]
    reasons = {it.name: it.reason for it in report.left_out}
    assert "one column" in reasons["weight_of_one.weight"]
    assert "not chosen" in reasons["layer.weight"]
    assert names(diagnose(nn.Embedding(9, 3))) == ["weight"]


def test_a_weight_that_two_layers_share_is_one_table():
    model = nn.Sequential(nn.Embedding(30, 4), nn.Embedding(30, 4), nn.Linear(4, 30))
    model[1].weight = model[0].weight
    model[2].weight = model[0].weight
    assert names(diagnose(model)) == ["0.weight"]


def test_a_module_with_tables_of_its_own_making_is_found_by_names():
    class Factors(nn.Module):
        def __init__(self):
            super().__init__()
            self.item_embeddings = nn.Parameter(torch.randn(50, 4))
            self.layer = nn.Linear(4, 4)

    assert names(diagnose(Factors())) == ["item_embeddings"]


def test_a_multi_embedding_is_measured_by_fields_with_all_sets_side_by_side():
    model = build_model("dnn", [20, 70], embedding_size=3, num_sets=2, seed=0)
    found = diagnose(model).tables
    assert [(table.field, table.rows, table.columns) for table in found] == [("field 0", 20, 6), ("field 1", 70, 6)]
    for table, matrix in zip(found, model.side_by_side_matrices(), strict=True):
        expected = np.linalg.svd(matrix.detach().numpy(), compute_uv=False)
        np.testing.assert_allclose(table.singular_values, expected, rtol=1e-4)


def test_deepctr_torch(monkeypatch):
    offline = ModuleType("deepctr_torch.utils")  # the real one asks for a newer version in a thread
    offline.check_version = lambda version: None
    monkeypatch.setitem(sys.modules, "deepctr_torch.utils", offline)
    pytest.importorskip("deepctr_torch", reason="DeepCTR-Torch is not installed; it comes with the extra bench")
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import DeepFM

    fields = [SparseFeat(name, size, embedding_dim=8) for name, size in (("site", 40), ("user", 300))]
    model = DeepFM(fields, [*fields, DenseFeat("age", 1)], device="cpu")
    report = diagnose(model)
    expected = {f"embedding_dict.{name}.weight": (size, 8) for name, size in (("site", 40), ("user", 300))}
    assert {table.name: (table.rows, table.columns) for table in report.tables} == expected
    assert set(names(diagnose(dict(model.state_dict())))) == set(expected)


def test_fuxictr():
    pytest.importorskip("fuxictr", reason="FuxiCTR is not installed; it comes with the extra bench")
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch import layers

    fields = FeatureMap("here", "")
    for name, size in (("site", 40), ("user", 300)):
        fields.features[name] = {"type": "categorical", "source": "", "vocab_size": size}
    fields.num_fields = fields.get_num_fields()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = layers.FeatureEmbedding(fields, 8)
            self.cross = layers.CrossNetV2(16, 2)
            self.mlp = layers.MLP_Block(16, hidden_units=[200])

    model = Model()
    for report in (diagnose(model), diagnose(dict(model.state_dict()))):
        shapes = sorted((table.rows, table.columns) for table in report.tables)
        assert shapes == [(40, 8), (300, 8)]


def test_torchrec():
    torchrec = pytest.importorskip("torchrec", reason="TorchRec is not installed")
    tables = [
        torchrec.EmbeddingBagConfig(name=name, embedding_dim=8, num_embeddings=size, feature_names=[name])
        for name, size in (("site", 40), ("user", 300))
    ]
    report = diagnose(torchrec.EmbeddingBagCollection(tables=tables))
    assert names(report) == ["embedding_bags.site.weight", "embedding_bags.user.weight"]


TALL, SMALL, WIDE = (500, 4), (30, 4), (4, 500)


@pytest.mark.parametrize(
    ("shapes", "taken"),
    [
        ({"user": TALL, "item": SMALL}, ["user", "item"]),
        ({"item_emb.weight": SMALL, "mlp.weight": TALL, "mlp.bias": (4,)}, ["item_emb.weight"]),
        ({"userEmb": SMALL, "ItemEmbedding": SMALL, "ensemble": SMALL, "b": (4,)}, ["userEmb", "ItemEmbedding"]),
        ({"lookup.0": SMALL, "table_1": SMALL, "stable": SMALL, "b": (4,)}, ["lookup.0", "table_1"]),
        ({"remember": TALL, "a": SMALL, "c": WIDE, "b": (4,)}, ["remember"]),
    ],
)
def test_matrices_of_a_mapping_are_tables_by_name_or_else_by_shape(shapes, taken):
    report = diagnose({name: torch.randn(shape) for name, shape in shapes.items()})
    assert names(report) == taken
    left = {it.name for it in report.left_out}
    assert left == {name for name, shape in shapes.items() if len(shape) == 2} - set(taken)


def test_a_pattern_chooses():
    tensors = {"a.emb": torch.randn(9, 3), "b.emb": torch.randn(9, 3), "c": torch.randn(9, 3), "d": torch.randn(3)}
    assert names(diagnose(tensors, tables="b*")) == ["b.emb"]
    assert names(diagnose(tensors, tables=["?", "a.emb"])) == ["a.emb", "c"]
    assert names(diagnose(nn.Sequential(nn.Embedding(9, 3), nn.Linear(4, 5)), tables="1.*")) == ["1.weight"]


def test_what_is_no_table_is_left_out_with_the_reason():
    report = diagnose(
        {
            "whole": np.ones((9, 3), dtype=int),
            "empty": np.ones((0, 3)),
            "vector": np.ones((9, 1)),
            "wide": np.ones((2, 5000)),
            "sparse": torch.eye(4).to_sparse(),
            "meta": torch.empty(9, 3, device="meta"),
            "good": gaussian(9, 3),
        }
    )
    assert names(report) == ["good"]
    reasons = {it.name: it.reason for it in report.left_out}
    for name, words in {
        "whole": "int64, expected dense floating-point numbers",
        "empty": "empty",
        "vector": "one column",
        "wide": "more than 4,096 columns",
        "sparse": "sparse_coo float32, expected dense",
        "meta": "without values",
    }.items():
        assert words in reasons[name]


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ({}, {}, "no embedding table to measure. Matrices found: none"),
        (nn.Linear(3, 4), {"tables": "none"}, r"weight \(4, 3\): not chosen"),
        ({"a": np.ones((9, 1))}, {}, "one column"),
        ({"a": np.ones((9, 2))}, {"fields": [4, 4]}, r"2 fields have 8 rows together, the tables 9 \(a\)"),
        ({"a": np.ones((9, 2))}, {"fields": [9, 0]}, "sizes of 1 or more"),
        ({"a": np.ones((9, 2))}, {"fields": []}, "sizes of 1 or more"),
        ({"a": np.array([[1, np.nan], [np.inf, 1]])}, {}, r"a \(2, 2\): 2 of 4 numbers are not finite .* in row 0"),
        (
            {"a": torch.tensor([[1.0, 1], [1, float("nan")]])},
            {},
            r"a \(2, 2\): 1 of 4 numbers are not finite .* in row 1",
        ),
    ],
)
def test_what_cannot_be_measured(source, options, words):
    with pytest.raises(DiagnosisError, match=words):
        diagnose(source, **options)


def test_what_is_no_source():
    with pytest.raises(TypeError, match="expected a module, a mapping of names to matrices or a file's name"):
        diagnose(np.ones((3, 3)))


# Files

MATRIX = matrix_of_spectrum([1, 0.5, 0.1, 0.01], 300).astype(np.float32)
TENSORS = {
    "embedding.weight": torch.from_numpy(MATRIX),
    "head.weight": torch.ones(3, 4),
    "head.bias": torch.zeros(3),
}


def lists(kind) -> pa.Table:
    return pa.table({"id": [str(i) for i in range(300)], "embedding": pa.array(MATRIX.tolist(), kind)})


FILES = {
    "plain.pt": lambda path: torch.save(TENSORS, path),
    "nested.pth": lambda path: torch.save({"epoch": 3, "model": TENSORS, "optimizer": {"lr": 1.0}}, path),
    "twice.ckpt": lambda path: torch.save({"model": {"state_dict": TENSORS}, "epoch": 3}, path),
    "tensor.bin": lambda path: torch.save(TENSORS["embedding.weight"], path),
    "transposed.pt": lambda path: torch.save({"embedding": torch.from_numpy(MATRIX.T.copy()).T}, path),
    "a.safetensors": lambda path: save_file(TENSORS, path),
    "a.npy": lambda path: np.save(path, MATRIX),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(MATRIX)),
    "big_endian.npy": lambda path: np.save(path, MATRIX.astype(">f8")),
    "a.npz": lambda path: np.savez(path, table=MATRIX),
    "packed.npz": lambda path: np.savez_compressed(path, table=np.asfortranarray(MATRIX)),
    "lists.parquet": lambda path: pq.write_table(lists(pa.list_(pa.float32())), path, row_group_size=77),
    "fixed.parquet": lambda path: pq.write_table(lists(pa.list_(pa.float64(), 4)), path),
    "columns.parquet": lambda path: pq.write_table(
        pa.table({"field": ["a"] * 300, **{f"x{i}": MATRIX[:, i] for i in range(4)}}), path
    ),
}


@pytest.fixture
def file_of(tmp_path):
    def write(name: str) -> Path:
        FILES[name](tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize("block", [16, 1 << 18])
@pytest.mark.parametrize("name", FILES)
def test_every_form_of_file_gives_the_same(file_of, name, block, monkeypatch):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    expected = np.linalg.svd(MATRIX.astype(float), compute_uv=False)
    found = only(diagnose(file_of(name), tables=None))
    assert (found.rows, found.columns) == (300, 4)
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-9)


def test_every_kind_of_file_is_here_and_recognised_whatever_its_name(file_of, tmp_path):
    kinds = set()
    for name in FILES:
        path = file_of(name).rename(tmp_path / "weights")
        kinds.add(recognised(path))
        assert only(diagnose(path)).rows == 300
    assert kinds == READERS.keys() - {"index of shards", "HDF5", "ONNX"}  # these in test_diagnose_readers


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_of_safetensors_and_checkpoints(tmp_path, kind):
    tensors = {"embedding": torch.from_numpy(MATRIX).to(kind)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    expected = np.linalg.svd(tensors["embedding"].double().numpy(), compute_uv=False)
    for name in ("a.safetensors", "a.pt"):
        found = only(diagnose(tmp_path / name))
        assert found.dtype == str(kind).removeprefix("torch.")
        np.testing.assert_allclose(found.singular_values, expected, rtol=1e-9)


class Harmful:
    """Unpickling this makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_no_code_in_a_file_is_executed(tmp_path):
    harmful = tmp_path / "harm"
    torch.save({"embedding": torch.ones(3, 3), "more": Harmful(harmful)}, tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", np.array([Harmful(harmful)] * 4).reshape(2, 2), allow_pickle=True)
    np.savez(tmp_path / "a.npz", table=np.array([Harmful(harmful)] * 4).reshape(2, 2))
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Harmful(harmful)))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Harmful(harmful)))
    for name in ("a.pt", "a.npy", "a.npz", "b.pt", "b.npy"):
        with pytest.raises(DiagnosisError, match=re.escape(str(tmp_path / name))):
            diagnose(tmp_path / name)
    assert not harmful.exists()


def save_expanded(path: Path) -> None:
    torch.save({"embedding": torch.ones(1, 3).expand(1 << 40, 3)}, path)


def recompressed(path: Path) -> None:
    packed = io.BytesIO()
    torch.save(TENSORS, packed)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        (
            "whole.pt",
            lambda path: torch.save(nn.Linear(2, 3), path),
            "holds torch.nn.modules.linear.Linear beside or instead of plain tensors",
        ),
        ("number.pt", lambda path: torch.save(3, path), "found a int, expected tensors"),
        ("other.pt", lambda path: torch.save({"epoch": 3}, path), "found a dict with the keys epoch, expected tensors"),
        ("empty.npy", lambda path: path.touch(), "the file is empty"),
        ("text.npy", lambda path: path.write_text("hello"), "is text; expected a checkpoint of PyTorch, or"),
        ("cut.pt", lambda path: cut_checkpoint(path), "cannot be read as an archive"),
        ("text.parquet", lambda path: path.write_text("PAR1 hello"), "cannot be read as Parquet"),
        ("cut.safetensors", lambda path: path.write_bytes(b"\x50" + bytes(7) + b"{}"), "cannot be read as safetensors"),
        (
            "a.pkl",
            lambda path: path.write_bytes(pickle.dumps(3)),
            "is a Python pickle, whose loading could run any code",
        ),
        ("short.npy", lambda path: cut(path), "cannot be read as NumPy array"),
        ("bomb.npz", lambda path: np.savez_compressed(path, np.zeros((100_000, 4))), "save it without compression"),
        ("expanded.pt", save_expanded, "more than the file can hold"),
        ("packed.pt", recompressed, "compressed or overlap"),
        (
            "ragged.parquet",
            lambda path: pq.write_table(pa.table({"e": pa.array([[1.0, 2], [1.0]])}), path),
            "e (2, 2): row 1 (from 0): expected 2 numbers, found 1",
        ),
        (
            "missing.parquet",
            lambda path: pq.write_table(pa.table({"e": pa.array([[1.0, 2], [1.0, None]])}), path),
            "1 of 4 numbers are not finite or are missing",
        ),
        ("none.parquet", lambda path: pq.write_table(pa.table({"id": [1, 2]}), path), "Matrices found: none"),
        ("vector.npy", lambda path: np.save(path, np.ones(5)), "Matrices found: none"),
    ],
)
def test_what_cannot_be_read(tmp_path, monkeypatch, name, write, words):
    monkeypatch.setattr("paper_code.diagnose.arrays.UNPACKED_BYTES", 0)
    write(tmp_path / name)
    with pytest.raises(DiagnosisError, match=re.escape(words)) as error_info:
        diagnose(tmp_path / name)
    assert name in str(error_info.value)


def cut_checkpoint(path: Path) -> None:
    torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:1000])


def cut(path: Path) -> None:
    np.save(path, MATRIX)
    path.write_bytes(path.read_bytes()[:1000])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"):
        diagnose(tmp_path / "absent.npy")


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Of a file of 128 MiB that is a hole: the peak grows by an eighth of that at most."""
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (1 << 20, 32))
    code = (
        "import sys, torch; from paper_code.diagnose import diagnose; from paper_code.runs.machine import peak_memory\n"
        "torch.set_num_threads(1); small = diagnose({'a': torch.randn(100_000, 32)}); before = peak_memory()\n"
        "print(diagnose(sys.argv[1]).tables[0].verdict); print(peak_memory() - before)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    ).stdout.split()
    assert found[:2] == ["all", "zeros"]
    assert int(found[2]) < path.stat().st_size / 8


def test_damaged_files_end_with_a_report_or_a_clear_error(tmp_path):
    """Some hundred; `python -m tests.fuzz` does as many as one likes."""
    files = fuzz.valid_files()
    for number in range(600):
        suffix, data = fuzz.input_of(number, 0, files)
        path = tmp_path / f"input{suffix}"
        path.write_bytes(data)
        assert fuzz.outcome(path) in ("read", "refused"), number


def test_the_files_that_the_fuzz_run_damages_are_valid(tmp_path):
    for suffix, contents in fuzz.valid_files().items():
        outcomes = []
        for data in contents:
            path = tmp_path / f"input{suffix}"
            path.write_bytes(data)
            outcomes.append(fuzz.outcome(path))
        assert outcomes == ["read"] * len(outcomes) if suffix != ".pt" else ["read", "read", "refused", "read", "read"]


# Reports

HOSTILE = '<script>alert(1)</script>"\x1b[31m\u202e\ud800&'


class Elements(HTMLParser):
    """Names of elements, and attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.names, self.attributes, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes += attributes
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.names.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report():
    return diagnose(
        {
            "collapsed": matrix_of_spectrum([1, 0.01, 0.001, 0], 400),
            HOSTILE: gaussian(400, 4),
            "few": gaussian(2, 4),
            "zeros": np.zeros((10, 4)),
            "large": gaussian(500, 300),
            "vector": np.ones((10, 1)),
        }
    )


def test_the_page_needs_nothing_else_and_runs_nothing(report):
    page = report.to_html()
    elements = Elements(page)
    assert elements.open == []
    assert {"script", "link", "img", "iframe", "object", "image", "use", "a"}.isdisjoint(elements.names)
    assert not [name for name, _ in elements.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", page)
    assert page.encode()
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert elements.names.count("section") == 5
    assert elements.names.count("svg") == 4


def test_names_from_strangers_are_shown_as_text(report):
    for text in (report.to_html(), str(report)):
        assert text.encode()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert "<script" not in report.to_html()


def test_names_from_strangers_are_shown_as_text_in_errors_too():
    with pytest.raises(DiagnosisError) as error_info:
        diagnose({HOSTILE: np.ones((9, 1))})
    assert str(error_info.value).isprintable()


def test_json_has_what_the_report_has(report):
    values = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert set(values) == {
        *(
            "format",
            "layers",
            "source",
            "found_by",
            "collapsed_below",
            "energy_share",
            "reading",
            "tables",
            "left_out",
            "not_looked_into",
        ),
    }
    for found, table in zip(values["tables"], report.tables, strict=True):
        for key in ("name", "rows", "columns", "verdict", *MEASURES):
            assert found[key] == getattr(table, key)
        assert found["singular_values"] == list(table.singular_values)
    assert values["left_out"] == [
        {"name": "vector", "shape": [10, 1], "reason": report.left_out[0].reason, "faulty": False}
    ]


def test_the_reading_says_what_was_found(report):
    text = " ".join(report.reading())
    assert "Collapsed: 1 of 3" in text
    assert "below 0.5 of that of random matrices" in text
    assert "collapsed (1 of 4)" in text
    assert "Not judged: 2" in text
    assert "multi-embedding (Section 5)" in text
    assert "associations" in text
    assert "1 of 4 dimensions carry 99 % of the energy" in report.tables[0].reading()


def test_the_reading_of_tables_that_are_not_collapsed():
    text = " ".join(diagnose({"a": gaussian(90, 3)}).reading())
    assert "Collapsed: 0 of 1" in text
    assert "Finding 2" in text
    assert "multi-embedding" not in text


def test_long_lists_and_names_are_cut_in_the_text_alone():
    tensors = {f"layer.{i}": torch.randn(3, 4) for i in range(30)} | {"x" * 99 + ".emb": torch.randn(9, 3)}
    report = diagnose(tensors | {"b": torch.ones(3)})
    assert "and 10 more" in str(report)
    assert "..." + "x" * 41 + ".emb" in str(report)
    assert len(json.loads(report.to_json())["left_out"]) == 30


# Command line


@pytest.fixture
def command(capsys):
    def run(*arguments) -> tuple[int, str, str]:
        status = cli.main(["diagnose", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_prints_the_report_and_writes_the_page(command, file_of, tmp_path):
    path = file_of("plain.pt")
    expected = diagnose(path)
    status, output, message = command(path, "--html", tmp_path / "report.html")
    assert (status, output, message) == (0, f"{expected}\n", "")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == expected.to_html()
    assert command(path, "--json")[1] == f"{expected.to_json()}\n"


def test_options_of_the_command(command, file_of):
    path = file_of("plain.pt")
    values = json.loads(command(path, "--tables", "head*", "--tables", "*emb*", "--json")[1])
    assert [table["name"] for table in values["tables"]] == ["embedding.weight", "head.weight"]
    values = json.loads(command(path, "--fields", "100,200", "--json")[1])
    assert [(table["field"], table["rows"]) for table in values["tables"]] == [("field 0", 100), ("field 1", 200)]


@pytest.mark.parametrize("form", ["{data}/mini", "{data}/mini/log.json", "mini"])
def test_fields_of_an_encoded_log(command, tmp_path, form):
    raw = tmp_path / "raw.txt"
    raw.write_bytes(fuzz.valid_files()[".criteo"][0])
    data = tmp_path / "data"
    assert cli.main(["prepare", "criteo", str(raw), "--data-dir", str(data), "--name", "mini", "--threshold", "1"]) == 0
    fields = json.loads((data / "mini" / "log.json").read_text())["fields"]
    np.save(tmp_path / "a.npy", gaussian(sum(field["cardinality"] for field in fields), 3))
    command("absent.npy")  # what `prepare` printed is read
    arguments = [tmp_path / "a.npy", "--fields", form.format(data=data), "--data-dir", data, "--json"]
    values = json.loads(command(*arguments)[1])
    found = [(table["field"], table["rows"]) for table in values["tables"]]
    assert found == [(field["name"], field["cardinality"]) for field in fields]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.npy"], "absent.npy"),
        (["empty"], "a folder without a file that can be read"),
        (["a.npy", "--fields", "3,4"], "2 fields have 7 rows together"),
        (["a.npy", "--fields", "nolog"], "no encoded click log"),
        (["a.npy", "--tables", "zzz"], "not chosen"),
        (["a.npy", "--html", "no/folder.html"], "no/folder.html"),
    ],
)
def test_what_goes_wrong_is_one_line(command, file_of, monkeypatch, tmp_path, arguments, words):
    file_of("a.npy")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    status, output, message = command(*arguments, "--data-dir", tmp_path)
    assert (status, output) == (1, "")
    assert re.fullmatch(r"paper-code: [^\n]+\n", message)
    assert words in message


def test_the_help_has_examples_that_are_valid(capsys):
    with pytest.raises(SystemExit):
        cli.main(["diagnose", "--help"])
    examples = re.findall(r"^(?:example: | {9})paper-code (.+)$", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(examples) == 9
    for example in examples:
        cli.build_parser().parse_args(shlex.split(example))


# The page


def test_the_example_of_the_page_is_what_one_gets(command, monkeypatch, tmp_path):
    text = (PROJECT / "book" / "diagnose.md").read_text(encoding="utf-8").split("## An example")[1]
    ((_, code), (_, shown)) = re.findall(r"^```(python|console)\n(.+?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    prompt, _, expected = shown.partition("\n")
    assert command(*shlex.split(prompt)[3:])[1] == expected
