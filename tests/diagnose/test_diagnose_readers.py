"""Quantised tables, HDF5 and Keras, distributed checkpoints and ONNX give what the plain arrays give, or a reason."""

import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from paper_code.diagnose import DiagnosisError, diagnose
from tests.diagnose.test_diagnose import Harmful, gaussian, only

MATRIX = gaussian(300, 8).astype(np.float32) * np.geomspace(1, 0.01, 8, dtype=np.float32)


def values(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)


def assert_measured(table, matrix: np.ndarray) -> None:
    assert (table.rows, table.columns) == matrix.shape
    np.testing.assert_allclose(table.singular_values, values(matrix), rtol=1e-6)


# Quantised tables


def quantised(axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Integers, scale and zero point, and the numbers that they stand for."""
    scale = np.asarray(abs(MATRIX).max(axis=axis, keepdims=axis is not None) / 100, np.float32)
    zero = np.full(scale.shape, 3)
    integers = (np.round(MATRIX / scale) + zero).astype(np.int8)
    return integers, scale, zero, (integers.astype(float) - zero) * scale


@pytest.mark.parametrize("block", [16, 1 << 18])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_integers_with_a_scale_beside_them_are_the_numbers_that_they_stand_for(tmp_path, monkeypatch, axis, block):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    integers, scale, zero, numbers = quantised(axis)
    arrays = {"emb.weight": integers, "emb.weight_scale": scale, "emb.weight_zero_point": zero}
    np.savez(tmp_path / "a.npz", **arrays)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    for source in (tmp_path / "a.npz", tmp_path / "a.safetensors", tmp_path / "a.pt", arrays, tensors):
        table = only(diagnose(source))
        assert (table.name, table.dtype) == ("emb.weight", "int8, scaled")
        assert_measured(table, numbers)


def test_other_names_of_scales():
    integers, scale, _, numbers = quantised(1)
    for name in ("emb.scale", "emb.weight.scales", "emb.weight_scales"):
        assert_measured(only(diagnose({"emb.weight": integers, name: scale})), numbers + 3 * scale)
    bits = only(diagnose({"emb.weight": integers, "emb.SCB": 127 * scale[:, 0]}))
    assert_measured(bits, numbers + 3 * scale)


def test_integers_without_a_scale_that_fits_are_no_table():
    integers = quantised(1)[0]
    for scales in ({}, {"emb.weight_scale": np.ones(7)}, {"other_scale": np.ones(300)}):
        with pytest.raises(DiagnosisError, match="int8, expected dense floating-point numbers"):
            diagnose({"emb.weight": integers, **scales})


def test_quantised_tensors_and_embedding_layers_of_pytorch(tmp_path):
    tensor = torch.from_numpy(MATRIX)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch moves these elsewhere
        whole = torch.quantize_per_tensor(tensor, 0.05, 3, torch.qint8)
        scales = (tensor.amax(1) - tensor.amin(1)) / 255
        rows = torch.quantize_per_channel(tensor, scales, -tensor.amin(1) / scales, 0, torch.quint8)
        torch.save({"whole_emb": whole, "rows_emb": rows}, tmp_path / "a.pt")
        report = diagnose(tmp_path / "a.pt")
    assert [(table.name, table.dtype) for table in report.tables] == [
        ("whole_emb", "int8, scaled"),
        ("rows_emb", "uint8, scaled"),
    ]
    for table, quantised_tensor in zip(report.tables, (whole, rows), strict=True):
        assert_measured(table, quantised_tensor.dequantize().numpy())


# HDF5 and Keras


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="h5py is not installed; it comes with the extra hdf5")


def write_keras(h5py, path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/embedding/vars/0"] = MATRIX
        file.create_dataset("layers/packed_embedding/vars/0", data=MATRIX, chunks=(50, 8), compression="gzip")
        file["layers/dense/vars/0"] = np.ones((8, 4))
        file["layers/dense/vars/1"] = np.ones(4)
        file["optimizer/vars/1"] = MATRIX
        file["seed"] = 3.0
        file["text"] = "hello"


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_hdf5(h5py, tmp_path, monkeypatch, block):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    write_keras(h5py, tmp_path / "a.weights.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "a.weights.h5", "model.weights.h5")
    for name in ("a.weights.h5", "a.keras"):
        report = diagnose(tmp_path / name)
        tables = ["layers/embedding/vars/0", "layers/packed_embedding/vars/0"]
        assert [table.name for table in report.tables] == tables
        for table in report.tables:
            assert_measured(table, MATRIX)
        assert [it.name for it in report.not_looked_into] == ["optimizer/vars/1"]


def test_hdf5_does_not_lead_into_other_files(h5py, tmp_path):
    write_keras(h5py, tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["emb"] = MATRIX
        file["linked_emb"] = h5py.ExternalLink("other.h5", "layers/embedding/vars/0")
        layout = h5py.VirtualLayout(MATRIX.shape, "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "layers/embedding/vars/0", MATRIX.shape)
        file.create_virtual_dataset("virtual_emb", layout)
        file.create_dataset("external_emb", (300, 8), "f4", external=[(str(tmp_path / "raw"), 0, 9600)])
    report = diagnose(tmp_path / "a.h5")
    assert [table.name for table in report.tables] == ["emb"]
    assert {it.name: it.reason for it in report.not_looked_into} == dict.fromkeys(
        ("external_emb", "virtual_emb"), "its numbers lie in another file"
    )


def test_a_damaged_hdf5_file_and_one_that_declares_too_much(h5py, tmp_path, monkeypatch):
    write_keras(h5py, tmp_path / "a.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:3000])
    with pytest.raises(DiagnosisError, match=r"cut\.h5: cannot be read as HDF5"):
        diagnose(tmp_path / "cut.h5")
    monkeypatch.setattr("paper_code.diagnose.arrays.UNPACKED_BYTES", 0)
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("emb", (1 << 30, 64), "f4", chunks=(1 << 16, 64))
    with pytest.raises(DiagnosisError, match="are believed"):
        diagnose(tmp_path / "bomb.h5")


# ONNX


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx", reason="onnx is not installed; it comes with the extra onnx")


def model_of(onnx, tensors, nodes=()):
    graph = onnx.helper.make_graph(list(nodes), "graph", [], [], tensors)
    return onnx.helper.make_model(graph, producer_name="pytorch")


def test_onnx(onnx, tmp_path):
    integers, scale, zero, numbers = quantised(1)
    half = MATRIX.astype(np.float16)
    tensors = [
        onnx.numpy_helper.from_array(MATRIX, "a_emb"),
        onnx.helper.make_tensor("list_emb", onnx.TensorProto.DOUBLE, MATRIX.shape, MATRIX.astype(float).flatten()),
        onnx.numpy_helper.from_array(half, "half_emb"),
        onnx.numpy_helper.from_array(integers, "int_emb"),
        onnx.numpy_helper.from_array(scale[:, 0], "s"),
        onnx.numpy_helper.from_array(zero[:, 0].astype(np.int8), "z"),
        onnx.numpy_helper.from_array(np.arange(3), "ids"),
    ]
    node = onnx.helper.make_node("DequantizeLinear", ["int_emb", "s", "z"], ["y"], axis=0)
    onnx.save(model_of(onnx, tensors, [node]), tmp_path / "a.onnx")
    report = diagnose(tmp_path / "a.onnx")
    expected = {"a_emb": MATRIX, "list_emb": MATRIX, "half_emb": half, "int_emb": numbers}
    assert [table.name for table in report.tables] == list(expected)
    for table in report.tables:
        assert_measured(table, expected[table.name])


def test_onnx_of_other_types_and_integers_with_what_does_not_fit(onnx, tmp_path):
    """A list of bits of bfloat16 is read; numbers of four bits are named; integers are no table without a scale."""
    integers, scale, _, numbers = quantised(1)
    of_bits = torch.from_numpy(MATRIX).bfloat16()
    bits = onnx.TensorProto(name="bits_emb", data_type=onnx.TensorProto.BFLOAT16, dims=MATRIX.shape)
    bits.int32_data.extend(of_bits.view(torch.uint16).flatten().tolist())
    whole = onnx.numpy_helper.from_array
    tensors = [
        bits,
        onnx.TensorProto(name="four", data_type=onnx.TensorProto.INT4, dims=[2], raw_data=b"\0"),
        *(whole(integers, name) for name in ("fits_emb", "misfit_emb", "input_emb")),
        whole(integers[0], "one_axis"),
        whole(scale[:, 0], "s"),
        whole(scale[:-1, 0], "short"),
    ]
    nodes = [
        onnx.helper.make_node("DequantizeLinear", inputs, [f"y{number}"], axis=0)
        for number, inputs in enumerate(
            [["fits_emb", "s"], ["misfit_emb", "short"], ["input_emb", "of_the_user"], ["one_axis", "s"]]
        )
    ]
    onnx.save(model_of(onnx, tensors, nodes), tmp_path / "a.onnx")
    report = diagnose(tmp_path / "a.onnx")
    assert [table.name for table in report.tables] == ["bits_emb", "fits_emb"]
    assert_measured(report.tables[0], of_bits.float().numpy())
    assert_measured(report.tables[1], numbers + 3 * scale)
    assert {it.name: it.reason for it in report.not_looked_into} == {"four": "numbers of the type 22 of ONNX"}


def test_onnx_with_numbers_in_another_file(onnx, tmp_path):
    model = model_of(onnx, [onnx.numpy_helper.from_array(MATRIX, "a_emb")])
    onnx.save_model(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    assert_measured(only(diagnose(tmp_path / "a.onnx")), MATRIX)
    (tmp_path / "a.data").unlink()
    with pytest.raises(DiagnosisError, match=r"a\.data with a_emb is not beside it"):
        diagnose(tmp_path / "a.onnx")


@pytest.mark.parametrize("place", ["/etc/passwd", "../a.data"])
def test_onnx_leads_into_no_other_folder(onnx, tmp_path, place):
    tensor = onnx.numpy_helper.from_array(MATRIX, "a_emb")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    (tmp_path / "a.onnx").write_bytes(model_of(onnx, [tensor]).SerializeToString())
    with pytest.raises(DiagnosisError, match="expected one beside the model"):
        diagnose(tmp_path / "a.onnx")


def test_a_damaged_or_a_large_onnx_file(onnx, tmp_path, monkeypatch):
    onnx.save(model_of(onnx, [onnx.numpy_helper.from_array(MATRIX, "a_emb")]), tmp_path / "a.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "a.onnx").read_bytes()[:500])
    with pytest.raises(DiagnosisError, match=r"cut\.onnx: cannot be read as ONNX"):
        diagnose(tmp_path / "cut.onnx")
    monkeypatch.setattr("paper_code.diagnose.onnx_models.MOST_BYTES", 100)
    with pytest.raises(DiagnosisError, match="save_as_external_data"):
        diagnose(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("package", "extra", "content"),
    [("h5py", "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(90)), ("onnx", "onnx", b"\x08\x07\x12\x07pytorch" + bytes(90))],
)
def test_without_the_library_the_error_says_which_extra_to_install(tmp_path, monkeypatch, package, extra, content):
    (tmp_path / "a").write_bytes(content)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DiagnosisError, match=rf"needs {package}: pip install 'paper-code\[{extra}\]'"):
        diagnose(tmp_path / "a")


# Distributed checkpoints


@pytest.fixture
def distributed(tmp_path):
    import torch.distributed.checkpoint as dcp

    folder = tmp_path / "step_10"
    state = {
        "model": {
            "a_emb.weight": torch.from_numpy(MATRIX),
            "brain_emb.weight": torch.from_numpy(MATRIX).bfloat16(),
            "mlp.weight": torch.ones(8, 8),
            "mlp.bias": torch.ones(8),
        },
        "optim": {"state": {"a_emb.weight": torch.from_numpy(MATRIX)}},
        "step": 3,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is but one process
        dcp.save(state, checkpoint_id=folder)
    return folder


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_a_distributed_checkpoint(distributed, monkeypatch, block):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    report = diagnose(distributed)
    names = [table.name for table in report.tables]
    assert names == ["model.a_emb.weight", "model.brain_emb.weight"]
    assert_measured(report.tables[0], MATRIX)
    assert_measured(report.tables[1], torch.from_numpy(MATRIX).bfloat16().float().numpy())
    assert all(it.name.startswith("optim.") for it in report.not_looked_into)


def split(folder: Path, parts: list[tuple[slice, slice]]) -> None:
    """The table as several processes save it: cut into these parts."""
    from torch.distributed.checkpoint import metadata
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    chunks, storage, start = [], {}, 0
    with open(folder / "__0_0.distcp", "wb") as file:
        for number, part in enumerate(parts):
            tensor = torch.from_numpy(MATRIX[part].copy())
            torch.save(tensor, file)
            offsets = torch.Size([it.start for it in part])
            chunks.append(metadata.ChunkStorageMetadata(offsets, tensor.shape))
            index = metadata.MetadataIndex("emb", offsets, number)
            storage[index] = _StorageInfo("__0_0.distcp", start, file.tell() - start)
            start = file.tell()
    properties = metadata.TensorProperties(torch.float32)
    tensors = {"emb": metadata.TensorStorageMetadata(properties, torch.Size(MATRIX.shape), chunks)}
    (folder / ".metadata").write_bytes(pickle.dumps(metadata.Metadata(tensors, None, storage)))


@pytest.mark.parametrize("block", [64, 1 << 18])
@pytest.mark.parametrize(
    "parts",
    [
        [(slice(0, 100), slice(0, 8)), (slice(100, 300), slice(0, 8))],
        [(slice(0, 300), slice(0, 3)), (slice(0, 300), slice(3, 8))],
        [(slice(a, b), slice(c, d)) for a, b in ((0, 7), (7, 300)) for c, d in ((0, 2), (2, 8))],
    ],
    ids=["rows", "columns", "both"],
)
def test_a_table_in_parts_is_put_together(tmp_path, monkeypatch, parts, block):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    split(tmp_path, parts)
    assert_measured(only(diagnose(tmp_path)), MATRIX)


def test_parts_that_are_missing_or_cut_short_are_named(tmp_path):
    split(tmp_path, [(slice(0, 100), slice(0, 8))])
    with pytest.raises(DiagnosisError, match="the parts of emb are not all there"):
        diagnose(tmp_path)
    split(tmp_path, [(slice(0, 300), slice(0, 8))])
    data = (tmp_path / "__0_0.distcp").read_bytes()
    (tmp_path / "__0_0.distcp").write_bytes(data[:-100])
    with pytest.raises(DiagnosisError, match="is too short for emb"):
        diagnose(tmp_path)
    (tmp_path / "__0_0.distcp").write_bytes(data[:500] + bytes(len(data) - 500))
    with pytest.raises(DiagnosisError, match="cannot be read as a distributed checkpoint"):
        diagnose(tmp_path)
    (tmp_path / "__0_0.distcp").unlink()
    with pytest.raises(DiagnosisError, match="with emb is not there"):
        diagnose(tmp_path)


WHOLE = [(slice(0, 300), slice(0, 8))]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"relative_path": "../other.distcp"}, r"names the file '\.\./other\.distcp', expected one of the folder"),
        ({"relative_path": "a/../../other.distcp"}, "expected one of the folder"),
        ({"relative_path": "/etc/passwd"}, "names the file '/etc/passwd', expected one of the folder"),
        ({"transform_descriptors": ["zstd"]}, r"emb is stored with \['zstd'\]; save it without"),
        ({"offset": -8}, "is too short for emb"),
        ({"length": 1 << 40}, "is too short for emb"),
    ],
)
def test_the_metadata_lead_to_no_file_outside_of_the_folder_and_to_no_other_bytes(tmp_path, stored, words):
    folder = tmp_path / "step_10"
    folder.mkdir()
    split(folder, WHOLE)
    (tmp_path / "other.distcp").write_bytes((folder / "__0_0.distcp").read_bytes())
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    for info in metadata.storage_data.values():
        info.__dict__.update(stored)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(DiagnosisError, match=words):
        diagnose(folder)


def test_metadata_that_do_not_fit_the_parts_are_refused(tmp_path, monkeypatch):
    split(tmp_path, WHOLE)
    usual = (tmp_path / ".metadata").read_bytes()

    def change(of_chunk=None, of_properties=None) -> None:
        metadata = pickle.loads(usual)
        tensor = metadata.state_dict_metadata["emb"]
        tensor.chunks[0].__dict__.update(of_chunk or {})
        tensor.properties.__dict__.update(of_properties or {})
        (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))

    change(of_chunk={"offsets": torch.Size([1, 0])})
    with pytest.raises(DiagnosisError, match=r"the part of emb from \(1, 0\) on is in none of the files"):
        diagnose(tmp_path)
    change(of_properties={"dtype": torch.float64})
    with pytest.raises(DiagnosisError, match=r"the part in __0_0\.distcp has 9,600 bytes, expected 19,200"):
        diagnose(tmp_path)
    monkeypatch.setattr("paper_code.diagnose.distributed.MOST_BYTES", len(usual) - 1)
    (tmp_path / ".metadata").write_bytes(usual)
    with pytest.raises(DiagnosisError, match=r"\.metadata: has \d+ bytes, more than metadata have"):
        diagnose(tmp_path)


def test_a_part_that_is_stored_column_after_column_is_named(tmp_path, monkeypatch):
    by_rows = torch.from_numpy
    monkeypatch.setattr(torch, "from_numpy", lambda array: by_rows(array.T.copy()).T)
    split(tmp_path, WHOLE)
    with pytest.raises(DiagnosisError, match=r"the part in __0_0\.distcp is not stored row after row"):
        diagnose(tmp_path)


def test_no_code_in_the_metadata_is_executed(tmp_path):
    harmful = tmp_path / "harm"
    (tmp_path / ".metadata").write_bytes(pickle.dumps({"emb": Harmful(harmful)}))
    with pytest.raises(DiagnosisError, match=r"names pathlib\.Path\.touch|names builtins\.getattr|names pathlib"):
        diagnose(tmp_path)
    assert not harmful.exists()
