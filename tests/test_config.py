"""Settings: strict keys, one-line errors, YAML in and out."""

from pathlib import Path

import pytest
import yaml

from capsight.config import FinetuneConfig, PretrainConfig, Recipe, ReloraConfig, WindowsConfig
from capsight.errors import ConfigError
from capsight.recipes import dump, load_yaml, override, parse

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def test_unknown_key_names_its_neighbour() -> None:
    with pytest.raises(
        ConfigError, match=r"r\.yaml: unknown key 'relora\.rnak'; did you mean 'relora\.rank'\?"
    ) as caught:
        parse(PretrainConfig, {"relora": {"rnak": 3}}, where="r.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"length": 511}, "length must be even"),
        ({"length": "long"}, "length: .*valid integer.*not 'long'"),
        ({"validation": "chr1,chr2", "test": "chr2"}, "chr2: in both validation and test"),
        ({"protocol": "mine"}, "protocol: .*'capsight' or 'haldar2026'.*not 'mine'"),
        ({"train": "t.csv"}, "not both"),
        ({"negatives": "matched:1,near:2"}, "negatives.near: .*'matched', 'uniform', .*'bed'.*not 'near'"),
        ({"negatives": "matched:0"}, "negatives.matched: .*greater than 0.*not '0'"),
        ({"negatives": "matched:many"}, "negatives.matched: .*valid number.*not 'many'"),
        ({"negatives": {}}, "negatives: .*at least 1 item"),
        ({"negatives": "bed"}, "negatives 'bed' and the file negatives_bed go together"),
        ({"negatives_bed": "n.bed"}, "negatives 'bed' and the file negatives_bed go together"),
        ({"match": "gc,at"}, r"match.1: .*'gc' or 'repeat', not 'at'"),
        ({"flank": "100"}, "flank.1"),
        ({"flank": "900,100"}, "flank: the least distance, 900, is not below the most, 100"),
        ({"negatives": "flank", "flank": "0,100"}, "flank ends at 100 bases, inside the exclusion zone of 150"),
        ({"loco": True, "test": "chr1"}, "loco chooses the chromosomes"),
        ({"genome": None, "peaks": None, "train": "t.csv", "validation": "v.csv", "ctss": "c.bed"}, "ctss are places"),
    ],
)
def test_bad_values_are_quoted(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(WindowsConfig, {"genome": "g.fa", "peaks": "p.bed"} | values)


def test_masked_overlapping_tokens_are_refused() -> None:
    with pytest.raises(ConfigError, match="gives the answer away"):
        parse(PretrainConfig, {"tokenizer": {"k": 6, "stride": 1}})


def test_negatives_are_a_name_or_shares() -> None:
    read = lambda value: parse(WindowsConfig, {"genome": "g", "peaks": "p", "negatives": value})  # noqa: E731
    assert read("flank").negatives == {"flank": 1}
    assert read("matched:3,flank:0.5").negatives == {"matched": 3, "flank": 0.5}
    assert read(["matched", "uniform"]).negatives == {"matched": 1, "uniform": 1}
    assert read({"matched": 2}).negatives == {"matched": 2}
    assert parse(WindowsConfig, dump(read("matched:3,flank"))) == read("matched:3,flank")


def test_a_run_has_one_folder_of_windows() -> None:
    stages = {"pretrain": {}, "finetune": {}}
    with pytest.raises(ConfigError, match=r"windows\.loco makes many folders"):
        parse(Recipe, stages | {"windows": {"genome": "g", "peaks": "p", "loco": True}})


def test_a_run_measures_single_bases_by_itself_and_predicts_them_where_it_can() -> None:
    stages = {"pretrain": {}, "finetune": {}, "windows": {"genome": "g", "peaks": "p"}}
    with pytest.raises(ConfigError, match=r"evaluate\.resolution: a run measures windows, and with finetune\.base"):
        parse(Recipe, stages | {"evaluate": {"resolution": "base"}})
    with pytest.raises(ConfigError, match=r"predict\.resolution 'base' asks .*set finetune\.base to true"):
        parse(Recipe, stages | {"predict": {"resolution": "base"}})
    assert parse(Recipe, stages | {"predict": {"resolution": "base"}, "finetune": {"base": True}}).finetune.base


def test_names_are_split_at_commas() -> None:
    config = parse(WindowsConfig, {"genome": "g", "peaks": "p", "validation": "chr1,chr2", "test": ["chr3"]})
    assert config.validation == ("chr1", "chr2")
    assert config.test == ("chr3",)
    counted = parse(WindowsConfig, {"genome": "g", "peaks": "p", "ctss": "a.bed,b.bed"})
    assert counted.ctss == (Path("a.bed"), Path("b.bed"))


def test_override_sets_nested_values_as_yaml() -> None:
    before = {"pretrain": {"relora": {"rank": 8}}}
    after = override(before, ["pretrain.relora=false", "windows.test=chr1", "finetune.lora.rank=4"])
    assert after == {
        "pretrain": {"relora": False},
        "windows": {"test": "chr1"},
        "finetune": {"lora": {"rank": 4}},
    }
    assert before == {"pretrain": {"relora": {"rank": 8}}}


def test_known_key_at_the_wrong_place_is_shown_its_place() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'stride'; did you mean 'tokenizer\.stride'"):
        parse(PretrainConfig, {"stride": 2})


def test_parts_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"lora\.trainable.*'embeddings', 'norms', 'head' or 'stem'"):
        parse(FinetuneConfig, {"lora": {"trainable": "tail"}})


def test_override_wants_an_equals_sign() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        override({}, ["pretrain.relora"])


def test_relora_false_is_full_rank() -> None:
    assert parse(PretrainConfig, {"relora": False}).relora is False
    assert isinstance(parse(PretrainConfig, {"relora": {"rank": 4}}).relora, ReloraConfig)


def test_round_trip_through_plain_values() -> None:
    config = parse(PretrainConfig, {"relora": {"rank": 4}, "objective": "masked"})
    assert parse(PretrainConfig, dump(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"r\.yaml:\d+: is not valid YAML"),
        ("- 1", "a mapping"),
        ("", "a mapping"),
        ("!!python/name:os.system", "YAML"),
    ],
)
def test_broken_yaml_gives_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_yaml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_is_valid(path: Path) -> None:
    values = load_yaml(path)
    for key in () if "train" in values["windows"] else ("genome", "peaks"):
        values["windows"].setdefault(key, "x")
    assert isinstance(parse(Recipe, values), Recipe)


def test_there_are_recipes() -> None:
    assert {p.stem for p in RECIPES} >= {"haldar2026", "yeast", "demo"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2", ("2",)),
        ("[1, 2, X]", ("1", "2", "X")),
        ("'2,chrX'", ("2", "chrX")),
        ("010", ("010",)),
        ("[08, 010]", ("08", "010")),
        ("0x1F", ("0x1F",)),
        ("2_1", ("2_1",)),
        ("1e5", ("1e5",)),
        ("2:10", ("2:10",)),
        ("0b11", ("0b11",)),
        ("2020-01-02", ("2020-01-02",)),
        ("'on'", ("on",)),
        ("y", ("y",)),
    ],
)
def test_names_of_chromosomes_are_as_they_stand(tmp_path: Path, text: str, wanted: tuple[str, ...]) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"genome: g\npeaks: p\nvalidation: {text}\n")
    read = parse(WindowsConfig, load_yaml(path))
    assert read.validation == wanted
    assert parse(WindowsConfig, override({"genome": "g", "peaks": "p"}, [f"test={text}"])).test == wanted
    path.write_text(yaml.safe_dump(dump(read)))  # as the record keeps it
    assert parse(WindowsConfig, load_yaml(path)).validation == wanted


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "true", "[1, no]", "1.0", "[1.5, 2]", "null", "~"])
def test_names_that_yaml_makes_something_else_of_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"test: .* is no name: so YAML reads .* Put the name in quotes, such as 'on'"
    ):
        parse(WindowsConfig, override({"genome": "g", "peaks": "p"}, [f"test={text}"]))


def test_numbers_are_still_numbers() -> None:
    values = override({"genome": "g", "peaks": "p"}, ["length=64", "ratio=1.5", "seed=0", "loco=true", "exclusion=+20"])
    read = parse(WindowsConfig, values)
    assert (read.length, read.ratio, read.seed, read.loco, read.exclusion) == (64, 1.5, 0, True, 20)


def test_counts_of_both_strands_go_together() -> None:
    with pytest.raises(ConfigError, match="ctss_plus names 2 files and ctss_minus 1"):
        parse(WindowsConfig, {"genome": "g", "peaks": "p", "ctss_plus": "a,b", "ctss_minus": "c"})
    with pytest.raises(ConfigError, match="do not go with labelled sequences"):
        parse(WindowsConfig, {"train": "t", "validation": "v", "ctss_plus": "a", "ctss_minus": "c"})
