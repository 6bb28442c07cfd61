"""The registry, which needs no PyTorch, says of every model what its classes say."""

import subprocess
import sys

import pytest

from paper_code.models import MODELS, MultiEmbedding, model_options
from paper_code.models.building import head_of, interaction_of, keyword_options
from paper_code.models.registry import DNN


@pytest.mark.parametrize("name", MODELS)
def test_the_options_of_a_model_are_those_of_its_parts_with_their_defaults(name):
    of_parts = keyword_options(interaction_of(name)) | keyword_options(MultiEmbedding)
    for dnn in (None, *MODELS[name].dnn):
        of_parts |= keyword_options(head_of(name, dnn))
    options = model_options(name)
    options.pop("shared_interaction", None)
    if MODELS[name].dnn:
        assert options.pop("dnn") is None
        assert tuple(MODELS[name].dnn) == DNN
    assert options == of_parts


def test_it_is_read_without_pytorch():
    code = "import sys; from paper_code.models import MODELS, model_options; print(len(MODELS), 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(len(MODELS)), "False"]
