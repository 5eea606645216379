"""Recipes by name: found, copied, listed, and with variables; every shipped one is valid."""

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from capsight.cli import app
from capsight.config.variables import fill_variables
from capsight.errors import ConfigError, InputError
from capsight.run.recipe import _FOLDER, find_recipe, read_recipe, recipe, shipped_recipes, summaries

OUT = Path("out")
GUE = ("core_all", "core_notata", "core_tata", "300_tata")
#: A recipe that is as short as one can be.
SHORT = "windows: {genome: g.fa, peaks: p.bed}\ntrain: {}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, logger="capsight")
    return tmp_path


def test_there_are_recipes() -> None:
    assert {"demo", "yeast", "hg19mini", "gue", "haldar2026"} <= set(shipped_recipes())


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_by_name_and_says_what_it_is(name: str) -> None:
    settings = read_recipe(Path(name), OUT, ["windows.genome=g.fa", "windows.peaks=p.bed"] if name == "default" else [])
    assert settings.train or settings.finetune
    assert settings.description.endswith(".")
    assert settings.time


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_is_the_same_by_name_and_as_a_copy_in_the_current_folder(name: str, here: Path) -> None:
    copy = recipe(name, here / "mine.yaml")
    assert copy.read_bytes() == (_FOLDER / f"{name}.yaml").read_bytes()
    own = ["windows.genome=g.fa", "windows.peaks=p.bed"] if name == "default" else []
    assert read_recipe(Path("mine.yaml"), OUT, own) == read_recipe(Path(name), OUT, own)


def test_paths_are_relative_to_a_file_and_for_a_name_to_the_current_folder(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "mine.yaml").write_text(SHORT)
    assert read_recipe(Path("sub/mine.yaml"), OUT).windows.genome == Path("sub/g.fa")
    given = read_recipe(Path("sub/mine.yaml"), OUT, ["windows.genome=other.fa"]).windows
    assert (given.genome, given.peaks) == (Path("other.fa"), Path("sub/p.bed"))
    tokenizer = read_recipe(Path("haldar2026"), OUT).pretrain.tokenizer  # type: ignore[union-attr]
    assert tokenizer.file == Path("gpt-neox-20b.tokenizer.json")


def test_a_file_goes_before_a_name_and_the_log_reports_it(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_recipe(Path("yeast")) == _FOLDER / "yeast.yaml"
    assert "recipe: yeast, which comes with capsight" in caplog.text
    (here / "yeast").write_text(SHORT)
    assert find_recipe(Path("yeast")) == Path("yeast")
    assert "the file yeast hides the shipped recipe of that name" in caplog.text
    assert read_recipe(Path("yeast"), OUT).windows.genome == Path("g.fa")


def test_a_folder_of_that_name_hides_no_recipe(here: Path) -> None:
    (here / "yeast").mkdir()  # as `capsight run yeast -o yeast` leaves it
    assert find_recipe(Path("yeast")) == _FOLDER / "yeast.yaml"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("yeats", "yeast"),
        ("recipes/yeast.yaml", "yeast"),
        ("demo.yml", "demo"),
        ("mien.yaml", "mine.yaml"),
        ("xyz", ""),
    ],
)
@pytest.mark.parametrize("arguments", [["run"], ["crossval"], ["windows", "--config"]], ids=" ".join)
def test_what_is_neither_is_refused_with_what_was_meant(
    here: Path, arguments: list[str], given: str, meant: str
) -> None:
    (here / "mine.yaml").write_text(SHORT)
    done = CliRunner().invoke(app, [*arguments, given, "-o", "out"])
    assert isinstance(done.exception, InputError)
    said = str(done.exception)
    assert said.startswith(f"{given}: there is no such file, nor a shipped recipe of this name (")
    assert (f"did you mean {meant}? " in said) if meant else "did you mean" not in said
    assert f"shipped are: {', '.join(shipped_recipes())})" in said
    assert sorted(path.name for path in here.iterdir()) == ["mine.yaml"]


def test_a_name_will_do_as_settings_of_a_stage(here: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--config", "demo", "--set", "mode.width=3", "w", "-o", "out"])
    assert isinstance(done.exception, ConfigError)
    assert "demo: unknown key 'mode'; did you mean 'model'?" in str(done.exception)


def test_a_recipe_is_printed_with_its_comments(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(app, ["recipe", "haldar2026"]).exit_code == 0
    assert capfd.readouterr().out == (_FOLDER / "haldar2026.yaml").read_text(encoding="utf-8")
    assert not list(here.iterdir())
    done = CliRunner().invoke(app, ["recipe", "haldar", "-o", "mine.yaml"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("haldar: there is no shipped recipe of this name (did you mean haldar2026? ")
    assert not list(here.iterdir())


def test_a_changed_copy_stays(here: Path) -> None:
    copy = recipe("demo", here / "mine.yaml")
    copy.write_text(SHORT)
    with pytest.raises(InputError, match="was changed or damaged after capsight wrote it"):
        recipe("demo", copy)
    assert copy.read_text() == SHORT


def test_the_list_has_purpose_data_time_and_choices() -> None:
    done = CliRunner().invoke(app, ["run", "--list"])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    for each in summaries():
        assert f"{each.name} {each.description}" in shown
        assert f"time: {each.time}" in shown
        for name in each.data:
            assert name in shown
    assert "data: simulated" in shown
    assert "choose: --set data=core_all | core_notata | core_tata | 300_tata" in shown
    data = {each.name: each.data for each in summaries()}
    assert data["haldar2026"] == ("hg19", "hg19")
    assert data["human"] == ("hg19mini", "fantom5-hg19mini", "human-promoters")


@pytest.mark.parametrize("data", GUE)
def test_each_data_set_of_gue_has_its_data_and_its_settings(data: str) -> None:
    chosen, default = read_recipe(Path("gue"), OUT, [f"data={data}"]), read_recipe(Path("gue"), OUT)
    for path in (chosen.windows.train, chosen.windows.validation[0]):
        assert data in str(path)
        assert "$" not in str(path)
    assert (chosen == default) == (data == GUE[0])
    assert chosen.pretrain is not None
    assert chosen.finetune is not None
    assert chosen.pretrain.model.width == 96  # what a choice does not name is the recipe's
    assert chosen.finetune.batch_size == 128
    assert chosen.finetune.select == "last"  # dev is looked at, and picks nothing
    if data.endswith("_tata"):
        assert (chosen.pretrain.corpus, chosen.pretrain.genome, chosen.pretrain.relora_phase.steps) == (
            "windows",
            None,
            0,
        )
        assert (chosen.finetune.epochs, chosen.finetune.substitute) == (16, False)
    else:
        assert chosen.model_copy(update={"windows": default.windows}) == default


def test_a_choice_brings_settings_or_nothing() -> None:
    recipe = {"variables": {"size": {"small": {"train": {"epochs": 1}}, "large": None, "odd": 3}}, "train": {
        "epochs": 9, "seed": 2}, "description": "${size}"}  # fmt: skip
    assert fill_variables(recipe, ["size=small"], where=None)[0]["train"] == {"epochs": 1, "seed": 2}
    assert fill_variables(recipe, ["size=large"], where=None)[0]["train"] == {"epochs": 9, "seed": 2}
    with pytest.raises(ConfigError, match=r"variables\.size: a choice has a mapping of settings, or nothing"):
        fill_variables(recipe, ["size=odd"], where=None)


def test_other_settings_can_be_set_beside_a_variable() -> None:
    settings = read_recipe(Path("gue"), OUT, ["finetune.epochs=3", "data=300_tata", "data=core_tata"])
    assert settings.finetune is not None
    assert settings.finetune.epochs == 3
    assert "core_tata" in str(settings.windows.train)


def test_a_default_is_reported(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_recipe(Path("gue"), OUT)
    assert "recipe: data is core_all; --set data= takes core_notata, core_tata, 300_tata too" in caplog.text
    caplog.clear()
    read_recipe(Path("gue"), OUT, ["data=core_tata"])
    assert "--set data=" not in caplog.text


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        ({"variables": {"x": ["a", "b"]}, "k": "${x}"}, ["x=c"], r"--set 'x=c': x is one of a, b$"),
        ({"variables": {"x": ["a"]}, "k": "${x}"}, ["x="], r"--set 'x=': x is one of a$"),
        ({"variables": {"data": ["a"]}, "k": "${data}"}, ["dat=a"], r"unknown key .dat.; did you mean .data."),
        ({"variables": {"x": []}, "k": "${x}"}, [], r"r\.yaml: variables\.x: .*at least 1 item"),
        ({"variables": ["x"], "k": "${x}"}, [], r"r\.yaml: variables: .*dictionary"),
        ({"variables": {"x": "a"}, "k": ["${y}"]}, [], r"r\.yaml: variables has no 'y', which the recipe uses"),
        ({"variables": {"x": "a", "y": "b"}, "k": "${x}"}, [], r"r\.yaml: variables\.y: is used nowhere in the recipe"),
        ({"variables": {"train": "a"}, "k": "${train}"}, [], r"r\.yaml: variables\.train: is the name of a section"),
        ({"variables": {"a.b": "a"}, "k": "${a.b}"}, [], r"variables\.a\.b: a name has letters, digits and _ only"),
    ],
)  # fmt: skip
def test_wrong_variables_give_one_line(values: dict[str, Any], given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        fill_variables(values, given, where="r.yaml")
    assert "\n" not in str(caught.value)


def test_variables_are_filled_at_every_depth_and_nothing_else_is_touched() -> None:
    before = {"variables": {"x": [1, "b"]}, "k": [{"l": "a-${x}-${x}"}], "n": 3, "m": "$x {x}", "${x}": None}
    after, rest = fill_variables(before, ["x=1", "n=4"], where="r.yaml")
    assert after == {"k": [{"l": "a-1-1"}], "n": 3, "m": "$x {x}", "${x}": None}
    assert rest == ["n=4"]
    assert before["k"] == [{"l": "a-${x}-${x}"}]
    assert fill_variables({"k": "${x}"}, ["x=1"], where="r.yaml") == ({"k": "${x}"}, ["x=1"])
