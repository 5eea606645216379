"""`merge`: shards give the bytes of the whole; what is no full set of them is refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capsight.config import ScanConfig, VariantsConfig
from capsight.errors import InputError
from capsight.merge import merge
from capsight.predict import writers
from capsight.predict.scan import scan
from capsight.variants import scoring
from capsight.variants.variants import variants

from .conftest import random_dna, save_tiny_track

#: Not in the order of their names; names that GFF3 quotes; one is shorter than the halo.
CONTIGS = {"chrX": 9000, "chr 10": 1900, "tiny": 12, "chr2": 3000, "HLA:01": 2400, "a%b": 2000}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    texts = {name: random_dna(length, i) for i, (name, length) in enumerate(CONTIGS.items())}
    path.write_text("".join(f">{name.replace(' ', '_')}\n{text}\n" for name, text in texts.items()))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "provenance.yaml"}


@pytest.fixture(scope="module")
def scans(tiny_track: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a whole scan, and the same in three shards."""
    folder = tmp_path_factory.mktemp("scans")
    settings = {"threads": 1, "min_expected_tags": 0.0, "min_probability": 0.0}
    scan(ScanConfig.model_validate(settings), tiny_track, genome, folder / "whole")
    for i in (1, 2, 3):
        config = ScanConfig.model_validate(settings | {"shard": f"{i}/3"})
        scan(config, tiny_track, genome, folder / f"scan-{i}")
    return folder


def shards_of(scans: Path) -> list[Path]:
    return [scans / f"scan-{i}" for i in (1, 2, 3)]


@pytest.mark.parametrize("at_once", [1 << 16, 100], ids=["whole contigs", "many pieces"])
def test_merged_scans_are_the_whole_scan_byte_for_byte(
    at_once: int, scans: Path, tiny_track: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scans / "whole"
    if at_once == 100:
        monkeypatch.setattr(writers, "ENTRIES_AT_ONCE", at_once)
        monkeypatch.setattr(sys.modules["capsight.merge"], "_BASES_AT_ONCE", 170)
        settings = {"threads": 1, "min_expected_tags": 0.0, "min_probability": 0.0}
        whole = scan(ScanConfig.model_validate(settings), tiny_track, genome, tmp_path / "whole")
    first, second, third = shards_of(scans)
    merged = content(merge([second, third, first], tmp_path / "merged"))
    assert merged.keys() == {"plus.bw", "minus.bw", "tss.bed", "tss.gff3"}
    for name, data in content(whole).items():
        assert merged[name] == data, name
    assert merged["tss.bed"].count(b"\n") > 10


@pytest.fixture(scope="module")
def scored(tiny_track: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scored variants, whole and in three shards, in three formats."""
    folder = tmp_path_factory.mktemp("scored")
    sequence = dict(
        zip(CONTIGS, (line for line in genome.read_text().splitlines() if not line.startswith(">")), strict=True)
    )["chrX"]
    rng = np.random.default_rng(1)
    positions = sorted(rng.choice(np.arange(100, 8900), 40, replace=False).tolist())
    rows = [f"chrX\t{p + 1}\t.\t{sequence[p].upper()}\t{'ACGT'[p % 4]}\t.\t.\t.\n" for p in positions]
    (folder / "in.vcf").write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chrX,length=9000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(rows)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "BATCH", 8)
        for end in ("vcf", "vcf.gz", "tsv", "tsv.gz"):
            for name, shard in (("whole", None), *((f"part-{i}", f"{i}/3") for i in (1, 2, 3))):
                config = VariantsConfig.model_validate({"threads": 1, "shard": shard})
                variants(config, tiny_track, genome, folder / "in.vcf", folder / f"{name}.{end}")
    return folder


@pytest.mark.parametrize("end", ["vcf", "vcf.gz", "tsv", "tsv.gz"])
def test_merged_variants_are_the_whole_file_byte_for_byte(end: str, scored: Path, tmp_path: Path) -> None:
    merge([scored / f"part-{i}.{end}" for i in (3, 1, 2)], tmp_path / f"merged.{end}")
    assert (tmp_path / f"merged.{end}").read_bytes() == (scored / f"whole.{end}").read_bytes()
    index = tmp_path / f"merged.{end}.tbi"
    assert index.exists() == (end == "vcf.gz")
    if index.exists():
        assert index.read_bytes() == (scored / f"whole.{end}.tbi").read_bytes()


def test_what_is_done_is_not_done_again(scans: Path, tmp_path: Path) -> None:
    out = merge(shards_of(scans), tmp_path / "merged")
    before = (out / "provenance.yaml").stat().st_mtime_ns
    merge(list(reversed(shards_of(scans))), out)
    assert (out / "provenance.yaml").stat().st_mtime_ns == before


def _copy(scans: Path, place: Path) -> Path:
    return Path(shutil.copytree(scans / "scan-2", place / "copy"))


def _changed(scans: Path, place: Path) -> Path:
    copy = _copy(scans, place)
    (copy / "tss.bed").write_text("")
    return copy


def _of_another_model(scans: Path, place: Path) -> Path:
    model = save_tiny_track(place / "model", seed=2)
    genome = place / "g.fa"
    genome.write_text(">a\n" + "ACGT" * 500 + "\n>b\n" + "ACGT" * 400 + "\n>c\n" + "ACGT" * 300 + "\n")
    config = ScanConfig.model_validate({"threads": 1, "min_expected_tags": 0.0, "shard": "2/3"})
    return scan(config, model, genome, place / "other")


FAULTS: dict[str, tuple[Callable[[Path, Path], list[Path]], str]] = {
    "one is missing": (lambda s, _: [s / "scan-1", s / "scan-3"], "^1 of 3 shards are missing: 2/3 "),
    "one is there twice": (
        lambda s, t: [*shards_of(s), _copy(s, t)],
        "shard 2/3 is named twice",
    ),
    "there is no such folder": (lambda s, _: [s / "scan-1", s / "scan-9"], "scan-9: there is no such shard"),
    "a whole scan": (lambda s, _: [s / "scan-1", s / "whole"], "whole: is a whole scan, no shard of one"),
    "no result": (lambda s, _: [s], "is no finished result of scan or variants"),
    "changed": (lambda s, t: [s / "scan-1", _changed(s, t), s / "scan-3"], r"copy/tss.bed: was changed after it"),
    "another model": (
        lambda s, t: [s / "scan-1", _of_another_model(s, t), s / "scan-3"],
        "other: is no shard of the same run as .*scan-1: .*min_probability",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_full_set_of_shards_is_refused(fault: str, scans: Path, tmp_path: Path) -> None:
    shards, message = FAULTS[fault]
    with pytest.raises(InputError, match=message):
        merge(shards(scans, tmp_path), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_variants_and_a_scan_are_not_one_run(scans: Path, scored: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no shard of the same run"):
        merge([scans / "scan-1", scored / "part-2.vcf"], tmp_path / "out")
