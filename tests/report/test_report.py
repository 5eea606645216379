"""Tables and pictures say what the files hold."""

import html
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.text import Text
from rich.console import Console
from typer.testing import CliRunner

from capsight.cli import app
from capsight.cli.show import show_metrics, show_run
from capsight.config import AuditConfig, CropsConfig, MotifCompareConfig, TrackConfig, TrainConfig
from capsight.config.base import Config
from capsight.errors import InputError
from capsight.report import motif_figures
from capsight.report.drawing import save_picture
from capsight.report.methods import methods
from capsight.report.report import report
from capsight.report.results import evaluations, guessing_loss, planted, planted_calls, read_scores
from capsight.report.scan_tables import planted_table
from capsight.report.summary import summary
from capsight.report.tables import factor_table, faithfulness_table, metrics_table, motif_table, truth_table


def text_of(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return out.getvalue()


def test_contents_are_joined_by_cap_site_and_strand(run: Path) -> None:
    table = planted(run, read_scores(run / "evaluation"))
    assert table is not None
    assert table["content"].tolist() == ["TATA + Inr", "Inr", "lone or misplaced elements", "background only"]


def test_without_a_simulation_there_is_no_truth(run: Path) -> None:
    (run / "simulation" / "truth.tsv").unlink()
    assert planted(run, read_scores(run / "evaluation")) is None
    assert truth_table(run) is None


def test_truth_table_counts_calls(run: Path) -> None:
    text = text_of(truth_table(run))
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert "1 (100%)" in lines["cap site: TATA + Inr"]
    assert "0 (0%)" in lines["cap site: Inr"]
    assert "1 (100%)" in lines["no cap site: lone or misplaced elements"]
    assert "0 (0%)" in lines["no cap site: background only"]


def test_calls_are_counted_against_what_was_planted_on_the_test_chromosomes(tmp_path: Path) -> None:
    for name in ("simulation", "scan", "evaluation-scan"):
        (tmp_path / name).mkdir()
    (tmp_path / "simulation" / "genome.fa").write_text(f">chr1\n{'ACGT' * 100}\n>chr2\n{'ACGT' * 100}\n")
    (tmp_path / "simulation" / "truth.tsv").write_text(
        "chrom\tstart\tend\tstrand\telement\tkind\toffset\tcap_site\n"
        "chr2\t69\t77\t+\tTATA\tpromoter\t-31\t100\nchr2\t98\t105\t+\tInr\tpromoter\t-2\t100\n"
        "chr2\t198\t205\t-\tInr\tpromoter\t-2\t200\nchr1\t98\t105\t+\tInr\tpromoter\t-2\t100\n"
        "chr2\t300\t307\t+\tInr\tdecoy\t.\t.\n"
    )
    calls = [("chr2", 110, "+"), ("chr2", 200, "+"), ("chr2", 211, "-"), ("chr1", 100, "+")]  # one is near, on chr2
    rows = (f"{chrom}\t{at - 5}\t{at + 6}\tx\t9\t{strand}\t{at}\t{at + 1}\t0\n" for chrom, at, strand in calls)
    (tmp_path / "scan" / "tss.bed").write_text("".join(rows))
    (tmp_path / "evaluation-scan" / "metrics.json").write_text(json.dumps({"chromosomes": ["chr2"]}))
    table = planted_calls(tmp_path)
    assert table is not None
    assert table.to_numpy().tolist() == [["Inr", 1, 0], ["TATA + Inr", 1, 1], ["none", 0, 2]]
    text = text_of(planted_table(tmp_path))
    assert re.search(r"TATA \+ Inr +1 +1 \(100%\)", text)
    assert re.search(r"calls near none of these +2", text)


def test_metrics_table_shows_intervals_and_the_undefined(run: Path) -> None:
    text = text_of(metrics_table({"capsight": run / "evaluation"}))
    assert "4 windows, 2 of them cap sites" in text
    assert "0.500 [0.250, 0.750]" in text
    assert "undefined" in text


def test_pictures_are_the_same_bytes_every_time(run: Path, tmp_path: Path) -> None:
    first = {p.name: p.read_bytes() for p in report(run, tmp_path / "a").iterdir()}
    second = {p.name: p.read_bytes() for p in report(run, tmp_path / "b").iterdir()}
    assert first == second
    pictures = {"roc.svg", "precision-recall.svg", "reliability.svg", "scores.svg", "truth.svg"}
    assert set(first) == pictures | {"report.html", "provenance.yaml"}
    assert all(b"<svg" in first[name] for name in pictures)


@pytest.mark.parametrize(("card", "name"), [({"model": "cnn"}, "CNN"), ({"model": "lgbm", "k": 3}, "3-mer LightGBM")])
def test_baselines_are_named(run: Path, card: dict[str, object], name: str) -> None:
    for folder in ("evaluation-baseline", "baseline"):
        (run / folder).mkdir()
    (run / "baseline" / "baseline.json").write_text(json.dumps(card))
    assert list(evaluations(run)) == ["capsight", name]


def test_page_holds_tables_pictures_and_how_each_number_was_made(interpreted: Path, tmp_path: Path) -> None:
    run = interpreted
    origin = {"capsight": "1.2.3", "stage": "evaluate", "seed": 7, "config": {"fold": "test"}, "outputs": {}}
    origin["inputs"] = {"model": {"path": "a<b>/model", "sha256": "0123456789abcdef"}}
    (run / "evaluation" / "provenance.yaml").write_text(yaml.safe_dump(origin))
    (run / "provenance.yaml").write_text(
        yaml.safe_dump({"stage": "run", "config": {"description": "Yeast & more"}, "inputs": {}})
    )
    (run / "motifs" / "figures").mkdir()
    save_picture(run / "motifs" / "figures" / "volcano.png", [lambda axes: axes.plot([0, 1])], (2, 2))
    page = (report(run, tmp_path / "r") / "report.html").read_text()
    assert "<h1>Yeast &amp; more</h1>" in page
    assert "0.500 [0.250, 0.750]" in page
    assert "TBP (MA0108.3), q 1e-08" in page
    assert "model: <code>a&lt;b&gt;/model</code> 0123456789ab<" in page
    assert "fold: test" in page
    assert page.index("Settings of <code>the whole") < page.index("Settings of <code>evaluation")
    assert page.count('src="data:image/png;base64,') == 1
    assert page.count("<img") == 1 + page.count('src="data:image/svg+xml;base64,') == 6
    assert page.count("<img") == page.count("<img alt=") - page.count('<img alt=""')
    assert "http" not in page


@pytest.fixture
def crossval(tmp_path: Path) -> Path:
    names = {"auroc": 0.9, "auprc": 0.9, "accuracy": 0.8, "f1": 0.8, "mcc": 0.6}
    rows = [{"chromosome": f"chr{i}", "model": model, **names} for model in ("capsight", "cnn") for i in (1, 2)]
    pd.DataFrame(rows).to_csv(tmp_path / "crossval.tsv", sep="\t")
    summary = [{"model": "cnn", "metric": name, "mean": 0.5, "sd": 0.125, "n": 2} for name in names]
    pd.DataFrame(summary).to_csv(tmp_path / "crossval-summary.tsv", sep="\t")
    pd.DataFrame(columns=["metric"]).to_csv(tmp_path / "crossval-tests.tsv", sep="\t")
    for name, stage in (("cnn", "baseline"), ("windows", "windows")):
        (tmp_path / "folds" / "chr1" / name).mkdir(parents=True)
        (tmp_path / "folds" / "chr1" / name / "provenance.yaml").write_text(yaml.safe_dump({"stage": stage}))
    return tmp_path


def test_page_of_a_cross_validation(crossval: Path) -> None:
    page = (report(crossval, crossval / "r") / "report.html").read_text()
    assert "0.500±0.125" in page
    assert page.count("<img") == 5
    assert 0 < page.index("<code>folds/chr1/windows</code>") < page.index("<code>folds/chr1/cnn</code>")


def test_what_is_not_defined_is_shown_so_in_a_cross_validation(crossval: Path) -> None:
    table = pd.read_csv(crossval / "crossval.tsv", sep="\t")
    table.loc[table["model"] == "cnn", "auroc"] = float("nan")
    table.to_csv(crossval / "crossval.tsv", sep="\t")
    summary = pd.read_csv(crossval / "crossval-summary.tsv", sep="\t").astype({"mean": float, "sd": float})
    summary.loc[0, ["mean", "sd"]] = float("nan")
    summary.to_csv(crossval / "crossval-summary.tsv", sep="\t", index=False)
    test = {"model": "capsight", "other": "cnn", "metric": "auroc", "median_difference": 0.1, "p": float("nan"),
            "min_attainable_p": 0.5, "mean_difference": 0.1, "low": float("nan"),
            "high": float("nan"), "p_windows": 0.02}  # fmt: skip
    pd.DataFrame([test]).to_csv(crossval / "crossval-tests.tsv", sep="\t", index=False)
    page = (report(crossval, crossval / "r") / "report.html").read_text()
    assert page.count(">undefined<") == 2
    assert ">nan" not in page


def test_long_names_are_not_cut(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, name = run / "evaluation" / "metrics.json", "x" * 300
    metrics = json.loads(path.read_text()) | {"per_chromosome": {c: {"n": 2, "auroc": 0.5} for c in (name, "chrII")}}
    path.write_text(json.dumps(metrics))
    show_metrics({"model": run / "evaluation"})
    assert capsys.readouterr().out.count("x") >= 300


def test_command_shows_the_tables_of_a_cross_validation(crossval: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(crossval), "-o", str(crossval / "report")])
    assert done.exit_code == 0, done.output
    assert "0.500±0.125" in done.stdout
    assert (crossval / "report" / "report.html").is_file()


#: Markup of rich, HTML, matplotlib, templates and formats, and what spreadsheets and parsers take for something else.
NAMES = [
    "chr[red]", "[/x]", "[bold]x[/bold]", "$x$", "a_b^c", r"$\frac$", "<script>", "{{x}}", "{x}", "%s", "=1+1", ":cat:",
    '"q', "NA", "007", "nan", "\u4e2d", "a/b",
]  # fmt: skip


def name_everything(run: Path, name: str) -> None:
    """Give a name to all that a run has names for."""
    path = run / "evaluation" / "metrics.json"
    metrics = json.loads(path.read_text())
    chromosomes = {each: {"n": 2, "auroc": 0.5} for each in (name, "chrII")}
    metrics |= {"fold": name, "per_chromosome": chromosomes, "per_similarity": {name: dict(metrics)}}
    path.write_text(json.dumps(metrics))
    (run / "factors.tsv").write_text((run / "factors.tsv").read_text().replace("TBP", name).replace("own", f"{name}2"))
    (run / "motifs" / "de_novo.tsv").write_text((run / "motifs" / "de_novo.tsv").read_text().replace("TATAWAAR", name))
    summary = json.loads((run / "motifs" / "summary.json").read_text())
    summary["attributions"]["faithfulness"][name] = summary["attributions"]["faithfulness"].pop("ism")
    (run / "motifs" / "summary.json").write_text(json.dumps(summary))
    (run / "provenance.yaml").write_text(yaml.safe_dump({"stage": "run", "config": {"description": name}}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("undrawn")
def test_names_stand_as_they_are_in_every_table_and_on_the_page(
    interpreted: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name_everything(interpreted, name)
    show_run(interpreted)
    shown = capsys.readouterr().out
    assert shown.count(name) >= 6
    page = (report(interpreted, tmp_path / "r") / "report.html").read_text()
    assert page.count(html.escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) >= 7
    assert page.count("<script>") == page.count('<script>\n"use strict";') == 1


def test_no_picture_of_a_run_stumbles_over_a_name(interpreted: Path, tmp_path: Path) -> None:
    name_everything(interpreted, " ".join(NAMES))
    assert len(list(report(interpreted, tmp_path / "r").glob("*.svg"))) == 5


def test_names_cannot_steer_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "evaluation" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fold": "\x1b[31mred\x07"}))
    show_metrics({"model": run / "evaluation"})
    shown = capsys.readouterr().out
    assert r"\x1b[31mred\x07 fold" in shown
    assert "\x1b" not in shown


def test_a_folder_named_like_markup_is_named_where_a_run_ends(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = run / "[red]$x$:cat:"
    odd.mkdir()
    shutil.copytree(run / "evaluation", odd / "evaluation")
    show_run(odd)
    assert f"Results in {odd}/" in capsys.readouterr().out.replace("\n", "", 1)


def test_pictures_draw_names_as_they_are(tmp_path: Path) -> None:
    elements = pd.DataFrame({"element": NAMES, "offset": "-31", "scope": "expected", "positive_rate": 0.5,
                             "negative_rate": 0.1, "background_rate": 0.0})  # fmt: skip
    motif_figures.draw_elements(elements, tmp_path / "elements.png")
    motif_figures.draw_logo(np.full((4, 4), 0.25), np.full(4, 0.25), " ".join(NAMES), tmp_path / "logo.png")
    drawn: list[Text] = []

    def panel(axes: Axes) -> None:
        axes.set_title(" ".join(NAMES))
        axes.set_yticks(range(len(NAMES)), NAMES)
        for name in NAMES:
            axes.plot([0], [0], label=name)
        drawn.extend([axes.title, *axes.get_yticklabels(), *axes.legend().get_texts()])

    save_picture(tmp_path / "own.png", [panel], (12, 8))
    assert [text.get_text() for text in drawn] == [" ".join(NAMES), *NAMES, *NAMES]
    assert not any(text.get_parse_math() for text in drawn)


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished run"):
        report(tmp_path, tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("tokenizer", "loss"), [({"kind": "kmer", "k": 2}, 2.7726), ({"kind": "neox", "k": 1}, None)])
def test_guessing_loss(tmp_path: Path, tokenizer: dict[str, object], loss: float | None) -> None:
    (tmp_path / "capsight.json").write_text(json.dumps({"tokenizer": tokenizer}))
    assert guessing_loss(tmp_path) == (pytest.approx(loss, abs=1e-4) if loss else None)


def test_guessing_which_windows_are_real(tmp_path: Path) -> None:
    (tmp_path / "provenance.yaml").write_text("config: {objective: substituted}\n")
    assert guessing_loss(tmp_path) == pytest.approx(0.6931, abs=1e-4)


def test_explanations_are_shown_best_first_with_chance_at_the_end(interpreted: Path) -> None:
    shown = text_of(faithfulness_table(interpreted))
    places = [shown.rindex(name) for name in ("ism", "attention", "random bases")]
    assert places == sorted(places)


def test_motifs_are_shown_with_their_best_match_and_the_name_of_its_factor(interpreted: Path) -> None:
    shown = text_of(motif_table(interpreted)).splitlines()
    tata = next(line for line in shown if "TATAWAAR" in line)
    assert all(text in tata for text in ("1,200", "-31", "TBP (MA0108.3), q 1e-08"))
    assert "nothing in the database" in next(line for line in shown if "RGWYVT" in line)


def test_only_factors_below_the_limit_are_shown_by_either_name(interpreted: Path) -> None:
    shown = text_of(factor_table(interpreted))
    assert "2 of 3 PWMs" in shown
    assert "TBP" in shown
    assert "own" in shown
    assert "SP1" not in shown


def test_factors_without_a_second_name(interpreted: Path) -> None:
    path = interpreted / "factors.tsv"
    path.write_text(path.read_text().replace("\tTBP\t", "\t\t").replace("\tSP1\t", "\t\t"))
    assert "MA0108.3" in text_of(factor_table(interpreted))


def test_without_explanations_there_are_no_such_tables(run: Path) -> None:
    assert faithfulness_table(run) is motif_table(run) is factor_table(run) is None


def test_a_finding_of_the_audit_is_told_when_the_stage_ends(tmp_path: Path) -> None:
    checks = [
        {"name": "leaks", "verdict": "pass", "message": "none", "numbers": {}},
        {"name": "blind: GC", "verdict": "warn", "message": "GC tells them apart", "numbers": {}},
    ]
    (tmp_path / "audit.json").write_text(json.dumps({"verdict": "warn", "checks": checks}))
    assert summary("audit", tmp_path) == [
        "2 checks, of which 1 found something: blind: GC (warn)",
        "blind: GC: GC tells them apart",
    ]


def recorded(folder: Path, stage: str, config: Config, name: str = "") -> None:
    """Write the record of a stage, in its folder or beside its file."""
    path = folder / (f"{name}.provenance.yaml" if name else "provenance.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"capsight": "9", "stage": stage, "config": config.model_dump(mode="json")}))


def test_the_methods_paragraph_has_the_settings_of_the_stages(tmp_path: Path) -> None:
    recorded(tmp_path / "audit", "audit", AuditConfig(min_identity=0.9, min_coverage=0.4))
    recorded(tmp_path / "model", "train", TrainConfig(epochs=7, seed=3))
    recorded(tmp_path, "motif-compare", MotifCompareConfig(motif_db="JASPAR2024"), "matches.tsv")
    text = methods(tmp_path).text
    assert "at least 90% identity over 40% of a window" in text
    assert "on crops of 8,192 bases of the training chromosomes, for 7 passes over the genome (seed 3)" in text
    assert "compared with those of JASPAR2024 by" in text


def test_the_methods_paragraph_tells_of_single_tsss_and_k_mers(tmp_path: Path) -> None:
    config = TrainConfig(model=TrackConfig(kmer=5), crops=CropsConfig(promoters=0.25), epochs=19)
    recorded(tmp_path / "model", "train", config)
    text = methods(tmp_path).text
    assert "to tell TSSs, of peaks and of promoter sequences, from background" in text
    assert "and the 5-mers of the surroundings, for 19 passes over the TSSs" in text
