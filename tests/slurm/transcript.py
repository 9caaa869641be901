"""`python tests/slurm/transcript.py`: write docs/slurm-transcript.md, what a user sees."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "workflow"), str(HERE.parents[1])]

from cluster import PARAMETERS, SETTINGS, Cluster, ask_for  # noqa: E402
from workplace import Workplace, fresh_clone  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs" / "slurm-transcript.md"
COMMANDS = (
    ("dino", "doctor", "--slurm"),
    ("snakemake", "--profile", "slurm"),
    ("dino", "jobs"),
    ("dvc", "repro"),
    ("cat", "results/tables/accuracy.md"),
)
HEAD = """# A transcript

`python tests/slurm/transcript.py` wrote this: the commands of [slurm.md](slurm.md) on the test
cluster, two virtual nodes without GPUs, on a tiny data set (scikit-learn's digits, two epochs).
Pretraining has two processes on each node; everything else of slurm/settings.yaml is as in the
repository but for the cores, minutes and GPUs of a machine this small. Lines of the engines that
only name files are left out.
"""


def main() -> int:
    """Start the cluster, type the commands, stop it."""
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            project = _project(Path(scratch) / "dino", cluster)
            parts = [HEAD, *(_typed(project, command) for command in COMMANDS)]
    finally:
        cluster.switch("stop")
    DOCUMENT.write_text("\n".join(parts))
    return 0


def _project(root: Path, cluster: Cluster) -> Workplace:
    pretrain = {**PARAMETERS["pretrain"], "epochs": 2}
    project = fresh_clone(root, {**PARAMETERS, "pretrain": pretrain})
    project.variables = {**cluster.variables}
    ask_for(project, minutes=60, cpus_per_task=1, gpus_per_node=0)
    ask_for(project, "pretrain", nodes=2, tasks_per_node=2)
    project.set("submit", ["pretrain", "features", "linear", "attention"], SETTINGS)
    project.commit("settings of this cluster")
    return project


def _typed(project: Workplace, command: tuple[str, ...]) -> str:
    done = subprocess.run(
        command,
        cwd=project.root,
        env=project.environment,
        # in the order in which a terminal shows them
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    output = done.stdout.replace(str(project.root), "~/dino")
    # a progress bar ends as its last state
    lines = [line.rpartition("\r")[2].rstrip() for line in output.splitlines()]
    kept = [line for line in lines if line and not _only_names_files(line)]
    return "\n".join(["```console", f"$ {' '.join(command)}", *kept, "```", ""])


def _only_names_files(line: str) -> bool:
    return bool(re.match(r"\s+(input|output|log|jobid|reason|wildcards|resources|threads):", line))


if __name__ == "__main__":
    sys.exit(main())
