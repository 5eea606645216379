"""Training a track network: a planted motif is found again, from counts, summits, bare peaks or labels; and resumed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from capsight.artefact import sha256
from capsight.config import CropsConfig, TrackConfig, TrainConfig, WindowsConfig
from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import CTSS, ctss_from_summits
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.evaluate.matching import Summits, match
from capsight.model.track_folder import is_track, load_track
from capsight.predict.calls import call_tss
from capsight.predict.track import REACH, TrackScorer
from capsight.train.track.calibrate import calibrate
from capsight.train.track.targets import PEAKS, SUMMITS, targets_of
from capsight.train.track.train import SEQUENCES, train

SETTINGS: dict[str, Any] = {
    "model": TrackConfig(width=16, first_kernel=15, dilations=(1, 2), head_kernel=9, average_radius=8, dropout=0.0),
    "crops": CropsConfig(length=1024, batch_size=4),
    "learning_rate": 1e-2,
    "warmup_steps": 10,
    "ema_decay": 0.9,
}


@pytest.fixture(scope="module")
def trained(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TrainConfig(**SETTINGS, epochs=12), motif_windows, tmp_path_factory.mktemp("train") / "model")


def recall(model: Path, data: Windows, chrom: str = "chr3") -> float:
    """Return the share of planted sites, one every 500 bases, that the best as many calls find to the base."""
    network, card = load_track(model)
    codes = data.genome.contig(int(data.genome.index([chrom])[0]))
    tracks = TrackScorer(network, card.calibration).score(codes[None])
    calls = call_tss(tracks.expected_tags[0], tracks.probability[0])
    planted = np.arange(500, 29_500, 500)
    best = type(calls)(*(column[: len(planted)] for column in calls))
    return float(match(best, Summits(np.zeros_like(planted), planted), 1).mean())


def test_a_planted_motif_is_found_on_a_chromosome_that_was_left_out(trained: Path, motif_windows: Path) -> None:
    assert recall(trained, Windows.open(motif_windows)) > 0.9


def test_the_card_says_what_was_learned_from_and_how_to_call(trained: Path) -> None:
    assert is_track(trained)
    network, card = load_track(trained)
    assert card.halo == network.halo + REACH
    assert (card.train, card.validation, card.test) == (("chr1",), ("chr2",), ("chr3",))
    assert card.counts == SUMMITS
    assert card.calling is not None
    assert card.calling.precision >= 0.7
    assert card.calling.recall > 0.9
    assert card.calibration is not None


def test_probabilities_are_calibrated_on_the_validation_chromosome(trained: Path, motif_windows: Path) -> None:
    network, card = load_track(trained)
    genome = Windows.open(motif_windows).genome
    tracks = TrackScorer(network, card.calibration).score(genome.contig(1)[None])
    calls = call_tss(tracks.expected_tags[0], tracks.probability[0])
    planted = np.arange(500, 29_500, 500)
    right = (calls.strand == 0) & (np.abs(calls.position[:, None] - planted).min(axis=1) <= 10)
    assert calls.score[: 6 * len(planted)].mean() == pytest.approx(right[: 6 * len(planted)].mean(), abs=0.03)


def test_training_that_was_cut_off_ends_in_the_same_bytes(
    trained: Path, motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from capsight.train.track.task import TrackTask

    config, out = TrainConfig(**SETTINGS, epochs=12, checkpoint_every=7), tmp_path / "model"
    loss, seen = TrackTask.loss, []

    def cut_off(self: TrackTask, model: Any, batch: Any) -> Any:
        seen.append(1)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return loss(self, model, batch)

    monkeypatch.setattr(TrackTask, "loss", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(config, motif_windows, out)
    train(config, motif_windows, out)
    assert len(seen) < last_step(trained) + 10  # from the last checkpoint on, not from the start
    for name in ("model.safetensors", "capsight.json", "config.json", "metrics.jsonl"):
        assert sha256(out / name) == sha256(trained / name), name


def last_step(model: Path) -> int:
    step: int = json.loads((model / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return step


def test_members_differ_in_their_seed(motif_windows: Path, tmp_path: Path) -> None:
    model = train(TrainConfig(**SETTINGS, epochs=0.3, members=2), motif_windows, tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    assert not np.array_equal(weights["networks.0.first.weight"], weights["networks.1.first.weight"])
    alone = train(TrainConfig(**SETTINGS, epochs=0.3, seed=2), motif_windows, tmp_path / "second")
    second = load_file(alone / "model.safetensors")["networks.0.first.weight"]
    np.testing.assert_array_equal(weights["networks.1.first.weight"], second)


def test_hidden_bases_are_learned_first_where_that_is_asked_for(motif_windows: Path, tmp_path: Path) -> None:
    config = TrainConfig(**SETTINGS, epochs=0.3, pretrain_epochs=2)
    model = train(config, motif_windows, tmp_path / "model")
    plain = train(TrainConfig(**SETTINGS, epochs=0.3), motif_windows, tmp_path / "plain")
    weights = [load_file(folder / "model.safetensors")["networks.0.first.weight"] for folder in (model, plain)]
    assert not np.allclose(*weights, atol=1e-3)


def lay(folder: Path, genome: Path, peaks: str, ctss: str | None = None) -> Windows:
    (folder / "peaks.bed").write_text(peaks)
    if ctss:
        (folder / "ctss.bed").write_text(ctss)
    config = WindowsConfig(
        genome=genome, peaks=folder / "peaks.bed", ctss=(folder / "ctss.bed",) if ctss else (), length=64,
        validation=("chr2",), test=("chr3",),
    )  # fmt: skip
    return Windows.open(windows(config, folder / "windows"))


#: Peaks of 20 bases around the planted sites, whose file names no summit.
BARE = "".join(f"chr{c}\t{s - 10}\t{s + 10}\tp\t9\t+\n" for c in (1, 2, 3) for s in range(500, 29_500, 500))


def test_bare_peaks_are_learned_from_all_of_their_bases(motif_windows: Path, tmp_path: Path) -> None:
    data = lay(tmp_path, motif_windows.parent / "genome.fa", BARE)
    targets = targets_of(data)
    assert targets.counts == PEAKS
    assert targets.summits.counts.sum() == pytest.approx(3 * 58)
    here = targets.tags.position[(targets.tags.contig == 0) & (targets.tags.position < 600)]
    assert here.tolist() == list(range(490, 510))
    assert (targets.tags.counts == 1 / 20).all()
    card = load_track(train(TrainConfig(**SETTINGS, epochs=0.3), data.folder, tmp_path / "model"))[1]
    assert card.counts == PEAKS


def test_bare_peaks_with_counts_have_their_summit_at_the_strongest_base(motif_windows: Path, tmp_path: Path) -> None:
    counts = "".join(
        f"chr{c}\t{s - 3}\t{s - 2}\t.\t4\t+\nchr{c}\t{s}\t{s + 1}\t.\t9\t+\n"
        for c in (1, 2)
        for s in range(500, 29_500, 500)
    )
    targets = targets_of(lay(tmp_path, motif_windows.parent / "genome.fa", BARE, counts))
    assert targets.counts == CTSS
    summits = targets.summits
    assert summits.position[summits.contig < 2].tolist() == 2 * list(range(500, 29_500, 500))
    assert summits.position[summits.contig == 2].tolist() == list(range(490, 29_490, 500))  # no counts: the 5' end


def test_peaks_with_summits_keep_them(motif_windows: Path) -> None:
    data = Windows.open(motif_windows)
    genome: Genome = data.genome
    expected = pd.DataFrame({
        schema.CHROM: np.repeat(["chr1", "chr2", "chr3"], 58), schema.SUMMIT: 3 * list(range(500, 29_500, 500)),
        schema.STRAND: "+",
    })  # fmt: skip
    for found, wanted in zip(targets_of(data).summits, ctss_from_summits(expected, genome), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_labelled_sequences_are_learned_by_a_summary(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {}
    for fold, n in (("train", 300), ("validation", 80), ("test", 40)):
        rows = ["sequence,label"]
        for i in range(n):
            letters = rng.choice(list("ACGT"), 80)
            if i % 2:
                at = int(rng.integers(10, 60))
                letters[at : at + 14] = list("TATAAAGGCACGTC")
            rows.append(f"{''.join(letters)},{i % 2}")
        files[fold] = tmp_path / f"{fold}.csv"
        files[fold].write_text("\n".join(rows) + "\n")
    data = windows(
        WindowsConfig(train=files["train"], validation=(str(files["validation"]),), test=(str(files["test"]),)),
        tmp_path / "windows",
    )
    model = train(TrainConfig(**SETTINGS, epochs=20, evaluate_every=1000), data, tmp_path / "model")
    last = json.loads((model / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["auroc"] > 0.95
    card = load_track(model)[1]
    assert card.counts == SEQUENCES
    assert card.calibration is None


#: Parts of chr1 and chr2, and chr3.
PARTS: dict[str, Any] = {
    "validation": ("chr2:1-15000",), "test": ("chr2:20001-30000", "chr3"), "exclude": ("chr1:25001-30000",)
}  # fmt: skip


def in_parts(folder: Path, genome: Path, moved: str | None) -> Path:
    """Lay windows with folds of regions; labels inside the stretch `moved` are other ones, on the other strand."""
    folder.mkdir()
    where = Stretches.named(Genome.open(genome), [moved] if moved else [])
    peaks, counts = [], []
    for contig in range(3):
        for i, site in enumerate(range(500, 29_500, 250)):
            other = int(where.find(contig, site)) >= 0
            name, at, strand = f"chr{contig + 1}", site + 23 * other, "-" if other else "+"
            if i % 2 == 0:
                peaks.append(f"{name}\t{at}\t{at + 1}\tp\t9\t{strand}\n")
            counts.append(f"{name}\t{at}\t{at + 1}\t.\t{5 + i % 7 + 9 * other}\t{strand}\n")
    (folder / "peaks.bed").write_text("".join(peaks))
    (folder / "ctss.bed").write_text("".join(counts))
    config = WindowsConfig(
        genome=genome, peaks=folder / "peaks.bed", ctss=(folder / "ctss.bed",), length=64, exclusion_bp=10, **PARTS
    )
    return windows(config, folder / "windows")


def test_labels_of_stretches_that_are_held_out_or_excluded_are_not_learned(motif_windows: Path, tmp_path: Path) -> None:
    genome = motif_windows.parent / "genome.fa"
    settings = SETTINGS | {"crops": CropsConfig(length=1024, batch_size=4, peak_fraction=0.3)}
    config = TrainConfig(**settings, epochs=0.5, pretrain_epochs=0.2)
    made = {}
    for name, moved in (("plain", None), ("test", "chr2:20001-30000"), ("exclude", "chr1:25001-30000"),
                        ("nowhere", "chr2:15001-15999"), ("train", "chr1:20001-25000")):  # fmt: skip
        made[name] = train(config, in_parts(tmp_path / name, genome, moved), tmp_path / name / "model")
    card = load_track(made["plain"])[1]
    assert card.train == ("chr1:1-25000", "chr2:15001-20000")
    assert (card.validation, card.test, card.exclude) == (PARTS["validation"], PARTS["test"], PARTS["exclude"])
    files = ("model.safetensors", "capsight.json", "metrics.jsonl")
    digests = {name: [sha256(model / file) for file in files] for name, model in made.items()}
    assert digests["test"] == digests["exclude"] == digests["plain"]
    for name in ("train", "nowhere"):
        assert digests[name][0] != digests["plain"][0], name


def test_a_card_names_what_was_excluded_only_where_anything_was(trained: Path) -> None:
    assert "exclude" not in json.loads((trained / "capsight.json").read_text())


def test_calibration_counts_calls_and_summits_inside_the_fold_alone(trained: Path, motif_windows: Path) -> None:
    data = Windows.open(motif_windows)
    network = load_track(trained)[0]
    summits = targets_of(data).summits
    part = Stretches.named(data.genome, ["chr2:10251-20250"])
    inside = part.find(summits.contig, summits.position) >= 0
    assert inside.sum() == 20
    found = [
        calibrate(TrackScorer(network, tile=tile), part, given, 0.7)
        for given in (summits, Ctss(*(column[inside] for column in summits)))
        for tile in (1 << 14, 1_700)
    ]
    assert found[0][1] is not None
    assert found[0][1].recall > 0.9
    for calibration, calling in found[1:]:
        assert calibration is not None
        assert calling is not None
        assert calibration.model_dump() == pytest.approx(found[0][0].model_dump(), rel=1e-3)  # type: ignore[union-attr]
        assert calling.recall == found[0][1].recall


def test_windows_without_a_validation_fold_are_refused(motif_windows: Path, tmp_path: Path) -> None:
    (tmp_path / "peaks.bed").write_text(BARE)
    config = WindowsConfig(
        genome=motif_windows.parent / "genome.fa", peaks=tmp_path / "peaks.bed", length=64, test=("chr3",)
    )
    data = windows(config, tmp_path / "windows")
    with pytest.raises(InputError, match="the validation fold has no windows"):
        train(TrainConfig(**SETTINGS, epochs=0.1), data, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_region_shorter_than_a_crop_is_refused_before_training(motif_windows: Path, tmp_path: Path) -> None:
    data = in_parts(tmp_path / "made", motif_windows.parent / "genome.fa", None)
    settings = SETTINGS | {"crops": CropsConfig(length=32_768)}
    with pytest.raises(InputError, match="train fold: no region of it is as long as a crop"):
        train(TrainConfig(**settings, epochs=0.1), data, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_crops_shorter_than_two_blocks_are_refused_before_training(motif_windows: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"crops": CropsConfig(length=511)}
    with pytest.raises(InputError, match=r"train.crops.length: crops of 511 bases are too short.*take 512 or more"):
        train(TrainConfig(**settings, epochs=0.1), motif_windows, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_windows_of_an_earlier_version_are_refused_with_the_way_out(motif_windows: Path, tmp_path: Path) -> None:
    data = lay(tmp_path, motif_windows.parent / "genome.fa", BARE)
    (data.folder / "peaks.parquet").unlink()
    with pytest.raises(InputError, match="no such file"):
        train(TrainConfig(**SETTINGS, epochs=0.1), data.folder, tmp_path / "model")


def with_promoters(folder: Path, motif_windows: Path) -> Path:
    """Lay windows on the motif's genome, with bare peaks, and its sites of chr1 and chr3 as promoter sequences too."""
    genome = motif_windows.parent / "genome.fa"
    sequences = Genome.open(genome)
    rows = [
        f"p\t{200}\t{''.join('ACGTN'[code] for code in sequences.contig(number)[at - 200 : at + 51])}\n"
        for number in (0, 2) for at in range(1_000, 29_000, 500)
    ]  # fmt: skip
    (folder / "promoters.tsv").write_text("id\ttss\tsequence\n" + "".join(rows))
    (folder / "peaks.bed").write_text(
        "".join(f"chr{n}\t{at}\t{at + 1}\tp\t9\t+\n" for n in (1, 2, 3) for at in range(500, 29_500, 500))
    )
    config = WindowsConfig(
        genome=genome, peaks=folder / "peaks.bed", promoters=folder / "promoters.tsv", length=64,
        validation=("chr2",), test=("chr3",),
    )  # fmt: skip
    return windows(config, folder / "windows")


def test_single_tss_and_promoter_sequences_are_learned_from(
    motif_windows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = with_promoters(tmp_path, motif_windows)
    shape = TrackConfig(
        width=16, first_kernel=15, dilations=(), head_kernel=9, average_radius=0, dropout=0.0, kmer=2, stretch=32
    )
    settings = SETTINGS | {"model": shape, "crops": CropsConfig(promoters=0.25, batch_size=128)}
    model = train(TrainConfig(**settings, epochs=40), data, tmp_path / "model")
    assert recall(model, Windows.open(data)) > 0.9
    card = load_track(model)[1]
    assert (card.counts, card.halo) == (SUMMITS, 64 + REACH)
    assert card.calibration is not None
    network = load_track(model)[0]
    counts = TrackScorer(network).counts(np.random.default_rng(0).integers(0, 4, (1, 400), dtype=np.uint8), 0, 400)
    np.testing.assert_allclose(counts.tags, counts.summits, rtol=1e-5)
    assert "promoters of the windows are not used" not in caplog.text
    again = train(TrainConfig(**settings, epochs=40), data, tmp_path / "again")
    assert sha256(again / "model.safetensors") == sha256(model / "model.safetensors")


def test_promoters_that_are_not_used_are_reported(
    motif_windows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = with_promoters(tmp_path, motif_windows)
    train(TrainConfig(**SETTINGS, epochs=0.1), data, tmp_path / "model")
    assert "the 56 promoters of the windows are not used: set crops.promoters" in caplog.text


@pytest.mark.parametrize("setting", [{"auto": True}, {"pretrain_epochs": 1.0}])
def test_what_needs_crops_is_refused_with_single_tss(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(setting))} is for training on crops"):
        TrainConfig(crops=CropsConfig(promoters=0.25), **setting)
