"""``kedro compare``: two trained models, side by side."""

import json
from typing import Any

import click

from ..identity.differences import flatten
from ..staleness.commands.options import in_environment, open_context, open_records
from ..staleness.contents import content_of, versions_of
from ..staleness.kedro_internals import at_version
from ..staleness.records import RecordStore
from ..vision.errors import UserError
from ..vision.evaluation.verdict import KINDS, in_order


@click.command()
@click.option("--versions", nargs=2, help="Two versions of the model; the two newest if not given.")
@click.option("--envs", nargs=2, help="Two environments, instead of --env; the newest model of each, or --versions.")
@in_environment
def compare(
    versions: tuple[str, str] | None, envs: tuple[str, str] | None, env: str | None, conf_source: str | None
) -> None:
    """Two models: parameters that differ, metrics, verdicts, and McNemar's test of their mistakes."""
    names = [e or "base" for e in envs or (env, env)]
    catalogs = [open_context(e, conf_source).catalog for e in envs or (env, env)]
    places = (0, 0) if envs else (1, 0)
    chosen = versions or [*map(_newest, catalogs, places, names)]
    a, b = (_read(version, catalog) for version, catalog in zip(chosen, catalogs, strict=True))
    click.echo(f"A: {names[0]} {chosen[0]}\nB: {names[1]} {chosen[1]}\n")
    rows = _differences(flatten(a["provenance"]), flatten(b["provenance"]))
    _table("differs", rows or [("nothing", "", "")])
    click.echo()
    _table("metric", _metric_rows(a["metrics"], b["metrics"]))
    click.echo()
    _table("verdict", _verdict_rows(a["verdicts"], b["verdicts"]))
    click.echo()
    click.echo(_mcnemar(a, b))


def _newest(catalog: Any, place: int, env: str) -> str:
    found = versions_of(catalog["model"])
    if len(found) <= place:
        option, lacks = ("--versions", "no two models to compare") if place else ("--envs", "no model")
        raise UserError(f"{option}: environment {env} has {lacks} yet; train one with kedro run --env={env}")
    return found[place]


def _read(version: str, catalog: Any) -> dict[str, Any]:
    """Load what belongs to a model version: by the records, else what has the same version."""
    store = open_records(catalog)
    model = content_of(catalog["model"], version, store.memo).digest
    if model is None:
        raise UserError(f"model: no version {version}; kedro compare takes the names of folders in model.safetensors/")
    chosen = {"provenance": version, "metrics": version, "test_predictions": version}
    for record in store.all():
        if "metrics" in record.outputs and record.parts["inputs"].get("model") == model:
            chosen |= {name: str(record.outputs[name]["version"]) for name in ("metrics", "test_predictions")}
            break
    found = {"verdicts": _read_verdicts(catalog, store, chosen["metrics"])}
    for name, chosen_version in chosen.items():
        dataset = at_version(catalog[name], chosen_version)
        if not dataset.exists():
            raise UserError(
                f"{name}: there is none of model {version}; evaluate it: kedro run --load-versions=model:{version}"
            )
        found[name] = dataset.load()
    return found


def _read_verdicts(catalog: Any, store: RecordStore, metrics_version: str) -> list[dict[str, Any]]:
    """Load the verdicts that were judged from these metrics; none of a model that nobody judged."""
    metrics = content_of(catalog["metrics"], metrics_version, store.memo).digest
    for record in store.all():
        if "verdicts" in record.outputs and record.parts["inputs"].get("metrics") == metrics:
            dataset = at_version(catalog["verdicts"], str(record.outputs["verdicts"]["version"]))
            return list(dataset.load()) if dataset.exists() else []
    return []


def _verdict_rows(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    def short(verdict: dict[str, Any] | None) -> str:
        if verdict is None:
            return "-"
        figures = [f"{verdict[name]:.4g}" for name in ("value", "low", "high") if verdict[name] is not None]
        return f"{verdict['verdict'].replace('_', ' ')}{' ' * bool(figures)}{' '.join(figures)}"

    of_a, of_b = in_order(a), in_order(b)
    kinds = [kind for kind in KINDS if kind in of_a or kind in of_b]
    return [(KINDS[kind], short(of_a.get(kind)), short(of_b.get(kind))) for kind in kinds]


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    names = [name for name in {**a, **b} if a.get(name) != b.get(name) and name != "checkpoints"]
    shown = [{name: _short(json.dumps(value)) for name, value in side.items()} for side in (a, b)]
    return [(name, shown[0].get(name, "-"), shown[1].get(name, "-")) for name in names]


def _metric_rows(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    sides = flatten(a), flatten(b)
    names = [n for n in {**sides[0], **sides[1]} if all(isinstance(s.get(n), (int, float)) for s in sides)]
    return [(name, f"{sides[0][name]:.5g}", f"{sides[1][name]:.5g}") for name in names]


def _mcnemar(a: dict[str, Any], b: dict[str, Any]) -> str:
    from ..vision.evaluation.comparison import compare_mistakes

    digests = [side["provenance"].get("data", {}).get("test", {}).get("digest") for side in (a, b)]
    if digests[0] is None or digests[0] != digests[1]:
        return "McNemar's test: not made, the two saw different test images"
    result = compare_mistakes(a["test_predictions"], b["test_predictions"])
    alone = f"{result.only_first} right by A alone, {result.only_second} by B alone"
    test = f"McNemar's test on {result.num_images} test images: {alone}, p = {result.p_value:.3g}"
    return f"{test}\n{result.in_words()}"


def _table(title: str, rows: list[tuple[str, str, str]]) -> None:
    rows = [(title, "A", "B"), *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for row in rows:
        click.echo(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip())


def _short(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
