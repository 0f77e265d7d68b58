"""What ``kedro run`` is asked to run: names are checked before anything starts."""

from typing import Any

from ..vision.errors import UserError, did_you_mean


def check_selection(options: dict[str, Any]) -> None:
    """Check what names pipelines, nodes, datasets and a runner among the options of ``kedro run``.

    Raises:
        UserError: a name that there is not, or options that together leave no node.
    """
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline
    from kedro.utils import load_obj

    if options.get("pipeline") and options.get("pipelines"):
        raise UserError("--pipeline, --pipelines: only one of them may be given; take --pipelines=NAME,NAME")
    names = [options["pipeline"]] if options.get("pipeline") else options.get("pipelines") or ["__default__"]
    if unknown := next((name for name in names if name not in pipelines), None):
        raise UserError(f"--pipeline={unknown}: no such pipeline; {did_you_mean(unknown, pipelines)}")
    chosen = sum((pipelines[name] for name in names), Pipeline([]))
    nodes, datasets = {node.name for node in chosen.nodes}, chosen.datasets()
    there_are = {
        "node_names": ("--nodes", nodes),
        "from_nodes": ("--from-nodes", nodes),
        "to_nodes": ("--to-nodes", nodes),
        "from_inputs": ("--from-inputs", datasets),
        "to_outputs": ("--to-outputs", datasets),
        "tags": ("--tags", {tag for node in chosen.nodes for tag in node.tags}),
        "namespaces": ("--namespaces", {node.namespace for node in chosen.nodes if node.namespace}),
    }
    for option, (flag, known) in there_are.items():
        for name in options.get(option) or ():
            if name not in known:
                where = ", ".join(f"pipeline {name}" for name in names)
                remedy = did_you_mean(name, known) if known else "leave the option out, it has none"
                raise UserError(f"{flag}={name}: not in {where}; {remedy}")
    asked = {option: options.get(option) for option in there_are if option != "namespaces"}
    try:
        chosen.filter(**asked, node_namespaces=options.get("namespaces"))
    except ValueError as error:
        given = " ".join(f"{flag}={','.join(options[o])}" for o, (flag, _) in there_are.items() if options.get(o))
        raise UserError(f"{given}: no stage is all of this; leave one of them out") from error
    try:
        load_obj(options.get("runner") or "SequentialRunner", "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "leave the option out, or take SequentialRunner, ThreadRunner or ParallelRunner"
        raise UserError(f"--runner={options['runner']}: no such runner; {remedy}") from error
