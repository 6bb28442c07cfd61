"""What the layers of any model give for a batch is measured as it runs, and the model is left as it was."""

import json
import sys
from collections import namedtuple
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from paper_code import cli
from paper_code.diagnose import DiagnosisError, diagnose
from paper_code.models import build_model
from tests.diagnose.test_diagnose import gaussian, matrix_of_spectrum


def layer_names(report) -> list[str]:
    return [layer.name for layer in report.layers]


def test_measures_are_those_of_the_obvious_code_in_the_order_of_the_layers():
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))
    batch = torch.from_numpy(gaussian(300, 12)).float()
    found = diagnose(model, batch=batch).layers
    assert [(it.name, it.kind, it.rows, it.columns) for it in found] == [
        ("0", "Linear", 300, 16),
        ("1", "ReLU", 300, 16),
        ("2", "Linear", 300, 5),
    ]
    for count, it in enumerate(found, start=1):
        values = np.linalg.svd(model[:count](batch).detach().double().numpy(), compute_uv=False)
        shares = values / values.sum()
        rank_me = np.exp(-(shares * np.log(shares + 1e-7)).sum())  # RankMe's epsilon, within the logarithm
        assert it.effective_rank == pytest.approx(rank_me, rel=1e-5)
        assert it.information_abundance == pytest.approx(values.sum() / values[0])
        assert it.stable_rank == pytest.approx((values**2).sum() / values[0] ** 2)


def test_a_collapsed_layer_is_seen():
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(np.linalg.qr(gaussian(8, 8))[0]))
        model[1].weight.copy_(torch.from_numpy(matrix_of_spectrum([1, 0, 0, 0, 0, 0, 0, 0], 8)))
    one, two = diagnose(model, batch=gaussian(400, 8).astype(np.float32)).layers
    assert one.share_of_random > 0.9
    assert two.effective_rank == pytest.approx(1, abs=1e-4)
    assert one.alpha is None  # 8 eigenvalues are too few for a power law


def test_the_model_is_left_as_it_was_also_if_it_fails():
    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.BatchNorm1d(6))
    model[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    batch = torch.randn(50, 4)
    one, two = (diagnose(model, batch=batch) for _ in range(2))
    assert one == two  # no dropout: in the mode of evaluation
    with pytest.raises(
        DiagnosisError, match=r"Sequential failed on the batch \(RuntimeError: .*what its forward takes"
    ):
        diagnose(model, batch=torch.randn(50, 3))
    assert [layer.training for layer in model] == [True, True, False]
    assert all(not layer._forward_hooks for layer in model.modules())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_plain_transformer_with_its_tables():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(300, 16)
            block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)

        def forward(self, ids):
            return self.blocks(self.tokens(ids))

    report = diagnose(Language(), batch=torch.randint(300, (20, 7)))
    assert [table.name for table in report.tables] == ["tokens.weight"]
    names = layer_names(report)
    assert names[0] == "tokens"
    assert {"blocks.layers.0", "blocks.layers.1.norm2"} & set(names)
    assert (report.layers[0].rows, report.layers[0].columns) == (140, 16)
    text = str(report)
    assert "What the layers give for the batch:" in text
    assert "blocks.layers.1" in text
    assert len(json.loads(report.to_json())["layers"]) == len(names)
    assert "What the layers give for the batch" in report.to_html()


def test_channels_are_the_features_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten())
    batch = torch.randn(6, 3, 5, 5)
    conv, relu, flat = diagnose(model, batch=batch).layers
    assert (conv.rows, conv.columns, relu.rows, relu.columns) == (150, 8, 150, 8)
    assert (flat.rows, flat.columns) == (6, 200)
    values = np.linalg.svd(model[0](batch).detach().double().movedim(1, -1).reshape(-1, 8).numpy(), compute_uv=False)
    np.testing.assert_allclose(conv.singular_values, values, rtol=1e-6)
    assert relu.singular_values != conv.singular_values  # changed in place, so it counts


def test_outputs_of_all_kinds_are_found_and_those_handed_on_count_once():
    Pair = namedtuple("Pair", "hidden ids")

    class Parts(nn.Module):
        def forward(self, x):
            return {"pair": Pair(x * 2, x.long()), "list": [x + 1, None, "text"], "logit": x[:, 0]}

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.parts = nn.Linear(4, 4), Parts()
            self.wrapped = nn.Sequential(nn.Identity())

        def forward(self, x):
            return self.parts(self.wrapped(self.shared(self.shared(x))))["pair"]

    report = diagnose(Model(), batch=torch.randn(30, 4))
    expected = ["shared", "shared (call 2)", "parts.pair[0]", "parts.list[0]"]
    assert layer_names(report) == expected
    left = {it.name: it.reason for it in report.left_out}
    assert "int64" in left["parts.pair[1]"]
    assert "no matrix" in left["parts.logit"]


def test_a_batch_of_arguments_by_position_and_by_name():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x, *, scale):
            return self.layer(x) * scale

    class OfMapping(Model):
        def forward(self, inputs):
            return super().forward(inputs["x"], scale=inputs["scale"])

    x, scale = gaussian(30, 4).astype(np.float32), np.float32([2])
    model, other = Model(), OfMapping()
    other.load_state_dict(model.state_dict())
    by_name, of_mapping = (diagnose(it, batch={"x": x, "scale": scale}).layers for it in (model, other))
    assert layer_names(diagnose(model, batch={"x": x, "scale": scale})) == ["layer", "the model"]
    assert [it.singular_values for it in by_name] == [it.singular_values for it in of_mapping]
    bilinear = nn.Bilinear(4, 4, 3)
    assert layer_names(diagnose(bilinear, batch=(x, x))) == ["the model"]
    assert layer_names(diagnose(bilinear, batch=[torch.from_numpy(x), x])) == ["the model"]
    plain = diagnose(model, batch={"x": x, "scale": 2.0}).layers  # what is no array is handed on as it is
    assert [it.singular_values for it in plain] == [it.singular_values for it in by_name]


def test_what_is_not_finite_is_left_out_as_faulty():
    class Broken(nn.Module):
        def forward(self, x):
            return x / torch.zeros(4)

    report = diagnose(nn.Sequential(nn.Linear(4, 4), Broken()), batch=torch.ones(9, 4))
    assert [(it.name, it.faulty) for it in report.left_out if it.name == "1"] == [("1", True)]


def test_few_samples_are_pointed_at():
    report = diagnose(nn.Linear(4, 50), batch=torch.randn(20, 4))
    assert "The batch has fewer samples than 1 of 1 layers have features" in " ".join(report.reading())


def test_a_batch_needs_a_module_with_layers_that_give_matrices():
    with pytest.raises(TypeError, match="expected a module as the source, found dict"):
        diagnose({"a": gaussian(9, 3)}, batch=torch.ones(3))
    with pytest.raises(DiagnosisError, match="no layer gives a matrix"):
        diagnose(nn.Flatten(0), batch=torch.ones(3, 3))


# Models of libraries


def test_a_model_of_this_book():
    model = build_model("dcnv2", [40, 300, 7], embedding_size=8, num_sets=2, seed=0)
    draw = np.random.default_rng(0)
    ids = np.stack([draw.integers(size, size=200) for size in (40, 300, 7)], axis=1)
    report = diagnose(model, batch=ids)
    assert layer_names(report)[0] == "embedding"
    assert len(report.tables) == 3
    assert len(report.layers) >= 3


def test_a_module_like_torchrecs():
    class KeyedTensor:
        def __init__(self, values):
            self.kept = values

        def to_dict(self):
            return self.kept

    class Collection(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding_bags = nn.ModuleDict({"site": nn.EmbeddingBag(40, 8), "user": nn.EmbeddingBag(300, 8)})

        def forward(self, ids):
            return KeyedTensor({name: bag(ids[name][:, None]) for name, bag in self.embedding_bags.items()})

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.sparse, self.over = Collection(), nn.Linear(16, 4)

        def forward(self, ids):
            return self.over(torch.cat(list(self.sparse(ids).to_dict().values()), dim=1))

    report = diagnose(Model(), batch={"site": torch.randint(40, (64,)), "user": torch.randint(300, (64,))})
    assert layer_names(report) == ["sparse.embedding_bags.site", "sparse.embedding_bags.user", "over"]
    assert [table.name for table in report.tables] == [
        "sparse.embedding_bags.site.weight",
        "sparse.embedding_bags.user.weight",
    ]


def test_deepctr_torch(monkeypatch):
    offline = ModuleType("deepctr_torch.utils")  # the real one asks for a newer version in a thread
    offline.check_version = lambda version: None
    monkeypatch.setitem(sys.modules, "deepctr_torch.utils", offline)
    pytest.importorskip("deepctr_torch", reason="DeepCTR-Torch is not installed; it comes with the extra bench")
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import DeepFM

    fields = [SparseFeat(name, size, embedding_dim=8) for name, size in (("site", 40), ("user", 300))]
    model = DeepFM(fields, [*fields, DenseFeat("age", 1)], dnn_hidden_units=(32, 16), device="cpu")
    draw = np.random.default_rng(0)
    batch = np.column_stack([draw.integers(40, size=256), draw.integers(300, size=256), draw.random(256)])
    names = layer_names(diagnose(model, batch=batch.astype(np.float32)))
    assert {"embedding_dict.site", "embedding_dict.user", "dnn.linears.0", "dnn.linears.1"} <= set(names)


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
            self.mlp = layers.MLP_Block(16, hidden_units=[24])

        def forward(self, inputs):
            return self.mlp(self.cross(self.embedding(inputs).flatten(1)))

    batch = {"site": torch.randint(40, (128,)), "user": torch.randint(300, (128,))}
    names = layer_names(diagnose(Model(), batch=batch))
    assert any(name.startswith("embedding") for name in names)
    assert any(name.startswith("cross") for name in names)
    assert any(name.startswith("mlp") for name in names)


# The command


def test_the_layers_of_a_model_of_this_book_by_its_state_dict(tmp_path, capsys):
    model = build_model("dcnv2", [40, 300], embedding_size=4, num_sets=2, seed=0)
    torch.save(model.state_dict(), tmp_path / "a.pt")
    ids = np.stack([np.arange(60) % size for size in (40, 300)], axis=1)
    np.savez(tmp_path / "batch.npz", ids=ids)
    options = ["--model", "dcnv2", "--fields", "40,300", "--data", str(tmp_path / "batch.npz")]
    arguments = ["diagnose", str(tmp_path / "a.pt"), *options]
    assert cli.main([*arguments, "--num-sets", "2", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    expected = diagnose(model, batch=ids)
    assert [layer["name"] for layer in values["layers"]] == layer_names(expected)
    assert [table["field"] for table in values["tables"]] == ["field 0", "field 1"]
    np.savez(tmp_path / "two.npz", ids=ids, labels=ids[:, 0])
    two = [str(tmp_path / "two.npz") if it.endswith("batch.npz") else it for it in arguments]
    for wrong, words in (
        (two, "two.npz: expected one array, found ids, labels"),
        ([*arguments, "--num-sets", "3"], "is no state dict of --model dcnv2 with 2 fields"),
        ([*arguments[:-2], "--num-sets", "2"], "--data, --model and --fields go together"),
    ):
        assert cli.main(wrong) == 1
        message = capsys.readouterr().err
        assert words in message
        assert message.count("\n") == 1
