"""The files that stand around the package agree with one another."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from capsight.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))

#: Names that conda has for distributions of PyPI.
CONDA = {
    "edlib": "python-edlib",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "xgboost": "py-xgboost-cpu",
    "xgboost-cpu": "py-xgboost-cpu",
}


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return the lower bound of every requirement by its name in lower case."""
    found = [re.match(r"([\w.-]+?) *>= *([\d.]+)", one) for one in requirements]
    assert all(found), requirements
    return {match[1].lower(): match[2] for match in found if match}


def recipe() -> dict[str, Any]:
    """Return conda's recipe without its templates."""
    text = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^\{%.*%\}$", "", text, flags=re.MULTILINE)
    return dict(yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", "template", text)))


def test_conda_has_the_dependencies_of_pip() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = bounds([*PROJECT["dependencies"], *(one for e in ("motifs", "baselines", "report") for one in extras[e])])
    wanted["python"] = PROJECT["requires-python"].removeprefix(">=")
    found = bounds(recipe()["requirements"]["run"])
    assert found == {CONDA.get(name, name): bound for name, bound in wanted.items()}


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", log, re.MULTILINE)
    assert released[0] == (__version__, str(citation["date-released"]))
    assert citation["version"] == __version__
    assert f'version = "{__version__}"' in (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")


def test_every_dependency_has_an_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    extras = [one for listed in PROJECT["optional-dependencies"].values() for one in listed]
    for one in (*PROJECT["dependencies"], *extras):
        name = re.match(r"[\w.-]+", one)
        assert name
        if "sys_platform !=" not in one and name[0] != "capsight":
            assert name[0].lower().replace("_", "-") in exact, one


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_what_they_use(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            assert re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", step.get("uses", "a/b@v1.0.0")), step
            for target in re.findall(r"^\s*make ([\w-]+)", step.get("run", ""), re.MULTILINE):
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_benchmarks_are_no_part_of_continuous_integration() -> None:
    assert len(WORKFLOWS) == 4
    for path in WORKFLOWS:
        assert "benchmarks" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_templates_are_complete(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form["contact_links"][0]["url"].startswith("https://github.com/capsight/capsight/")
        return
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert all(field["attributes"]["label"] for field in form["body"])
