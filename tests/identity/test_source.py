"""What a module's source says; how statements are read is seen in what is reached, in test_reach.py."""

from s10_pipeline.identity.reach import Reach
from s10_pipeline.identity.source import Package


def test_a_broken_module_counts_by_its_text(tmp_path):
    def reached(broken: str) -> dict[str, str]:
        code = "def f(n):\n    import importlib\n    return importlib.import_module(n)\n"
        for name, text in {"__init__": "", "a": code, "b": broken}.items():
            (tmp_path / f"{name}.py").write_text(text)
        return Reach(Package("p", tmp_path), ("p.a", "f")).pieces

    assert reached("def broken(:\n") != reached("def still broken(:\n")
