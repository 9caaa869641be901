import os
from pathlib import Path

from dino.launch.progress import LOGS, last_lines, progress

BARS = (
    "\rpretrain:   5%|▌         | 320/6400 [00:00<00:04, 1461.32images/s, loss 1.474]"
    "\rpretrain:  10%|█         | 640/6400 [00:00<00:03, 1396.57images/s, loss 1.302]"
)


def log(folder: Path, name: str, text: str, time: int) -> Path:
    path = folder / LOGS / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (time, time))
    return path


def test_newest_bar_of_the_newest_attempt_is_the_progress(tmp_path: Path) -> None:
    log(tmp_path, "7_0_log.err", "pretrain:  90%|█████████ | 9/10 [00:00<00:00]", 1)
    log(tmp_path, "8_0_log.err", f"starting\n{BARS}\nlast words\n", 2)
    expected = "pretrain:  10% 640/6400 [00:00<00:03, 1396.57images/s, loss 1.302]"
    assert progress(tmp_path) == expected


def test_epoch_is_that_of_the_jobs_own_training(tmp_path: Path) -> None:
    log(tmp_path, "8_0_log.err", BARS, 2)
    runs = tmp_path / "results" / "runs"
    elsewhere = tmp_path.parent / "elsewhere"
    for run, epoch in ((runs / "mine", 3.25), (elsewhere, 9)):
        run.mkdir(parents=True)
        (run / "pretrain.csv").write_text(f"step,epoch,loss\n20,1.0,4\n65,{epoch},3\n")
    (runs / "another").symlink_to(elsewhere)
    assert str(progress(tmp_path)).endswith("loss 1.302], epoch 3.2")


def test_job_that_has_said_nothing_has_no_progress(tmp_path: Path) -> None:
    assert progress(tmp_path) is None
    assert last_lines(tmp_path) == (None, [])


def test_last_lines_are_those_beside_the_bars(tmp_path: Path) -> None:
    lines = "\n".join(f"line {n}" for n in range(40))
    path = log(tmp_path, "8_0_log.err", f"{lines}\n{BARS}\ndino pretrain: no space left\n", 1)
    found, last = last_lines(tmp_path)
    assert found == path
    assert last[-2:] == ["line 39", "dino pretrain: no space left"]
    assert len(last) == 15
