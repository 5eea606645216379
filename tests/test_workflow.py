"""The workflow: folds, models and shards as jobs, here and as jobs of a SLURM that is a handful of scripts.

Needs Snakemake (``pip install -e '.[workflow]'``); skipped where it is not installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import TINY, TINY_TRACK

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[1]
FOLDS = {f"chr{i}": {"validation": f"chr{(i + 1) % 3 + 1}", "test": f"chr{i}"} for i in (1, 2, 3)}

#: SLURM as `snakemake-executor-plugin-slurm` sees it: a job runs at once, in the background.
SLURM = {
    "sbatch": r"""
        id=$(( $(ls "$FAKE_SLURM" | wc -l) + 1 )); out=/dev/null; wrap=
        while [ $# -gt 0 ]; do case "$1" in
            --output) out=$2; shift;; --output=*) out=${1#*=};;
            --wrap) wrap=$2; shift;; --wrap=*) wrap=${1#*=};; esac
            shift; done
        mkdir -p "$(dirname "$out")"; echo RUNNING > "$FAKE_SLURM/$id"
        ( SLURM_JOB_ID=$id SLURM_JOBID=$id bash -c "$wrap" > "$out" 2>&1
          [ $? = 0 ] && echo COMPLETED > "$FAKE_SLURM/$id" || echo FAILED > "$FAKE_SLURM/$id" ) > /dev/null 2>&1 &
        echo "$id"
    """,
    "sacct": r"""for file in "$FAKE_SLURM"/*; do echo "$(basename "$file")|$(cat "$file")"; done""",
    "squeue": r"""for file in "$FAKE_SLURM"/*; do echo "$(basename "$file")|$(cat "$file")"; done""",
    "srun": r"""while [ "${1#-}" != "$1" ]; do shift; done; exec "$@" """,
    "sacctmgr": "echo lab",
    "sinfo": "echo normal",
    "scontrol": "echo MinJobAge = 300 sec",
    "scancel": "true",
}


def snakemake(place: Path, config: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow in a folder."""
    program = shutil.which("snakemake")
    if program is None:
        pytest.skip("snakemake is not installed")
    common = {
        "capsight": f"{sys.executable} -m capsight",
        "torchrun": f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node {{n}} -m capsight",
        "threads": {"train": 1, "use": 1},
    }
    (place / "jobs.yaml").write_text(yaml.safe_dump(common | config))
    command = [program, "-s", str(ROOT / "workflow" / "Snakefile"), "--configfile", "jobs.yaml", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, env=environment, timeout=3000
    )


def recipes(place: Path) -> None:
    """Write recipes that train for seconds, yet learn enough to explain; the second has no section for motifs."""
    window = TINY | {
        "simulate": TINY_TRACK["simulate"],
        "finetune": TINY["finetune"] | {"max_train": 400, "max_validation": 200},
        "explain": TINY["explain"] | {"max_windows": 20},
    }
    track = TINY_TRACK | {"explain": TINY_TRACK["explain"] | {"max_windows": 20}}
    for name, values in (("window", window), ("track", track)):
        (place / f"{name}.yaml").write_text(yaml.safe_dump(values))


def capsight(place: Path, *arguments: object) -> None:
    """Run a command in a folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "capsight", *map(str, arguments)]
    subprocess.run(command, cwd=place, check=True, capture_output=True, env=environment)


def data(place: Path) -> None:
    """Write recipes, a simulated genome, and variants of it."""
    recipes(place)
    capsight(place, "simulate", "--config", "window.yaml", "-o", "given")
    sequence = "".join((place / "given" / "genome.fa").read_text().split(">")[1].splitlines()[1:])
    rows = "".join(f"chr1\t{p + 1}\t{sequence[p].upper()}\t{'ACGT'['CGTA'.index(sequence[p].upper())]}\n"
                   for p in range(2000, 62000, 100))  # fmt: skip
    (place / "variants.tsv").write_text("chrom\tposition\tref\talt\n" + rows)


def check_merged(place: Path, model: str) -> None:
    """Compare merged shards with one run, byte for byte."""
    genome = "given/genome.fa"
    capsight(place, "scan", genome, "--model", model, "-o", "whole")
    for name in ("plus.bw", "minus.bw", "tss.bed", "tss.gff3"):
        assert (place / "results" / "scans" / "all" / name).read_bytes() == (place / "whole" / name).read_bytes(), name
    capsight(place, "variants", "variants.tsv", "--genome", genome, "--model", model, "-o", "whole.tsv.gz")
    merged = place / "results" / "variants" / "some.tsv.gz"
    assert merged.read_bytes() == (place / "whole.tsv.gz").read_bytes()


def test_three_folds_two_models_and_shards(tmp_path: Path) -> None:
    data(tmp_path)
    model, genome = "results/track/chr3/model", "given/genome.fa"
    config = {
        "genome": genome, "peaks": "given/peaks.bed", "ctss": "given/ctss.bed", "folds": FOLDS,
        "models": {
            "window": {"recipe": "window.yaml", "network": "window"},
            "track": {"recipe": "track.yaml", "network": "track", "folds": ["chr3"],
                      "processes": {"train": 2},
                      "set": {"train": {"seed": 7, "crops.gradient_accumulation_steps": 2, "crops.batch_size": 2}}},
        },
        "scans": {"all": {"model": model, "genome": genome, "shards": 2}},
        "variants": {
            "some": {"model": model, "genome": genome, "source": "variants.tsv", "shards": 2, "format": "tsv.gz"}
        },
    }  # fmt: skip
    done = snakemake(tmp_path, config, "--profile", str(ROOT / "profiles" / "local"), "--cores", "2")
    assert done.returncode == 0, done.stderr[-4000:]
    results = tmp_path / "results"
    for name, folds in (("window", list(FOLDS)), ("track", ["chr3"])):
        for fold in folds:
            page = (results / name / fold / "report" / "report.html").read_text()
            assert "AUROC" in page
            assert "Motifs" in page
            assert (results / name / fold / "motifs" / "motifs.meme").read_text().startswith("MEME version")
            record = yaml.safe_load((results / name / fold / "windows" / "provenance.yaml").read_text())
            assert record["config"]["test"] == [fold]
    assert yaml.safe_load((tmp_path / model / "provenance.yaml").read_text())["seed"] == 7
    check_merged(tmp_path, model)
    again = snakemake(tmp_path, config, "--profile", str(ROOT / "profiles" / "local"), "--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr + again.stdout


#: capsight, whose first two trainings, scans and tables of variants are ended by ``kill -9`` soon after they begin.
KILLED = r"""#!/usr/bin/env bash
out="${@: -1}"; lock="$(dirname "$out")/.$(basename "$out").lock"; log="$KILLS/$1"
"$PYTHON" -m capsight "$@" & pid=$!
case "$1" in train | scan | variants)
    if [ "$(cat "$log" 2> /dev/null | wc -l)" -lt 2 ]; then
        while kill -0 $pid 2> /dev/null && [ ! -e "$lock" ]; do sleep 0.02; done
        sleep "0.$((RANDOM % 10))"
        kill -9 $pid 2> /dev/null && echo killed >> "$log"
    fi
esac
wait $pid
"""


def test_jobs_that_are_killed_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(tmp_path)
    (tmp_path / "kills").mkdir()
    (tmp_path / "killed").write_text(KILLED)
    (tmp_path / "killed").chmod(0o755)
    monkeypatch.setenv("KILLS", str(tmp_path / "kills"))
    monkeypatch.setenv("PYTHON", sys.executable)
    model = "results/track/chr3/model"
    config = {
        "capsight": str(tmp_path / "killed"), "retries": 2,
        "genome": "given/genome.fa", "peaks": "given/peaks.bed", "ctss": "given/ctss.bed", "folds": FOLDS,
        "models": {"track": {"recipe": "track.yaml", "network": "track", "folds": ["chr3"],
                             "set": {"train": {"epochs": 0.3, "checkpoint_every": 10}}}},
        "scans": {"all": {"model": model, "genome": "given/genome.fa", "shards": 2}},
        "variants": {"some": {"model": model, "genome": "given/genome.fa", "source": "variants.tsv", "shards": 2,
                              "format": "tsv.gz"}},
    }  # fmt: skip
    wanted = [f"results/.done/{name}" for name in ("scans/all", "variants/some")]
    done = snakemake(tmp_path, config, "--profile", str(ROOT / "profiles" / "local"), "--cores", "2", *wanted)
    assert done.returncode == 0, done.stderr[-4000:]
    kills = {path.name: len(path.read_text().split()) for path in (tmp_path / "kills").iterdir()}
    assert kills.keys() == {"train", "scan", "variants"}
    assert done.stderr.count("Trying to restart job") == sum(kills.values())
    settings = ("--set", "epochs=0.3", "--set", "checkpoint_every=10")
    capsight(tmp_path, "train", "--config", "track.yaml", *settings, "results/track/chr3/windows", "-o", "model")
    one, other = (tmp_path / folder / "model.safetensors" for folder in ("model", model))
    assert one.read_bytes() == other.read_bytes()
    check_merged(tmp_path, model)


def test_jobs_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm") if shutil.which("snakemake") is None else None
    recipes(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "slurm").mkdir()
    for name, script in SLURM.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/usr/bin/env bash\necho "$(basename "$0") $*" >> "$FAKE_SLURM.log"\n{script}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    config = {
        "simulate": "window.yaml", "folds": {"chr3": FOLDS["chr3"]},
        "models": {"window": {"recipe": "window.yaml", "network": "window"}},
        "memory": {"windows": 1234, "train": 16000, "use": 8000, "scan": 16000},
    }  # fmt: skip
    done = snakemake(
        tmp_path, config, "--profile", str(ROOT / "profiles" / "slurm"), "--latency-wait", "30",
        "--default-resources", "slurm_account=lab", "slurm_partition=normal",
        "--slurm-init-seconds-before-status-checks", "2", "results/.done/window/chr3/windows",
    )  # fmt: skip
    if "executor plugin" in done.stderr and "not found" in done.stderr:
        pytest.skip("the SLURM executor of Snakemake is not installed")
    log = (tmp_path / "slurm.log").read_text() if (tmp_path / "slurm.log").exists() else ""
    assert done.returncode == 0, done.stderr[-3000:] + log
    submitted = [line for line in log.splitlines() if line.startswith("sbatch")]
    assert len(submitted) == 2
    assert "--mem 1234" in submitted[1]
    assert (tmp_path / "results" / "window" / "chr3" / "windows" / "windows.parquet").is_file()


@pytest.mark.parametrize("profile", ["local", "slurm", "kubernetes"])
def test_profiles_name_options_that_there_are(profile: str) -> None:
    values = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    program = shutil.which("snakemake")
    if program is None:
        pytest.skip("snakemake is not installed")
    told = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for name in values:
        assert f"--{name}" in told, name
