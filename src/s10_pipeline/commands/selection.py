"""Check names of pipelines, nodes, datasets and runners in the options of ``kedro run`` before any node runs."""

from typing import Any

from ..vision.errors import UserError, did_you_mean


def check_selection(options: dict[str, Any]) -> None:
    """Check the options of ``kedro run`` that name pipelines, nodes, datasets, tags, namespaces or a runner.

    Raises:
        UserError: a name does not exist, or the options together select no node.
    """
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline
    from kedro.utils import load_obj

    if options.get("pipeline") and options.get("pipelines"):
        raise UserError("--pipeline, --pipelines: only one of them may be given; use --pipelines=NAME,NAME")
    names = [options["pipeline"]] if options.get("pipeline") else options.get("pipelines") or ["__default__"]
    for name in names:
        if name not in pipelines:
            raise UserError(f"--pipeline={name}: no such pipeline; {did_you_mean(name, pipelines)}")
    chosen = sum((pipelines[name] for name in names), Pipeline([]))
    nodes, datasets = {node.name for node in chosen.nodes}, chosen.datasets()
    known = {
        "node_names": nodes,
        "from_nodes": nodes,
        "to_nodes": nodes,
        "from_inputs": datasets,
        "to_outputs": datasets,
        "tags": {tag for node in chosen.nodes for tag in node.tags},
        "namespaces": {node.namespace for node in chosen.nodes if node.namespace},
    }
    asked = {option: options[option] for option in known if options.get(option)}
    flags = {option: f"--{option.replace('node_names', 'nodes').replace('_', '-')}" for option in asked}
    for option, name in ((o, name) for o, given in asked.items() for name in given):
        if name not in known[option]:
            remedy = did_you_mean(name, known[option]) if known[option] else "leave the option out, it has none"
            raise UserError(f"{flags[option]}={name}: not in pipeline {', '.join(names)}; {remedy}")
    try:
        wanted = dict(asked)
        chosen.filter(node_namespaces=wanted.pop("namespaces", None), **wanted)
    except ValueError as error:
        given = " ".join(f"{flags[option]}={','.join(asked[option])}" for option in asked)
        raise UserError(f"{given}: no stage meets all of these options; leave one of them out") from error
    try:
        load_obj(options.get("runner") or "SequentialRunner", "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "leave the option out, or use SequentialRunner, ThreadRunner or ParallelRunner"
        raise UserError(f"--runner={options['runner']}: no such runner; {remedy}") from error
