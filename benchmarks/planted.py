"""Planted elements of a simulated genome: does the model know what a variant does to them?

For each planted TATA box, initiator and GC box of the held-out chromosome: does a variant that destroys it lower the
expected tags of its TSS, and one that creates it raise them? And do variants far from all elements change nothing?

    capsight run demo -o demo
    python benchmarks/planted.py demo
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import api
from capsight.data.genome.alphabet import reverse_complement
from capsight.data.genome.genome import Genome
from capsight.model.track_folder import load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.calls import SCORE_REACH
from capsight.predict.track import REACH, TrackScorer
from capsight.simulate.grammar import ELEMENTS
from capsight.variants.effects import LEAST_TAGS

Codes = NDArray[np.uint8]
SHOWN = {"TATA": "TATA box", "Inr": "initiator", "InrWeak": "weak initiator", "GCbox": "GC box"}
#: Bases on either side of an element that are looked at: its cap site is among them.
DISTANCE = 100
#: A neutral variant has a planted TSS within so many bases: `variants` finds it by default.
REACHED = 500
#: Of variants downstream of a TSS, those at most so many bases from it.
BEHIND = 100
#: Bases that a neutral variant lies from every element at least.
FAR = 100


class Case(NamedTuple):
    """A variant of an element: the sequence around it, the change, and where the cap site is in the sequence."""

    codes: Codes
    change: Change
    cap_site: int
    strand: int


def around(codes: Codes, element: pd.Series, halo: int) -> tuple[Codes, int]:
    """Return the sequence around an element, and where it begins in the contig."""
    first = max(int(element["start"]) - halo, 0)
    return codes[first : int(element["end"]) + halo].copy(), first


def letters(pwm: NDArray[np.float64], strand: str, how: str, old: Codes, rng: np.random.Generator) -> Codes:
    """Return bases for the place of an element, on the plus strand; `old` are those that stand there."""
    forward = old if strand == "+" else reverse_complement(old)
    if how == "destroyed":
        new = pwm.argmin(axis=1)
    elif how == "single":  # the one change that lowers the likelihood most
        ratio = pwm.min(axis=1) / pwm[np.arange(len(pwm)), forward]
        new = np.where(np.arange(len(pwm)) == ratio.argmin(), pwm.argmin(axis=1), forward)
    elif how == "random":
        new = rng.integers(0, 4, len(pwm))
    else:
        new = pwm.argmax(axis=1)
    new = new.astype(np.uint8)
    return new if strand == "+" else reverse_complement(new)


def cases(genome: Genome, elements: pd.DataFrame, how: str, halo: int, rng: np.random.Generator) -> Iterator[Case]:
    """Yield a variant for each element: it is destroyed, changed at one base, or created where random bases stood."""
    for _, element in elements.iterrows():
        codes, first = around(genome.contig(genome.names.index(element["chrom"])), element, halo)
        start, end = int(element["start"]) - first, int(element["end"]) - first
        pwm = ELEMENTS[element["element"]].pwm
        if how == "created":
            codes[start:end] = letters(pwm, element["strand"], "random", codes[start:end], rng)
        new = letters(pwm, element["strand"], how, codes[start:end], rng)
        yield Case(codes, Change(start, end, new), int(element["cap_site"]) - first, int(element["strand"] == "-"))


def change_at_tss(scorer: AlleleScorer, case: Case) -> float:
    """Return the change of log2 expected tags within 10 bases of the cap site."""
    ((reference, alternative),) = scorer.alleles(case.codes, [case.change])
    column = case.cap_site - case.change.start + scorer.flank
    near = slice(column - SCORE_REACH, column + SCORE_REACH + 1)
    sums = [float(allele.tags[case.strand, near].sum()) + LEAST_TAGS for allele in (reference, alternative)]
    return float(np.log2(sums[1] / sums[0]))


def neutral(genome: Genome, truth: pd.DataFrame, chrom: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return single changes far from all elements, decoys too, with the planted TSS within reach of each."""
    codes = genome.contig(genome.names.index(chrom))
    here = truth[truth["chrom"] == chrom]
    caps = (
        here[here["kind"] == "promoter"].astype({"cap_site": int}).drop_duplicates("cap_site").sort_values("cap_site")
    )
    free = np.zeros(len(codes), bool)
    for cap_site, strand in caps[["cap_site", "strand"]].to_numpy():
        before, behind = (REACHED, BEHIND) if strand == "+" else (BEHIND, REACHED)
        free[max(cap_site - before, 0) : cap_site + behind + 1] = True
    free &= codes < 4
    for start, end in here[["start", "end"]].to_numpy():
        free[max(start - FAR, 0) : end + FAR] = False
    places = np.sort(rng.choice(np.flatnonzero(free), min(n, int(free.sum())), replace=False))
    new = (codes[places] + rng.integers(1, 4, len(places))) % 4
    nearest = np.abs(caps["cap_site"].to_numpy() - places[:, None]).argmin(axis=1)
    bases = np.array(list("ACGT"))
    table = pd.DataFrame({"chrom": chrom, "position": places + 1, "ref": bases[codes[places]], "alt": bases[new]})
    return table.assign(**{name: caps[name].to_numpy()[nearest] for name in ("cap_site", "strand")})


def neutral_cases(genome: Genome, table: pd.DataFrame) -> Iterator[Case]:
    """Yield neutral variants as cases of the TSS nearest to them."""
    codes = genome.contig(genome.names.index(table["chrom"].iloc[0]))
    for row in table.itertuples():
        change = Change(row.position - 1, row.position, np.array(["ACGT".index(row.alt)], np.uint8))
        yield Case(codes, change, row.cap_site, int(row.strand == "-"))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run of the recipe demo")
    parser.add_argument("--chrom", default="chr6", help="chromosome, held out in that recipe")
    parser.add_argument("--neutral", type=int, default=500, help="neutral variants")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    truth = pd.read_csv(options.run / "simulation" / "truth.tsv", sep="\t")
    genome = Genome.open(options.run / "simulation" / "genome.fa")
    network, card = load_track(options.run / "model")
    scorer = AlleleScorer(TrackScorer(network, card.calibration), DISTANCE)
    planted = truth[(truth["kind"] == "promoter") & (truth["chrom"] == options.chrom)]
    print("element\tvariant\tn\tshare right\tmedian log2")
    for name, shown in SHOWN.items():
        elements = planted[planted["element"] == name].astype({"cap_site": int})
        for how, sign in (("destroyed", -1), ("single", -1), ("created", 1)):
            found = [
                change_at_tss(scorer, case) for case in cases(genome, elements, how, DISTANCE + REACH + card.halo, rng)
            ]
            right = np.mean(np.sign(found) == sign)
            print(f"{shown}\t{how}\t{len(found)}\t{right:.3f}\t{np.median(found):.2f}")
    table = neutral(genome, truth, options.chrom, options.neutral, rng)
    at_tss = AlleleScorer(scorer.scorer, REACHED)
    log2 = np.abs([change_at_tss(at_tss, case) for case in neutral_cases(genome, table)])
    print(f"none within {FAR}\tneutral, at its TSS\t{len(log2)}\t{(log2 < 0.05).mean():.3f}\t{np.median(log2):.4f}")
    found = api.load(options.run / "model").variants(table, options.run / "simulation" / "genome.fa", distance=REACHED)
    log2 = np.abs(np.where(table["strand"] == "+", found["log2_plus"], found["log2_minus"]))
    print(
        f"none within {FAR}\tneutral, within {REACHED}\t{len(log2)}\t{(log2 < 0.05).mean():.3f}\t{np.median(log2):.4f}"
    )


if __name__ == "__main__":
    main()
