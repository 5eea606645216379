"""The documentation: links between pages, the reference, the built site, and README's promises about itself."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("src/**/*.md")]
)
#: Where links to the repository lead.
REPOSITORY = re.compile(r"https://github\.com/capsight/capsight/(?:blob|tree)/main/([^)#\s]+)")


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get, with those of pages that it includes."""
    text = page.read_text(encoding="utf-8")
    included = re.findall(r"^```\{include\} (\S+)", text, re.MULTILINE)
    found = {anchor for name in included for anchor in anchors((page.parent / name).resolve())}
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    own = {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
    return found | own


def links(page: Path) -> list[str]:
    """Return the relative links of a page, but for those in code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_a_wrong_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `name`: two words\n[here](#a-name-two-words), [there](#nowhere), `[code](x.md)`\n")
    assert links(page) == ["#a-name-two-words", "#nowhere"]
    assert anchors(page) == {"a-name-two-words"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_the_repository_lead_somewhere(page: Path) -> None:
    for path in REPOSITORY.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_every_page_is_listed_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(?:.* <)?([\w/-]+)>?$", index, re.MULTILINE)
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = str(page.relative_to(ROOT / "docs").with_suffix(""))
        assert name == "index" or name in listed, f"{name}: list it in docs/index.md"


def test_every_command_has_a_page_and_a_place_in_the_reference() -> None:
    import typer

    from capsight.cli.commands import app

    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert (ROOT / "docs" / f"{name}.md").is_file(), f"docs/{name}.md is missing"
        assert f"\n## {name}\n\n```{{command}} {name}\n```\n" in reference, (
            f"{name}: add it to docs/reference/commands.md"
        )


def test_every_stage_has_its_settings_in_the_reference() -> None:
    from capsight.config import Recipe

    reference = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for key, field in Recipe.model_fields.items():
        if "Config" in str(field.annotation):
            stage = key.replace("_", "-")
            assert f"\n## {stage}\n\n```{{settings}} {stage}\n```\n" in reference, f"{stage}: add it"


def test_no_table_of_settings_is_kept_by_hand() -> None:
    for page in PAGES:
        assert "| name | default |" not in page.read_text(encoding="utf-8"), page


def commands(page: Path) -> list[list[str]]:
    """Return the words of every `capsight` command in the blocks of a page, whether a test runs it or not."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for block in re.findall(r"^ *```(?:\w+)?\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            for part in re.split(r"[|;&]|<\(|\$\(", line.split("  #")[0].split(" #")[0]):
                words = part.removeprefix("$ ").split()
                while words and re.fullmatch(r"\w+=\S*", words[0]):  # variables before a command
                    words = words[1:]
                if words[:1] == ["capsight"] and len(words) > 1:
                    found.append([word.strip("\"')") for word in words[1:]])
    return found


def setting_keys(command: str) -> set[str]:
    """Return the keys that `--set` of a command takes; of commands with a recipe, they begin with the stage."""
    sys.path.insert(0, str(ROOT / "docs" / "extensions"))
    from settings_text import settings_of

    from capsight import config

    name = "".join(part.capitalize() for part in command.split("-")) + "Config"
    model = config.Recipe if command in {"run", "crossval"} else getattr(config, name)
    return {key for key, _ in settings_of(model)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_and_settings_in_examples_exist(page: Path) -> None:
    import typer

    from capsight.cli.commands import app

    if page.name in {"log.md", "CHANGELOG.md"}:  # what they quote is of its day
        return
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, *words in commands(page):
        if name.startswith("-"):
            continue
        assert name in known, f"capsight {name}"
        options = {option for p in known[name].params for option in p.opts} | {"-h", "--help"}
        for word, value in pairwise([*words, ""]):
            option = word.partition("=")[0]
            if re.fullmatch(r"--?[a-z][\w-]*", option):
                assert option in options, f"capsight {name} {word}"
            if option == "--set" and "=" in value and not {"…", "$"} & set(value):
                key = value.partition("=")[0]
                known_keys = setting_keys(name) | ({"data"} if name == "run" else set())
                assert key in known_keys, f"capsight {name} --set {value}"


def test_commands_of_a_page_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    console = "```console\n$ A=1 capsight scan \\\n  -o x | head  # y\nscan: 1\n```\n"
    page.write_text(console + "\n```text\ncapsight run r --set a.b=1\n```\n")
    assert commands(page) == [["scan", "-o", "x"], ["run", "r", "--set", "a.b=1"]]


@pytest.mark.pipeline
@pytest.mark.skipif(find_spec("sphinx") is None, reason="Sphinx is not installed: pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "docs", str(tmp_path / "site")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    settings = (tmp_path / "site" / "reference" / "settings.html").read_text(encoding="utf-8")
    assert 'id="setting-train-crops-length"' in settings
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "--min-probability" in commands


def test_every_shipped_recipe_has_a_row() -> None:
    from capsight.run.recipe import shipped_recipes

    page = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    for name in shipped_recipes():
        assert f"\n| `{name}` |" in page, name
