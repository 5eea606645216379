"""The dry run: what would be done, why, and nothing written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from capsight.cli import app
from capsight.config import CropsConfig
from capsight.errors import ConfigError, InputError
from capsight.run import speed
from capsight.run.pipeline import run
from capsight.run.preview import AGAIN, DONE, NEW, Preview, preview

#: Of an update of `auto`.
_BASES = CropsConfig().per_update * CropsConfig().length

pytestmark = pytest.mark.pipeline


def states(found: Preview) -> dict[str, str]:
    return {each.result: each.state for each in found.stages}


def content(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_of_a_finished_run_all_but_the_report_is_done(finished_track: Path, track_recipe: Path) -> None:
    before = content(finished_track)
    found = states(preview(track_recipe, finished_track))
    assert found.pop("report") == AGAIN
    assert set(found.values()) == {DONE}
    assert {"simulation", "windows", "audit", "baseline", "model", "evaluation-scan", "scan", "loci"} <= set(found)
    assert content(finished_track) == before


def test_what_depends_on_a_changed_setting_is_made_again_and_the_reason_is_told(
    finished_track: Path, track_recipe: Path
) -> None:
    before = content(finished_track)
    found = preview(track_recipe, finished_track, ["train.epochs=4"])
    made = states(found)
    assert {name for name, state in made.items() if state == DONE} == {
        "simulation", "windows", "audit", "baseline", "evaluation-baseline",
    }  # fmt: skip
    why = {each.result: each.why for each in found.stages}
    assert "epochs" in why["model"]
    assert why["scan"] == "model will be new"
    assert "scan" in why["loci"]
    seconds = {each.result: each.seconds for each in found.stages}
    assert seconds["model"] is not None
    assert seconds["model"] > 0
    assert seconds["windows"] is None
    assert content(finished_track) == before


def test_of_a_new_run_nothing_is_done_and_nothing_is_written(recipe: Path, tmp_path: Path) -> None:
    found = preview(recipe, tmp_path / "new")
    assert set(states(found).values()) == {NEW}
    assert [each.stage for each in found.stages][:3] == ["simulate", "windows", "audit"]
    assert next(each.seconds for each in found.stages if each.stage == "pretrain")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["bed", "gtf"])
@pytest.mark.parametrize(("peaks", "updates"), [(1_100, 3_000), (3_100, 6_000)])
def test_a_training_that_chooses_its_length_has_a_time_before_there_are_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peaks: int, updates: int, kind: str
) -> None:
    (tmp_path / "genome.fa").write_text("".join(f">chr{i}\n{'ACGT' * 1_000_000}\n" for i in (1, 2, 3)))
    rows = []
    for i in range(peaks):
        start, end = 100 + 20 * i, 110 + 20 * i
        gene = f'.\t+\t.\tgene_id "g{i}"; transcript_id "t{i}";\n'
        annotated = (f"chr1\tx\t{feature}\t{start + 1}\t{end}\t{gene}" for feature in ("transcript", "exon", "exon"))
        rows += [f"chr1\t{start}\t{end}\n"] if kind == "bed" else annotated
    (tmp_path / f"peaks.{kind}").write_text("# a comment\n" + "".join(rows))
    windows = {"genome": "genome.fa", "peaks": f"peaks.{kind}", "validation": "chr2", "test": "chr3"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"windows": windows, "train": {"auto": True}}))
    monkeypatch.setattr(speed, "training_seconds", lambda config, bases, tss: config.epochs * 2 * bases / _BASES)
    found = preview(tmp_path / "recipe.yaml", tmp_path / "new")
    seconds = next(each.seconds for each in found.stages if each.stage == "train")
    assert seconds == pytest.approx(updates, rel=0.01)


def test_a_damaged_result_is_made_again(finished_track: Path, track_recipe: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished_track, copy)
    (copy / "audit" / "pairs.tsv").write_text("gone")
    found = {each.result: each for each in preview(track_recipe, copy).stages}
    assert found["audit"].state == AGAIN
    assert found["audit"].why == "pairs.tsv was changed after it was made"


def test_the_command_prints_stages_and_what_would_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CAPSIGHT_MIRROR", raising=False)
    done = CliRunner().invoke(app, ["run", "default", "-o", "out", "--dry-run", "--set", "windows.genome=sacCer3",
                                    "--set", "windows.peaks=stripeseq-ypd-peaks"])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "To be fetched first: sacCer3 (genome" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines if line[1:3] == ["to", "do"]][:3] == ["windows", "audit", "train"]
    assert not list(tmp_path.iterdir())


def test_faults_are_those_of_run(tmp_path: Path, recipe: Path) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        preview(recipe, tmp_path / "new", ["train.nonsense=1"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is not a run of capsight"):
        preview(recipe, tmp_path / "mine")


@pytest.mark.parametrize(
    ("assignment", "setting"),
    [
        ("windows.genome=no/g.fa", "windows.genome"),
        ("windows.peaks=nothing.bed", "windows.peaks"),
        ("windows.ctss=p.bed,nothing.bed.gz", "windows.ctss"),
        ("windows.aliases=my aliases.tsv", "windows.aliases"),
        ("motif_scan.motif_db=no.meme", "motif_scan.motif_db"),
    ],
)
@pytest.mark.parametrize("look", [preview, run])
def test_a_file_that_is_not_there_is_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[..., object], assignment: str, setting: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.fa").write_text(">chr1\nACGT\n")
    Path("p.bed").write_text("chr1\t1\t2\t.\t1\t+\n")
    Path("mine.yaml").write_text("windows: {genome: g.fa, peaks: p.bed}\ntrain: {}\nexplain: {}\nmotifs: {}\n")
    missing = assignment.partition("=")[2].rpartition(",")[2]
    with pytest.raises(InputError) as error:
        look(Path("mine.yaml"), Path("out"), [assignment])
    assert str(error.value) == f"{missing}: there is no such file (correct {setting})"
    assert not Path("out").exists()


def test_the_time_of_a_training_on_single_bases_is_that_of_its_tsss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "genome.fa").write_text(f">chr1\n{'ACGT' * 100_000}\n")
    (tmp_path / "peaks.bed").write_text("".join(f"chr1\t{i}\t{i + 1}\t.\t1\t+\n" for i in range(1_000, 1_600)))
    rows = "".join(f"100\t{format(i, '09b').translate(str.maketrans('01', 'AC')) * 30}\n" for i in range(400))
    (tmp_path / "promoters.tsv").write_text("tss\tsequence\n" + rows)
    windows = {"genome": "genome.fa", "peaks": "peaks.bed", "promoters": "promoters.tsv"}
    shape = {"width": 4, "dilations": [1], "average_radius": 0}
    train = {"crops": {"promoters": 0.25, "batch_size": 40}, "epochs": 3, "model": shape}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"windows": windows, "train": train}))
    monkeypatch.setattr(speed, "_learning", lambda model, loss, precision, device: 1.0 + 0 * loss().item())
    found = preview(tmp_path / "recipe.yaml", tmp_path / "new")
    seconds = next(each.seconds for each in found.stages if each.stage == "train")
    assert seconds == 3 * (600 + 400) / 10  # ten of the 40 bases of a batch are TSSs
