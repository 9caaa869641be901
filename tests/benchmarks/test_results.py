import json

from benchmarks.results import markdown, merged, rounded, save

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "amx_bf16": False,
    "avx512_bf16": True,
    "torch": "2",
    "omp_wait_policy": "PASSIVE",
}
TIMED = {"ratio": 2.0, "textbook_s": 3.0, "ours_s": 1.5}


def test_a_part_that_runs_alone_leaves_the_others_as_they_were(tmp_path):
    save(tmp_path, {"update": TIMED}, MACHINE)
    save(tmp_path, {"loss_time": TIMED}, MACHINE)
    written = json.loads((tmp_path / "benchmarks.json").read_text())
    assert written == {"update": TIMED, "loss_time": TIMED, "machine": MACHINE}
    assert (tmp_path / "benchmarks.md").read_text() == markdown(written)


def test_results_of_another_machine_are_left_out():
    other = {"update": TIMED, "machine": MACHINE | {"cores": 4}}
    assert merged(other, {"loss_time": TIMED}, MACHINE) == {"loss_time": TIMED, "machine": MACHINE}


def test_numbers_have_four_digits():
    assert rounded({"a": [1.23456, 7], "b": None}) == {"a": [1.235, 7], "b": None}


def test_a_null_stands_with_what_was_measured_and_why():
    result = {"share": None, "measured_share": 0.31, "reason": "no AMX", **TIMED}
    table = markdown({"machine": MACHINE, "train_step_peak_share": result})
    assert "| null (measured 31.0%) |" in table
    assert "- train_step_peak_share: no AMX" in table


def test_the_table_has_absolute_values_beside_ratios():
    memory = {"ratio": 3.5, "textbook_mib": 912.0, "ours_mib": 260.0}
    table = markdown({"machine": MACHINE, "update": TIMED, "loss_memory": memory})
    assert "| 3.00 s | 1.50 s | 2.00 |" in table
    assert "| 912 MiB | 260 MiB | 3.50 |" in table


def test_the_growth_table_has_a_row_for_each_size():
    row = {"batch": 4, "local_crops": 8, "prototypes": 64, "image_px": 224, "seconds": 2.0}
    growth = {
        "rows": [{"series": "batch", **row}, {"series": "image_px", **row}],
        "deviation_from_line": {"batch": 0.012},
        "precision": "bf16",
    }
    table = markdown({"machine": MACHINE, "growth": growth})
    assert "| batch | 4 | 2 + 8 | 64 | 224 | 2.000 | 0.500 |" in table
    assert "| image_px | 4 " in table
    assert "batch 1.2%" in table
