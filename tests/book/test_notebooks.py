"""The notebooks: their shape, a run of each from nothing at the smoke profile, and the committed figures."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from paper_code import chapters
from paper_code.book.build import BOOK_FOLDER, execute_book
from paper_code.chapters import (
    ledger_page,
)
from paper_code.chapters.alternatives import alternatives_table
from paper_code.chapters.claims import ledger, logs_beside
from paper_code.chapters.consistency import published_intervals
from paper_code.chapters.measures import measures_table
from paper_code.chapters.optimizer import absent_table, typical_gradient
from paper_code.chapters.reach import map_summary, map_table
from paper_code.chapters.released import changes_table
from paper_code.chapters.shared.tables import Runs
from paper_code.chapters.speed import training_speed
from paper_code.data import prepare_criteo
from paper_code.models import build_model
from paper_code.runs.computed import toy_results
from paper_code.runs.config import RunConfig
from paper_code.runs.experiments import BOOK, run_configs
from paper_code.runs.profiles import PROFILES, RESULTS_FOLDER, project_path
from paper_code.runs.reading import records_of, trials
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep

NOTEBOOKS = sorted(BOOK_FOLDER.glob("*.ipynb"))
TRAINABLE = [path for path in NOTEBOOKS if path.stem != "real_rows"]  # its rows are not part of the project
PARAMETERS = ["dataset", "profile", "seeds", "device", "results_dir", "figures_dir"]
CRITEO, AVAZU, REAL = "criteo_like", "avazu_like", "criteo_80k"


def largest(experiment: str, embedding: str = "SE", dataset: str = CRITEO) -> list[RunRecord]:
    """The records of plain DCNv2 at the largest size."""
    return Runs(records_of(experiment, dataset)).records_of("dcnv2", embedding)


def of_model(model: str, records: list[RunRecord]) -> list[RunRecord]:
    return [record for record in records if record.config["model"] == model]


def on_both(experiment: str) -> list[RunRecord]:
    return [*records_of(experiment, CRITEO), *records_of(experiment, AVAZU)]


# every figure of the book -> what it is drawn from, of the committed records
DRAWN_FROM = {
    "claims_ledger": lambda: [ledger_page.summary_table(ledger(logs_beside(CRITEO)))],
    "fig01_single_embedding": lambda: [records_of("tables", CRITEO), ["SE"]],
    "fig01_spectra": lambda: [records_of("collapse", CRITEO)],
    "fig02_information_abundance": lambda: [records_of("collapse", CRITEO)],
    "fig03_interaction_collapse": lambda: [records_of("evidence_i", CRITEO), largest("evidence_ii")],
    "fig04_toy": toy_results,
    "fig05_regularized": lambda: [records_of("evidence_iii", CRITEO)],
    "fig06_dnn_dcnv2": lambda: [records_of("evidence_iv", CRITEO)],
    "fig07_architecture": lambda: [[build_model("dcnv2", [50, 7], 10, num_sets=sets) for sets in (1, 2)]],
    "fig08_scalability": lambda: [records_of("tables", CRITEO), ["ME"]],
    "fig09_abundance": lambda: [largest("patterns"), largest("patterns", "ME")],
    "fig09_patterns": lambda: [largest("patterns", "ME")[0]],
    "fig09_restricted": lambda: [records_of("patterns", CRITEO)],
    "fig10_models": lambda: [records_of("tables", CRITEO)],
    "fig11_models": lambda: [records_of("tables", AVAZU)],
    "ablations": lambda: [records_of("ablations", CRITEO)],
    "published_gains": lambda: [published_intervals()],
    "measures": lambda: [
        measures_table(*(records_of(name, CRITEO) for name in ("evidence_iii", "evidence_iv", "patterns", "optimizer")))
    ],
    "optimizer_absent": lambda: [absent_table(*typical_gradient(records_of("optimizer", CRITEO)[0]))],
    "optimizer": lambda: [{dataset: records_of("optimizer", dataset) for dataset in (CRITEO, AVAZU)}],
    "released_changes": lambda: [changes_table(records_of("released", CRITEO))],
    "reach_map": lambda: [map_summary(map_table(on_both("map")))],
    "reach_alternatives": lambda: [alternatives_table(on_both("alternatives"), trials(RESULTS_FOLDER))],
    "speed": lambda: [training_speed()],
    "speed_gpu": lambda: [training_speed("cuda")],
    "newer_scalability": lambda: [records_of("newer", CRITEO)],
    "newer_law": lambda: [Runs(records_of("newer", CRITEO)).records_of(model) for model in ("gdcn", "rankmixer")],
}
OF_REAL_ROWS = {
    "real_rows_spectra": lambda: [largest("few_rows", dataset=REAL)],
    "real_rows_abundance": lambda: [largest("few_rows", dataset=REAL)],
    "real_rows_law": lambda: [of_model("ffm", records_of("few_rows", REAL)), largest("few_rows", dataset=REAL)],
    "real_rows_dnn_dcnv2": lambda: [records_of("evidence_iv", REAL)],
}
FIGURES = {
    name: drawing
    for module in pkgutil.iter_modules(chapters.__path__)
    for name, drawing in getattr(importlib.import_module(f"paper_code.chapters.{module.name}"), "FIGURES", {}).items()
}
MEASURED = [
    "notebooks",
    "runs",
    "benchmark_training",
    "benchmark_encoding",
    "benchmark_epoch",
    "faults_killing",
    "faults_fuzz",
    "faults_long",
    "coverage",
    "likeness",
    "likeness_fields",
    "verification_other_instructions",
]
TABLES = ["table1_criteo_like", "table1_avazu_like", "table2", "table3", "table4"]
# by the notebooks at their defaults, but for the real rows
TRAINED = {CRITEO: BOOK[CRITEO], AVAZU: ["tables", "optimizer", "map", "alternatives"]}
LEFT_TO_NOTEBOOKS = [("evidence_i", CRITEO), ("patterns", CRITEO)]


def committed_files() -> dict[str, int]:
    """Modification times of everything in book/ and figures/."""
    folders = (BOOK_FOLDER, project_path("figures"))
    return {str(path): path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestShape:
    def test_the_parameters_are_the_same_six_in_one_cell(self, path):
        cells = nbformat.read(path, as_version=4).cells
        tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        assert len(tagged) == 1
        names = {}
        exec(tagged[0].source, {}, names)
        assert list(names) == PARAMETERS

    def test_it_is_thin(self, path):
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert len(code) <= 14
        assert max(len(cell.source.splitlines()) for cell in code) <= 20

    def test_it_is_executed_without_errors_or_warnings_and_free_of_time_stamps(self, path):
        notebook = nbformat.read(path, as_version=4)
        assert "papermill" not in notebook.metadata
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        outputs = [output for cell in code for output in cell.outputs]
        assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
        assert not [cell for cell in notebook.cells if {"papermill", "execution"} & cell.metadata.keys()]

    def test_every_figure_has_caption_description_and_sources(self, path):
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        for cell, following in zip(code, [*code[1:], None], strict=True):
            shown = [output.data for output in cell.outputs if "data" in output]
            assert not any("image/png" in data for data in shown), "a figure that is not shown by its page"
            if any("image/svg+xml" in data for data in shown):
                (drawing,) = shown
                assert len(cell.metadata["mystnb"]["figure"]["caption"]) > 50
                assert cell.metadata["mystnb"]["figure"]["name"].startswith("fig-")
                assert len(drawing["text/plain"]) > 50
                assert re.search(r"\d", drawing["text/plain"]), "a description without a number"
                assert f"book/{path.name}" in following.outputs[0].data["text/html"]


def smoke_runs() -> dict[tuple[str, str], list[RunConfig]]:
    """By experiment and log what the book trains at the smoke profile."""
    return {
        (name, log): run_configs(name, log, "smoke") for log, experiments in TRAINED.items() for name in experiments
    }


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The whole book executed at the smoke profile from an empty results folder.

    Most runs are trained first, in one pool of processes; the notebooks train what is left to them.
    """
    folder, before = tmp_path_factory.mktemp("smoke"), committed_files()
    first = [config for key, runs in smoke_runs().items() if key not in LEFT_TO_NOTEBOOKS for config in runs]
    left = {config.hash for key in LEFT_TO_NOTEBOOKS for config in smoke_runs()[key]}
    sweep([config for config in first if config.hash not in left], RunStore(folder / "results"))
    notebooks = execute_book(
        folder / "book",
        [path.stem for path in TRAINABLE],
        profile="smoke",
        results_dir=str(folder / "results"),
        figures_dir=str(folder / "figures"),
    )
    assert committed_files() == before, "executing the book wrote into committed folders"
    return folder, notebooks


def test_every_notebook_runs_from_nothing_and_really_trains(smoke):
    folder, notebooks = smoke
    assert [path.name for path in notebooks] == [path.name for path in TRAINABLE]
    store = RunStore(folder / "results")
    needed = {config.hash: config for runs in smoke_runs().values() for config in runs}
    assert len(list(store.records())) == len(needed)
    for config in needed.values():
        assert 0.5 < store.get(config).scores["test_auc"] < 0.85  # better than chance, below the Bayes AUC


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_written_with_what_is_published(smoke, name):
    table = pd.read_csv(smoke[0] / "figures" / "data" / f"{name}.csv")
    assert any(source.startswith("published") for source in table["what" if name == "table2" else "source"])


@pytest.mark.parametrize("name", DRAWN_FROM)
def test_every_figure_is_written_with_its_numbers_and_real_text(smoke, name):
    folder = smoke[0] / "figures"
    assert "<text" in (folder / f"{name}.svg").read_text()
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(folder / "data" / f"{name}.csv")) > 3


def test_a_notebook_runs_on_real_rows(tmp_path, real_data):
    """`papermill -p dataset criteo`, as the README says, from the command line."""
    prepare_criteo(real_data / "criteo" / "train_10k.txt", tmp_path / "data" / "criteo", progress=False)
    parameters = {
        "dataset": "criteo",
        "profile": "smoke",
        "results_dir": tmp_path / "results",
        "figures_dir": tmp_path / "figures",
    }
    command = [sys.executable, "-m", "papermill", BOOK_FOLDER / "fig02_collapse.ipynb", tmp_path / "out.ipynb"]
    command += [part for name, value in parameters.items() for part in ("-p", name, str(value))]
    subprocess.run(
        list(map(str, command)), check=True, env=os.environ | {"PAPER_CODE_DATA": str(tmp_path / "data")}, timeout=600
    )
    data = pd.read_csv(tmp_path / "figures" / "data" / "fig02_information_abundance.csv")
    assert data["field"].nunique() == 39
    assert data["seed"].nunique() == len(PROFILES["smoke"].seeds)


def test_a_wrong_parameter_value_is_named_before_any_training(tmp_path):
    for arguments, message in {
        ("scalability", "criteo_lik"): "no data set 'criteo_lik': expected one of criteo_like, avazu_like",
        (
            "scalability",
            "criteo_like",
            "huge",
        ): "profile 'huge' does not exist; expected one of smoke, laptop, paper, first",
        ("scalability", "criteo_like", "smoke", "a"): "seeds=.* expected whole numbers",
        ("scalability", "criteo_like", "smoke", None, "gpu"): "device 'gpu' does not exist; expected auto",
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            records_of(*arguments, results_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_committed_figures_and_tables_are_those_of_the_book():
    folder = project_path("figures")
    names = {*FIGURES}
    assert names == {*DRAWN_FROM, *OF_REAL_ROWS}
    assert {path.stem for path in folder.glob("*.svg")} == {path.stem for path in folder.glob("*.png")} == names
    assert {path.stem for path in (folder / "data").glob("*.csv")} == names.union(TABLES, MEASURED)
    assert sorted(pd.read_csv(folder / "data" / "notebooks.csv")["notebook"]) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("name", FIGURES)
def test_the_committed_figures_show_the_committed_records(name):
    """Images are compared through the numbers behind them."""
    folder = project_path("figures")
    draw, _ = FIGURES[name]
    _, drawn = draw(*(DRAWN_FROM | OF_REAL_ROWS)[name]())
    plt.close("all")
    expected = drawn.reset_index(drop=True).replace("", np.nan)  # as a CSV holds no text
    found = pd.read_csv(folder / "data" / f"{name}.csv")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-3)
