"""The methods paragraph of a report, to paste, from the settings of each stage; and what to cite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from capsight.artefact import RECORD, read_record
from capsight.report.results import BASELINE_NAMES, SCAN_EVALUATION

#: What is cited, by the keys that the sentences use.
_REFERENCES: Final = {
    "paper": "Haldar, D. K., Pramanick, A., Mukherjee, C. and Mitra, P. (2026). A Transformer based method for the Cap "
    "Analysis of Gene Expression and Gene Expression Tag associated 5' cap site prediction in RNA. RNA Biology.",
    "bpnet": "Avsec, Ž. et al. (2021). Base-resolution models of transcription-factor binding reveal soft motif "
             "syntax. "
    "Nature Genetics 53, 354–366.",
    "relora": "Lialin, V. et al. (2023). ReLoRA: high-rank training through low-rank updates. arXiv:2307.05695.",
    "lora": "Hu, E. J. et al. (2021). LoRA: low-rank adaptation of large language models. arXiv:2106.09685.",
    "lightgbm": "Ke, G. et al. (2017). LightGBM: a highly efficient gradient boosting decision tree. NeurIPS 30.",
    "blocks": "Künsch, H. R. (1989). The jackknife and the bootstrap for general stationary observations. Annals of "
    "Statistics 17, 1217–1241.",
    "ig": "Sundararajan, M., Taly, A. and Yan, Q. (2017). Axiomatic attribution for deep networks. ICML, 3319–3328.",
    "modisco": "Shrikumar, A. et al. (2018). Technical note on transcription factor motif discovery from importance "
    "scores (TF-MoDISco). arXiv:1811.00416.",
    "tomtom": "Gupta, S. et al. (2007). Quantifying similarity between motifs. Genome Biology 8, R24.",
    "fdr": "Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal "
    "Statistical Society B 57, 289–300.",
    "edlib": "Šošić, M. and Šikić, M. (2017). Edlib: a C/C++ library for fast, exact sequence alignment using edit "
    "distance. Bioinformatics 33, 1394–1395.",
    "jaspar": "Castro-Mondragon, J. A. et al. (2022). JASPAR 2022: the 9th release of the open-access database of "
    "transcription factor binding profiles. Nucleic Acids Research 50, D165–D173.",
}  # fmt: skip


class Methods(NamedTuple):
    """Sentences to paste, with numbers in brackets; and the references that they stand for, in order."""

    text: str
    references: list[str]


def methods(run: Path) -> Methods:
    """Return the methods paragraph of a run, of the stages that it has."""
    cited: list[str] = []

    def cite(*keys: str) -> str:
        cited.extend(key for key in keys if key not in cited)
        return " [" + ", ".join(str(cited.index(key) + 1) for key in keys) + "]"

    records = {
        name: read_record(run / name / RECORD)
        for name in (
            "windows",
            "audit",
            "baseline",
            "pretrained",
            "model",
            "evaluation",
            SCAN_EVALUATION,
            "scan",
            "motifs",
        )
    }
    records |= {
        name: read_record(run / f"{name}.{RECORD}") for name in ("attributions.npz", "matches.tsv", "factors.tsv")
    }
    made = {name: record.get("config") or {} for name, record in records.items() if record.get("stage")}
    version = read_record(run / RECORD).get("capsight", "")
    sentences = [f"Cap sites were predicted from DNA sequence with capsight {version}.".replace("  ", " ")]
    if "windows" in made:
        sentences.append(_windows(made["windows"], cite))
    if "audit" in made:
        sentences.append(
            f"Windows of validation and test were compared with those of training by alignment{cite('edlib')}; a "
            f"stretch of "
            f"at least {made['audit']['min_identity']:.0%} identity over "
            f"{made['audit']['min_coverage']:.0%} of a "
            "window counts as similar. Classifiers that see no sequence (composition, repeats, coordinates) were "
            "trained as controls."
        )  # fmt: skip
    sentences += _models(made, records, cite)
    sentences += _measured(made, cite)
    if "attributions.npz" in made:
        names = {
            "ig": f"integrated gradients{cite('ig')}",
            "ism": "in-silico saturation mutagenesis",
            "attention": "attention weights",
        }
        how = made["attributions.npz"].get("method", [])
        how = [how] if isinstance(how, str) else how
        sentences.append(
            "Each base of windows of the test fold was scored by "
            + " and by ".join(names.get(name, name) for name in how)
            + "."
        )
    if "motifs" in made:
        sentences.append(
            f"De novo motifs were built by clustering spans of high attribution, similar to "
            f"TF-MoDISco{cite('modisco')}; "
            f"p-values of k-mers were corrected for multiple testing{cite('fdr')}."
        )
    if "matches.tsv" in made or "factors.tsv" in made:
        database = str((made.get("matches.tsv") or made["factors.tsv"]).get("motif_db", ""))
        named = Path(database).name + (cite("jaspar") if database == "JASPAR2022" else "")
        compared = f" by the method of Tomtom{cite('tomtom')}" if "matches.tsv" in made else ""
        sentences.append(
            f"Motifs were compared with those of {named}{compared}; enrichment was tested in predicted positives "
            f"against negatives of the same GC content."
        )
    return Methods(" ".join(sentences), [_REFERENCES[key] for key in cited])


def _windows(config: Mapping[str, Any], cite: Any) -> str:
    """Return how positives, negatives and folds were made."""
    folds = " and ".join(
        f"{', '.join(map(str, names)) if isinstance(names, list) else names} for {what}"
        for names, what in ((config.get("validation"), "validation"), (config.get("test"), "testing")) if names
    )  # fmt: skip
    if config.get("train"):
        return f"Labelled sequences of {config.get('length') or 'their own'} bases were used as given."
    protocol = f" (protocol of Haldar et al.{cite('paper')})" if config.get("protocol") == "haldar2026" else ""
    genome, peaks = (Path(str(config.get(key, ""))).name for key in ("genome", "peaks"))
    what = "regions" if ":" in folds else "whole chromosomes"
    held = f"; {what} were held out: {folds}" if folds else ""
    return (
        f"Windows of {config.get('length')} bases around the summits of {peaks} were taken as positives, windows "
        f"elsewhere on {genome} as negatives{protocol}{held}."
    )


def _models(made: Mapping[str, Any], records: Mapping[str, Any], cite: Any) -> list[str]:
    """Return how the networks and the baseline were trained."""
    sentences = []
    stage = records["model"].get("stage")
    if stage == "train":
        config = made["model"]
        count = (
            f"{config.get('members', 1)} networks, whose predictions are averaged, were"
            if config.get("members", 1) > 1
            else "A network was"
        )
        shape, crops = config["model"], config["crops"]
        kmers = f", and the {shape['kmer']}-mers of the surroundings" if shape.get("kmer") else ""
        network = f"dilated convolutions with residual connections, as in BPNet{cite('bpnet')}{kmers}"
        if crops.get("promoters"):
            task = "tell TSSs, of peaks and of promoter sequences, from background of the training chromosomes"
            how = f"{network}, for {config['epochs']:.3g} passes over the TSSs"
        else:
            task = "predict the counts of 5' ends at every base of both strands"
            how = (
                f"{network}, on crops of {crops['length']:,} bases of the training chromosomes, for "
                f"{config['epochs']:.3g} passes over the genome"
            )
        sentences.append(
            f"{count} trained to {task}: {how} (seed {config['seed']}). Probabilities were calibrated on the "
            f"validation chromosomes."
        )
    elif stage == "finetune":
        adapted = f" by low-rank adapters{cite('lora')}" if made["model"].get("lora") else ""
        sentences.append(
            f"A transformer was pre-trained on the training chromosomes{cite('relora')} and fine-tuned{adapted} to "
            f"tell positives from negatives."
        )
    if "baseline" in made:
        name = BASELINE_NAMES.get(made["baseline"].get("model"), made["baseline"].get("model"))
        cited = cite("lightgbm") if made["baseline"].get("model") in ("lgbm", "kmer-gbm") else ""
        sentences.append(f"The baseline, {name}{cited}, was trained on the same windows.")
    return sentences


def _measured(made: Mapping[str, Any], cite: Any) -> list[str]:
    """Return how accuracy was measured."""
    if SCAN_EVALUATION in made:
        return [
            "The held-out chromosomes were scanned whole, on both strands; precision and recall were measured on "
            "bins of 50 "
            "bases, and on calls within 50 bases of a peak summit. Intervals of 95 % are percentiles of a bootstrap "
            "over "
            f"blocks of 10,000 bases{cite('blocks')}."
        ]  # fmt: skip
    return (
        ["Intervals of 95 % are percentiles of a bootstrap over groups of overlapping windows."]
        if "evaluation" in made
        else []
    )
