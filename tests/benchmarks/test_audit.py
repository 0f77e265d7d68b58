"""The audit of planted faults: one fault, two epochs, as small as it gets."""

import sys

import audit

SMALL = (
    "ingest.shapes10.num_train_images=300,ingest.shapes10.num_test_images=60,train.epochs=2,train.lr=0.1,"
    "train.architecture.width=4,train.num_workers=0"
)


def test_an_audit_finds_leaked_images_and_goes_on_where_it_ended(monkeypatch, tmp_path):
    def run(*more: str) -> str:
        places = ["--scratch", str(tmp_path / "runs"), "--results", str(tmp_path / "pages")]
        monkeypatch.setattr(sys, "argv", ["audit.py", "--seeds", "0", "--params", SMALL, *places, *more])
        audit.main()
        (page,) = (tmp_path / "pages").glob("audit-*.md")
        return page.read_text()

    told = run("--faults", "leak")
    (row,) = [line for line in told.splitlines() if line.startswith("| ingest.plant=leak:20 ")]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3] == "1 of 1" and cells[5].startswith("20 of 20")
    assert cells[6].startswith("20 of 20")
    again = run("--faults", "leak", "clean", "--minutes", "0")
    assert row in again and "1 of 2 runs" in again


def test_the_page_pools_runs_and_counts_false_alarms():
    def run(found: bool, truth: set, listed: set) -> dict:
        told = {kind: {"verdict": "not_found", "items": [], "n": 100} for kind in audit.KINDS}
        told["label_errors"] = {"verdict": "found" if found else "not_found", "items": list(listed), "n": 100}
        return {"verdicts": told, "truth": truth, "listed": listed, "candidates": len(listed), "accuracy": 0.5}

    a, b, c, d = (("test", row) for row in range(4))
    labels = [run(True, {a, b, c}, {a, d}), run(False, {a}, set())]
    lines = audit.page({"labels": labels, "clean": [run(True, set(), {a})]})
    cells = lines[2].split("|")
    assert [cell.strip().split(" (")[0] for cell in cells[3:7]] == ["1 of 2", "9% to 91%", "1 of 4", "1 of 2"]
    assert [line for line in lines if line.startswith("| ingest.plant=labels:0.05 | 0 |") and "planted" in line]
    assert [line for line in lines if line.startswith("| label_errors | 1 of 1")]
    assert [line for line in lines if line.startswith("| baseline | 0 of 1")]
    assert "1 of 100" in lines[-1]
