"""A finished run as its files, made by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest

TRUTH = """chrom\tstart\tend\tstrand\telement\tkind\toffset\tcap_site
chr1\t69\t77\t+\tTATA\tpromoter\t-31\t100
chr1\t98\t104\t+\tInr\tpromoter\t-2\t100
chr1\t397\t403\t-\tInr\tpromoter\t-2\t400
chr1\t600\t606\t+\tInr\tdecoy\t.\t.
"""
SCORES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": [68, 369, 580, 800],
        "end": [132, 433, 644, 864],
        "strand": ["+", "-", "+", "-"],
        "label": [1, 1, 0, 0],
        "score": [0.9, 0.2, 0.7, 0.1],
    }
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "simulation").mkdir()
    (tmp_path / "simulation" / "truth.tsv").write_text(TRUTH)
    folder = tmp_path / "evaluation"
    folder.mkdir()
    SCORES.to_parquet(folder / "scores.parquet")
    names = ("auroc", "auprc", "accuracy", "precision", "recall", "f1", "mcc", "brier", "ece")
    metrics = dict.fromkeys(names, 0.5) | {"fold": "test", "n": 4, "n_positive": 2, "mcc": None}
    metrics["intervals"] = {"auroc": [0.25, 0.75]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path


@pytest.fixture
def interpreted(run: Path) -> Path:
    (run / "motifs").mkdir()
    area = {"deletion": 0.1, "insertion": 0.9, "random_deletion": 0.6, "random_insertion": 0.2}
    trust = {"attention": area | {"score": 0.2}, "ism": area | {"score": 0.7}}
    (run / "motifs" / "summary.json").write_text(json.dumps({"attributions": {"faithfulness": trust}}))
    (run / "motifs" / "de_novo.tsv").write_text(
        "motif\tconsensus\twidth\tsites\tmode_offset\tmedian_offset\tshare_in_place\n"
        "M01\tTATAWAAR\t8\t1200\t-31\t-31\t0.9\nM02\tRGWYVT\t6\t30\t27\t27\t1\n"
    )
    (run / "matches.tsv").write_text("Query_ID\tTarget_ID\tq-value\nM01\tMA0108.3\t1e-8\nM01\tMA9999.1\t0.2\n")
    (run / "factors.tsv").write_text(
        "motif_id\tmotif_alt_id\tpositives\tnegatives\tpositive_rate\tnegative_rate\todds_ratio\tp-value\tq-value\n"
        "MA0108.3\tTBP\t30\t3\t0.3\t0.03\t12.9\t1e-9\t2e-9\nown\t\t20\t4\t0.2\t0.04\t5.5\t1e-4\t2e-4\n"
        "MA0079.5\tSP1\t9\t9\t0.09\t0.09\t1\t0.6\t0.6\n"
    )
    return run
