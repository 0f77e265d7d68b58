"""The command ``kedro compare``: show two trained models side by side."""

import json
from typing import Any

import click

from ..identity.differences import flatten
from ..staleness.commands.options import in_environment, open_context, open_records
from ..staleness.contents import content_of, versions_of
from ..staleness.kedro_internals import at_version
from ..staleness.records import RecordStore
from ..vision.errors import UserError, printable
from ..vision.evaluation.verdict import KINDS, in_order


@click.command()
@click.option("--versions", nargs=2, help="Two versions of the model; the two newest if not given.")
@click.option("--envs", nargs=2, help="Two environments; compares the newest model of each, or --versions.")
@in_environment
def compare(
    versions: tuple[str, str] | None, envs: tuple[str, str] | None, env: str | None, conf_source: str | None
) -> None:
    """Compare two models: differing parameters, metrics, verdicts, and McNemar's test of their mistakes."""
    # Open contexts lazily: each catalog must be built before the next context replaces OmegaConf's global resolvers.
    contexts = (open_context(e, conf_source) for e in envs or (env, env))
    names, catalogs = zip(*((context.env or "base", context.catalog) for context in contexts), strict=True)
    # Rank of each model to compare among the stored versions: 0 is the newest, 1 the version before.
    ranks = (0, 0) if envs else (1, 0)
    chosen = versions or [*map(_newest, catalogs, ranks, names)]
    a, b = map(_read, chosen, catalogs, names)
    click.echo(f"A: {names[0]} {chosen[0]}\nB: {names[1]} {chosen[1]}\n")
    for title, tell in (("differs", _made_with), ("metric", _metrics), ("verdict", _verdicts)):
        _table(title, tell(a), tell(b))
    click.echo(_mcnemar(a, b))


def _newest(catalog: Any, rank: int, env: str) -> str:
    found = versions_of(catalog["model"])
    if len(found) <= rank:
        option, number = "--versions" if rank else "--envs", f"{len(found)} of {rank + 1}"
        raise UserError(
            f"{option}: environment {env} has too few stored models ({number}); train one with kedro run --env={env}"
        )
    return found[rank]


def _read(version: str, catalog: Any, env: str) -> dict[str, Any]:
    """Load a stored model's provenance, metrics, test predictions and verdicts (an empty list if none are stored).

    The versions of metrics, predictions and verdicts are looked up in the run records (JSON files that store what each
    node read and wrote). If no run record tells what made that version, they are assumed to equal the model's version.
    """
    store = open_records(catalog)
    model = content_of(catalog["model"], version, store.memo).digest
    if model is None:
        raise UserError(f"model: no version {version}; versions are the names of the folders in model.safetensors/")
    chosen = {name: _made_from("model", model, name, store, version) for name in ("metrics", "test_predictions")}
    found = {}
    for name, chosen_version in {"provenance": version, **chosen}.items():
        dataset = at_version(catalog[name], chosen_version)
        if not (chosen_version and dataset.exists()):
            made = ",".join(f"{output}:{version}" for output in ("model", "provenance", "train_margins"))
            evaluate = f"kedro run --env={env} --pipeline=evaluation --load-versions={made}"
            raise UserError(f"{name}: not stored for model version {version}; evaluate this model with {evaluate}")
        found[name] = dataset.load()
    metrics = content_of(catalog["metrics"], chosen["metrics"], store.memo).digest
    judged = _made_from("metrics", metrics, "verdicts", store, version)
    verdicts = at_version(catalog["verdicts"], judged)
    return {**found, "verdicts": verdicts.load() if judged and verdicts.exists() else []}


def _made_from(source: str, digest: str | None, name: str, store: RecordStore, version: str) -> str | None:
    """Return the newest version of ``name`` that was made from content ``digest`` of dataset ``source``.

    If there is none, return ``version``, or None if a run record shows that this version was made from other content.
    """
    records = [record for record in store.all() if name in record.outputs]
    made = (r.outputs[name]["version"] for r in records if r.parts["inputs"].get(source) == digest)
    is_recorded = any(record.outputs[name]["version"] == version for record in records)
    return next(made, None if is_recorded else version)


def _made_with(side: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in flatten(side["provenance"]).items() if name != "checkpoints"}


def _metrics(side: dict[str, Any]) -> dict[str, str]:
    return {n: f"{value:.5g}" for n, value in flatten(side["metrics"]).items() if isinstance(value, (int, float))}


def _verdicts(side: dict[str, Any]) -> dict[str, str]:
    told = {}
    for kind, verdict in in_order(side["verdicts"]).items():
        figures = [f"{verdict[name]:.4g}" for name in ("value", "low", "high") if verdict[name] is not None]
        told[KINDS[kind]] = " ".join([verdict["verdict"].replace("_", " "), *figures])
    return told


def _mcnemar(a: dict[str, Any], b: dict[str, Any]) -> str:
    from ..vision.evaluation.comparison import compare_mistakes

    digests = [side["provenance"].get("data", {}).get("test", {}).get("digest") for side in (a, b)]
    if digests[0] is None or digests[0] != digests[1]:
        return "McNemar's test: not possible, the models were tested on different images"
    result = compare_mistakes(a["test_predictions"], b["test_predictions"])
    alone = f"{result.only_first} right by A alone, {result.only_second} by B alone"
    test = f"McNemar's test on {result.num_images} test images: {alone}, p = {result.p_value:.3g}"
    grouped = any("num_test_groups" in side["metrics"] for side in (a, b))
    caution = "; both count images of one group as independent, so p and the interval may be too small" * grouped
    return f"{test}\n{result.in_words()}{caution}"


def _table(title: str, a: dict[str, str], b: dict[str, str]) -> None:
    """Print a table with one row per named value of models A and B; the table ``differs`` leaves out equal values."""
    names = [name for name in {**a, **b} if title != "differs" or a.get(name) != b.get(name)]
    rows = [(title, "A", "B"), *((name, *_short(a.get(name, "-"), b.get(name, "-"))) for name in names)]
    rows += [("nothing", "", "")] * (not names)
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for row in rows:
        click.echo(printable(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip()))
    click.echo()


def _short(a: str, b: str, longest: int = 40) -> list[str]:
    """Cut long texts: first all but 10 characters of their common beginning, if it would hide where they differ."""
    common = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if a != b and common >= longest - 3:
        a, b = (f"...{text[common - 10 :]}" for text in (a, b))
    return [text if len(text) <= longest else text[: longest - 3] + "..." for text in (a, b)]
