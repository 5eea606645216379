"""Which base is named, by hand; and `predict --resolution summit`: one row a record, whatever its length."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from capsight.config import PredictConfig, Recipe, TokenizerConfig
from capsight.data.tokenizer import KmerTokenizer
from capsight.errors import ConfigError
from capsight.model.base_head import BaseOutput
from capsight.predict.base_scorer import BaseScorer
from capsight.predict.summits import CLOSE, NEAR, expected_credit, named_summits, predict_summits, share_near
from capsight.recipes import parse


def shares(**at: float) -> np.ndarray:
    """Return shares of one window of 80 bases: keywords are ``_POSITION=share``."""
    row = np.zeros((1, 80))
    for name, share in at.items():
        row[0, int(name[1:])] = share
    return row


def test_a_broad_promoter_beats_one_strong_base_and_its_strongest_base_is_named() -> None:
    broad = {f"_{place}": 0.09 for place in range(20, 27)} | {"_23": 0.12}
    both = shares(**broad, _60=0.15)
    assert both.argmax() == 60
    assert named_summits(both).tolist() == [23]


def test_of_two_bases_out_of_reach_of_each_other_the_stronger_is_named() -> None:
    assert named_summits(shares(_10=0.4, _50=0.6)).tolist() == [50]
    assert named_summits(shares(_10=0.6, _50=0.4)).tolist() == [10]


def test_one_base_alone_is_named_itself_also_at_the_ends() -> None:
    for place in (0, 1, 40, 79):
        assert named_summits(shares(**{f"_{place}": 1.0})).tolist() == [place]


def test_credit_falls_in_two_steps_with_the_distance() -> None:
    credit = expected_credit(shares(_40=1.0))[0]
    distance = np.abs(np.arange(80) - 40)
    assert credit[distance > NEAR] == pytest.approx(0)
    assert credit[(distance > CLOSE) & (distance <= NEAR)] == pytest.approx(1)
    steps = credit[40], credit[41], credit[40 + CLOSE + 1]
    assert steps[0] > steps[1] > steps[2]
    assert np.unique(credit.round(9)).size == 4


def test_no_share_at_all_is_no_error() -> None:
    assert np.isfinite(expected_credit(np.zeros((2, 30)))).all()
    assert expected_credit(np.zeros((0, 30))).shape == (0, 30)


def test_near_adds_up_what_is_within_reach() -> None:
    near = share_near(shares(_30=0.25, _40=0.5, _41=0.25))[0]
    assert near[30] == pytest.approx(0.75)
    assert near[31] == pytest.approx(1.0)
    assert near[51] == pytest.approx(0.25)
    assert near[52] == 0


def test_each_record_has_one_summit_wherever_it_lies(scorer: BaseScorer, tmp_path: Path) -> None:
    records = {"long": "AT" * 58 + "A" + "CAGTCA" + "AT" * 13, "none": "ATT" * 23, "short": "ATA"}
    records["one"] = "A" * 11 + "CAGTCA" + "A" * 13
    source, out = tmp_path / "x.fa", tmp_path / "s.tsv"
    source.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    tables = []
    for size in (1, 3, 50):
        assert predict_summits(PredictConfig(resolution="summit", batch_size=size), scorer, source, out) == 4
        tables.append(out.read_bytes())
    assert tables[0] == tables[1] == tables[2]
    table = pd.read_csv(out, sep="\t").set_index("name")
    assert list(table.columns) == ["chrom", "position", "strand", "near", "strength", "strongest", "probability"]
    assert list(table.index) == list(records)
    assert table.loc[["long", "one"], "position"].tolist() == [118, 12]
    assert table.loc[["long", "one"], "strongest"].tolist() == [118, 12]
    assert table.loc[["long", "one"], ["near", "probability"]].to_numpy() == pytest.approx(1, abs=1e-3)
    assert table.loc[["long", "one"], "strength"].to_numpy() == pytest.approx(10, abs=1e-2)
    assert table.loc[["none", "short"], "near"].max() < 1e-3
    assert table.loc["short", ["position", "strongest"]].between(0, 2).all()


def test_the_strongest_base_is_told_beside_the_one_in_reach_of_most(tmp_path: Path) -> None:
    logits = torch.full((1, 32), -40.0)
    logits[0, [10, 22, 23]] = torch.log(torch.tensor([0.5, 0.3, 0.2]))
    said = BaseOutput(logits, torch.log1p(torch.tensor([8.0])), torch.tensor([40.0]))
    network: Any = lambda input_ids, base: said  # noqa: E731
    scorer = BaseScorer([network], KmerTokenizer(TokenizerConfig()), 32, 1, torch.device("cpu"))
    (tmp_path / "x.csv").write_text("sequence\n" + "A" * 32 + "\n")
    out = tmp_path / "s.tsv"
    predict_summits(PredictConfig(resolution="summit"), scorer, tmp_path / "x.csv", out)
    (row,) = pd.read_csv(out, sep="\t").itertuples()
    assert 13 <= row.position <= 20  # of none of them, and within 10 of all
    assert (row.near, row.strength) == pytest.approx((1, 8), rel=1e-5)
    assert (row.strongest, row.probability) == pytest.approx((10, 0.5), rel=1e-5)


def test_a_run_that_never_trains_single_bases_cannot_ask_for_summits() -> None:
    with pytest.raises(ConfigError, match=r"predict\.resolution 'summit' asks single bases"):
        parse(
            Recipe,
            {
                "windows": {"genome": "g.fa", "peaks": "p.bed", "test": "a"},
                "pretrain": {},
                "finetune": {},
                "predict": {"resolution": "summit"},
            },
        )
