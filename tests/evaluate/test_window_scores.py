"""What a track network says of windows: the middle base, with the genome around it."""

import numpy as np
import pytest

from capsight.config import WindowsConfig
from capsight.data.genome.alphabet import encode, reverse_complement
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.evaluate.window_scores import window_scores
from capsight.model.track_folder import load_track
from capsight.predict.track import TrackScorer


def test_the_score_is_the_probability_of_a_scan_at_the_middle(world, track):
    fold = Windows.open(world.windows).fold("test")
    found = window_scores(track, 16)(fold)
    model, card = load_track(track)
    scan = TrackScorer(model, card.calibration).score(fold.genome.contig(2)[None]).probability[0]
    minus = (fold.table["strand"] == "-").to_numpy(int)
    middle = fold.table["start"].to_numpy() + 32 - minus  # index 32 of 64, 5'→3'
    np.testing.assert_allclose(found, scan[minus, middle], rtol=1e-4)
    positives = {("+-"[m], int(p)) for m, p, label in zip(minus, middle, fold.labels, strict=True) if label}
    assert positives <= {(strand, position) for chrom, strand, position in world.summits if chrom == "chr3"}
    assert len(positives) > 60


def test_shuffled_windows_are_read_alone(world, track, tmp_path):
    config = WindowsConfig(
        genome=world.genome, peaks=world.peaks, length=64, validation="chr2", test="chr3", negatives="shuffled"
    )
    fold = Windows.open(windows(config, tmp_path / "windows")).fold("test")
    found = window_scores(track, 16)(fold)
    model, card = load_track(track)
    scorer = TrackScorer(model, card.calibration)
    alone = scorer.score(fold.codes(np.arange(len(fold.table)))).probability[:, 0, 32]  # random DNA on either side
    shuffled = fold.labels == 0
    assert shuffled.sum() > 60
    np.testing.assert_allclose(found[shuffled], alone[shuffled], rtol=1e-4)
    assert (np.abs(found - alone)[~shuffled] > 1e-4).mean() > 0.8


def test_labelled_sequences_are_read_alone_on_their_own_strand(track, tmp_path):
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(list("ACGT"), int(rng.integers(30, 41)))) for _ in range(24)]
    for name, part in (("train", texts[:16]), ("test", texts[16:])):
        rows = [f"{text},{i % 2}\n" for i, text in enumerate(part)]
        (tmp_path / f"{name}.csv").write_text("sequence,label\n" + "".join(rows))
    config = WindowsConfig(train=tmp_path / "train.csv", validation=str(tmp_path / "test.csv"))
    fold = Windows.open(windows(config, tmp_path / "windows")).fold("validation")
    found = window_scores(track, 16)(fold)
    model, card = load_track(track)
    scorer, middle = TrackScorer(model, card.calibration), fold.length // 2
    alone, flipped = [], []
    for text in texts[16:]:
        before = (fold.length - len(text)) // 2  # shorter ones stand in the middle
        alone.append(scorer.score(encode(text)[None]).probability[0, 0, middle - before])
        flipped.append(scorer.score(reverse_complement(encode(text))[None]).probability[0, 0, middle - before])
    np.testing.assert_allclose(found, alone, rtol=1e-4)
    assert found != pytest.approx(flipped)
