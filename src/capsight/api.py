"""Models from Python: `capsight.load` returns a `Model`, which takes DNA as strings, arrays or files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from capsight.config import MutateConfig, PredictConfig, ScanConfig, VariantsConfig
from capsight.config.yaml_files import parse
from capsight.data import schema
from capsight.data.fetch.named import asset_file
from capsight.data.genome.alphabet import CODE_BITS, LETTERS, N_CODE, SOFT_MASK, Codes, encode
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.io.sequences import check_letters, report_letters
from capsight.data.io.text import given
from capsight.data.io.vcf import VariantFile
from capsight.errors import InputError
from capsight.explain.place import BEFORE, BEHIND, PlaceMethod, explain_place
from capsight.explain.reader import TrackWrapper
from capsight.model.track_folder import TrackCard, load_track
from capsight.predict.best import best_tss, table_of
from capsight.predict.records import Record, Records, open_records, sequence_record
from capsight.predict.regions import spans
from capsight.predict.scan import calling_rule, check_track, scan_span
from capsight.predict.stream import working_threads
from capsight.predict.track import Precision, Tracks, TrackScorer, best_device
from capsight.shipped import find_model
from capsight.variants.changes import changes_of, find_region
from capsight.variants.frames import as_file, rows_of
from capsight.variants.scoring import score, summary_of, survey
from capsight.variants.sites import Places
from capsight.variants.tally import Tally

#: DNA: a string, several, codes (0 to 4 for A, C, G, T, N) or characters as arrays of one or two dimensions.
Dna: TypeAlias = str | Sequence[str] | NDArray[Any]


def load(
    model: str | PathLike[str], *, device: str | torch.device | None = None, precision: Precision = "fp32"
) -> "Model":
    """Load a track model.

    Parameters
    ----------
    model
        Folder, or the name of a shipped model.
    device
        Where it runs; default the best there is: CUDA, MPS, CPU.
    precision
        ``bf16`` takes a third less time where the processor has it, and names the same TSSs.

    Raises
    ------
    InputError
        If there is no such model, it is damaged, or it is of another kind; or if there is no such device or precision.
    """
    parse(PredictConfig, {"precision": precision}, where="load")
    chosen = best_device() if device is None else _usable(device)
    folder = find_model(Path(model))
    check_track(folder)
    with torch.random.fork_rng([]), torch.device("cpu"):  # the caller's random state and default device stay
        network, card = load_track(folder)
    network = network.to(chosen, torch.float32)
    return Model(TrackScorer(network, card.calibration, precision), card)


class Model:
    """A track model: what it says of DNA of any length, on both strands. Made by `load`.

    Parameters
    ----------
    scorer
        Runs the network.
    card
        What is known of the model.

    Examples
    --------
    >>> tracks = model.tracks("ACGT" * 100)
    >>> tracks.expected_tags.shape  # sequences, strands + and -, bases from left to right
    (1, 2, 400)
    >>> model.predict(["ACGT" * 100, "GATTACA"])[["name", "start", "end"]]
      name  start  end
    0    0      0  400
    1    1      0    7
    """

    def __init__(self, scorer: TrackScorer, card: TrackCard) -> None:
        self._scorer = scorer
        self.card = card

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        return self._scorer.halo

    def tracks(self, dna: Dna) -> Tracks:
        """Answer for every base of one sequence, or of several of one length.

        Returns
        -------
        tracks
            `expected_tags`, `probability` and `strength`, each ``(n, 2, length)``: strands + and -, positions from left
            to right on both.

        Raises
        ------
        InputError
            If a sequence is no DNA, or lengths differ.
        """
        rows = [record.codes for record in _records(dna)]
        lengths = sorted({len(row) for row in rows})
        if len(lengths) > 1:
            raise InputError(
                f"the sequences differ in length: some have {lengths[0]} bases, some {lengths[-1]}", where="tracks",
                remedy="give those of one length together, the others one by one",
            )  # fmt: skip
        return self._scorer.score(np.stack(rows) if rows else np.empty((0, 0), np.uint8))

    def predict(
        self, source: Dna | Path, *, genome: Path | str | None = None, stranded: bool = False, fold: str | None = None
    ) -> pd.DataFrame:
        """Find the best TSS of every sequence or interval, on either strand.

        Parameters
        ----------
        source
            DNA, or the `Path` of a FASTA, a CSV with a column ``sequence``, ``windows.parquet``, or a BED file.
        genome
            What the intervals of a BED file lie in: a file, a folder, or the name of an assembly. They are read with
            their neighbours.
        stranded
            Answer for each record on its own strand only; sequences are then read on + alone.
        fold
            Of windows: only this one.

        Returns
        -------
        best
            One row for each: name, chrom, start, end, position (0-based), strand, probability, and expected_tags within
            10 bases of the position. A sequence without bases has no position.

        Raises
        ------
        InputError
            If a file or a sequence cannot be used.
        """
        if isinstance(source, str) and "." in source:
            raise InputError(f"{source!r} is no DNA", remedy="give a file as a Path")
        if isinstance(source, Path):
            records = open_records(given(source), _genome_file(genome) if genome else None, fold)
        elif genome is not None or fold is not None:
            raise InputError("genome and fold are for files: name the BED file or the windows by a Path")
        else:
            rows = _records(source)
            empty = sum(not len(record.codes) for record in rows)
            records = Records(partial(iter, rows), len(rows), empty, sum(record.end for record in rows))
        with working_threads(None, self._scorer) as threads:
            return table_of(best_tss(self._scorer, self.card, records, stranded, threads))

    def scan(
        self,
        genome: Path | str,
        region: str | None = None,
        *,
        min_probability: float | None = None,
        distance: int | None = None,
    ) -> pd.DataFrame:
        """Call the TSSs of a genome; `capsight scan` writes them and the tracks as files.

        Parameters
        ----------
        genome
            FASTA (plain or bgzip), 2bit, a folder of FASTA files, or the name of an assembly that `capsight fetch`
            knows, such as ``sacCer3``.
        region
            A contig or a part of it, ``chrIV:1001-2000``: counted from 1, both ends included.
        min_probability, distance
            Default those of the model's card.

        Returns
        -------
        calls
            chrom, position (0-based), strand, probability, and expected_tags within 10 bases; by contig and position.

        Raises
        ------
        InputError
            If the genome cannot be used, the region does not lie in it, or a number is out of range.
        """
        given_rule = {"min_probability": min_probability, "distance": distance}
        config = parse(ScanConfig, {"region": region, **given_rule}, where="scan")
        opened = Genome.open(_genome_file(genome))
        rule = calling_rule(self.card, config.min_probability, config.distance)
        parts = []
        with working_threads(None, self._scorer) as threads:
            for span in spans(opened, region):
                for _, sites in scan_span(self._scorer, opened, span, rule, threads):
                    columns = (span.chrom, sites.position, np.array(["+", "-"])[sites.strand], *sites[2:4])
                    parts.append(pd.DataFrame(dict(zip(schema.CALL_COLUMNS, columns, strict=True))))
        found = [part for part in parts if len(part)]
        return pd.concat(found or parts[:1], ignore_index=True)  # without a call, the columns keep their types

    def variants(
        self,
        source: Path | pd.DataFrame,
        genome: Path | str,
        *,
        distance: int = 500,
        aliases: Path | None = None,
        fail_on_error: bool = False,
    ) -> pd.DataFrame:
        """Score variants: what each alternative allele does to transcription initiation around it.

        Parameters
        ----------
        source
            VCF, BCF or table by a `Path`, or a frame; tables have the columns chrom, position (from 1, as in VCF), ref,
            alt.
        genome
            FASTA (plain or bgzip), 2bit, a folder of FASTA files, or the name of an assembly that `capsight fetch`
            knows, such as ``sacCer3``.
        distance
            Bases on either side of a variant within which its effect is looked for.
        aliases
            Other names of the contigs, as UCSC's chromAlias.txt.
        fail_on_error
            Refuse records that cannot be scored, in place of leaving their values empty.

        Returns
        -------
        effects
            One row for each alternative allele, in the order of the source: chrom, position, ref, alt; log2_plus and
            log2_minus; gain and loss of probability; tss_log2; position and strand of the last three. All positions
            count from 1, as in VCF. An allele without an answer has no values; the log reports why.

        Raises
        ------
        InputError
            If a file cannot be used, or `distance` is not one from 1 to 100,000; with `fail_on_error`, of the first
            record that cannot be scored.
        """
        distance = parse(VariantsConfig, {"distance": distance}, where="variants").distance
        opened = Genome.open(_genome_file(genome))
        places = Places(opened, Aliases.read(aliases, opened) if aliases else Aliases())
        with as_file(source) as path:
            file = VariantFile.open(path)
            survey(file, places, fail_on_error)
            rows, tally = [], Tally(None if isinstance(source, pd.DataFrame) else path, opened)
            with working_threads(None, self._scorer) as threads:
                summary = summary_of(self.card, distance)
                for answer in score(file.records(), places, self._scorer, summary, threads):
                    tally.add(answer)
                    rows += rows_of(answer)
            tally.report()
        kinds = {name: "Int64" for name in schema.EFFECT_COLUMNS if name.endswith("position")}
        kinds |= dict.fromkeys(("log2_plus", "log2_minus", "gain", "loss", "tss_log2"), "float64")
        return pd.DataFrame(rows, columns=list(schema.EFFECT_COLUMNS)).astype(kinds)

    def mutate(self, genome: Path | str, region: str, *, distance: int = 500) -> pd.DataFrame:
        """Score all single changes of a region: what each does to transcription initiation around it.

        Parameters
        ----------
        genome
            FASTA (plain or bgzip), 2bit, a folder of FASTA files, or the name of an assembly that `capsight fetch`
            knows, such as ``sacCer3``.
        region
            ``chrIV:1000-1400``, counted from 1, both ends included; or ``chrIV:1000-1400:+``, for effects on that
            strand alone.
        distance
            Bases on either side of a change within which its effect is looked for.

        Returns
        -------
        effects
            Three rows for each base, by position: chrom, position, ref, alt; log2_plus and log2_minus, of one strand
            only if the region has one; gain and loss of probability, and tss_log2, with their positions and strands.
            All positions count from 0. N is left out.

        Raises
        ------
        InputError
            If the genome cannot be used, or the region does not lie in it, or has no base but N, or `distance` is not
            one from 1 to 100,000.
        """
        distance = parse(MutateConfig, {"region": region, "distance": distance}, where="mutate").distance
        opened = Genome.open(_genome_file(genome))
        found = changes_of(self._scorer, summary_of(self.card, distance), opened, find_region(opened, region))
        return pd.concat(found, ignore_index=True)

    def explain(
        self,
        genome: Path | str,
        region: str,
        *,
        method: PlaceMethod = "ism",
        before: int = BEFORE,
        behind: int = BEHIND,
    ) -> pd.DataFrame:
        """Tell how much each base around a TSS matters to it.

        Parameters
        ----------
        genome
            FASTA (plain or bgzip), 2bit, a folder of FASTA files, or the name of an assembly that `capsight fetch`
            knows, such as ``sacCer3``.
        region
            Where the TSS is: the most probable base of ``chrIV:307780-307840:-``, counted from 1, both ends included;
            without a strand, of either. One base, ``chrIV:307809-307809:-``, is a TSS that you name.
        method
            ``ism`` (mutagenesis) or ``ig`` (integrated gradients).
        before, behind
            Bases before the TSS and behind it, on its strand, that are explained.

        Returns
        -------
        scores
            One row for each base, 5'→3' on the strand of the TSS: chrom, position (0-based), strand, offset from the
            TSS, base, and score: how many nats of the expected tags within 10 bases of the TSS depend on it.

        Raises
        ------
        InputError
            If the genome cannot be used, the region does not lie in it, `before` or `behind` is negative, or there is
            no such method.
        """
        if min(before, behind) < 0:
            raise InputError(f"before ({before}) and behind ({behind}) count bases: 0 or more")
        opened = Genome.open(_genome_file(genome))
        (chrom, contig, start, end), strand = find_region(opened, region)
        codes = opened.view(contig)
        record = Record(region, chrom, start, end, "." if strand is None else "+-"[strand], codes)
        with working_threads(1, self._scorer):
            (best,) = best_tss(self._scorer, self.card, Records(partial(iter, [record]), 1, 0, end - start), True, 1)
            assert best.position is not None
            minus = best.strand == "-"
            found = explain_place(
                TrackWrapper(self._scorer, self.card), codes, best.position, minus=minus, before=before, behind=behind,
                method=method,
            )  # fmt: skip
        offset = np.arange(-before, behind + 1)
        columns = {
            schema.CHROM: chrom,
            schema.POSITION: best.position + (-offset if minus else offset),
            schema.STRAND: best.strand,
            "offset": offset,
            "base": [LETTERS[code] for code in found.codes],
            "score": found.scores,
        }
        return pd.DataFrame(columns)


def _usable(device: str | torch.device) -> torch.device:
    """Return a device; refuse one that PyTorch does not know, or does not find here."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):  # the latter of a PyTorch that was built without it
        raise InputError(
            f"PyTorch finds no device {str(device)!r} here", where="load",
            remedy="it is cpu, cuda, cuda:1 (by number) or mps; capsight doctor lists what there is",
        ) from None  # fmt: skip


def _genome_file(genome: Path | str) -> Path:
    """Return the file of a genome: itself, or that of an assembly, which is fetched where it is missing."""
    return given(asset_file(Path(genome), "genome", "genome"))


def _records(dna: Dna) -> list[Record]:
    """Return DNA as records that are named by their numbers."""
    tally: Counter[str] = Counter()
    rows: list[Codes]
    if isinstance(dna, np.ndarray) and dna.dtype.kind in "ui":
        if dna.ndim not in (1, 2):
            raise InputError(f"an array of {dna.ndim} dimensions: (length,) or (n, length) is expected")
        plain = dna & CODE_BITS  # the soft mask is not read
        if dna.size and (dna.min() < 0 or dna.max() > N_CODE + SOFT_MASK or plain.max() > N_CODE):
            raise InputError("codes of bases are 0 to 4 (A, C, G, T, N)")
        rows = list(np.atleast_2d(plain.astype(np.uint8)))
    else:
        rows = []
        for number, text in enumerate(_texts(dna)):
            where = f"sequence {number}"
            if not isinstance(text, str):
                raise InputError(
                    f"{type(text).__name__} is no sequence", where=where, remedy="files are named by a Path"
                )
            check_letters(text, where, tally)
            rows.append(encode(text))
    report_letters(tally, Path("given"))
    return [sequence_record(str(number), row) for number, row in enumerate(rows)]


def _texts(dna: Dna) -> Iterable[str]:
    """Return DNA as strings: one, several, or characters in an array of one or two dimensions."""
    if isinstance(dna, str):
        return [dna]
    if isinstance(dna, Mapping | pd.DataFrame) or not isinstance(dna, Iterable):
        raise InputError(
            f"{type(dna).__name__} is no DNA", remedy="give strings, or a column of a table; predict takes a Path too"
        )
    if not isinstance(dna, np.ndarray):
        return dna
    if dna.dtype.kind not in "SUO" or dna.ndim not in (1, 2):
        raise InputError(f"an array of {dna.dtype}, {dna.ndim} dimensions, is neither letters nor codes of bases")
    letters = np.char.decode(dna, "latin-1") if dna.dtype.kind == "S" else dna.astype(str)
    if letters.ndim == 2 or letters.dtype.itemsize <= np.dtype("U1").itemsize:
        return ["".join(row) for row in np.atleast_2d(letters)]
    return [str(text) for text in letters]
