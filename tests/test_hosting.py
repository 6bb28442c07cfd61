"""What a fork finds ready: continuous integration and a dev container that do what `.ci/run` does."""

import json
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
PYTHON = "3.11"


def test_the_workflow_runs_what_the_project_is_tested_by():
    text = (PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    workflow = yaml.load(text, yaml.BaseLoader)  # else "on" is true
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    (python,) = (step["with"]["python-version"] for step in job["steps"] if "python" in step.get("uses", ""))
    assert python == PYTHON


def test_the_dev_container_has_the_same_python_and_sets_up_as_make_does():
    container = json.loads((PROJECT / ".devcontainer.json").read_text(encoding="utf-8"))
    assert f":{PYTHON}-" in container["image"]
    assert container["postCreateCommand"] == "make .venv/installed"
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert f"python{PYTHON}" in makefile
    assert "\n.venv/installed:" in makefile


def test_a_script_that_ci_runs_can_be_run():
    assert (PROJECT / ".ci" / "run").stat().st_mode & 0o111
