"""A simulated genome and what was planted in it, as files."""

from pathlib import Path

import numpy as np
import pandas as pd

from capsight.data.io.meme import MotifSet, Pwm, write_meme
from capsight.data.schema import CHROM, END, START, STRAND
from capsight.simulate.cage import write_table
from capsight.simulate.genome import Genome
from capsight.simulate.grammar import ELEMENTS, widths


def write_fasta(path: Path, genome: Genome, width: int = 60) -> None:
    """Write the genome, soft-masked, `width` bases a line."""
    letters = np.frombuffer(b"ACGTN", dtype=np.uint8)[genome.codes] + 32 * genome.masked.astype(np.uint8)
    with path.open("wb") as handle:
        for name, sequence in zip(genome.names, np.split(letters, genome.starts[1:]), strict=True):
            whole = len(sequence) // width
            lines = np.full((whole, width + 1), ord("\n"), dtype=np.uint8)
            lines[:, :width] = sequence[: whole * width].reshape(whole, width)
            rest = sequence[whole * width :].tobytes()
            handle.write(f">{name}\n".encode() + lines.tobytes() + rest + b"\n" * bool(rest))


def write_truth(path: Path, genome: Genome, elements: pd.DataFrame) -> None:
    """Write every planted element in the genome's order; decoys have no offset and no cap site."""
    elements = elements.sort_values("place", kind="stable", ignore_index=True)
    chrom, start = genome.locate(elements["place"].to_numpy())
    decoy = elements["kind"] == "decoy"
    cap_site = genome.locate(np.maximum(elements["cap_site"].to_numpy(), 0))[1]
    table = pd.DataFrame({CHROM: chrom, START: start})
    table[END] = start + widths(elements["element"].to_numpy(dtype=str))
    table[STRAND] = np.where(elements[STRAND] > 0, "+", "-")
    table["element"], table["kind"] = elements["element"], elements["kind"]
    table["offset"] = elements["offset"].astype(str).mask(decoy, ".")
    table["cap_site"] = pd.Series(cap_site).astype(str).mask(decoy, ".")
    write_table(path, table, header=True)


def write_motifs(path: Path, genome: Genome, elements: pd.DataFrame) -> None:
    """Write the planted PWMs in MEME's minimal format, with the genome's base frequencies on both strands."""
    counts = np.bincount(genome.codes, minlength=5)[:4]
    background = (counts + counts[::-1]) / (2 * counts.sum())
    sites = elements["element"].value_counts()
    pwms = [Pwm(name, "", pwm, float(sites.get(name, 0))) for name, (pwm, _, _) in ELEMENTS.items()]
    write_meme(path, MotifSet(tuple(pwms), background))
