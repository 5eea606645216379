"""Every command reads its input from where people have it: through pipes, from standard input, in odd folders."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pybigtools
import pytest

from capsight import artefact
from capsight.data.io import text
from capsight.run.recipe import read_recipe

from .conftest import Run, check_refused, listing

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("undrawn")]

WINDOWS = "windows --genome genome.fa --validation chrII --test chrIII --length 32 --exclusion-bp 20 -o out"
#: Commands by what they read: each file in braces may come from anywhere.
READERS = {
    "peaks": f"{WINDOWS} --peaks {{peaks.bed}}",
    "narrowPeak": f"{WINDOWS} --peaks {{narrow.bed}}",
    "paper's CSV": f"{WINDOWS} --peaks {{paper.csv}}",
    "GTF": f"{WINDOWS} --peaks {{genes.gtf}}",
    "aliases": f"{WINDOWS} --peaks peaks.bed --aliases {{aliases.txt}}",
    "counts": f"{WINDOWS} --peaks peaks.bed --ctss {{counts.bed}}",
    "bedGraph": f"{WINDOWS} --peaks peaks.bed --ctss-plus {{plus.bedGraph}} --ctss-minus minus.bedGraph",
    "bigWig": f"{WINDOWS} --peaks peaks.bed --ctss-plus plus.bw --ctss-minus {{minus.bw}}",
    "negatives": f"{WINDOWS} --peaks peaks.bed --negatives bed --negatives-file {{own.bed}}",
    "training sequences": "windows --train {train.csv} --validation dev.csv -o out",
    "validation sequences": "windows --train train.csv --validation {dev.csv} -o out",
    "settings": "windows --config {settings.yaml} --validation chrII --test chrIII --exclusion-bp 20 -o out",
    "cluster, BED": "cluster {counts.bed} -o out.bed",
    "cluster, bedGraph": "cluster --plus {plus.bedGraph} --minus minus.bedGraph -o out.bed",
    "cluster, bigWig": "cluster --plus {plus.bw} --minus minus.bw -o out.bed",
    "predict, FASTA": "predict {input.fa} --model base -o out.tsv",
    "predict, CSV": "predict {input.csv} --model base -o out.tsv",
    "motif-scan, sequences": "motif-scan {input.fa} --motif-db motifs.meme -o out.tsv",
    "motif-compare, motifs": "motif-compare {motifs.meme} --motif-db motifs.meme --max-q 1 -o out.tsv",
    "motif-scan, database": "motif-scan input.fa --motif-db {motifs.meme} -o out.tsv",
    "motif-enrich, positives": "motif-enrich {input.fa} --negatives input.fa --motif-db motifs.meme -o out.tsv",
    "motif-enrich, negatives": "motif-enrich input.fa --negatives {input.fa} --motif-db motifs.meme -o out.tsv",
    "variants, VCF": "variants {variants.vcf} --model track --genome genome.fa -o out.vcf",
    "variants, table": "variants {variants.tsv} --model track --genome genome.fa -o out.tsv",
    "variants, aliases": "variants variants.vcf --model track --genome genome.fa --aliases {aliases.txt} -o out.vcf",
    "elements": "motifs attributions.npz --elements {elements.tsv} --set de_novo=false -o out",
    "attributions": "motifs {attributions.npz} --set de_novo=false -o out",
}


@pytest.fixture
def here(place: Path) -> Path:
    """Return the folder of good files, with pairs of bedGraph and bigWig added."""
    for strand, sign in (("plus", 1), ("minus", -1)):
        rows = [(f"chr{'I' * n}", 200 + n, 201 + n, 9.0 * sign) for n in (1, 2, 3)]
        (place / f"{strand}.bedGraph").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
        pybigtools.open(str(place / f"{strand}.bw"), "w").write({row[0]: 1_200 for row in rows}, iter(rows))
    return place


def results(folder: Path) -> dict[str, str]:
    """Return the checksums of what a command wrote, without records, which name paths."""
    made = [path for out in folder.glob("out*") for path in (out.rglob("*") if out.is_dir() else [out])]
    left_out = (".capsight", "provenance.yaml", ".html", ".png")
    files = [path for path in made if path.is_file() and not any(part in str(path) for part in left_out)]
    return {str(path.relative_to(folder)): content(path) for path in files}


def content(path: Path) -> str:
    """Return a checksum; of windows, the table without the name of the file that they are from."""
    if path.name != "windows.parquet":
        return artefact.sha256(path)
    return str(pd.read_parquet(path).drop(columns="source").to_csv())


def named(command: str) -> str:
    """Return the file in braces."""
    return command.partition("{")[2].partition("}")[0]


def with_file(command: str, path: str) -> str:
    return command.replace(f"{{{named(command)}}}", path)


@contextmanager
def fed(open_end: Callable[[], int], content: bytes) -> Iterator[None]:
    """Write into a pipe while the block runs."""

    def feed() -> None:
        with os.fdopen(open_end(), "wb") as end:
            end.write(content)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive(), "nobody read the pipe to its end"


#: What commands write when their input is an ordinary file, by case.
EXPECTED: dict[str, dict[str, str]] = {}


@pytest.fixture
def expected(here: Path, run: Run, request: pytest.FixtureRequest) -> dict[str, str]:
    """Return what the command writes when its input is an ordinary file; that is taken away again."""
    case = request.node.callspec.params["case"]
    if case in EXPECTED:
        return EXPECTED[case]
    command = READERS[case]
    outcome = run(with_file(command, named(command)))
    assert outcome.code == 0, outcome.said
    made = results(here)
    assert made
    (here / "before").mkdir()
    for path in here.glob("out*"):
        path.rename(here / "before" / path.name)
    EXPECTED[case] = made
    return made


@pytest.mark.parametrize("case", READERS)
def test_from_a_named_pipe(here: Path, run: Run, expected: dict[str, str], case: str) -> None:
    command = READERS[case]
    os.mkfifo(here / "pipe")
    with fed(lambda: os.open(here / "pipe", os.O_WRONLY), (here / named(command)).read_bytes()):
        outcome = run(with_file(command, "pipe"))
    assert outcome.code == 0, outcome.said
    assert results(here) == expected


@pytest.mark.parametrize(
    ("case", "name"), [*((case, "-") for case in READERS), ("peaks", "/dev/stdin"), ("predict, FASTA", "/dev/stdin")]
)
def test_from_standard_input(
    here: Path, run: Run, expected: dict[str, str], case: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = READERS[case]
    monkeypatch.setattr(text, "_SPOOLED", {})  # the next pipe may have the number of the one before
    read, write = os.pipe()
    stdin = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    try:
        with fed(lambda: write, (here / named(command)).read_bytes()):
            outcome = run(with_file(command, name))
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)
    assert outcome.code == 0, outcome.said
    assert results(here) == expected


@pytest.mark.parametrize("case", READERS)
def test_from_a_folder_that_is_not_utf8(here: Path, run: Run, expected: dict[str, str], case: str) -> None:
    command = READERS[case]
    folder = Path(os.fsdecode(b"M\xfcller"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    odd = folder / os.fsdecode(b"\xe9t\xe9-" + named(command).encode())
    odd.symlink_to(here / named(command))
    outcome = run(with_file(command, str(odd)))
    assert outcome.code == 0, outcome.said
    assert results(here) == expected


@pytest.mark.parametrize("case", ["counts", "training sequences", "validation sequences", "predict, FASTA"])
def test_a_comma_in_the_name_of_a_file_is_its_own(here: Path, run: Run, expected: dict[str, str], case: str) -> None:
    command = READERS[case]
    name = f"a,b.{named(command)}"
    (here / name).symlink_to(here / named(command))
    outcome = run(with_file(command, name))
    assert outcome.code == 0, outcome.said
    assert results(here) == expected


def test_several_counts_with_commas(here: Path, run: Run) -> None:
    (here / "more.bed").write_text("chrI\t7\t8\t.\t3\t-\n")
    assert run(f"{WINDOWS} --peaks peaks.bed --ctss counts.bed,more.bed").code == 0
    both = results(here)
    (here / "out").rename(here / "once")
    assert run(f"{WINDOWS} --peaks peaks.bed --ctss counts.bed --ctss more.bed").code == 0
    assert results(here) == both


def test_a_genome_cannot_come_through_a_pipe(here: Path, run: Run) -> None:
    os.mkfifo(here / "pipe")
    before = listing(here)
    for name in ("pipe", "/dev/stdin", "-"):
        outcome = run(f"{WINDOWS.replace('genome.fa', name)} --peaks peaks.bed")
        check_refused(outcome, r"comes through a pipe: bases are read from the genome in later stages too", before)


def test_an_empty_pipe_is_an_empty_file(here: Path, run: Run) -> None:
    os.mkfifo(here / "pipe")
    with fed(lambda: os.open(here / "pipe", os.O_WRONLY), b""):
        outcome = run(f"{WINDOWS} --peaks pipe")
    assert outcome.code == 2
    assert "pipe: holds no peaks" in outcome.said


def test_paths_of_a_recipe_from_a_pipe_are_those_of_the_current_folder(here: Path) -> None:
    os.mkfifo(here / "pipe")
    with fed(lambda: os.open(here / "pipe", os.O_WRONLY), (here / "recipe.yaml").read_bytes()):
        recipe = read_recipe(Path("pipe"), Path("run"))
    assert recipe.windows.genome == Path("genome.fa")


def test_what_came_out_of_a_pipe_is_deleted_at_the_end(here: Path) -> None:
    os.mkfifo(here / "pipe")
    with fed(lambda: os.open(here / "pipe", os.O_WRONLY), b"x"):
        kept = text.readable(here / "pipe")
    assert kept.read_bytes() == b"x"
    assert text.readable(here / "pipe") == kept
    text._forget(kept.parent, os.getpid() + 1)
    assert kept.exists(), "a forked process must leave it alone"
    text._forget(kept.parent, os.getpid())
    assert not kept.parent.exists()
