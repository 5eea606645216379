"""`report`: the pictures of a run, and its page."""

import logging
from pathlib import Path

from capsight import artefact, output
from capsight.config.base import Config
from capsight.report.figures import draw_crossval, draw_run
from capsight.report.page import write_page
from capsight.report.results import CROSSVAL_FILE
from capsight.report.tables import crossval_tables, run_tables

logger = logging.getLogger(__name__)


def report(run: Path, out: Path) -> Path:
    """Draw the pictures of a finished run, or of a finished cross-validation, and write its page.

    Parameters
    ----------
    run
        Run folder, or folder of `crossval`.
    out
        Folder for ``report.html`` and the pictures; an earlier report there is replaced.

    Raises
    ------
    InputError
        If `run` holds no evaluation, or `out` holds anything but a report.
    """
    output.check_folder(out, [run])
    with artefact.atomic_dir(out, "report", Config(), {}) as folder:
        if (run / CROSSVAL_FILE).is_file():
            draw_crossval(run, folder)
            page = write_page(run, folder, crossval_tables(run))
        else:
            draw_run(run, folder)
            page = write_page(run, folder, run_tables(run))
    logger.info("report: %s", ", ".join([page.name, *sorted(p.name for p in out.glob("*.png"))]))
    return out
