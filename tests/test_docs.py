"""Links between the pages of the documentation, and README's promises about itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("src/**/*.md")])


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


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


def test_every_command_has_a_page_that_the_index_lists() -> None:
    from capsight import _STAGES

    listed = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for name in _STAGES:
        assert f"({name.replace('_', '-')}.md)" in listed, name


def test_every_shipped_recipe_has_a_row() -> None:
    from capsight.recipe import shipped_recipes

    page = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    for name in shipped_recipes():
        assert f"\n| `{name}` |" in page, name
