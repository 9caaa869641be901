"""`python -m soak.on_slurm`: disturb one training on a real SLURM at random, write
results/soak_slurm.{json,md}.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from soak.report import origin, page, parser, save

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS / "slurm"), str(TESTS / "workflow")]

from cluster import RUN, Cluster, Training, ask_for, prepared_project, task_processes  # noqa: E402

DISTURBANCES = 12
EPOCHS = 60
PROCESSES = 2


def main() -> int:
    """The exit code: 1 when the training ended with another checkpoint."""
    options = _options()
    draw = random.Random(options.seed)
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            result = _soak(cluster, Path(scratch), draw, options.disturbances)
    finally:
        cluster.switch("stop")
    result |= origin(options.seed)
    save(options.output, "soak_slurm", result, _page(result))
    return 0 if result["found_sha256"] == result["checkpoint_sha256"] else 1


def _soak(cluster: Cluster, folder: Path, draw: random.Random, count: int) -> dict[str, Any]:
    project = prepared_project(folder / "project", cluster, epochs=EPOCHS)
    ask_for(project, "pretrain", nodes=PROCESSES)
    alone = project.copy(folder / "alone")
    alone.variables = {"DINO_PROCESSES": str(PROCESSES)}
    alone("taskset", "--cpu-list", "0", "dino", "pretrain", "--run", RUN)
    training = Training(project, cluster)
    launcher = training.start()
    happened: list[dict[str, Any]] = []
    while len(happened) < count:
        name = draw.choice(sorted(_DISTURB))
        with training.frozen() as job_id:
            step = max(training.checkpoint_names()).split("-")[0].removeprefix("step_")
            launcher = _DISTURB[name](training, launcher, job_id)
        happened.append({"what": name, "job": job_id, "checkpoint_at_step": int(step)})
        print(f"{len(happened)}: {name} of job {job_id} after step {int(step)}", flush=True)
        time.sleep(draw.uniform(0, 2))
    training.finished(launcher)
    return {
        "disturbances": happened,
        "checkpoint_sha256": Training(alone, cluster).sha256(),
        "found_sha256": training.sha256(),
        "submissions": len(cluster.submissions(project)),
    }


# ---- each returns the launcher that watches from then on


def _signalled(training: Training, launcher: Any, job_id: str) -> Any:
    training.cluster("scancel", "--signal=USR2", job_id)
    return launcher


def _rank_killed(training: Training, launcher: Any, job_id: str) -> Any:
    for process in task_processes(job_id, rank=PROCESSES - 1):
        os.kill(process, signal.SIGKILL)
    return launcher


def _launcher_killed(training: Training, launcher: Any, job_id: str) -> Any:
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.communicate()
    return training.start()


def _cancelled(training: Training, launcher: Any, job_id: str) -> Any:
    training.cluster("scancel", job_id)
    training.finished(launcher, code=1)
    return training.start()


def _preempted(training: Training, launcher: Any, job_id: str) -> Any:
    training.cluster(
        "sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null",
        "--time=1", "--wrap=sleep 1",
    )  # fmt: skip
    training.wait_for_notice(job_id)
    return launcher


_DISTURB = {
    "SIGUSR2": _signalled,
    "a rank killed": _rank_killed,
    "the launcher killed": _launcher_killed,
    "scancel, and the command again": _cancelled,
    "preempted by another job": _preempted,
}


def _page(result: dict[str, Any]) -> str:
    equal = result["found_sha256"] == result["checkpoint_sha256"]
    rows = [
        f"| {i} | {event['what']} | {event['job']} | {event['checkpoint_at_step']} |"
        for i, event in enumerate(result["disturbances"], start=1)
    ]
    return page(
        result,
        "Disturbed on SLURM",
        f"`make soak`: one training of {EPOCHS} epochs of 20 steps, on 2 nodes with a process "
        f"each, disturbed {len(rows)} times; {result['submissions']} jobs were submitted. Its "
        f"checkpoint is {'' if equal else '**not** '}that of a training without SLURM and "
        f"without disturbances, byte for byte (SHA-256 {result['checkpoint_sha256']}).",
        "| | what | job | newest checkpoint, step |\n|---|---|---|---:|",
        rows,
    )


def _options() -> argparse.Namespace:
    options = parser("python -m soak.on_slurm", "Disturb a training on a private SLURM.")
    options.add_argument("--disturbances", type=int, default=DISTURBANCES)
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
