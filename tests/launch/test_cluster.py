from pathlib import Path

import pytest

from dino.core.errors import DinoError
from dino.launch.cluster import ControllerUnreachableError, ensure_reachable

COMMANDS = ("sbatch", "srun", "squeue", "scancel")
WITHOUT_CONFIGURATION = """\
squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
squeue: error: fetch_config: DNS SRV lookup failed
squeue: error: _establish_config_source: failed to fetch config
squeue: fatal: Could not establish a configuration source
"""
WITHOUT_HOST = """\
squeue: error: get_addr_info: getaddrinfo() failed: Name or service not known: Inappropriate ioctl
squeue: error: slurm_set_addr: Unable to resolve "head-node"
squeue: error: Unable to establish control machine address
"""
WITHOUT_CONTROLLER = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for SLURM's commands, and nothing else on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return tmp_path


def _install(folder: Path, squeue_says: str, code: int = 1) -> None:
    for name in COMMANDS:
        (folder / name).write_text(f"#!/bin/sh\nprintf '%s' '{squeue_says}' >&2\nexit {code}\n")
        (folder / name).chmod(0o755)


def test_a_machine_without_slurm_is_named(commands: Path) -> None:
    with pytest.raises(DinoError, match="sbatch: not found; SLURM's commands have to be on PATH"):
        ensure_reachable()


def test_a_cluster_that_answers_is_reachable(commands: Path) -> None:
    _install(commands, "", code=0)
    ensure_reachable()


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (WITHOUT_CONFIGURATION, "squeue: no cluster is configured on this machine"),
        (WITHOUT_HOST, "squeue: the name of the controller's host in slurm.conf"),
        (WITHOUT_CONTROLLER, "squeue: .*Unable to contact slurm controller"),
    ],
)
def test_what_slurm_says_in_several_lines_is_one(commands: Path, says: str, told: str) -> None:
    _install(commands, says)
    with pytest.raises(DinoError, match=told) as raised:
        ensure_reachable()
    assert "\n" not in str(raised.value)
    is_down = says == WITHOUT_CONTROLLER
    assert isinstance(raised.value, ControllerUnreachableError) is is_down


def test_a_configuration_that_is_not_there_is_not_waited_for(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(commands, "", code=0)
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    with pytest.raises(DinoError, match=r"SLURM_CONF: /nowhere/slurm\.conf not found"):
        ensure_reachable()
