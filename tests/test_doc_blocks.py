"""The examples of the documentation: every command is run, and what pages print is compared with what comes out.

Blocks of a page run in their order in one folder, `bash` and `console` in a shell, `pycon` as a doctest.
What follows a command of a `console` block is compared: a line `…` stands for any lines, `…` inside a line for any
text, and numbers with a point may differ by 2 %. Progress bars, and lines on where an asset is, are left out.
`text` blocks are not run. What is run on less data, or on other files, stands in `SMALLER`.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pysam
import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MIRROR = ROOT.parent / "shared" / "data"
LANGUAGES = ("bash", "console", "pycon")
PAGES = sorted(page for page in DOCS.rglob("*.md") if "build" not in page.parts)

#: What the page on `merge` assumes.
_SHARDS = "\n".join(
    f"capsight variants variants.vcf --model model --genome genome.fa --shard {i}/2 -o scored-{i}.vcf.gz"
    for i in (1, 2)
)

#: What is replaced in commands so that a page takes seconds: a pattern of the page, and what is run instead.
SMALLER: dict[str, list[tuple[str, str]]] = {
    "scan.md": [(r"--model yeast -o scan\n", "--model yeast --region chrI:1-20000 -o scan\n")],
    "train.md": [
        (r"--validation chr2", "--length 64 --validation chr2"),
        (r"capsight train windows -o", "capsight train windows --config small-track.yaml -o"),
        (r"capsight train windows --init", "capsight train windows --config small-start.yaml --init"),
    ],
    "crossval.md": [
        (r"capsight crossval (yeast|r\.yaml)", "capsight crossval small-crossval.yaml"),
        (r"chrI,chrII,chrIII,chrIV", "chr1,chr2"),
        (r"chrI,chrIII", "chr1"),
        (r"chrII,chrIV", "chr2"),
        (r"capsight,cnn", "capsight,lgbm"),
    ],
    "merge.md": [
        (r"hg38\.2bit", "genome.fa"),
        (r"(capsight merge scored-1)", rf"{_SHARDS}\n\1"),
    ],
    "accuracy.md": [
        (r"capsight run \w+", "capsight run small-track.yaml"),
        (r"capsight crossval yeast", "capsight crossval small-crossval.yaml"),
        (r"kmer-gbm", "lgbm"),
        (r"chrVII", "chr1"),
        (r"chrXV", "chr2"),
        (r"training\.epochs=5", "training.epochs=0.2"),
        (r"--step 25", "--step 500"),
    ],
    "findings.md": [
        (r"RUN/", ""),
        (r"--model yeast --fold", "--model model --fold"),
        (r"--max-windows (40|300) --set n_faithfulness=\d+", "--max-windows 60 --set n_faithfulness=2 --set n_steps=4"),
        (r"sacCer3\.fa(\.gz)?", "sacCer3"),
        (r"stripeseq\.ypd\.ctss\.bed\.gz", "stripeseq-ypd"),
        (r"-o docs/images/", "-o "),
        (r"docs/images/", f"{DOCS}/images/"),
    ],
    "many-machines.md": [(r"-o pretrained", "--config small-window.yaml -o pretrained")],
    "report.md": [(r"(capsight report)", r"capsight run small-track.yaml -o runs/yeast\n\1")],
    "new-organism.md": [
        (r"-o peaks\.bed", "-o clusters.bed"),
        (r"capsight run default", "capsight run small-own.yaml"),
        (r"genome\.fa\.gz", "genome.fa"),
        (r"genes\.gff3\.gz", "genes.gff3"),
        (r"=chr7", "=chr2"),
        (r"=chr4", "=chr3"),
    ],
    "pretrain.md": [(r"--set full_rank_phase.steps=500 --set relora_phase.steps=2000", "--config small-window.yaml")],
    "finetune.md": [
        (r"--set full_rank_phase.steps=500 --set relora_phase.steps=2000", "--config small-window.yaml"),
        (r"capsight finetune", "capsight finetune --config small-window.yaml"),
    ],
    "recipe.md": [(r"capsight run mine.yaml", "capsight run small-track.yaml")],
    "tutorials/simulated.md": [(r"capsight run demo", "capsight run small-track.yaml")],
    "tutorials/own-genome.md": [(r"capsight run default", "capsight run small-own.yaml")],
    # The tutorial on yeast makes both files from those of GEO; the assets have the same counts and peaks.
    "evaluate.md": [(r"\bypd\.bed", "stripeseq-ypd"), (r"\bypd-peaks\.bed", "stripeseq-ypd-peaks")],
    "tutorials/yeast.md": [(r"\bypd\.bed", "stripeseq-ypd")],
}

_MODEL = {"width": 24, "first_kernel": 19, "dilations": [1, 2, 4, 8, 16], "average_radius": 0, "dropout": 0.05}
_TRAIN = {
    "model": _MODEL, "crops": {"length": 1024}, "loss": {"orf_weight": 0, "strength_weight": 0}, "epochs": 2,
    "learning_rate": 1e-2, "warmup_steps": 20, "ema_decay": 0.9, "evaluate_every": 250,
}  # fmt: skip
_SIMULATE = {"bases": 1_200_000, "chromosomes": 6, "spacing": 700, "seed": 4}
_PHASE = {"steps": 4, "batch_size": 8, "warmup_steps": 1}

#: Recipes that `SMALLER` names, written beside the files of a page.
RECIPES: dict[str, dict[str, Any]] = {
    "small-track.yaml": {
        "simulate": _SIMULATE, "windows": {"length": 64, "validation": "chr5", "test": "chr6"}, "train": _TRAIN,
        "evaluate": {"bootstrap": 20}, "scan": {}, "motifs": {"k": 4},
        "explain": {"method": "ig", "max_windows": 40, "n_steps": 4, "n_references": 1, "n_faithfulness": 2},
    },
    "small-own.yaml": {
        "windows": {"length": 64}, "train": _TRAIN | {"epochs": 0.5}, "evaluate": {"bootstrap": 20}, "scan": {},
    },
    "small-start.yaml": {"train": {name: _TRAIN[name] for name in _TRAIN if name != "model"} | {"epochs": 0.05}},
    "small-crossval.yaml": {
        "windows": {"genome": "genome.fa", "peaks": "peaks.bed", "ctss": ["ctss.bed"], "length": 64},
        "train": _TRAIN | {"epochs": 0.2}, "evaluate": {"bootstrap": 20},
    },
    "small-window.yaml": {
        "windows": {"validation": "chr2"},
        "pretrain": {
            "model": {"width": 16, "mlp_size": 24, "layers": 1, "heads": 2, "stem_channels": 8, "downsample": 4},
            "full_rank_phase": _PHASE, "relora_phase": _PHASE,
            "relora": {"rank": 2, "alpha": 4, "merge_every": 4, "restart_warmup_steps": 1},
            "validation_windows": 16,
        },
        "finetune": {"epochs": 1, "batch_size": 64, "max_train": 128, "max_validation": 64},
    },
}  # fmt: skip


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are to be run."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [
        Block(
            match[2], text.count("\n", 0, match.start()) + 2, re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
        )
        for match in found
        if match[2] in LANGUAGES
    ]


class Step(NamedTuple):
    """A command, and the lines that a page shows of its output; None where it shows none."""

    command: str
    shown: list[str] | None


def steps(block: Block) -> Iterator[Step]:
    """Divide a block into commands and their output."""
    if block.language == "bash":
        yield Step(block.text, None)
        return
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block begins with a command"
    for part in parts[1:]:
        lines = part.rstrip("\n").split("\n")
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        yield Step("\n".join(lines[: end + 1]), lines[end + 1 :])


def lines_of(output: str) -> list[str]:
    """Return the lines of an output as a terminal shows them at the end, without progress bars."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in output.split("\n")]
    ended = lines[:-1] if lines[-1] == "" else lines
    return [line for line in ended if not re.match(r"[\w :.-]+: +\d+%\||fetch: .* is in the (mirror|cache)", line)]


def same_line(shown: str, printed: str) -> bool:
    """Tell whether a line is the one that a page shows: numbers with a point may differ by 2 %."""
    number = r"-?\d[\d,]*\.\d+(?:e[-+]?\d+)?"
    pattern = "(.*?)".join(re.escape(part) for part in re.split("…", re.sub(number, "\0", " ".join(shown.split()))))
    match = re.fullmatch(pattern.replace(re.escape("\0"), f"({number})"), " ".join(printed.split()))
    if match is None:
        return False
    wanted = [float(text.replace(",", "")) for text in re.findall(number, shown)]
    got = [text for text in match.groups() if re.fullmatch(number, text)]
    if len(wanted) != len(got):  # an ellipsis stands for a number
        return True
    return all(abs(float(b.replace(",", "")) - a) <= 0.02 * abs(a) + 2e-3 for a, b in zip(wanted, got, strict=True))


def differs(shown: list[str], printed: list[str]) -> str | None:
    """Return the first line of a page that the output lacks in its place."""
    at, skipping = 0, False
    for line in shown:
        if line.strip() == "…":
            skipping = True
            continue
        if skipping:
            at = next((i for i in range(at, len(printed)) if same_line(line, printed[i])), len(printed))
        if at >= len(printed) or not same_line(line, printed[at]):
            return line
        at, skipping = at + 1, False
    return None if skipping or at == len(printed) else f"(nothing; printed: {printed[at]})"


def name_of(page: Path) -> str:
    """Return a page's name below docs."""
    return str(page.relative_to(DOCS))


@pytest.fixture(scope="session")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a command `capsight` of this tree."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "capsight"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m capsight "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.docs
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=name_of)
def test_examples_do_what_the_page_shows(
    page: Path, bin_folder: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_of(page)
    text = "".join(block.text for block in blocks(page))
    if re.search(r"sacCer3|stripeseq", text) and not MIRROR.is_dir():
        pytest.skip("the real data that this page names are not here")
    environment = os.environ | {
        "PATH": f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "CAPSIGHT_MIRROR": str(MIRROR),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    if not name.startswith("tutorials"):
        shutil.copytree(request.getfixturevalue("small"), tmp_path, dirs_exist_ok=True)
    for file, recipe in RECIPES.items():
        (tmp_path / file).write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPSIGHT_MIRROR", environment["CAPSIGHT_MIRROR"])
    namespace: dict[str, object] = {}
    for block in blocks(page):
        where = f"{name}:{block.line}"
        if block.language == "pycon":
            check_session(block, where, namespace)
            continue
        for step in steps(block):
            command = step.command
            for pattern, instead in SMALLER.get(name, []):
                command = re.sub(pattern, instead, command)
            done = subprocess.run(
                ["bash", "-c", f"set -o pipefail; {command}"], env=environment, cwd=tmp_path, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            failed = any(line.startswith("error:") for line in step.shown or [])
            ended = done.returncode not in (0, 141)  # 141: what writes into `| head` was ended by it, as is right
            assert ended == failed, f"{where}: {command}\n{done.stdout}"
            if step.shown:
                line = differs(step.shown, lines_of(done.stdout))
                assert line is None, f"{where}: {command}\nnot printed: {line}\nbut:\n{done.stdout}"


class _Close(doctest.OutputChecker):
    """Compares as pages are compared."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return differs(want.splitlines(), got.splitlines()) is None


def check_session(block: Block, where: str, namespace: dict[str, object]) -> None:
    """Run a Python session; names stay for the next one of the page."""
    test = doctest.DocTestParser().get_doctest(block.text, namespace, where, where, block.line)
    runner = doctest.DocTestRunner(checker=_Close(), verbose=False, optionflags=doctest.REPORT_NDIFF)
    report: list[str] = []
    result = runner.run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert not result.failed, "".join(report)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what pages read: a simulated genome, windows, and a model trained a little."""
    from capsight.config import SimulateConfig, TrainConfig, WindowsConfig
    from capsight.data.windows.stage import windows
    from capsight.simulate import simulate
    from capsight.train.track.train import train

    place = tmp_path_factory.mktemp("small")
    made = simulate(SimulateConfig(bases=600_000, chromosomes=3, spacing=700, seed=4), place / "simulation")
    for name in ("genome.fa", "peaks.bed", "ctss.bed"):
        shutil.copy(made / name, place / name)
    ends = [line.split("\t") for line in (place / "ctss.bed").read_text().splitlines()]
    for strand, name in (("+", "plus"), ("-", "minus")):
        rows = ["\t".join([*row[:3], row[4]]) for row in ends if row[5] == strand]
        (place / f"{name}.bedgraph").write_text("\n".join(rows) + "\n")
    genes = []
    for row in (line.split("\t") for line in (place / "peaks.bed").read_text().splitlines()):
        start, end = (int(row[6]), int(row[6]) + 300) if row[5] == "+" else (max(int(row[6]) - 299, 0), int(row[6]) + 1)
        genes.append(f"{row[0]}\t.\ttranscript\t{start + 1}\t{end}\t.\t{row[5]}\t.\tID=t{len(genes)}\n")
    (place / "genes.gff3").write_text("##gff-version 3\n" + "".join(genes))
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    copy = shutil.copy(made / "genome.fa", tmp_path_factory.mktemp("indexed"))  # which pysam writes an index beside
    with pysam.FastaFile(str(copy)) as genome:
        for chrom in ("chr1", "chr3"):
            base = genome.fetch(chrom, 4999, 5000)
            lines.append(f"{chrom}\t5000\t.\t{base}\t{'A' if base != 'A' else 'C'}\t.\t.\t.")
    (place / "variants.vcf").write_text("\n".join(lines) + "\n")
    write_sequences(place)
    config = WindowsConfig(
        genome=place / "genome.fa", peaks=place / "peaks.bed", ctss=(place / "ctss.bed",), length=64,
        validation=("chr2",), test=("chr3",),
    )  # fmt: skip
    windows(config, place / "windows")
    # Two epochs, which are enough for a run, give no window that is predicted positive and can be explained.
    train(TrainConfig(**_TRAIN | {"epochs": 5}), place / "windows", place / "model")
    return place


def write_sequences(place: Path) -> None:
    """Write promoters and other stretches of the genome as FASTA."""
    import pysam

    genome = pysam.FastaFile(str(place / "genome.fa"))
    peaks = [line.split("\t") for line in (place / "peaks.bed").read_text().splitlines()]
    summits = [(row[0], int(row[6])) for row in peaks if row[5] == "+"][:200]
    for name, shift in (("promoters.fa", 0), ("positives.fa", 0), ("negatives.fa", 300)):
        records = [f">{chrom}:{at}\n{genome.fetch(chrom, at + shift - 60, at + shift + 60)}" for chrom, at in summits]
        (place / name).write_text("\n".join(records) + "\n")


def test_every_replacement_is_used() -> None:
    for page, pairs in SMALLER.items():
        text = "".join(block.text for block in blocks(DOCS / page))
        for pattern, _ in pairs:
            assert re.search(pattern, text), f"{page}: {pattern}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a 0.50", "…", "z"], ["a 0.505", "b", "c", "z"], True),
        (["a 0.50"], ["a 0.60"], False),
        (["a"], ["a", "b"], False),
        (["a", "…"], ["a", "b"], True),
        (["took … s"], ["took 3 s"], True),
        (["12 calls"], ["13 calls"], False),
    ],
)
def test_outputs_are_compared(shown: list[str], printed: list[str], same: bool) -> None:
    assert (differs(shown, printed) is None) is same


def test_commands_and_their_output_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# x\n\n```console\n$ echo a \\\n  b\na b\n$ true\n```\n\n```text\nno\n```\n")
    (block,) = blocks(page)
    assert block.line == 4
    assert list(steps(block)) == [Step("echo a \\\n  b", ["a b"]), Step("true", [])]
