"""NumPy and safetensors are all that the diagnosis of most files needs; what else one needs is named."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from paper_code.data import ClickLog, Field
from paper_code.data.click_log import write_log
from paper_code.diagnose import diagnose
from paper_code.diagnose.safetensors_files import FLOAT8, TYPES, read_safetensors

ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "paper_code", "numpy", "safetensors"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused())
from paper_code.cli import main
sys.exit(main(sys.argv[1:]))
"""


def alone(*arguments: object) -> subprocess.CompletedProcess:
    """The command line where nothing else can be imported."""
    return subprocess.run([sys.executable, "-c", ALONE, *map(str, arguments)], capture_output=True, text=True)


MATRIX = np.random.default_rng(0).standard_normal((500, 6)).astype(np.float32) * np.geomspace(1, 0.01, 6, dtype="f4")

FILES = {
    "a.npy": lambda path: np.save(path, MATRIX),
    "a.npz": lambda path: np.savez(path, item=MATRIX),
    "packed.npz": lambda path: np.savez_compressed(path, item=MATRIX),
    "a.safetensors": lambda path: save_file({"emb": torch.from_numpy(MATRIX)}, path),
    "half.safetensors": lambda path: save_file({"emb": torch.from_numpy(MATRIX).bfloat16()}, path),
    "byte.safetensors": lambda path: save_file({"emb": torch.from_numpy(MATRIX).to(torch.float8_e5m2)}, path),
}


@pytest.mark.parametrize("name", FILES)
def test_the_core_alone_finds_what_torch_finds(tmp_path, name):
    FILES[name](tmp_path / name)
    done = alone("diagnose", tmp_path / name, "--as-used", "--json", "--html", tmp_path / "report.html")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)["tables"]
    (expected,) = json.loads(json.dumps(diagnose(tmp_path / name, as_used=True).values()))["tables"]
    np.testing.assert_allclose(found["singular_values"], expected["singular_values"], rtol=0, atol=1e-12)
    assert found["verdict"] == expected["verdict"]
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_core_alone_knows_the_fields_of_an_encoded_log(tmp_path):
    fields, ids = (Field("a", 3), Field("b", 2)), np.zeros((4, 2), np.int32)
    write_log(tmp_path / "mine", ClickLog("mine", fields, ids, np.zeros(4, np.uint8), 1, {}))
    np.save(tmp_path / "a.npy", np.eye(5))
    done = alone("diagnose", tmp_path / "a.npy", "--fields", "mine", "--data-dir", tmp_path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [it["field"] for it in json.loads(done.stdout)["tables"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "extra"),
    [
        ("a.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
        ("a.parquet", b"PAR1", "parquet"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "hdf5"),
        ("a.onnx", b"\x08\x07\x12\x00", "onnx"),
    ],
)
def test_a_file_that_needs_an_extra_says_which(tmp_path, name, content, extra):
    (tmp_path / name).write_bytes(content)
    done = alone("diagnose", tmp_path / name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"paper-code: {tmp_path / name}: a")
    assert f"pip install 'paper-code[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["prepare", "criteo", "train.txt"], "torch"),
        (["train", "--dataset", "criteo_like", "--model", "dnn"], "torch"),
        (["sweep"], "torch"),
        (["toy"], "torch"),
        (["claims"], "book"),
        (["diagnose", "a.pt", "--model", "dnn", "--fields", "3,2", "--data", "ids.npy"], "torch"),
    ],
)
def test_a_command_that_needs_an_extra_says_which(tmp_path, monkeypatch, arguments, extra):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    monkeypatch.chdir(tmp_path)
    np.save("ids.npy", np.zeros((2, 2), np.int64))
    done = alone(*arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"paper-code: {arguments[0]} needs ")
    assert line.endswith(f": pip install 'paper-code[{extra}]'")


@pytest.mark.parametrize("name", FLOAT8)
def test_numbers_of_8_bits_are_torchs(name):
    expected = torch.arange(256, dtype=torch.uint8).view(getattr(torch, name)).float().numpy()
    np.testing.assert_array_equal(FLOAT8[name], np.where(np.isfinite(expected), expected, np.nan))


def test_every_type_of_safetensors_is_read_as_torch_reads_it(tmp_path):
    types = {
        **{"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "BOOL": "bool"},
        **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"},
        **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
        **{
            f"{code}{bits}": f"{kind}{bits}" for code, kind in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)
        },
    }
    assert set(types) == set(TYPES)
    numbers = torch.arange(24).reshape(2, 4, 3)
    tensors = {kind: numbers.to(getattr(torch, name)) for kind, name in types.items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"made": "here"})
    found = read_safetensors(tmp_path / "a.safetensors").arrays
    assert set(found) == set(types)
    for kind, array in found.items():
        assert array.shape == (2, 4, 3)
        for index in (0, 1):
            read = np.concatenate(list(array.blocks((index,))))
            np.testing.assert_array_equal(read.astype(float), tensors[kind][index].double().numpy(), err_msg=kind)
