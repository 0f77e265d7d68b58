"""``kedro stages``: what ``kedro run --only-missing-outputs`` would do, and why."""

from typing import Any

import click

from .options import Params, in_environment, open_context, open_records
from .selection import check_pipelines


@click.command()
@in_environment
@click.option("--pipeline", "--pipelines", "-p", "pipeline", default="__default__", help="Of this pipeline only.")
def stages(env: str | None, conf_source: str | None, pipeline: str, params: dict[str, Any]) -> None:
    """Which stages are up to date, which would run, and why. Runs nothing."""
    from kedro.framework.project import pipelines

    from ..caching.plan import Plan
    from ..runner import RULES

    context = open_context(env, conf_source, params)
    check_pipelines([pipeline])
    catalog = context.catalog
    store = open_records(catalog)
    decisions = Plan(RULES, pipelines[pipeline], catalog, store).decisions()
    width = max(len(decision.node.name) for decision in decisions)
    for decision in decisions:
        made = decision.record
        why = f"{made.same_as or made.run}, {made.about.get('seconds', 0):.1f} s" if made else decision.why
        click.echo(f"{decision.node.name:{width}}  {decision.state:10}  {why}")
    store.memo.save()


stages.params.append(Params())
