import json

from s10_pipeline.vision.evaluation.verdict import FAULTS, KINDS, Verdict, in_lines, in_order


def test_lines_tell_what_is_not_known_then_faults_and_end_with_the_accuracy():
    verdicts = [
        Verdict("decided_schedule", "found", 0, "Annealing", items=("annealing",)),
        Verdict("calibration", "unknown", 9, "Cannot be told"),
        Verdict("shortcut", "unknown", 0, "Not looked for"),
        Verdict("near_duplicates", "found", 9, "Two copies", 0.2, 0.1, 0.3, [{"index": 1}]),
        Verdict("baseline", "not_found", 9, "It is better"),
        Verdict("accuracy", "found", 9, "9 of 9"),
    ]
    stored = json.loads(json.dumps([verdict.as_dict() for verdict in verdicts]))
    assert list(in_order(stored)) == [kind for kind in KINDS if kind in {verdict.kind for verdict in verdicts}]
    unknown, copies, accuracy = in_lines(stored)
    assert accuracy.endswith("9 of 9")
    assert copies.endswith("Two copies")
    assert unknown.partition(": ")[2] == KINDS["calibration"]
    assert set(FAULTS) < set(KINDS)
    assert in_lines([]) == []
