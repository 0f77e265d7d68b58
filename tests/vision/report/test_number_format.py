from s10_pipeline.vision.report.number_format import NOTHING, duration, number, percent


def test_numbers_are_written_as_people_write_them() -> None:
    written = [number(value, 3) for value in (1471.3, 0.21888, 12000, 1e-5, None)]
    assert written == ["1,471", "0.219", "12,000", "1e-05", NOTHING] and number(130.2, 2) == "130"
    assert [number(value) for value in (1470, True, "valley")] == ["1,470", "True", "valley"]


def test_fractions_and_times() -> None:
    assert [percent(0.12345), percent(0.12345, 2), percent(None)] == ["12.3%", "12.35%", NOTHING]
    times = [duration(seconds) for seconds in (119.94, 120, 7199, 7260, None)]
    assert times == ["119.9 s", "2 min", "2 h 0 min", "2 h 1 min", NOTHING]
