"""What a yeast model says of measured promoters (MPRA): their expression, and what one to three changes do to it.

    python benchmarks/mpra.py yeast yeast_mpra

The promoters are those of Vaishnav et al. 2022 (Nature 603, 455-463): 80 bases in a plasmid. Nothing of it is trained
on. Expression is compared with the log2 of the expected tags that `variants` sums, from 100 bases upstream of the
middle of the insert to 500 downstream, on the strand of the promoter; a change of expression with what `variants` says
of the change, both made in the plasmid.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from capsight.data.genome.alphabet import Codes, encode
from capsight.model.track_folder import load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.track import TrackScorer
from capsight.progress import progress
from capsight.shipped import find_model
from capsight.variants.effects import LEAST_TAGS, UPSTREAM, Summary
from capsight.variants.scoring import summary_of

#: Bases of the insert, and fixed ones before and behind it that belong to the sequences of the tables.
INSERT, BEFORE, BEHIND = 80, 17, 13
DISTANCE = 500
#: Of changes that are more than noise: the sign is asked for.
LARGE = 0.5


class Plasmid(NamedTuple):
    """The plasmid around an insert: what lies before and behind the fixed bases, each longer than a halo."""

    before: Codes
    behind: Codes

    @classmethod
    def read(cls, path: Path, halo: int) -> "Plasmid":
        """Open the circle opposite of the insert, twice round."""
        text = json.loads(path.read_text(encoding="utf-8"))
        at = text.index("N" * INSERT)
        length = halo + 2 * DISTANCE
        before, behind = (text * 2)[: len(text) + at - BEFORE], (text * 2)[at + INSERT + BEHIND :]
        return cls(encode(before[-length:]), encode(behind[:length]))

    def holding(self, insert: str) -> Codes:
        """Return the plasmid with an insert and its fixed bases."""
        return np.concatenate([self.before, encode(insert), self.behind])


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a track model, or a shipped one")
    parser.add_argument("data", type=Path, help="folder with expression.tsv.gz, mutations.tsv.gz and plasmid.json")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    given = parser.parse_args(arguments)
    network, card = load_track(find_model(given.model))
    scorer = TrackScorer(network, card.calibration, given.precision)
    plasmid = Plasmid.read(given.data / "plasmid.json", scorer.halo)
    measured = pd.read_csv(given.data / "expression.tsv.gz", sep="\t")
    measured["insert"] = measured["sequence110"].str[-(BEFORE + INSERT + BEHIND) :]
    measured["said"] = expression(scorer, plasmid, measured["insert"])
    for (kind, medium), rows in measured.groupby(["set", "medium"]):
        print(f"expression, {kind}, {medium}: Spearman {rho(rows['said'], rows['expression']):.3f} of {len(rows):,}")
    pairs = pd.read_csv(given.data / "mutations.tsv.gz", sep="\t")
    bases = base_sequences(pairs)
    known = pairs[pairs["base"].isin(bases)].copy()
    print(f"{len(pairs) - len(known)} of {len(pairs):,} pairs left out: their base has too few mutants to be known")
    known["said"] = changes(scorer, summary_of(card, DISTANCE), plasmid, known, bases)
    known["change"] = known["expression_mutant"] - known["expression_base"]
    for medium, rows in [*known.groupby("medium"), ("both media", known)]:
        large = rows[rows["change"].abs() > LARGE]
        right = (np.sign(large["said"]) == np.sign(large["change"])).mean()
        print(
            f"changes, {medium}: Spearman {rho(rows['said'], rows['change']):.3f} of {len(rows):,}, right sign"
            f" {right:.3f} of {len(large):,} with more than {LARGE}"
        )


def rho(said: pd.Series, measured: pd.Series) -> float:
    """Return Spearman's rank correlation."""
    return float(spearmanr(said, measured).statistic)


def expression(scorer: TrackScorer, plasmid: Plasmid, inserts: "pd.Series[str]") -> NDArray[np.float64]:
    """Return log2 of the expected tags of each promoter."""
    middle = len(plasmid.before) + BEFORE + INSERT // 2
    said: dict[str, float] = {}
    with progress("expression", inserts.nunique()) as bar:
        for insert in inserts.unique():
            counts = scorer.counts(plasmid.holding(insert)[None], middle - UPSTREAM, middle + DISTANCE)
            said[insert] = float(np.log2(counts.tags[0, 0].sum(dtype=np.float64) + LEAST_TAGS))
            bar.update()
    return np.array([said[insert] for insert in inserts])


def changes(
    scorer: TrackScorer, summary: Summary, plasmid: Plasmid, pairs: pd.DataFrame, bases: dict[str, str]
) -> NDArray[np.float64]:
    """Return what `variants` says of the changes of each pair: of log2 expected tags, on the promoter's strand."""
    alleles = AlleleScorer(scorer, DISTANCE)
    said: dict[tuple[str, str], float] = {}
    by_base = pairs.drop_duplicates(["base", "mutant_sequence110"]).groupby("base")["mutant_sequence110"]
    with progress("changes", len(by_base)) as bar:
        for base, mutants in by_base:
            codes = plasmid.holding(bases[base])
            found = [changed(bases[base], mutant, len(plasmid.before)) for mutant in mutants]
            effects = summary.effects(found, list(alleles.alleles(codes, found)), len(codes))
            said |= {(base, mutant): effect.log2[0] for mutant, effect in zip(mutants, effects, strict=True)}
            bar.update()
    return np.array([said[key] for key in zip(pairs["base"], pairs["mutant_sequence110"], strict=True)])


def changed(base: str, mutant: str, offset: int) -> Change:
    """Return what stands differently in a mutant, as one change from the first base that differs to the last."""
    where = differing(base, mutant)
    start, end = where[0], where[-1] + 1
    return Change(offset + start, offset + end, encode(mutant[start:end]))


def differing(base: str, mutant: str) -> list[int]:
    """Return the positions at which two sequences of one length differ."""
    return [i for i, (one, other) in enumerate(zip(base, mutant, strict=True)) if one != other]


def base_sequences(pairs: pd.DataFrame) -> dict[str, str]:
    """Return the sequences that mutants were made of, which the table does not have: what most mutants agree on.

    Where mutants are too few, or differ from that at more or fewer places than the table says, a base is left out.
    """
    found = {}
    for base, rows in pairs.groupby("base"):
        mutants = rows["mutant_sequence110"].unique()
        agreed = "".join(most_common(column) for column in zip(*mutants, strict=True))
        distances = [len(differing(agreed, mutant)) for mutant in rows["mutant_sequence110"]]
        if len(mutants) > 2 and distances == rows["distance"].tolist():
            found[str(base)] = agreed
    return found


def most_common(letters: Iterable[str]) -> str:
    """Return the letter that there is most of."""
    values, counts = np.unique(list(letters), return_counts=True)
    return str(values[counts.argmax()])


if __name__ == "__main__":
    main()
