"""Files as users' tools write them: of each kind the file on which the first release failed, and others."""

import argparse
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from paper_code import cli
from paper_code.diagnose import DiagnosisError, Report, diagnose

DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def faults(real_data) -> Path:
    folder = real_data / "faults"
    if not folder.is_dir():
        pytest.skip(f"no files of users: {folder} is not a folder")
    return folder


def tensor(*shape: int) -> torch.Tensor:
    return torch.from_numpy(DRAW.standard_normal(shape).astype(np.float32))


def array(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape)


def state(prefix: str = "") -> dict[str, torch.Tensor]:
    """The state dict of a model with one table."""
    layers = {"emb.weight": tensor(200, 8), "mlp.0.weight": tensor(16, 8), "mlp.0.bias": tensor(16)}
    return {prefix + name: value for name, value in layers.items()}


def names(report: Report) -> list[str]:
    return [table.name for table in report.tables]


def left_out(report: Report) -> dict[str, str]:
    return {it.name: it.reason for it in report.left_out}


def not_looked_into(report: Report) -> dict[str, str]:
    return {it.name: it.reason for it in report.not_looked_into}


def loaded(path: Path) -> object:
    return torch.load(path, weights_only=False)


def assert_file_and_mapping_agree(path: Path) -> Report:
    """What a file gives and what the mapping gives that Python has loaded of it."""
    of_file, of_mapping = diagnose(path), diagnose(loaded(path))
    assert of_file.tables == of_mapping.tables
    assert of_file.left_out == of_mapping.left_out
    assert of_file.not_looked_into == of_mapping.not_looked_into
    return of_file


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


# A state dict somewhere in a checkpoint


@pytest.mark.parametrize(
    ("file", "table", "others"),
    [
        ("key_net.pt", "net.emb.weight", {"net.mlp.0.weight"}),
        ("net_eye.pt", "net.emb.weight", {"net.fc.weight", "label_smoothing_matrix"}),
        ("net_plus_tensor.pt", "net.emb.weight", {"class_prior"}),
        ("lightning.ckpt", "state_dict.model.emb.weight", {"state_dict.model.mlp.0.weight"}),
    ],
)
def test_a_state_dict_under_any_key_is_found_and_what_stands_beside_it_is_named(faults, file, table, others):
    report = assert_file_and_mapping_agree(faults / "checkpoints" / file)
    assert names(report) == [table]
    assert set(left_out(report)) == others


@pytest.mark.parametrize(
    ("checkpoint", "tables"),
    [
        ({"epoch": 3, "generator": {"weights": state()}}, ["generator.weights.emb.weight"]),
        ({"models": [state(), state()]}, ["models.0.emb.weight", "models.1.emb.weight"]),
        ({7: state(), "ema": state(), "mean": tensor(500, 2)}, ["7.emb.weight", "ema.emb.weight"]),
        ({"by field": [tensor(30, 8), tensor(50, 8)]}, ["by field.0", "by field.1"]),
        ([tensor(300, 4), tensor(3)], ["0"]),
        ({"a.emb": tensor(30, 4), "a": {"emb": tensor(40, 4)}}, ["a.emb", "a.emb (2)"]),
    ],
)
def test_other_places_of_tables_in_a_checkpoint(tmp_path, checkpoint, tables):
    path = saved(tmp_path / "model.pt", checkpoint)
    if isinstance(checkpoint, dict):
        assert_file_and_mapping_agree(path)
    assert names(diagnose(path)) == tables


def test_the_state_of_an_optimizer_is_no_table_and_is_named(tmp_path):
    model = nn.Embedding(200, 8)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.arange(9)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": model.state_dict(prefix="emb."),
        "whatever": optimizer.state_dict(),
        "optim": [tensor(200, 8)],
    }
    report = assert_file_and_mapping_agree(saved(tmp_path / "model.pt", checkpoint))
    assert names(report) == ["model.emb.weight"]
    assert not_looked_into(report) == dict.fromkeys(("whatever", "optim"), "the state of an optimizer or a schedule")
    flat = {"t_emb.weight": tensor(200, 8), "t_emb.weight.exp_avg": tensor(200, 8), "t_emb.momentum_1": tensor(200, 8)}
    assert names(diagnose(flat)) == ["t_emb.weight"]


def test_a_mapping_that_holds_itself_has_an_end():
    checkpoint = {"net": state()}
    checkpoint["net"]["whole"] = checkpoint
    assert names(diagnose(checkpoint)) == ["net.emb.weight"]
    deep = state()
    for _ in range(80):
        deep = {"x": deep}
    assert "levels deep" in not_looked_into(diagnose({"emb": tensor(9, 3), "d": deep})).popitem()[1]


def test_what_is_shared_many_times_over_is_looked_into_once():
    """Else 2^60 paths lead to the table."""
    nested = [tensor(200, 8)]
    for _ in range(40):
        nested = [nested, nested]
    assert len(diagnose({"net": nested}).tables) == 1


@pytest.mark.parametrize(
    "prefix", ["module.", "_fsdp_wrapped_module.", "_orig_mod.module.", "model.sparse_arch.embedding_bag_collection."]
)
def test_prefixes_of_wrappers_make_no_difference(tmp_path, prefix):
    report = assert_file_and_mapping_agree(saved(tmp_path / "model.pt", {"state_dict": state(prefix), "epoch": 1}))
    assert names(report) == [f"state_dict.{prefix}emb.weight"]


def test_a_mapping_of_arrays_is_what_the_npz_file_is(tmp_path):
    for arrays in (
        {"a": array(30, 4), "b": array(7, 4)},
        {"mlp": array(64, 64), "item_tbl": array(500, 4), "x": array(3)},
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        assert diagnose(arrays).tables == diagnose(tmp_path / "a.npz").tables
        assert diagnose(arrays).left_out == diagnose(tmp_path / "a.npz").left_out
    ids = {"ids": np.arange(30), "words": np.array(["a"] * 30), "vectors": array(30, 4)}
    assert names(diagnose(ids)) == ["vectors"]


def test_diagnose_is_imported_without_torch():
    code = "import sys, paper_code.diagnose; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"


# Which are tables


def test_layers_with_emb_in_their_names_are_no_tables(faults):
    report = assert_file_and_mapping_agree(faults / "checkpoints" / "falsepos.pt")
    assert names(report) == ["item_tbl"]
    assert set(left_out(report)) == {"feature_embeddings_linear.weight", "emb_dropout_proj.weight"}


@pytest.mark.parametrize(
    ("shapes", "tables"),
    [
        (
            {"emb_mixer": (32, 32), "embed_interaction": (64, 64), "user_factors": (3000, 16), "x": (3,)},
            ["user_factors"],
        ),
        ({"table_in.weight": (96, 32), "table_in.bias": (96,), "items": (900, 8)}, ["items"]),
        ({"emb_l.0.weight": (40, 16), "bot_l.0.weight": (512, 13), "bot_l.0.bias": (512,)}, ["emb_l.0.weight"]),
        (
            {"emb": (40, 16), "item_tbl": (900, 16), "gru.weight_ih_l0": (900, 16), "gru.bias_ih_l0": (900,)},
            ["emb", "item_tbl"],
        ),
        ({"emb.C1.weight": (500, 10), "emb.C9.weight": (10, 10), "emb.C3.weight": (3, 10)}, ["C1", "C9", "C3"]),
        ({"mlp.embedding.gender.weight": (3, 16), "mlp.embedding.user.weight": (900, 16)}, ["gender", "user"]),
        ({"emb": (40, 8), "layer.q_proj": (900, 64), "lora_B": (4096, 8)}, ["emb"]),
        ({"emb": (40, 8), "dense/kernel:0": (900, 64), "dense/bias:0": (64,), "W1": (512, 8), "b1": (512,)}, ["emb"]),
    ],
)
def test_names_and_shapes_are_judged_together(shapes, tables):
    report = diagnose({name: tensor(*shape) for name, shape in shapes.items()})
    assert len(report.tables) == len(tables)
    assert all(table in name for name, table in zip(names(report), tables, strict=True))
    matrices = {name for name, shape in shapes.items() if len(shape) == 2}
    assert set(left_out(report)) == matrices - set(names(report))


def test_tables_that_share_their_storage_count_once(faults):
    report = assert_file_and_mapping_agree(faults / "checkpoints" / "tied.pt")
    assert names(report) == ["encoder.embed.weight"]
    assert set(left_out(report)) == {"decoder.weight", "lm_head.embed_out.weight"}
    assert all("in memory as encoder.embed.weight" in reason for reason in left_out(report).values())
    alias = diagnose(faults / "checkpoints" / "tied.pt", tables="decoder*")
    assert names(alias) == ["decoder.weight"]


def test_other_ways_to_share_storage(tmp_path):
    whole = tensor(300, 8)
    tied = {"out.weight": whole.T, "emb.weight": whole, "emb.first": whole[:200], "emb.copy": whole.clone()}
    report = assert_file_and_mapping_agree(saved(tmp_path / "tied.pt", tied))
    assert names(report) == ["emb.weight", "emb.copy"]
    both = {"emb": whole, "emb of numpy": whole.numpy()}
    assert names(diagnose(both)) == ["emb"]
    halves = {"emb.a": whole[:150], "emb.b": whole[150:], "emb.c": whole[:, :4], "emb.d": whole[:, 4:]}
    assert len(diagnose(saved(tmp_path / "halves.pt", halves)).tables) == 4


# One that cannot be measured beside others


def test_a_table_with_a_number_that_is_not_finite_is_left_out_and_the_rest_is_reported(faults):
    report = assert_file_and_mapping_agree(faults / "checkpoints" / "nanrow.pt")
    assert names(report) == ["emb2.weight"]
    assert left_out(report)["emb.weight"].startswith(
        "8 of 1,600 numbers are not finite or are missing, the first in row"
    )


def test_others_that_cannot_be_measured(tmp_path):
    bad = tensor(30, 4)
    bad[7, 2] = float("inf")
    save_file({"emb.a": bad, "emb.b": tensor(30, 4)}, tmp_path / "a.safetensors")
    report = diagnose(tmp_path / "a.safetensors")
    assert names(report) == ["emb.b"]
    assert "1 of 120 numbers are not finite or are missing, the first in row 7" in left_out(report)["emb.a"]
    fields = diagnose({"emb": bad}, fields=[5, 5, 20])
    assert [table.field for table in fields.tables] == ["field 0", "field 2"]
    assert "the first in row 2" in left_out(fields)["emb, field 1"]
    stack = diagnose({"emb": torch.stack([bad, tensor(30, 4)])})
    assert names(stack) == ["emb[1]"]
    assert "1 of 120 numbers" in left_out(stack)["emb[0]"]
    large = diagnose({"a": np.full((50, 3), 1.7e308), "b": array(50, 3)})
    assert names(large) == ["b"]
    assert "too large for float64" in left_out(large)["a"]
    with pytest.raises(DiagnosisError, match=r"emb \(30, 4\): 1 of 120 numbers are not finite"):
        diagnose({"emb": bad})


@pytest.mark.parametrize(
    ("file", "name", "slices"), [("checkpoints/3d.pt", "embedding", 26), ("tables/3d.npy", "3d", 3)]
)
def test_the_slices_of_a_stack_are_tables(faults, file, name, slices):
    report = diagnose(faults / file)
    assert names(report) == [f"{name}[{i}]" for i in range(slices)]
    stack = np.load(faults / file) if file.endswith("npy") else loaded(faults / file)["embedding"].double().numpy()
    for table, matrix in zip(report.tables, stack, strict=True):
        np.testing.assert_allclose(table.singular_values, np.linalg.svd(matrix, compute_uv=False), rtol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 40, 5), (2, 2, 40, 5)])
@pytest.mark.parametrize("form", ["npy", "npz", "packed.npz", "safetensors", "pt"])
def test_stacks_in_every_form_of_file(tmp_path, monkeypatch, form, shape, order):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", 64)
    stack, path = np.asarray(array(*shape), order=order), tmp_path / f"a.{form}"
    if form == "npy":
        np.save(path, stack)
    elif form.endswith("npz"):
        (np.savez_compressed if "packed" in form else np.savez)(path, emb=stack)
    elif form == "pt":
        torch.save({"emb": torch.from_numpy(stack)}, path)
    else:
        save_file({"emb": torch.from_numpy(np.ascontiguousarray(stack))}, path)
    report = diagnose(path)
    assert len(report.tables) == np.prod(shape[:-2])
    for table, matrix in zip(report.tables, stack.reshape(-1, 40, 5), strict=True):
        np.testing.assert_allclose(table.singular_values, np.linalg.svd(matrix, compute_uv=False), rtol=1e-9)


def test_arrays_of_three_axes_that_are_no_stacks_are_left_out_with_the_reason():
    report = diagnose(
        {
            "emb": tensor(90, 8),
            "embeddings_by_row": tensor(200, 3, 8),
            "conv.weight": tensor(64, 32, 3),
            "conv.bias": tensor(64),
            "other": tensor(5, 30, 8),
            "embeddings_of_ints": torch.ones(3, 90, 8, dtype=torch.int64),
        }
    )
    assert names(report) == ["emb"]
    reasons = left_out(report)
    assert "no stack of tables: 200 slices of 3 rows" in reasons["embeddings_by_row"]
    assert reasons["conv.weight"] == "3 axes, the weight of a layer that has a bias"
    assert reasons["other"].startswith("3 axes; not chosen")
    assert "int64" in reasons["embeddings_of_ints"]
    assert [it.shape for it in report.left_out if it.name == "other"] == [(5, 30, 8)]


# Recognised by content


@pytest.mark.parametrize("file", ["fuxi.model", "deepctr_weights.h5", "tar.pth.tar", "legacy.pt"])
def test_a_checkpoint_is_one_whatever_its_name_and_age(faults, file):
    report = assert_file_and_mapping_agree(faults / "checkpoints" / file)
    assert [name.removeprefix("state_dict.") for name in names(report)] == ["emb.weight"]


@pytest.mark.parametrize("name", ["weights", "epoch.3", "model.npy", "step=100.pkl"])
def test_other_names_of_checkpoints_and_of_arrays(tmp_path, name):
    torch.save(state(), tmp_path / name)
    assert names(diagnose(tmp_path / name)) == ["emb.weight"]
    with open(tmp_path / name, "wb") as file:
        np.savez(file, table=array(30, 4))
    assert names(diagnose(tmp_path / name)) == ["table"]
    save_file(state(), tmp_path / name)
    assert names(diagnose(tmp_path / name)) == ["emb.weight"]
    pq.write_table(pa.table({"e": array(30, 4).tolist()}), tmp_path / name)
    assert names(diagnose(tmp_path / name)) == ["e"]


@pytest.mark.parametrize("new_form", [True, False])
def test_numpy_in_a_checkpoint_is_harmless(tmp_path, new_form):
    matrix = np.asfortranarray(array(200, 8)).astype(">f4")
    checkpoint = {
        "state_dict": state(),
        "epoch": np.int64(3),
        "best": [np.float32(0.8), np.bool_(True), np.float16(1)],
        "history": {"auc": np.array([0.7, 0.8]), "names": np.array(["a", "b"]), "steps": np.arange(3)},
        "emb of numpy": matrix,
        "embeddings of words": np.array([["a", None]] * 9, dtype=object),
    }
    path = tmp_path / "model.pt"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=new_form)
    report = diagnose(path)
    assert names(report) == ["state_dict.emb.weight", "emb of numpy"]
    expected = np.linalg.svd(matrix.astype(float), compute_uv=False)
    np.testing.assert_allclose(report.tables[1].singular_values, expected, rtol=1e-6)
    assert "expected dense" in left_out(report)["embeddings of words"]


@pytest.mark.parametrize("file", ["best_auc.pt", "np_scalar.pt"])
def test_a_numpy_scalar_beside_the_weights_is_harmless(faults, file):
    (name,) = names(assert_file_and_mapping_agree(faults / "checkpoints" / file))
    assert name.endswith("emb.weight")


def test_an_object_of_another_class_is_refused_and_not_called_damage(faults):
    with pytest.raises(DiagnosisError, match=r"holds argparse\.Namespace beside") as error_info:
        diagnose(faults / "checkpoints" / "argparse.pt")
    assert "damaged" not in str(error_info.value)
    assert "torch.save(model.state_dict()" in str(error_info.value)
    assert names(diagnose(loaded(faults / "checkpoints" / "argparse.pt"))) == ["state_dict.emb.weight"]


@pytest.mark.parametrize("new_form", [True, False])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (types.SimpleNamespace(lr=1), "types.SimpleNamespace"),
        (Path("data"), "pathlib"),
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (np.random.default_rng(0), "numpy.random"),
    ],
)
def test_other_objects_are_refused_by_their_names(tmp_path, value, kind, new_form):
    path = tmp_path / "model.pt"
    torch.save({"state_dict": state(), "args": value}, path, _use_new_zipfile_serialization=new_form)
    with pytest.raises(DiagnosisError, match=rf"model\.pt: holds {kind}") as error_info:
        diagnose(path)
    assert "damaged" not in str(error_info.value)


def test_eight_bits_are_cast(faults, tmp_path):
    (table,) = assert_file_and_mapping_agree(faults / "checkpoints" / "fp8.pt").tables
    assert (table.dtype, table.verdict) == ("float8_e4m3fn", "not collapsed")
    for kind in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz):
        matrix = tensor(200, 8).to(kind)
        expected = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
        torch.save({"emb": matrix}, tmp_path / "a.pt")
        save_file({"emb": matrix}, tmp_path / "a.safetensors")
        for name in ("a.pt", "a.safetensors"):
            (table,) = diagnose(tmp_path / name).tables
            np.testing.assert_allclose(table.singular_values, expected, rtol=1e-9)


def word2vec_text(path: Path) -> None:
    rows = [f"w{i} " + " ".join(map(str, row)) for i, row in enumerate(array(5, 4))]
    path.write_text("\n".join(["5 4", *rows]) + "\n")


def torchscript(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"):
            archive.writestr(name, b"")


def zipped(path: Path, *members: str) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, b"x")


FOREIGN: list[tuple[str, Callable | bytes, str]] = [
    ("v.txt", word2vec_text, "is word2vec's text of 5 vectors of 4 numbers"),
    ("v.bin", b"5 4\nw0 " + bytes(range(200, 216)) + b"\n", "is word2vec's binary form of 5 vectors of 4 numbers"),
    ("glove.txt", b"the 0.4 0.2 -1e-3\nof 1 2 3\n", "a word and its vector a line, as GloVe's"),
    ("t.npy", b"1.5,2\n3,4\n", "is text, a row of numbers a line"),
    ("t.csv", b"id,d0,d1\n1,2,3\n", "is text; expected"),
    ("model.gguf", b"GGUF" + bytes(50), "is a GGUF file"),
    ("a.feather", b"ARROW1" + bytes(50), "is an Arrow or Feather file"),
    ("model.pt.gz", b"\x1f\x8b\x08" + bytes(50), "is compressed with gzip; expected"),
    ("model.tar", bytes(257) + b"ustar" + bytes(250), "is a tar archive"),
    ("model.bin", b"\xba\x16\x4f\x2f" + bytes(50), "is a model of fastText"),
    ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
    ("model.pt", b"<!DOCTYPE html><html>404</html>", "is a page of HTML or XML"),
    ("config.json", b'{"hidden_size": 8}', "is JSON"),
    ("a.pkl", b"\x80\x04K\x01.", "is a Python pickle, whose loading could run any code"),
    ("m.index", bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "is the index of a checkpoint of TensorFlow"),
    ("a", bytes(range(128, 255)), "is of no known kind (it begins with 80 81"),
    ("script.pt", torchscript, "is a TorchScript archive"),
    ("all.zip", lambda path: zipped(path, "a.pt", "b.pt"), "is a zip archive of 2 files (a.pt, b.pt); unpack it"),
]


@pytest.mark.parametrize(("name", "content", "words"), FOREIGN, ids=[name for name, *_ in FOREIGN])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name, content, words):
    content(tmp_path / name) if callable(content) else (tmp_path / name).write_bytes(content)
    with pytest.raises(DiagnosisError) as error_info:
        diagnose(tmp_path / name)
    assert f"{tmp_path / name}: {words}" in str(error_info.value).replace("is text, a word", "a word")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("checkpoints/w2v.bin", "is word2vec's binary form of 200 vectors of 8 numbers"),
        ("tables/t_text.npy", "is text, a row of numbers a line"),
    ],
)
def test_word2vec_and_text_are_called_what_they_are(faults, file, words):
    with pytest.raises(DiagnosisError, match=words):
        diagnose(faults / file)


# Shards and folders


def test_all_shards_of_an_index_are_read(faults):
    report = diagnose(faults / "checkpoints" / "model.safetensors.index.json")
    assert names(report) == ["model.embed_tokens.weight", "lm_head.weight"]
    assert report.not_looked_into == ()
    part = diagnose(faults / "checkpoints" / "model-00001-of-00002.safetensors")
    assert not_looked_into(part) == {"model-00002-of-00002.safetensors": "another of the shards"}


def write_shards(folder: Path, suffix: str) -> dict[str, torch.Tensor]:
    """A model in two shards with their index, and what a trainer leaves beside it."""
    stem, end = ("model", ".safetensors") if suffix == "safetensors" else ("pytorch_model", ".bin")
    tensors = {"a.embed.weight": tensor(200, 8), "b.embed.weight": tensor(300, 8), "mlp.weight": tensor(8, 8)}
    shards = {name: f"{stem}-0000{1 + (name > 'b')}-of-00002{end}" for name in tensors}
    for shard in set(shards.values()):
        part = {name: value for name, value in tensors.items() if shards[name] == shard}
        save_file(part, folder / shard) if end == ".safetensors" else torch.save(part, folder / shard)
    index = folder / f"{stem}{end}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": shards}))
    (folder / "config.json").write_text("{}")
    torch.save({"state": {}, "param_groups": []}, folder / "optimizer.pt")
    return tensors


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_folder_of_hugging_face_is_read_with_all_shards(tmp_path, suffix):
    tensors = write_shards(tmp_path, suffix)
    (index,) = tmp_path.glob("*.index.json")
    for source in (tmp_path, index):
        report = diagnose(source)
        assert names(report) == ["a.embed.weight", "b.embed.weight"]
        for table in report.tables:
            expected = np.linalg.svd(tensors[table.name].numpy(), compute_uv=False)
            np.testing.assert_allclose(table.singular_values, expected, rtol=1e-5)
    assert not_looked_into(diagnose(tmp_path)) == {"optimizer.pt": "another file of the folder"}


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_folder_without_an_index_is_read_too(tmp_path, suffix):
    write_shards(tmp_path, suffix)
    next(tmp_path.glob("*.index.json")).unlink()
    assert names(diagnose(tmp_path)) == ["a.embed.weight", "b.embed.weight"]


def test_a_folder_of_arrays_and_of_checkpoints(tmp_path):
    for name in ("user", "item"):
        np.save(tmp_path / f"{name}.npy", array(50, 4))
    assert names(diagnose(tmp_path)) == ["item", "user"]
    torch.save(state(), tmp_path / "model_1.pt")
    torch.save(state(), tmp_path / "model_2.pt")
    report = diagnose(tmp_path)
    assert names(report) == ["model_1.pt: emb.weight", "model_2.pt: emb.weight"]
    assert set(not_looked_into(report)) == {"user.npy", "item.npy"}


def test_what_is_wrong_with_shards_is_named(tmp_path):
    write_shards(tmp_path, "safetensors")
    index, shard = tmp_path / "model.safetensors.index.json", tmp_path / "model-00002-of-00002.safetensors"
    weight_map = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": weight_map | {"c": shard.name}}))
    with pytest.raises(DiagnosisError, match=r"index\.json: c is in none of the shards"):
        diagnose(index)
    shard.unlink()
    with pytest.raises(DiagnosisError, match=r"1 of 2 shards are not beside it: model-00002-of-00002\.safetensors"):
        diagnose(index)
    for outside in ("/etc/passwd", "../other.safetensors"):
        index.write_text(json.dumps({"weight_map": {"a": outside}}))
        with pytest.raises(DiagnosisError, match="expected a file beside the index"):
            diagnose(index)
    index.write_text('{"weight_map": 3}')
    with pytest.raises(DiagnosisError, match="cannot be read as index of shards"):
        diagnose(index)


# Columns


def test_columns_that_are_no_part_of_the_vectors_are_left_out(faults):
    plain, extra = (diagnose(faults / "tables" / f"{name}.parquet") for name in ("cols", "cols_extra"))
    assert extra.tables == plain.tables
    assert (plain.tables[0].columns, plain.tables[0].verdict) == (8, "not collapsed")
    assert not_looked_into(extra) == {
        "score": "a column of double beside the table's",
        "id": "a column of int64 beside the table's",
    }
    (measured,) = diagnose(faults / "tables" / "cols_extra.parquet", columns=["d*", "score"]).tables
    assert measured.columns == 9
    assert measured.warning.startswith("Column score stands out: root mean square")


def columns(**named: np.ndarray) -> pa.Table:
    return pa.table(named)


def test_other_tables_by_columns(tmp_path):
    vectors = array(200, 4).astype(np.float32)
    popular = (1000 * array(200)).astype(np.float32)
    path = tmp_path / "a.parquet"
    numbered = {f"emb_{i}": vectors[:, i] for i in range(4)}
    pq.write_table(columns(popularity=popular, **numbered, price=popular), path)
    (table,) = diagnose(path).tables
    assert (table.name, table.columns, table.warning) == ("emb_0 to emb_3", 4, None)
    two = {f"u{i}": vectors[:, i] for i in range(4)} | {f"i{i + 1}": vectors[:, i] for i in range(3)}
    pq.write_table(columns(**two), path)
    assert [(table.name, table.columns) for table in diagnose(path).tables] == [("u0 to u3", 4), ("i1 to i3", 3)]
    words = dict(zip(("alpha", "beta", "gamma", "delta"), vectors.T, strict=True))
    pq.write_table(columns(**words, popularity=popular), path)
    (table,) = diagnose(path).tables
    assert (table.columns, table.verdict) == (5, "collapsed")
    assert table.warning.startswith("Column popularity stands out")
    (table,) = diagnose(path, columns=["?????", "delta", "beta"]).tables
    assert table.columns == 4


def test_a_column_that_stands_out_is_named_in_every_report(tmp_path):
    matrix = array(200, 8)
    matrix[:, 3] *= 1000
    np.save(tmp_path / "a.npy", matrix)
    report = diagnose(tmp_path / "a.npy")
    words = "Column 3 stands out"
    for text in (str(report), report.to_html(), report.to_json(), report.tables[0].reading(), report.reading()[0]):
        assert words in text
    (table,) = diagnose(tmp_path / "a.npy", columns=["0-2", "4-7"]).tables
    assert (table.columns, table.warning, table.verdict) == (7, None, "not collapsed")
    matrix[:, 5] *= 1000
    (table,) = diagnose({"a": matrix}).tables
    assert table.warning.startswith("2 columns (3, 5) stand out")


@pytest.mark.parametrize("scale", [1, 1e-300, 1e300])
def test_columns_that_fade_do_not_stand_out(scale):
    report = diagnose({"a": array(500, 16) * np.geomspace(1, 0.001, 16) * scale, "zeros": np.zeros((30, 4))})
    assert [table.warning for table in report.tables] == [None, None]


def test_a_missing_list_is_named_by_its_row(faults, tmp_path):
    with pytest.raises(DiagnosisError, match=r"emb \(200, 8\): row 7 \(from 0\): expected 8 numbers, found none"):
        diagnose(faults / "tables" / "list_null.parquet")
    rows = [None, [1.0, 2.0], [3.0, 1.0]]
    table = {"first": rows, "ragged": [[1.0], [1.0, 2.0], [2.0]], "good": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    report = diagnose(tmp_path / "a.parquet")
    assert names(report) == ["good"]
    assert left_out(report)["first"] == "row 0 (from 0): expected 2 numbers, found none, the list is missing"
    assert "one column" in left_out(report)["ragged"]


# Options


def test_what_is_measured_can_be_chosen():
    checkpoint = {"model": state(), "ema": state(), "position_emb": tensor(90, 8)}
    everything = ["model.emb.weight", "ema.emb.weight", "position_emb"]
    assert names(diagnose(checkpoint)) == everything
    assert names(diagnose(checkpoint, key="ema")) == ["ema.emb.weight"]
    assert names(diagnose(checkpoint, exclude="position*")) == everything[:2]
    assert names(diagnose(checkpoint, tables="*emb*", exclude=["ema*", "pos*"])) == everything[:1]
    assert left_out(diagnose(checkpoint, exclude="position*"))["position_emb"] == "not chosen: excluded"
    assert names(diagnose(nn.ModuleDict({"a": nn.Embedding(9, 3), "b": nn.Embedding(9, 3)}), key="b")) == ["b.weight"]
    stack = {"emb": tensor(3, 40, 4)}
    assert names(diagnose(stack, tables="emb")) == ["emb[0]", "emb[1]", "emb[2]"]
    assert names(diagnose(stack, exclude=r"emb[[]1]")) == ["emb[0]", "emb[2]"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": "network"}, r"nothing is below the key 'network' \(--key\); there are net, other"),
        ({"columns": ["7-9"]}, r"columns '7-9' \(--columns\): expected names or positions of these: 0 to 7"),
        ({"columns": ["x"]}, r"columns 'x' \(--columns\)"),
        ({"columns": ["3"]}, "expected two or more, found one"),
        ({"exclude": "*"}, "not chosen: excluded"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(options, words):
    with pytest.raises(DiagnosisError, match=words):
        diagnose({"net": state(), "other": tensor(3)}, **options)


@pytest.fixture
def command(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        status = cli.main(["diagnose", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_options_of_the_command_are_those_of_the_function(command, tmp_path):
    path = saved(tmp_path / "model.pt", {"net": state(), "ema": state()})
    status, output, _ = command(
        path, "--key", "net", "--exclude", "x*", "--exclude", "*mlp*", "--columns", "0-3, 5", "--json"
    )
    (table,) = json.loads(output)["tables"]
    assert (status, table["name"], table["columns"]) == (0, "net.emb.weight", 5)


# Where results go


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("nowhere/r.html", "there is no folder"),
        (".", "is a folder, expected the name of a file"),
        ("a.npy/r.html", "there is no folder"),
        ("a.npy", "is the file that is to be measured"),
        ("x" * 300 + ".html", "File name too long"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_measured(
    command, tmp_path, monkeypatch, page, words
):
    np.save(tmp_path / "a.npy", array(30, 4))
    before = (tmp_path / "a.npy").read_bytes()
    monkeypatch.setattr("paper_code.diagnose.command.diagnose", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.chdir(tmp_path)
    status, _, message = command("a.npy", "--html", page)
    assert status == 1
    assert words in message
    assert message.startswith("paper-code: ")
    assert (tmp_path / "a.npy").read_bytes() == before


def test_a_place_without_the_right_to_write_is_refused_before_anything_is_measured(command, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", array(30, 4))
    monkeypatch.setattr("paper_code.diagnose.command.diagnose", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr("paper_code.diagnose.command.os.access", lambda *_: False)  # root may write everywhere
    status, _, message = command(tmp_path / "a.npy", "--html", tmp_path / "r.html")
    assert status == 1
    assert message.endswith("r.html: cannot be written there; choose another place\n")


def test_what_was_measured_is_shown_even_if_the_page_cannot_be_written_in_the_end(command, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", array(30, 4))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    status, output, message = command(tmp_path / "a.npy", "--html", tmp_path / "r.html")
    assert (status, "abundance" in output, "No space left" in message) == (1, True, True)


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
)
def test_names_that_the_terminal_cannot_show_are_spelled_out(tmp_path, locale):
    path, page = tmp_path / "vektorü.npz", tmp_path / "é.html"
    np.savez(path, **{"naïve_emb": array(30, 4)})
    found = subprocess.run(
        [sys.executable, "-m", "paper_code", "diagnose", path, "--html", page, "--exclude", "ü"],
        env=os.environ | locale,
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"ve_emb" in found.stdout
    assert "naïve_emb" in page.read_text(encoding="utf-8")


def test_sizes_of_fields_are_read_with_spaces(command, tmp_path):
    np.save(tmp_path / "a.npy", array(30, 4))
    status, output, _ = command(tmp_path / "a.npy", "--fields", "10, 20", "--json")
    assert [table["rows"] for table in json.loads(output)["tables"]] == [10, 20]
    status, _, message = command(tmp_path / "a.npy", "--fields", "10,x")
    assert status == 1
    assert "--fields '10,x': expected sizes of at least 1" in message
