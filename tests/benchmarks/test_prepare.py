from benchmarks.prepare import STORAGE, markdown, measure


def test_every_way_of_storage_is_measured():
    rows = measure([200])
    assert [row["storage"] for row in rows] == list(STORAGE)
    written = {row["storage"]: row["bytes"] for row in rows}
    assert written["index"] < min(written["pack"], written["copy"])
    text = markdown({"machine": {"processor": "x", "cores": 2}, "rows": rows})
    assert text.count("\n| 200 |") == 3
