"""The recipe of the page "Measure your own model": a model with nn.Embedding tables becomes one with M sets."""

import re
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from paper_code.book.build import BOOK_FOLDER
from paper_code.diagnose import diagnose
from paper_code.models import MultiEmbedding

CARDINALITIES = [40, 300, 7]
SIZE = 8


@pytest.fixture(scope="module")
def recipe() -> type[nn.Module]:
    page = (BOOK_FOLDER / "diagnose.md").read_text(encoding="utf-8").split("## Multi-embedding in a model of yours")[1]
    code = re.findall(r"^```python\n(.+?)^```$", page, flags=re.MULTILINE | re.DOTALL)[0]
    assert len(code.splitlines()) <= 30
    found = {}
    exec(code, found)
    return found["MultiEmbedded"]


class Plain(nn.Module):
    """Somebody's model: a table for each field, an interaction, a linear head."""

    def __init__(self, interaction, features: int):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, SIZE) for rows in CARDINALITIES)
        self.interaction, self.head = interaction(), nn.Linear(features, 1)

    def forward(self, ids):
        rows = torch.stack([table(column) for table, column in zip(self.tables, ids.T, strict=True)], dim=1)
        return self.head(self.interaction(rows)).squeeze(1)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(len(CARDINALITIES) * SIZE, 16), nn.ReLU())


def ids(rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(size, (rows,), generator=generator) for size in CARDINALITIES], dim=1)


def trained(model: nn.Module, steps: int = 30) -> nn.Module:
    batch = ids(512)
    labels = (batch[:, 0] % 2 == batch[:, 1] % 2).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(batch), labels).backward()
        optimizer.step()
    return model


def test_with_one_set_it_is_the_model_that_one_had(recipe):
    plain, one = Plain(mlp, 16), recipe(CARDINALITIES, SIZE, 1, mlp, 16)
    with torch.no_grad():
        one.embedding.weight.copy_(torch.cat([table.weight for table in plain.tables]))
    one.interactions[0].load_state_dict(plain.interaction.state_dict())
    one.head.load_state_dict(plain.head.state_dict())
    torch.testing.assert_close(one(ids(64)), plain(ids(64)))


def test_every_set_has_tables_and_an_interaction_of_its_own_and_the_mean_is_after_the_projection(recipe):
    model = recipe(CARDINALITIES, SIZE, 3, mlp, 16)
    batch = ids(64)
    sets = [[table[batch[:, i]] for i, table in enumerate(of_set)] for of_set in model.embedding.matrices()]
    hidden = [interact(torch.stack(rows, dim=1)) for interact, rows in zip(model.interactions, sets, strict=True)]
    torch.testing.assert_close(model(batch), model.head(sum(hidden) / 3).squeeze(1))
    assert len({id(parameter) for it in model.interactions for parameter in it.parameters()}) == 6


def test_it_is_measured_before_and_after_training_as_the_single_model_is(recipe):
    torch.manual_seed(0)
    for model in (recipe(CARDINALITIES, SIZE, 4, mlp, 16), Plain(mlp, 16)):
        before = diagnose(model, batch=ids(256))
        after = diagnose(trained(model), batch=ids(256))
        assert [table.rows for table in after.tables] == CARDINALITIES
        assert before.tables[1].information_abundance != after.tables[1].information_abundance
        assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
    assert isinstance(recipe(CARDINALITIES, SIZE, 4, mlp, 16).embedding, MultiEmbedding)


def test_with_the_interaction_of_deepctr_torch(recipe, monkeypatch):
    offline = ModuleType("deepctr_torch.utils")  # the real one asks for a newer version in a thread
    offline.check_version = lambda version: None
    monkeypatch.setitem(sys.modules, "deepctr_torch.utils", offline)
    pytest.importorskip("deepctr_torch", reason="DeepCTR-Torch is not installed; it comes with the extra bench")
    from deepctr_torch.layers import DNN, CrossNet

    def interaction() -> nn.Module:
        size = len(CARDINALITIES) * SIZE
        return nn.Sequential(nn.Flatten(), CrossNet(size, 2), DNN(size, (16,)))

    model = recipe(CARDINALITIES, SIZE, 2, interaction, 16)
    report = diagnose(trained(model), batch=ids(256))
    assert [(table.rows, table.columns) for table in report.tables] == [(rows, 2 * SIZE) for rows in CARDINALITIES]
    assert {"interactions.0.1", "interactions.1.2.linears.0"} <= {layer.name for layer in report.layers}
