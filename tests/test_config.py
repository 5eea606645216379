"""Settings: strict keys, one-line errors, YAML in and out."""

from pathlib import Path

import pytest
import yaml

from capsight.config import (
    BaselineConfig,
    EvaluateConfig,
    FinetuneConfig,
    LoraConfig,
    PretrainConfig,
    Recipe,
    ReloraConfig,
    TrainConfig,
    WindowsConfig,
)
from capsight.config.yaml_files import differences, dump, load_yaml, override, parse, results_only
from capsight.errors import ConfigError

BOOK, SHOWN = "checkpoint_every", "tracking"


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
        ({"negatives": "bed"}, "negatives 'bed' and the file negatives_file go together"),
        ({"negatives_file": "n.bed"}, "negatives 'bed' and the file negatives_file go together"),
        ({"match_on": "gc,at"}, r"match_on.1: .*'gc' or 'repeat', not 'at'"),
        ({"flank_range": "100"}, "flank_range.1"),
        ({"flank_range": "900,100"}, "flank_range: the minimum, 900, is not below the maximum, 100"),
        (
            {"negatives": "flank", "flank_range": "0,100"},
            "flank_range ends at 100 bases, inside the exclusion zone of 150",
        ),
        ({"leave_one_chromosome_out": True, "test": "chr1"}, "leave_one_chromosome_out chooses the chromosomes"),
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
    with pytest.raises(ConfigError, match=r"windows\.leave_one_chromosome_out makes many folders"):
        parse(Recipe, stages | {"windows": {"genome": "g", "peaks": "p", "leave_one_chromosome_out": True}})


def test_a_run_scans_by_itself_where_it_trains_a_track_network() -> None:
    stages = {"pretrain": {}, "finetune": {}, "windows": {"genome": "g", "peaks": "p"}}
    with pytest.raises(ConfigError, match=r"evaluate\.scan: a run"):
        parse(Recipe, stages | {"evaluate": {"scan": True}})


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
    with pytest.raises(ConfigError, match=r"lora\.modules_to_save.*'embeddings', 'norms', 'head' or 'stem'"):
        parse(FinetuneConfig, {"lora": {"modules_to_save": "tail"}})


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


def test_results_depend_on_all_but_bookkeeping_at_every_depth() -> None:
    plain, other = PretrainConfig(), PretrainConfig(checkpoint_every=7)
    assert dump(plain) != dump(other)
    left_out = (BOOK, "tracking")
    assert results_only(plain) == results_only(other) == {k: v for k, v in dump(plain).items() if k not in left_out}
    assert results_only(PretrainConfig(evaluate_every=7)) != results_only(plain)  # metrics.jsonl has other lines
    cnn = {"model": "cnn", "training": {"checkpoint_every": 7}}
    training = results_only(BaselineConfig.model_validate(cnn))["training"]
    assert BOOK not in training
    assert training["batch_size"] == 64


def test_results_of_an_earlier_record_are_those_of_its_own_values() -> None:
    earlier = dump(FinetuneConfig(checkpoint_every=7, lora=LoraConfig(rank=2)))
    found = results_only(FinetuneConfig(), earlier)
    assert BOOK not in found
    assert found["lora"]["rank"] == 2


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        (
            {"relora_phase": {"steps": 900, "max_grad_norm": 1.0}},
            {"relora_phase": {"steps": 300, "max_grad_norm": 1.0}},
            ["relora_phase.steps was 900, is 300"],
        ),
        ({"lora": False}, {"lora": {"rank": 4, "parts": ["head"]}}, ["lora was false, is {rank: 4, parts: [head]}"]),
        ({"a": None}, {"b": "x"}, ["a was null, is absent", "b was absent, is x"]),
        ({"a": "ACGT" * 99}, {"a": "A"}, [f"a was {'ACGT' * 15}…, is A"]),
    ],
)
def test_differences_are_told_by_dotted_key(old: dict[str, object], new: dict[str, object], found: list[str]) -> None:
    assert differences(old, new) == found


def test_a_key_given_twice_is_refused_by_line_and_merges_are_not(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("relora_phase:\n  steps: 3\n  max_grad_norm: 1\n  steps: 4\n")
    with pytest.raises(ConfigError, match=r"r\.yaml:4: key 'steps' is given twice, first in line 2"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="key 'steps' is given twice"):
        override({}, ["main={steps: 1, steps: 2}"])
    path.write_text(
        "full_rank_phase: &phase\n  steps: 3\n  max_grad_norm: 1\nrelora_phase:\n  <<: *phase\n  steps: 4\n"
        "last: *phase\n"
    )
    values = load_yaml(path)
    assert values["relora_phase"] == {"steps": 4, "max_grad_norm": 1}
    assert override(values, ["last.steps=9"])["full_rank_phase"] == {"steps": 3, "max_grad_norm": 1}  # each is its own


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"# nothing but a comment\n", "holds no settings"),
        (b"a: 1\n\tb: 2\n", r":2: is not valid YAML: .*'\\t'"),
        (b"a: \xff\n", "is not a text file in UTF-8"),
        (b"a: 1\x00\n", "is not valid YAML"),
        (b"a: 1\nb: " + b"9" * 5_000 + b"\n", ":2: is not valid YAML: Exceeds the limit"),
        (b"a: !!int x\n", ":1: is not valid YAML"),
        (b"a: !!bool x\n", ":1: is not valid YAML"),
        (b"a: !!python/object:os.system x\n", ":1: is not valid YAML: could not determine a constructor"),
        (b"a: &a [*a]\n", "is nested too deep"),
        (b"a: 1\n---\nb: 2\n", ":2: is not valid YAML: but found another document"),
    ],
)
def test_files_that_are_no_settings_give_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_recipe_and_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfrelora_phase: {steps: 3}\n")
    assert load_yaml(tmp_path / "r.yaml") == {"relora_phase": {"steps": 3}}
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_yaml(tmp_path)


@pytest.mark.parametrize("key", [".a", "a.", "a..b", ".", " a", "a. b"])
def test_set_wants_keys_joined_by_single_dots(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a key, or keys joined by single dots"):
        override({}, [f"{key}=1"])


@pytest.mark.parametrize("there", [3, "x", [1, 2]])
def test_set_does_not_reach_into_a_value(there: object) -> None:
    with pytest.raises(ConfigError, match=r"a\.b is .*, not a section with settings"):
        override({"a": {"b": there}}, ["a.b.c=1"])


@pytest.mark.parametrize("there", [False, True, None])
def test_set_reaches_into_what_stands_for_a_section(there: object) -> None:
    assert override({"a": there}, ["a.b=1"]) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("kind", "values", "hint"),
    [
        (
            PretrainConfig,
            {"relora_phase": {"stpes": 1}},
            r"'relora_phase\.stpes'; did you mean 'relora_phase\.steps'\?",
        ),
        (
            PretrainConfig,
            {"relora_phase": {"restart_warmup_step": 1}},
            r"'relora_phase\.restart_warmup_step'; did you mean 'relora_phase\.warmup",
        ),
        (PretrainConfig, {"relora": {"rnak": 1}}, r"did you mean 'relora\.rank'\?"),
        (PretrainConfig, {"relora_ph[se": {"steps": 1}}, r"unknown key 'relora_ph\[se'; did you mean 'relora_phase'"),
        (PretrainConfig, {"mainConfig": {}}, r"unknown key 'mainConfig'$"),
        (PretrainConfig, {"wdith": 1}, r"unknown key 'wdith'$"),  # `model.width` is another section's
        (FinetuneConfig, {"lora": {"rnak": 1}}, r"did you mean 'lora\.rank'\?"),
        (FinetuneConfig, {"rank": 1}, r"did you mean 'lora\.rank'\?"),  # its very name, elsewhere
        (
            Recipe,
            {"finetune": {"epoch": 1}, "windows": {"genome": "g", "peaks": "p"}, "pretrain": {}},
            "'finetune.epochs'",
        ),
    ],
)
def test_a_misspelt_key_is_looked_up_in_its_own_section(kind: type, values: dict[str, object], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        parse(kind, values)


def test_an_empty_section_is_its_defaults() -> None:
    assert parse(PretrainConfig, {"model": None, "full_rank_phase": None}) == PretrainConfig()
    partly = parse(PretrainConfig, {"full_rank_phase": {"max_grad_norm": 2}, "relora_phase": {"max_grad_norm": 2}})
    assert (partly.full_rank_phase.steps, partly.relora_phase.steps) == (300, 900)  # as where nothing is given
    recipe = {"windows": {"genome": "g", "peaks": "p"}, "train": {}, "baseline": None, "evaluate": None}
    found = parse(Recipe, recipe)
    assert found.train == TrainConfig()
    assert found.evaluate == EvaluateConfig()
    assert found.baseline is None  # a stage that may be absent


@pytest.mark.parametrize(("given", "dilations"), [(4, (4,)), ("4", (4,)), ("1,2", (1, 2)), ([1, 2], (1, 2))])
def test_one_dilation_or_several(given: object, dilations: tuple[int, ...]) -> None:
    assert parse(TrainConfig, {"model": {"dilations": given}}).model.dilations == dilations


_WINDOWS = {"genome": "g", "peaks": "p"}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({}, "add a section train"),
        ({"pretrain": None, "finetune": None}, "add a section train"),
        ({"train": {}, "pretrain": {}, "finetune": {}}, "add a section train"),
        ({"pretrain": {}}, "pretrain and finetune go together"),
        ({"train": {}, "finetune": {}}, "pretrain and finetune go together"),
        ({"pretrain": {}, "finetune": {}, "scan": {}}, "scan asks a track network"),
        ({"train": {}, "evaluate": {"scan": True}}, "leave scan out"),
        ({"train": {}, "explain": {"method": "attention"}}, "a track network has no attention"),
        ({"train": {}, "motifs": {}}, "add a section explain"),
        ({"train": {}, "motif_scan": {}}, "motif_scan reads what motifs writes: add a section motifs"),
        ({"train": {}, "motif_compare": {}}, "motif_compare reads what motifs writes: add a section motifs"),
        ({"train": {}, "motif_enrich": {}}, "motif_enrich reads what motifs writes: add a section motifs"),
        ({"train": {}, "match": {}}, "unknown key 'match'"),
    ],
)
def test_a_recipe_trains_one_network(stages: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(Recipe, {"windows": _WINDOWS, **stages})


@pytest.mark.parametrize(("kind", "name"), [(FinetuneConfig, "lora"), (PretrainConfig, "relora")])
def test_true_is_defaults_and_nothing_is_neither(kind: type, name: str) -> None:
    assert getattr(parse(kind, {name: True}), name) == getattr(parse(kind, {name: {}}), name) != False  # noqa: E712
    with pytest.raises(ConfigError, match=f"{name}: is empty: write true for its defaults, or false"):
        parse(kind, {name: None})


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (FinetuneConfig, "learning_rate", 1e30),
        (FinetuneConfig, "weight_decay", 1e30),
        (FinetuneConfig, "seed", 2**32),
        (FinetuneConfig, "betas", [0.9, 1.0]),
        (FinetuneConfig, "betas", [-0.1, 0.9]),
        (FinetuneConfig, "betas", [0.9]),
        (FinetuneConfig, "max_grad_norm", 1e-300),
        (FinetuneConfig, "max_grad_norm", float("inf")),
        (FinetuneConfig, "lora", {"alpha": 1e300}),
        (FinetuneConfig, "lora", {"rank": 10**9}),
        (FinetuneConfig, "epochs", 1e300),
        (FinetuneConfig, "threads", 0),
        (FinetuneConfig, "dropout", float("nan")),
        (PretrainConfig, "relora", {"alpha": 1e300}),
        (PretrainConfig, "seed", 2**64),
        (PretrainConfig, "seed", -1),
        (PretrainConfig, "model", {"init_std": 1e30}),
        (PretrainConfig, "model", {"stem_blocks": 64, "stem_dilation": 4}),
        (PretrainConfig, "relora_phase", {"betas": [0.9, 2]}),
        (PretrainConfig, "relora_phase", {"weight_decay": 1e30}),
        (PretrainConfig, "relora_phase", {"batch_size": 10**12}),
        (BaselineConfig, "seed", 2**32),
        (EvaluateConfig, "seed", 2**32),
    ],
)
def test_numbers_beyond_all_sense_are_refused_by_name(kind: type, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^'?{key}|^model: stem_layers") as caught:
        parse(kind, {key: value})
    assert "\n" not in str(caught.value)


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
    values = override(
        {"genome": "g", "peaks": "p"},
        ["length=64", "ratio=1.5", "seed=0", "leave_one_chromosome_out=true", "exclusion_bp=+20"],
    )
    read = parse(WindowsConfig, values)
    assert (read.length, read.ratio, read.seed, read.leave_one_chromosome_out, read.exclusion_bp) == (
        64,
        1.5,
        0,
        True,
        20,
    )


def test_counts_of_both_strands_go_together() -> None:
    with pytest.raises(ConfigError, match="ctss_plus names 2 files and ctss_minus 1"):
        parse(WindowsConfig, {"genome": "g", "peaks": "p", "ctss_plus": "a,b", "ctss_minus": "c"})
    with pytest.raises(ConfigError, match="do not go with labelled sequences"):
        parse(WindowsConfig, {"train": "t", "validation": "v", "ctss_plus": "a", "ctss_minus": "c"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("chrI", ("chrI",)),
        ("chrI,II,100,", ("chrI", "II", "100")),
        ("chrI:1-2000,chrII", ("chrI:1-2000", "chrII")),
        ("chrI:19,500,001-22,000,000,chrII", ("chrI:19,500,001-22,000,000", "chrII")),
        ("chrII,1:1-2,000,2:1,001-1,900", ("chrII", "1:1-2,000", "2:1,001-1,900")),
        (["chrI:1-2,000", 7], ("chrI:1-2,000", "7")),
        ("chrI:1000-2000,300", ("chrI:1000-2000", "300")),
    ],
)
@pytest.mark.parametrize("name", ["validation", "test", "exclude"])
def test_chromosomes_and_regions_are_given_in_one_line_or_as_a_list(
    name: str, given: object, expected: tuple[str, ...]
) -> None:
    config = WindowsConfig(genome=Path("g.fa"), peaks=Path("p.bed"), **{name: given})  # type: ignore[arg-type]
    assert getattr(config, name) == expected


def test_labelled_sequences_have_no_regions_to_exclude() -> None:
    with pytest.raises(ValueError, match="exclude names regions of a genome"):
        WindowsConfig(train=Path("t.csv"), validation=("v.csv",), exclude=("chrI",))
