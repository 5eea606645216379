"""`-o`, command by command: what may be replaced, what stays, and what is refused before any work."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capsight import artefact, scan
from capsight.config import ScanConfig

from ..conftest import Done, save_tiny_track

pytestmark = pytest.mark.pipeline

#: Commands that write one file, with their arguments in the folder of a finished run.
FILES = {
    "recipe": "recipe demo",
    "cluster": "cluster simulation/ctss.bed",
    "predict": "predict --model model fasta.fa",
    "predict-track": "predict --model track fasta.fa",
    "variants": "variants --model track --genome simulation/genome.fa variants.vcf",
    "variants-table": "variants --model track --genome simulation/genome.fa variants.tsv",
    "mutate": "mutate --model track --genome simulation/genome.fa --region chr2:101-110",
    "explain": "explain windows --model model --method ig --set max_windows=4 --set n_steps=2 --set n_references=1",
    "motif-scan": "motif-scan fasta.fa --motif-db simulation/motifs.meme --threshold 0.01",
    "motif-compare": "motif-compare simulation/motifs.meme --motif-db simulation/motifs.meme",
    "motif-enrich": "motif-enrich motifs/seqlets/positives.fa --negatives motifs/seqlets/negatives.fa"
    " --motif-db simulation/motifs.meme --threshold 0.01",
    "plot": "plot --genome simulation/genome.fa --model track --region chr1:1001-1400",
}
#: Commands that write a folder.
FOLDERS = {
    "simulate": "simulate --set bases=60000 --set chromosomes=3 --set spacing=700",
    "windows": "windows --genome simulation/genome.fa --peaks simulation/peaks.bed --length 64"
    " --validation chr2 --test chr3",
    "audit": "audit windows",
    "pretrain": "pretrain windows --config tiny.yaml --set full_rank_phase.steps=1 --set relora_phase.steps=0",
    "finetune": "finetune windows --pretrained pretrained --config tiny.yaml --set epochs=0.1",
    "train": "train windows --set epochs=0.1 --set model.width=8 --set model.dilations=1"
    " --set model.average_radius=0 --set crops.length=1024 --set loss.orf_weight=0",
    "baseline": "baseline windows",
    "evaluate": "evaluate windows --model baseline --bootstrap 10",
    "evaluate-scan": "evaluate windows --scan --model baseline --bootstrap 10 --step 200",
    "scan": "scan simulation/genome.fa --model track",
    "merge": "merge shards/1 shards/2",
    "motifs": "motifs attributions.npz --set k=4",
    "report": "report .",
    "run": "run tiny.yaml",
    "crossval": "crossval tiny.yaml --models lgbm",
}
#: An input of each, which `-o` must not name (or hold).
INPUTS = {
    "cluster": "simulation/ctss.bed", "predict": "fasta.fa", "predict-track": "fasta.fa", "scan": "track",
    "variants": "variants.vcf", "variants-table": "variants.tsv",
    "mutate": "simulation/genome.fa",
    "explain": "windows/windows.parquet", "motif-scan": "fasta.fa", "windows": "simulation", "audit": "windows",
    "motif-compare": "simulation/motifs.meme", "motif-enrich": "motifs/seqlets/negatives.fa",
    "train": "windows", "pretrain": "windows", "finetune": "pretrained", "baseline": "windows", "evaluate": "baseline",
    "evaluate-scan": "windows",
    "plot": "simulation/genome.fa", "merge": "shards/2", "motifs": ".", "report": ".",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(finished: Path, recipe: Path) -> Path:
    """Return the folder of a finished run, with a FASTA and the recipe in it."""
    (finished / "fasta.fa").write_text("".join(f">s{i}\n{'ACGTTGCATT' * 8}\n" for i in range(3)))
    (finished / "tiny.yaml").write_text(recipe.read_text())
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (finished / "variants.vcf").write_text(f"##fileformat=VCFv4.2\n{columns}chr1\t9\t.\tA\t<DEL>\t.\t.\t.\n")
    (finished / "variants.tsv").write_text("chrom\tposition\tref\talt\nchr1\t9\tA\t<DEL>\n")
    save_tiny_track(finished / "track")
    for shard in ("1/2", "2/2"):
        scan(
            ScanConfig(shard=shard),
            finished / "track",
            finished / "simulation/genome.fa",
            finished / "shards" / shard[0],
        )
    return finished


@pytest.fixture
def capsight(world: Path, capsight: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Return a function that gives a command of the tables, with an output, in the folder of the run."""
    monkeypatch.chdir(world)
    tables = FILES | FOLDERS
    return lambda command, out, *more: capsight(*tables[command].split(), "-o", out, *more)


def content(folder: Path) -> dict[str, bytes | str]:
    """Return everything below a folder: bytes of files, targets of links."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def refused(done: Done, says: str) -> None:
    """Check what every refusal has in common: one line, exit code 2."""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, len(errors)) == (2, 1), done
    assert says in errors[0]


def held_by_another(out: Path) -> subprocess.Popen[str]:
    """Have another process write `out` until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from capsight.output import locked\n"
        "with locked(Path(sys.argv[1]), 'windows'): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "held\n"
    return process


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Yield an output that another process is writing, and that process."""
    out = tmp_path_factory.mktemp("held") / "out"
    process = held_by_another(out)
    yield out, process.pid
    process.kill()
    process.wait()


def own_folder(place: Path) -> Path:
    (place / "out").mkdir()
    (place / "out" / "notes.txt").write_text("mine")
    return place / "out"


def own_file(place: Path) -> Path:
    (place / "out").write_text("mine")
    return place / "out"


def partial_in_the_way(place: Path) -> Path:
    (place / "out.partial").mkdir()
    (place / "out.partial" / "notes.txt").write_text("mine")
    return place / "out"


def below_a_file(place: Path) -> Path:
    (place / "file").write_text("mine")
    return place / "file" / "out"


def result_of_another(place: Path) -> Path:
    (place / "out").mkdir()
    (place / "out" / "data").write_text("days")
    artefact.write_yaml(
        place / "out" / "provenance.yaml", {"capsight": "1", "stage": "dance", "outputs": {"data": "0"}}
    )
    return place / "out"


REFUSED_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder of the user's": (own_folder, "not"),
    "a file": (own_file, "is a file: name a folder"),
    "below a file": (below_a_file, "is a file"),
    "standard output": (lambda _: "-", "not a stream"),
    "a device": (lambda _: "/dev/null", "is a file: name a folder"),
    "the current folder": (lambda _: ".", "current folder"),
    "the folder above": (lambda _: "..", "current folder"),
    "a compressed name": (lambda place: place / "out.tar.gz", "not compressed"),
    "the result of another stage": (result_of_another, "was made by dance"),
}


@pytest.mark.parametrize("situation", REFUSED_FOLDERS)
@pytest.mark.parametrize("command", FOLDERS)
def test_folders_that_are_refused(
    command: str, situation: str, capsight: Callable[..., Done], tmp_path: Path, world: Path
) -> None:
    lay, says = REFUSED_FOLDERS[situation]
    out = lay(tmp_path)
    before = content(tmp_path), content(world)
    done = capsight(command, out)
    if says == "current folder" and "holds an input" in done.err:  # the inputs lie in the current folder
        says = "holds an input"
    refused(done, says)
    assert (content(tmp_path), content(world)) == before


@pytest.mark.parametrize("command", [name for name in FOLDERS if name not in ("run", "crossval")])
def test_a_folder_of_that_name_with_partial_is_in_the_way(
    command: str, capsight: Callable[..., Done], tmp_path: Path
) -> None:
    out = partial_in_the_way(tmp_path)
    refused(capsight(command, out), "is in the way")
    assert content(tmp_path) == {"out.partial/notes.txt": b"mine"}


REFUSED_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file of the user's": (own_file, "was not written by capsight"),
    "a folder": (own_folder, "is a folder: name a file"),
    "a folder that is not there": (lambda place: place / "nowhere" / "out", "there is no such folder"),
    "below a file": (below_a_file, "there is no such folder"),
    "the name of another format": (lambda place: place / "out.parquet", ".parquet is not a format"),
    "a packed other format": (lambda place: place / "out.xlsx.gz", ".xlsx is not a format"),
    "another packing": (lambda place: place / "out.tsv.zip", ".zip is not a format"),
}


@pytest.mark.parametrize("situation", REFUSED_FILES)
@pytest.mark.parametrize("command", FILES)
def test_files_that_are_refused(command: str, situation: str, capsight: Callable[..., Done], tmp_path: Path) -> None:
    lay, says = REFUSED_FILES[situation]
    out = lay(tmp_path)
    before = content(tmp_path)
    refused(capsight(command, out), says)
    assert content(tmp_path) == before


@pytest.mark.parametrize("command", [*FILES, *FOLDERS])
def test_a_full_disk_is_noticed_before_the_work(
    command: str, capsight: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsight.output.LEAST_FREE", 1 << 60)
    refused(capsight(command, tmp_path / "out"), "no space is left on the disk: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", INPUTS)
def test_an_input_is_never_the_output(command: str, capsight: Callable[..., Done], world: Path, tmp_path: Path) -> None:
    before = content(world)
    link = tmp_path / "link"
    link.symlink_to(world / INPUTS[command])
    for out in (INPUTS[command], link):
        done = capsight(command, out)
        says = "holds an input" if command in FOLDERS else "input" if command != "explain" else "not"
        refused(done, says)
        assert content(world) == before


@pytest.mark.parametrize("command", [*FILES, *[name for name in FOLDERS if name != "crossval"]])
def test_an_output_that_another_process_writes(
    command: str, capsight: Callable[..., Done], holder: tuple[Path, int]
) -> None:
    out, process = holder
    done = capsight(command, out)
    refused(done, f"another capsight is writing it: windows, process {process} on ")
    assert " since 20" in done.err
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.lock"]


def test_the_lock_of_a_dead_process_is_taken_over(capsight: Callable[..., Done], tmp_path: Path) -> None:
    process = held_by_another(tmp_path / "out.tsv")
    process.kill()
    process.wait()
    assert (tmp_path / ".out.tsv.lock").exists()
    assert capsight("predict", tmp_path / "out.tsv").code == 0
    assert not (tmp_path / ".out.tsv.lock").exists()


@pytest.mark.parametrize("command", FILES)
def test_links_pipes_devices_and_compression(command: str, capsight: Callable[..., Done], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    assert capsight(command, plain).code == 0
    expected = plain.read_bytes()
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to("target")
    assert capsight(command, link).code == 0
    assert (link.is_symlink(), target.read_bytes()) == (True, expected)
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    assert capsight(command, pipe).code == 0
    reader.join()
    assert (pipe.is_fifo(), got) == (True, [expected])
    assert capsight(command, "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    if command == "explain":  # its bytes are no text
        refused(capsight(command, tmp_path / "x.npz.gz"), "is compressed already")
        return
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        assert capsight(command, name).out.encode() == expected, name
    for name in ("x.vcf.gz" if command == "variants" else "x.tsv.gz", "x.bgz"):
        assert capsight(command, tmp_path / name).code == 0
        assert gzip.decompress((tmp_path / name).read_bytes()) == expected
        assert (tmp_path / name).read_bytes()[12:14] == b"BC", "bgzip"
    assert not list(tmp_path.glob("*.partial"))
    assert not [path for path in Path.cwd().iterdir() if path.name.startswith("-")]


@pytest.mark.parametrize("command", FILES)
def test_what_a_file_may_replace(command: str, capsight: Callable[..., Done], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("")  # as mktemp leaves it
    assert capsight(command, out).code == 0
    whole = out.read_bytes()
    assert whole
    assert "is done already" in capsight(command, out).err
    out.unlink()
    assert capsight(command, out).code == 0, "a lost file is made again"
    assert out.read_bytes() == whole
    out.write_bytes(whole + b"edited\n")
    refused(capsight(command, out), "was changed or damaged after capsight wrote it")
    assert out.read_bytes() == whole + b"edited\n"


def test_the_record_of_a_file_does_not_replace_a_file_of_the_users(
    capsight: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "out.tsv.provenance.yaml").write_text("mine: true\n")
    refused(capsight("predict", tmp_path / "out.tsv"), "is in the way")
    assert content(tmp_path) == {"out.tsv.provenance.yaml": b"mine: true\n"}


def test_killed_between_record_and_result(capsight: Callable[..., Done], tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    assert capsight("predict", out).code == 0
    whole = content(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    from capsight.output import _host

    out.rename(tmp_path / f".out.tsv.{_host()}-{dead.pid}.partial")
    out.write_text("the table before\n")
    assert capsight("predict", out).code == 0
    assert content(tmp_path) == whole


@pytest.mark.parametrize(
    "command", ["simulate", "windows", "audit", "baseline", "evaluate", "evaluate-scan", "scan", "motifs", "report"]
)
def test_what_a_folder_may_replace(command: str, capsight: Callable[..., Done], tmp_path: Path) -> None:
    real, out = tmp_path / "real", tmp_path / "out"
    real.mkdir()
    out.symlink_to("real")
    assert capsight(command, out).code == 0
    assert out.is_symlink()
    made = content(real)
    assert "provenance.yaml" in made
    lost = real / next(name for name in made if name != "provenance.yaml")
    lost.unlink()
    assert capsight(command, out).code == 0, "a lost file is made again"
    assert set(content(real)) == set(made)
    (real / "notes.txt").write_text("mine")
    (real / "model").mkdir()
    (real / "model" / "weights").write_text("days")
    lost.unlink()
    refused(capsight(command, out), "holds files that capsight did not write, which would be lost (model/weights, not")
    assert (real / "notes.txt").read_text() == "mine"
    assert (real / "model" / "weights").read_text() == "days"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "real"]


def test_a_changed_file_of_a_folder_stays(capsight: Callable[..., Done], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert capsight("windows", out).code == 0
    (out / "summary.json").write_text(json.dumps({"mine": True}))
    refused(capsight("windows", out), "summary.json: was changed or damaged")
    assert json.loads((out / "summary.json").read_text()) == {"mine": True}


@pytest.mark.parametrize("name", ["notes.txt", "windows", "predictions.tsv", "report"])
def test_a_run_refuses_what_is_in_its_way_before_any_work(
    name: str, capsight: Callable[..., Done], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    place = out / name
    if name in ("windows", "report"):
        place.mkdir()
        place = place / "notes.txt"
    place.write_text("mine")
    if name != "notes.txt":
        artefact.write_yaml(out / "provenance.yaml", {"capsight": "1", "stage": "run"})
    before = content(out)
    refused(capsight("run", out), "not")
    assert content(out) == before


def test_folders_that_were_made_for_nothing_are_removed(capsight: Callable[..., Done], tmp_path: Path) -> None:
    done = capsight("windows", tmp_path / "a" / "b", "--test", "chr9")
    refused(done, "chr9")
    assert not list(tmp_path.iterdir())


def test_a_pipe_that_closes_early_is_no_error(world: Path) -> None:
    command = f"{sys.executable} -c 'from capsight.cli import main; main()' {FILES['predict']} -o - | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=world, check=False)
    assert (done.stdout, "Traceback" in done.stderr, "internal" in done.stderr) == ("n", False, False)


def test_locks_of_one_process_are_its_own(tmp_path: Path) -> None:
    from capsight.errors import InputError
    from capsight.output import locked

    with (
        locked(tmp_path / "out", "windows"),
        locked(tmp_path / "other", "windows"),
        pytest.raises(InputError, match="is writing it"),
        locked(tmp_path / "out", "predict"),
    ):
        pass
    assert not list(tmp_path.iterdir())
