"""A folder of good files, every kind that a command reads: the corpus breaks them one by one, the fuzzer at random."""

import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from capsight import artefact
from capsight.config import BaselineConfig, FinetuneConfig, TokenizerConfig, WindowsConfig
from capsight.data.attributions import Attributions
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.stage import windows
from capsight.train.baselines.baseline import baseline

from ..conftest import Done

LENGTH = 32
CHROMOSOMES = ("chrI", "chrII", "chrIII")
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.3 C 0.2 G 0.2 T 0.3

MOTIF M1 tata
letter-probability matrix: alength= 4 w= 8 nsites= 20 E= 0
 0.02 0.02 0.02 0.94
 0.94 0.02 0.02 0.02
 0.02 0.02 0.02 0.94
 0.94 0.02 0.02 0.02
 0.94 0.02 0.02 0.02
 0.94 0.02 0.02 0.02
 0.02 0.02 0.94 0.02
 0.25 0.25 0.25 0.25

MOTIF M2
letter-probability matrix: alength= 4 w= 2
 0.25 0.25 0.25 0.25
 1.0 0.0 0.0 0.0
"""
RECIPE = """description: nothing to learn from
windows: {genome: genome.fa, peaks: peaks.bed, length: 32, validation: chrII, test: chrIII}
pretrain: {full_rank_phase: {steps: 1}, relora_phase: {steps: 1}}
finetune: {epochs: 1}
"""


def build_world(folder: Path) -> Path:
    """Write the good files into an empty folder."""
    rng = np.random.default_rng(0)
    contigs = {name: "".join(rng.choice(list("ACGT"), 1_200)) for name in CHROMOSOMES}
    starts = (200, 450, 700, 950)
    peaks = [
        (name, s, s + 9, f"p{i}", 5, "+-"[i % 2], s + 4, s + 5, 0) for name in contigs for i, s in enumerate(starts)
    ]
    sequences = [contigs["chrI"][i : i + LENGTH] for i in range(0, 640, LENGTH)]
    labelled = [f"{text},{i % 2}\n" for i, text in enumerate(sequences)]
    texts = {
        "genome.fa": "".join(f">{name} {name}\n{text}\n" for name, text in contigs.items()),
        "peaks.bed": "".join("\t".join(map(str, peak)) + "\n" for peak in peaks),
        "own.bed": "".join(f"{name}\t{s + 100}\t{s + 132}\n" for name in contigs for s in starts),
        "narrow.bed": "".join(
            f"{c}\t{s}\t{e}\tp\t5\t{strand}\t1.5\t-1\t3.2\t4\n" for c, s, e, _, _, strand, *_ in peaks
        ),
        "paper.csv": "chromosomeID,start_coordinate,end_coordinate,strand\n"
        + "".join(f"{c},{s},{e},{strand}\n" for c, s, e, _, _, strand, *_ in peaks),
        "genes.gtf": "".join(
            f'{c}\tx\ttranscript\t{s + 1}\t{s + 99}\t.\t{strand}\t.\ttranscript_id "{c}.{s}";\n'
            for c, s, _, _, _, strand, *_ in peaks
        ),
        "aliases.txt": "".join(f"{name}\t{name[3:]}\tNC_{i}\n" for i, name in enumerate(contigs)),
        "counts.bed": "".join(f"{c}\t{s + i}\t{s + i + 1}\tt\t9\t+\n" for c, s, *_ in peaks for i in (0, 2)),
        **{
            f"{strand}.bedGraph": "".join(
                f"{c}\t{s + i}\t{s + i + 1}\t{sign * 9}\n" for c, s, *_ in peaks for i in (0, 2)
            )
            for strand, sign in (("plus", 1), ("minus", -1))
        },
        "rings.gff3": "##gff-version 3\nchrI\tx\tregion\t1\t1200\t.\t+\t.\tID=r;Is_circular=true\n"
        + "".join(f"{c}\tx\tmRNA\t{s + 1}\t{s + 299}\t.\t{t}\t.\tID=t{s}\n" for c, s, _, _, _, t, *_ in peaks[:4]),
        "idr.bed": "".join(
            f"{c}\t{s}\t{e}\tp\t5\t{t}\t1.5\t-1\t-1\t4\t2.1\t4.7\t{s}\t{e}\t1.1\t4\t{s}\t{e}\t1.2\t4\n"
            for c, s, e, _, _, t, *_ in peaks
        ),
        "more.bed": "".join("\t".join(map(str, peak)) + f"\t{i}\n" for i, peak in enumerate(peaks, start=9)),
        "twelve.bed": "".join("\t".join(map(str, peak)) + "\t2\t2,3,\t0,6,\n" for peak in peaks),
        "broad.bed": "".join(f"{c}\t{s}\t{e}\tp\t5\t{t}\t1.5\t-1\t3.2\n" for c, s, e, _, _, t, *_ in peaks),
        "motifs.jaspar": ">MA0004.1\tArnt\nA  [ 4 19 ]\nC  [16 0 ]\nG  [ 0 1 ]\nT  [ 0 0 ]\n",
        "queries.meme": MEME,
        "train.csv": "sequence,label\n" + "".join(labelled[:14]),
        "dev.csv": "sequence,label\n" + "".join(labelled[14:]),
        "variants.vcf": "##fileformat=VCFv4.2\n##contig=<ID=chrI>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"chrI\t{p}\t.\t{contigs['chrI'][p - 1]}\tACGT\t.\t.\t.\n" for p in (100, 200)),
        "variants.tsv": f"chrom\tposition\tref\talt\nchrI\t100\t{contigs['chrI'][99]}\tACGT\n",
        "input.fa": "".join(f">s{i} note\n{text}\n" for i, text in enumerate(sequences)),
        "input.csv": "name,sequence\n" + "".join(f"s{i},{text}\n" for i, text in enumerate(sequences)),
        "motifs.meme": MEME,
        "elements.tsv": "element\tpattern\toffset\tsource\nmine\tTATAWR\t-30\tme\nother\tCCAAT\t.\tme\n",
        "recipe.yaml": RECIPE,
        "settings.yaml": "genome: genome.fa\npeaks: peaks.bed\nlength: 32\nnegatives: uniform:2,flank\n"
        "flank_range: 9,900\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "genome.2bit").write_bytes(twobit(contigs))
    config = WindowsConfig(
        genome=folder / "genome.fa", peaks=folder / "peaks.bed", length=LENGTH, exclusion_bp=20,
        validation=("chrII",), test=("chrIII",),
    )  # fmt: skip
    windows(config, folder / "windows")
    baseline(BaselineConfig(), folder / "windows", folder / "base")
    _write_network(folder / "model")
    _write_track(folder / "track")
    _write_attributions(folder / "attributions.npz", rng)
    with zipfile.ZipFile(folder / "attributions.npz") as archive:
        archive.extractall(folder / "arrays")
    return folder


def twobit(contigs: Mapping[str, str]) -> bytes:
    """Return sequences as UCSC's 2bit, the first ten bases of each N and soft-masked."""
    head = b"".join(bytes([len(name)]) + name.encode() + b"...." for name in contigs)
    records, at = [], 16 + len(head)
    for text in contigs.values():
        digits = np.array(["TCAG".index(letter) for letter in text + "T" * (-len(text) % 4)]).reshape(-1, 4)
        packed = (digits @ np.array([64, 16, 4, 1])).astype(np.uint8).tobytes()
        records.append(struct.pack("<9I", len(text), 1, 0, 10, 1, 0, 10, 0, 0)[:-4] + packed)
    for name, record in zip(contigs, records, strict=True):
        head = head.replace(name.encode() + b"....", name.encode() + struct.pack("<I", at), 1)
        at += len(record)
    return struct.pack("<4I", 0x1A412743, 0, len(contigs), 0) + head + b"".join(records)


def _write_network(folder: Path) -> None:
    """Write the smallest of all models, with random weights."""
    from capsight.model.llama import CapsightConfig, CapsightForClassification
    from capsight.model.llama_folder import ModelCard, save_model

    tokenizer = TokenizerConfig()
    config = CapsightConfig(
        vocab_size=make_tokenizer(tokenizer).vocabulary, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=LENGTH,
    )  # fmt: skip
    card = ModelCard(task="classification", length=LENGTH, tokenizer=tokenizer)
    with artefact.atomic_dir(folder, "finetune", FinetuneConfig(), {}) as partial:
        make_tokenizer(tokenizer).save(partial)
        save_model(CapsightForClassification(config), card, partial)


def _write_track(folder: Path) -> None:
    """Write the smallest track model, with random weights."""
    from capsight.config.track import TrackConfig
    from capsight.model.track import TrackModel
    from capsight.model.track_folder import TrackCard, save_track

    config = TrackConfig(width=8, dilations=(1,), average_radius=0)
    model = TrackModel(config)
    with artefact.atomic_dir(folder, "train", config, {}) as partial:
        save_track(model, TrackCard(halo=model.halo + 50), partial)


def _write_attributions(path: Path, rng: np.random.Generator) -> None:
    """Write attributions of random windows."""
    n = 60
    Attributions(
        codes=rng.integers(0, 4, (n, LENGTH)).astype(np.uint8),
        score=np.where(np.arange(n) < n // 2, 0.9, 0.1).astype(np.float32),
        label=(np.arange(n) < n // 2).astype(np.int8),
        chrom=np.full(n, "chrI"),
        strand=np.full(n, "+"),
        start=np.arange(n) * 10,
        end=np.arange(n) * 10 + LENGTH,
        methods={"ig": rng.random((n, LENGTH)).astype(np.float32)},
        meta={
            "model_sha256": "m",
            "windows_sha256": "w",
            "fold": "test",
            "faithfulness": {},
            "best_method": "ig",
            "window_length": LENGTH,
        },
    ).write(path)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the good files, the current folder."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    return folder


class Outcome(NamedTuple):
    code: int
    said: str


Run = Callable[[str], Outcome]


@pytest.fixture
def run(capsight: Callable[..., Done]) -> Run:
    """Return a function that runs a command line in this process."""

    def command(line: str) -> Outcome:
        done = capsight(*line.split())
        return Outcome(done.code, done.err)

    return command


def listing(folder: Path) -> dict[str, int]:
    """Return files and folders with their sizes, without the genome stores, which any genome may get."""
    paths = (path for path in folder.rglob("*") if ".capsight" not in str(path.relative_to(folder)))
    return {str(path.relative_to(folder)): path.stat().st_size if path.is_file() else -1 for path in paths}


def check_refused(outcome: Outcome, says: str, before: dict[str, int]) -> None:
    """One line of error that says it, exit code 2, no traceback, nothing written."""
    assert outcome.code == 2, outcome.said
    assert "Traceback" not in outcome.said
    assert [line for line in outcome.said.splitlines() if line.startswith("error: ")], outcome.said
    assert outcome.said.count("error: ") == 1, outcome.said
    assert re.search(says, outcome.said), outcome.said
    assert listing(Path.cwd()) == before
