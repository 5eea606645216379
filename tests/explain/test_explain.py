"""Explanations: attention is corrected for position, gradients add up, mutants are exact, random is worth nothing."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import capsight
from capsight.cli import main
from capsight.config import ExplainConfig, FinetuneConfig, ModelConfig, PhaseConfig, PretrainConfig
from capsight.data.attributions import Attributions
from capsight.data.genome.alphabet import reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.windows.windows import Windows
from capsight.errors import InputError, NoPredictedPositives
from capsight.explain.attention import ALL, LAST, ROLLOUT, attention, received, rollout
from capsight.explain.explain import explain
from capsight.explain.faithfulness import faithfulness
from capsight.explain.gradients import integrated_gradients, shuffled
from capsight.explain.mutagenesis import importance, saturate
from capsight.explain.reader import ModelWrapper, Sequences, TrackWrapper, spread
from capsight.explain.sources import choose
from capsight.model.track_folder import load_track
from capsight.predict.track import TrackScorer
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain

from ..conftest import random_dna, save_tiny_track

NONE = PhaseConfig(steps=0)


def train(folder: Path, windows: Path, shape: dict[str, object], epochs: int, tokens: dict[str, int]) -> Path:
    causal = bool(shape.get("causal"))
    config = PretrainConfig(
        model=ModelConfig(width=32, mlp_size=48, layers=1, heads=2, **shape),  # type: ignore[arg-type]
        tokenizer=tokens,  # type: ignore[arg-type]
        objective="causal" if causal else "masked",
        full_rank_phase=NONE,
        relora_phase=NONE,
    )
    start = pretrain(config, windows, folder / "pretrained")
    tuning = FinetuneConfig(lora=False, epochs=epochs, batch_size=16, learning_rate=5e-3, warmup_steps=0, ema_decay=0.0)
    return finetune(tuning, windows, start, folder / "model")


@pytest.fixture(scope="module")
def trained(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = {"stem_channels": 16, "downsample": 4, "pooling": "position"}
    return train(tmp_path_factory.mktemp("stem"), motif_windows, shape, 20, {"k": 1, "stride": 1})


@pytest.fixture(scope="module")
def trained_causal(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = {"causal": True, "pooling": "last", "stem_channels": 0}
    return train(tmp_path_factory.mktemp("causal"), motif_windows, shape, 1, {"k": 3, "stride": 2})


@pytest.fixture(scope="module")
def explained(trained: Path, motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Attributions:
    config = ExplainConfig(n_references=2, n_steps=32, max_windows=60)
    path = tmp_path_factory.mktemp("explained") / "attributions.npz"
    return Attributions.read(explain(config, trained, motif_windows, path))


def random_codes(n: int, length: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (n, length)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_chosen_that_have_no_dna_in_common(seed: int) -> None:
    codes = random_codes(20)
    codes[5:10, :40] = codes[:5, 20:60]  # ten predicted positives at five places
    codes[19, :40] = codes[18, 20:60]
    positive = np.arange(20) < 10
    rows = choose(codes, positive, 10, np.random.default_rng(seed))
    assert sorted(rows[:5] % 5) == [0, 1, 2, 3, 4]
    assert (rows >= 10).sum() == 5
    assert not {18, 19} <= set(rows)


def test_windows_that_share_dna_are_chosen_where_there_are_no_others() -> None:
    codes, positive = random_codes(20), np.arange(20) < 10
    codes[:] = codes[0]
    rows = choose(codes, positive, 10, np.random.default_rng(1))
    assert ((rows < 10).sum(), len(set(rows))) == (5, 10)
    assert choose(codes, positive, 20, np.random.default_rng(1)).tolist() == list(range(20))


def test_spread_covers_exactly_the_spans_and_keeps_the_sum() -> None:
    spans = np.array([[[0, 3], [2, 5], [0, 0]]], dtype=np.int32)
    values = np.array([[3.0, 6.0, 9.0]])
    assert spread(values, spans, 6).tolist() == [[1, 1, 3, 2, 2, 0]]


@pytest.mark.parametrize("causal_mask", [True, False])
@pytest.mark.parametrize("from_last", [True, False])
def test_uniform_attention_has_no_position_bias(causal_mask: bool, from_last: bool) -> None:
    even = torch.ones(7, 7).tril() if causal_mask else torch.ones(7, 7)
    even = (even / even.sum(1, keepdim=True)).expand(2, 7, 7)
    for values in received([even, even, even], causal=causal_mask, from_last=from_last).values():
        torch.testing.assert_close(values, torch.ones(2, 7))


def test_without_the_correction_causal_attention_would_be_biased() -> None:
    even = torch.ones(7, 7).tril()
    even = even / even.sum(1, keepdim=True)
    assert even.mean(0)[0] > 5 * even.mean(0)[-1]


def test_rollout_rows_are_distributions() -> None:
    layers = [torch.softmax(torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(i)), -1) for i in range(3)]
    torch.testing.assert_close(rollout(layers).sum(-1), torch.ones(3, 5))


@pytest.mark.pipeline
@pytest.mark.parametrize("kind", ["trained", "trained_causal"])
def test_attention_is_real_and_leaves_the_model_as_it_was(kind: str, request: pytest.FixtureRequest) -> None:
    reader = ModelWrapper.open(request.getfixturevalue(kind), 8)
    before = reader.model.config._attn_implementation
    codes = random_codes(11)
    scores = attention(reader, codes)
    assert set(scores) == {LAST, ALL, ROLLOUT}
    assert all(values.shape == codes.shape and (values > -1e-6).all() for values in scores.values())
    assert scores[LAST].std() > 0
    assert reader.model.config._attn_implementation == before
    assert not reader.model.training
    if kind == "trained":  # bidirectional: shares of one per position, over the bases behind it
        assert scores[LAST].sum(axis=1) == pytest.approx(np.full(11, 16), rel=1e-4)


def test_gradients_add_up(trained: Path) -> None:
    reader = ModelWrapper.open(trained, 8)
    codes = random_codes(6)
    result = integrated_gradients(reader, reader.sequences(codes), baselines=1, steps=200, seed=1)
    gain = reader.log_odds(codes) - reader.log_odds(shuffled(codes, 1, 1).codes[:, 0])
    assert result.scores.sum(axis=1) == pytest.approx(gain, abs=0.1)
    assert np.median(result.delta) < 0.05


def test_shuffles_keep_dinucleotides_and_unknown_bases() -> None:
    codes = random_codes(3)
    codes[2, [5, 40]] = 4
    drawn = shuffled(codes, 2, seed=1).codes
    assert (drawn[:2] != codes[:2, None]).any(axis=2).all()

    def pairs(row: np.ndarray) -> list[tuple[int, int]]:
        return sorted(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))

    for i in range(2):
        assert pairs(drawn[0, i]) == pairs(codes[0])
        assert ((drawn[2, i] == 4) == (codes[2] == 4)).all()
        assert sorted(drawn[2, i]) == sorted(codes[2])
    assert (shuffled(codes, 2, seed=1).codes == drawn).all()


REPEATS = {"A": [0], "CA": [1, 0], "CAG": [1, 0, 2], "ACGT": [0, 1, 2, 3]}


@pytest.mark.parametrize("n", [1, 4])
def test_repeats_are_shuffled_by_single_bases_and_no_others(n: int) -> None:
    codes = np.concatenate([random_codes(2), *(np.resize(unit, (1, 64)) for unit in REPEATS.values())]).astype(np.uint8)
    codes[1, 3:7] = 4
    drawn = shuffled(codes, n, seed=1)
    assert drawn.repeats.tolist() == [False, False, True, True, True, True]
    assert (drawn.codes[:2] == shuffled(codes[:2], n, seed=1).codes).all()  # the others are as they would be without
    assert (np.sort(drawn.codes, axis=2) == np.sort(codes, axis=1)[:, None]).all()
    assert (drawn.codes[3:] != codes[3:, None]).any(axis=2).all()
    assert (drawn.codes[2] == 0).all()


def test_nothing_but_n_is_its_own_shuffle() -> None:
    codes = np.full((2, 64), 4, dtype=np.uint8)
    drawn = shuffled(codes, 3, seed=1)
    assert (drawn.codes == 4).all()
    assert not drawn.repeats.any()


@pytest.mark.parametrize("method", ["attention", "ig", "ism", "attention,ig,ism"])
def test_repeats_and_n_do_not_end_an_explanation(
    trained: Path,
    motif_windows: Path,
    tmp_path: Path,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = Windows.codes

    def with_repeats(self: Windows, rows: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
        codes = whole(self, rows, shift)
        for row, unit in enumerate([*REPEATS.values(), [4]]):
            codes[row] = np.resize(unit, 64)
        return codes

    monkeypatch.setattr(Windows, "codes", with_repeats)
    monkeypatch.setattr(
        ModelWrapper, "log_odds", lambda self, codes: np.where(codes[:, 0] == 3, -1, 1).astype(np.float32)
    )
    config = ExplainConfig(method=method, n_references=2, n_steps=2, max_windows=None)
    found = Attributions.read(explain(config, trained, motif_windows, tmp_path / "a.npz"))
    n = len(Windows.open(motif_windows).fold("test").table)
    assert len(found.codes) == n
    assert f"explain: 4 of {n} windows are repeats with one order of their dinucleotides" in caplog.text
    assert found.names()[0] in caplog.text


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("sign", [1, 0, -1])
def test_few_windows_and_one_label_give_numbers(
    trained: Path, motif_windows: Path, tmp_path: Path, most: int, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sign:
        monkeypatch.setattr(ModelWrapper, "log_odds", lambda self, codes: np.full(len(codes), sign, np.float32))
    config = ExplainConfig(method="ig", n_references=2, n_steps=2, max_windows=most)
    if sign < 0:
        with pytest.raises(NoPredictedPositives, match="no window of the test fold is predicted positive"):
            explain(config, trained, motif_windows, tmp_path / "a.npz")
        return
    found = Attributions.read(explain(config, trained, motif_windows, tmp_path / "a.npz"))
    assert len(found.codes) == most
    assert found.positive.any()
    assert np.isfinite(list(found.meta["faithfulness"]["ig"].values())).all()


def test_statistics_that_are_no_numbers_are_neither_written_nor_read(explained: Attributions, tmp_path: Path) -> None:
    broken = replace(explained, meta=dict(explained.meta) | {"faithfulness": {"ig": {"score": float("nan")}}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.write(tmp_path / "a.npz")
    explained.write(tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as arrays:
        changed = dict(arrays) | {"meta": np.array(json.dumps(broken.meta))}
    np.savez(tmp_path / "c.npz", **changed)
    with pytest.raises(InputError, match="meta is not JSON"):
        Attributions.read(tmp_path / "c.npz")


def test_mutants_are_exact(trained: Path) -> None:
    reader = ModelWrapper.open(trained, 64)
    codes = random_codes(2)
    codes[1, 7] = 4
    change = saturate(reader, reader.sequences(codes))
    assert (change[np.arange(2)[:, None], np.minimum(codes, 3), np.arange(64)] == 0).all()
    assert (change[1, :, 7] == 0).all()
    mutant = codes[:1].copy()
    mutant[0, 30] = (codes[0, 30] + 2) % 4
    expected = reader.log_odds(mutant) - reader.log_odds(codes[:1])
    assert change[0, mutant[0, 30], 30] == pytest.approx(expected[0], abs=1e-4)
    assert importance(change).shape == codes.shape


def test_random_scores_are_worth_nothing_and_the_motif_much(trained: Path, explained: Attributions) -> None:
    reader = ModelWrapper.open(trained, 64)
    codes = explained.codes[explained.positive][:30]
    chance = np.mean(
        [
            faithfulness(
                reader, reader.sequences(codes), np.random.default_rng(i).random(codes.shape).astype(np.float32), seed=i
            ).score
            for i in range(6)
        ]
    )
    planted = np.zeros(codes.shape, np.float32)
    planted[:, 25:39] = 1
    assert abs(chance) < 0.03
    assert faithfulness(reader, reader.sequences(codes), planted, seed=0).score > 0.2


@pytest.mark.parametrize("method", ["ig", "ism"])
def test_the_planted_motif_is_named(explained: Attributions, method: str) -> None:
    mean = explained.methods[method][explained.positive].mean(axis=0)
    assert mean[25:39].sum() > 0.6 * mean.clip(0).sum()  # of 64 bases, 14: chance is 0.22


def test_the_file_says_what_it_was_made_from(explained: Attributions, trained: Path, motif_windows: Path) -> None:
    from capsight import artefact

    assert explained.meta["model_sha256"] == artefact.sha256(trained)
    assert explained.meta["windows_sha256"] == artefact.sha256(motif_windows)
    assert explained.best_method in ("ig", "ism")
    assert len(explained.meta["ig_delta"]) == len(explained.codes) == 60
    assert 20 <= explained.positive.sum() <= 40


def test_no_predicted_positives_is_said(
    motif_windows: Path, trained_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelWrapper, "log_odds", lambda self, codes: np.full(len(codes), -1.0, np.float32))
    with pytest.raises(InputError, match="no window of the test fold is predicted positive"):
        explain(ExplainConfig(), trained_causal, motif_windows, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_missing_model_is_said(motif_windows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        explain(ExplainConfig(), tmp_path / "none", motif_windows, tmp_path / "b.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [64, 63, 301, 1000])
def test_the_target_and_the_probability_of_a_track_model_are_those_of_its_scan(length: int, tiny_track: Path) -> None:
    codes = random_codes(5, length)
    codes[0, 3:9] = 4
    model, card = load_track(tiny_track)
    scanned = TrackScorer(model, card.calibration).score(codes)
    reader = TrackWrapper.open(tiny_track)
    middle = length // 2
    tags = scanned.expected_tags[:, 0, middle - 10 : middle + 11].astype(np.float64).sum(axis=1)
    assert reader.target(reader.sequences(codes).reads) == pytest.approx(np.log(tags), abs=1e-4)
    assert np.log(tags).std() > 0.02
    assert reader.probability(codes) == pytest.approx(scanned.probability[:, 0, middle], abs=1e-6)


@pytest.mark.parametrize("length", [64, 1000])
def test_gradients_of_a_track_model_add_up(length: int, tiny_track: Path) -> None:
    reader = TrackWrapper.open(tiny_track)
    codes = random_codes(6, length)
    result = integrated_gradients(reader, reader.sequences(codes), baselines=1, steps=200, seed=1)
    before, after = (reader.sequences(bases).reads for bases in (codes, shuffled(codes, 1, 1).codes[:, 0]))
    gain = reader.target(before) - reader.target(after)
    assert result.scores.shape == codes.shape
    assert result.scores.sum(axis=1) == pytest.approx(gain, abs=0.02)
    assert np.abs(gain).max() > 0.05
    outside = np.abs(np.arange(length) - length // 2) > load_track(tiny_track)[1].halo
    assert not result.scores[:, outside].any()  # what an answer does not depend on explains nothing


def test_neighbours_are_read_and_never_changed(tiny_track: Path) -> None:
    reader = TrackWrapper.open(tiny_track)
    around = random_codes(3, 60 + 2 * reader.margin)
    sequences = Sequences(around[:, reader.margin : -reader.margin].copy(), around)
    sequences.codes[1, 20:30] = 4  # beyond the end of a contig, where random DNA is read
    assert (reader.target(around) != reader.target(reader.sequences(sequences.codes).reads)).all()
    other = sequences.reading(reverse_complement(sequences.codes[:, ::-1]))
    changed = np.flatnonzero((other != around).any(axis=0))
    assert (changed[0], changed[-1]) == (reader.margin, reader.margin + 59)
    assert (
        other[1, reader.margin + 20 : reader.margin + 30] == around[1, reader.margin + 20 : reader.margin + 30]
    ).all()
    change = saturate(reader, sequences)
    assert not change[1, :, 20:30].any()
    mutant = around[2:].copy()
    mutant[0, reader.margin + 25] = (mutant[0, reader.margin + 25] + 1) % 4
    expected = reader.target(mutant) - reader.target(around[2:])
    assert change[2, mutant[0, reader.margin + 25], 25] == pytest.approx(expected[0], abs=1e-4)
    assert abs(expected[0]) > 0.01


def test_attention_alone_of_a_track_model_is_refused(tiny_track: Path, motif_windows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no attention to show") as caught:
        explain(ExplainConfig(method=("attention",)), tiny_track, motif_windows, tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{random_dna(3000, seed)}\n" for seed, name in enumerate(("chr1", "chr2"))))
    return path


def explained_regions(tiny_track: Path, genome: Path, regions: str, tmp_path: Path, **settings: object) -> Attributions:
    """Explain the regions of a BED file."""
    path = tmp_path / "regions.bed"
    path.write_text(regions)
    config = ExplainConfig(genome=genome, n_steps=2, n_references=1, **{"method": "ig", "length": 60} | settings)  # type: ignore[arg-type]
    return Attributions.read(explain(config, tiny_track, path, tmp_path / "a.npz"))


@pytest.mark.parametrize("length", [60, 61])
def test_regions_are_explained_around_their_tss(tiny_track: Path, genome: Path, tmp_path: Path, length: int) -> None:
    regions = "chr1\t1000\t1200\ta\t0\t+\nchr2\t500\t900\tb\t0\t-\nchr2\t2000\t2300\tc\t0\t.\n"
    found = explained_regions(tiny_track, genome, regions, tmp_path, length=length)
    best = capsight.load(str(tiny_track)).predict(tmp_path / "regions.bed", genome=genome, stranded=True)
    assert found.chrom.tolist() == ["chr1", "chr2", "chr2"]
    assert found.strand.tolist() == best["strand"].tolist()
    assert found.strand[:2].tolist() == ["+", "-"]
    tss = np.where(found.strand == "+", found.start + length // 2, found.end - 1 - length // 2)
    assert tss.tolist() == best["position"].tolist()
    assert found.score == pytest.approx(best["probability"].to_numpy(), abs=1e-6)
    assert found.label.tolist() == [-1] * 3
    opened = Genome.open(genome)
    for row, minus in enumerate(found.strand == "-"):
        contig = opened.index([found.chrom[row]])
        bases = opened.fetch(contig, found.start[row : row + 1], length, np.array([minus]))
        assert (bases == found.codes[row]).all()


def test_the_base_that_a_region_names_is_explained(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    bed9 = "chr1\t990\t1011\tx\t700\t{}\t{}\t{}\t0,0,0\n"
    regions = bed9.format("+", 1000, 1001) + bed9.format("-", 1003, 1004) + bed9.format(".", 1005, 1006)
    found = explained_regions(tiny_track, genome, regions, tmp_path, method="ism")
    assert (found.start[0] + 30, found.end[1] - 31) == (1000, 1003)
    assert found.strand[:2].tolist() == ["+", "-"]
    scorer = TrackScorer(*(load_track(tiny_track)[0], load_track(tiny_track)[1].calibration))
    tracks = scorer.score(Genome.open(genome).contig(0)[None])
    assert found.score[0] == pytest.approx(tracks.probability[0, 0, 1000], abs=1e-5)
    assert found.score[1] == pytest.approx(tracks.probability[0, 1, 1003], abs=1e-5)
    assert found.strand[2] == "+-"[int(tracks.probability[0, :, 1005].argmax())]
    mutant = Genome.open(genome).contig(0)[None].copy()
    base = int(found.codes[0, 20])
    mutant[0, 990] = other = (base + 1) % 4
    around = slice(990, 1011)
    sums = [
        np.log(scorer.score(codes).expected_tags[0, 0, around].sum())
        for codes in (mutant, Genome.open(genome).contig(0)[None])
    ]
    assert found.ism_full is not None
    assert found.ism_full[0, other, 20] == pytest.approx(sums[0] - sums[1], abs=1e-4)


def test_a_tss_at_the_end_of_a_contig_has_n_beyond_it(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    bed9 = "chr1\t0\t21\tx\t700\t{}\t5\t6\t0\n"
    found = explained_regions(tiny_track, genome, bed9.format("+") + bed9.format("-"), tmp_path)
    assert found.start.tolist() == [-25, -24]
    assert (found.codes[0, :25] == 4).all()
    assert (found.codes[1, -24:] == 4).all()
    assert not found.methods["ig"][0, :25].any()
    tracks = TrackScorer(load_track(tiny_track)[0], load_track(tiny_track)[1].calibration).score(
        Genome.open(genome).contig(0)[None]
    )
    assert found.score == pytest.approx(tracks.probability[0, :, 5], abs=1e-5)


def test_sequences_of_any_length_are_explained(
    tiny_track: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">long\n{random_dna(500)}\n>none\n>short\nACGTTTACGT\n")
    config = ExplainConfig(method="ism", length=100)  # type: ignore[arg-type]
    found = Attributions.read(explain(config, tiny_track, fasta, tmp_path / "a.npz"))
    assert found.chrom.tolist() == ["long", "short"]
    assert "1 of 3 records have no bases and are left out" in caplog.text
    assert (found.codes[1] < 4).sum() == 10
    assert found.ism_full is not None
    assert ((found.ism_full[1] != 0).any(axis=0) == (found.codes[1] < 4)).all()


def test_more_regions_than_are_wanted_are_drawn_and_counted(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    regions = "".join(f"chr1\t{start}\t{start + 50}\n" for start in range(200, 2000, 100))
    found = explained_regions(tiny_track, genome, regions, tmp_path, max_windows=5)
    assert len(found.score) == 5
    assert (np.diff(found.start) > 0).all()
    assert "5 of 18 records are explained, drawn at random" in caplog.text


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ("chr9\t10\t20\n", "chr9"),
        ("1\t10\t20\n", "contig '1' is not in genome.fa, which has 'chr1'"),
        ("chr1\t2990\t3001\n", "it ends at 3001, but chr1 has 3000 bases"),
        ("chr1\t20\t20\n", "start 20 is not below end 20"),
        ("", "holds no intervals"),
    ],
)
def test_regions_that_cannot_be_used_are_refused(
    tiny_track: Path, genome: Path, tmp_path: Path, regions: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        explained_regions(tiny_track, genome, regions, tmp_path)
    assert "\n" not in str(caught.value)
    assert "regions.bed" in str(caught.value)
    assert not (tmp_path / "a.npz").exists()


def test_contigs_of_regions_may_have_other_names(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    (tmp_path / "aliases.txt").write_text("chr1\tI\tNC_1\nchr2\tII\tNC_2\n")
    found = explained_regions(tiny_track, genome, "NC_2\t100\t200\n", tmp_path, aliases=tmp_path / "aliases.txt")
    assert found.chrom.tolist() == ["chr2"]


@pytest.mark.parametrize(
    ("settings", "source", "message"),
    [
        ({"genome": Path("g.fa")}, "windows", "windows have a genome of their own"),
        ({"aliases": Path("a.txt")}, "s.fa", "--aliases is for the regions of a genome"),
        ({"length": 100}, "windows", "windows have a length of their own"),
        ({"fold": "test"}, "s.fa", "only windows have folds"),
        ({}, "r.bed", "is BED: name the genome"),
    ],
)
def test_settings_that_are_not_for_a_source_are_refused(
    settings: dict[str, object], source: str, message: str, tiny_track: Path, motif_windows: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.fa").write_text(">a\nACGT\n")
    (tmp_path / "r.bed").write_text("chr1\t1\t9\n")
    path = motif_windows if source == "windows" else tmp_path / source
    with pytest.raises(InputError, match=message):
        explain(ExplainConfig(method="ig", **settings), tiny_track, path, tmp_path / "a.npz")  # type: ignore[arg-type]
    assert not (tmp_path / "a.npz").exists()


def test_a_window_model_explains_windows_alone(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "s.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match="is no track model: it explains windows alone"):
        explain(ExplainConfig(), trained, tmp_path / "s.fa", tmp_path / "a.npz")


def test_a_track_model_without_calibration_is_explained_by_its_own_probability(
    tmp_path: Path, motif_windows: Path
) -> None:
    model = save_tiny_track(tmp_path / "model", calibrated=False)
    with pytest.raises(NoPredictedPositives, match="no window of the test fold is predicted positive"):
        explain(ExplainConfig(method=("ig",)), model, motif_windows, tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("r.bed", "r.bed: is BED: name the genome that its intervals lie in, by --genome"),
        ("s.fa --genome g.fa", "s.fa:1: is not BED"),
        ("s.fa --length 5", "length"),
        ("missing.fa", "missing.fa: there is no such file"),
    ],
)
def test_what_is_explained_must_be_clear(
    options: str,
    message: str,
    tiny_track: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.bed").write_text("chr1\t10\t20\tx\t0\t+\n")
    for name in ("s.fa", "g.fa"):
        (tmp_path / name).write_text(f">chr1\n{random_dna(60, 1)}\n")
    logger = logging.getLogger("capsight")
    monkeypatch.setattr(logger, "handlers", logger.handlers)  # the command sets them, and the level, for good
    monkeypatch.setattr(logger, "level", logger.level)
    command = f"capsight explain --model {tiny_track} --method ig {options} -o a.npz"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as stopped:
        main()
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert stopped.value.code == 2
    assert message in line
    assert not (tmp_path / "a.npz").exists()


def test_what_a_scan_would_call_is_predicted_positive(tiny_track: Path, tmp_path: Path) -> None:
    (tmp_path / "some.fa").write_text("".join(f">{i}\n{random_dna(60, i)}\n" for i in range(30)))
    config = ExplainConfig(method=("ig",), n_steps=2, n_references=1, n_faithfulness=2, length=40)
    found = Attributions.read(explain(config, tiny_track, tmp_path / "some.fa", tmp_path / "a.npz"))
    assert found.meta["positive_from"] == 0.3  # of the card
    assert found.positive.tolist() == (found.score >= 0.3).tolist()
    assert ((found.score >= 0.3) & (found.score < 0.5)).any()
    assert not found.positive.all()
    with pytest.raises(InputError, match="positive_from"):
        replace(found, meta=found.meta | {"positive_from": "often"}).check("file")
