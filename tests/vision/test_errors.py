from s10_pipeline.vision.errors import did_you_mean


def test_close_words_are_suggested_and_few_words_listed():
    assert did_you_mean("shapes11", ["shapes10", "cifar10"]) == "did you mean shapes10?"
    assert did_you_mean("SHAPES10", ["shapes10"]) == "did you mean shapes10?"
    assert did_you_mean("xyz", ["b", "a"]) == "one of: a, b"
    assert "documentation" in did_you_mean("xyz", [f"word{i}" for i in range(50)])
