"""`dino jobs`: what the jobs of this checkout are doing."""

from collections.abc import Iterator
from pathlib import Path

from dino.core.artifacts import read_json
from dino.core.errors import DinoError, JobError
from dino.launch.cluster import QueuedJob, queue
from dino.launch.job_record import RECORD
from dino.launch.progress import progress
from dino.launch.snapshot import job_prefix, read_result

_HEADER = ("STEP", "JOB", "STATE", "TIME", "WHAT")


def jobs_table(root: Path) -> str:
    """A line for each job that this checkout has submitted and not forgotten, newest last."""
    at_work = {job.job_id: job for job in queue()}
    rows = [_HEADER, *_rows(root, at_work)]
    if len(rows) == 1:
        return "no jobs were submitted from here"
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def jobs_at_work(root: Path, step: str = "*") -> list[QueuedJob]:
    """The jobs of this checkout in SLURM's queue, of one step (such as pretrain-RUN) or of all.

    Empty where no job was ever submitted, or no cluster answers.
    """
    if not any((root / "work" / "jobs").glob(f"{step}/*/{RECORD}")):
        return []
    prefix = job_prefix(root) + ("" if step == "*" else f"{step}-")
    try:
        return [job for job in queue() if job.name.startswith(prefix)]
    except DinoError:
        return []


def ensure_no_job(root: Path, step: str) -> None:
    """Raise `JobError` while a SLURM job computes `step` (such as pretrain-RUN) of this checkout:
    here and there, they would write what an interrupted training continues from.
    """
    for job in jobs_at_work(root, step):
        raise JobError(
            f"job {job.job_id} is at work on this; `snakemake --profile slurm` watches it, "
            f"`scancel {job.job_id}` ends it"
        )


def _rows(root: Path, at_work: dict[str, QueuedJob]) -> Iterator[tuple[str, ...]]:
    records = (root / "work" / "jobs").glob(f"*/*/{RECORD}")
    for record in sorted(records, key=lambda path: path.stat().st_mtime):
        folder = record.parent
        job_id = str(read_json(record)["job_id"])
        yield folder.parent.name, job_id, *_state(folder, at_work.get(job_id))


def _state(folder: Path, job: QueuedJob | None) -> tuple[str, str, str]:
    result = read_result(folder)
    if result is not None:
        good = result["exit_code"] == 0
        return ("finished", "", "") if good else ("failed", "", str(result["error"]))
    if job is None:
        return "ended", "", "without a result; the step's command continues it"
    if job.state == "RUNNING":
        return "running", job.elapsed, " ".join([job.nodes, progress(folder) or ""]).strip()
    return job.state.lower(), "", job.reason
