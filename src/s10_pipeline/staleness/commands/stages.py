"""The command ``kedro stages``: show what ``kedro run --only-missing-outputs`` would do, and why."""

from typing import Any

import click
from kedro.framework.project import pipelines

from ...identity.differences import did_you_mean, printable
from ..contents import versions_of
from ..fingerprint import Rules
from ..plan import Plan
from .options import in_environment, open_context, open_records
from .params import Params


def stages_command(rules: Rules) -> click.Command:
    """Build the command ``kedro stages``; the rules name what can make a stage stale."""

    @click.command()
    @in_environment
    @click.option("--pipeline", "--pipelines", "-p", "pipeline", default="__default__", help="Show only this pipeline.")
    @click.option("--as-stored", is_flag=True, help="Use the parameters that made the stored results, not this call's.")
    def stages(
        env: str | None, conf_source: str | None, pipeline: str, as_stored: bool, params: dict[str, Any]
    ) -> None:
        """Show which stages are up to date, which would run, and why. Nothing is run."""
        catalog = open_context(env, conf_source, params).catalog
        if pipeline not in pipelines:
            raise click.ClickException(f"--pipeline={pipeline}: no such pipeline; {did_you_mean(pipeline, pipelines)}")
        store = open_records(catalog)
        plan = Plan(rules, pipelines[pipeline], catalog, store)
        if as_stored:
            outputs = [name for node in reversed(plan.pipeline.nodes) for name in node.outputs]
            plan.go_by_stored((name, max(versions_of(catalog.get(name)), default=None)) for name in outputs)
        decisions = plan.decisions()
        width = max(len(decision.node.name) for decision in decisions)
        for decision in decisions:
            made = decision.record
            why = f"{made.same_as or made.run}, {made.about.get('seconds', 0):.1f} s" if made else decision.why
            if made and (remark := rules.remark(catalog, decision.node.name)):
                why += f"; {remark}"
            click.echo(printable(f"{decision.node.name:{width}}  {decision.state:10}  {why}"))
        store.memo.save()

    stages.params.append(Params(rules.parameters))
    return stages
