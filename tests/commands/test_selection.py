import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Pipeline, node

from s10_pipeline.commands.selection import check_selection
from s10_pipeline.staleness.commands.options import run_command
from s10_pipeline.vision.errors import UserError


def check(*arguments: str) -> None:
    configure_project("s10_pipeline")
    check_selection(run_command("s10_pipeline.runner.Runner").make_context("run", list(arguments)).params)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pipeline=explian"], "--pipeline=explian: .* did you mean explain?"),
        (["--pipelines=data,trainin"], "--pipeline=trainin: .* did you mean training?"),
        (["--nodes=evalute"], "--nodes=evalute: .* __default__; did you mean evaluate?"),
        (["--pipeline=data", "--from-nodes=evaluate"], "--from-nodes=evaluate: not in pipeline data; one of: "),
        (["--to-nodes=train_resnett"], "--to-nodes=train_resnett: .* did you mean train_resnet?"),
        (["--from-inputs=modle"], "--from-inputs=modle: .* did you mean model?"),
        (["--to-outputs=reprot"], "--to-outputs=reprot: .* did you mean report?"),
        (["--from-nodes=evaluate", "--to-nodes=ingest_cifar"], "--from-nodes=evaluate --to-nodes=ingest_cifar: no "),
        (["--tags=slow"], "--tags=slow: not in pipeline __default__; leave the option out"),
        (["--namespaces=slow"], "--namespaces=slow: not in pipeline __default__; leave the"),
        (["--runner=Quick"], "--runner=Quick: .* leave the option out"),
        (["--runner=no.such.Runner"], "--runner=no.such.Runner: .* leave the option out"),
    ],
)
def test_names_that_there_are_not(arguments, message):
    with pytest.raises(UserError, match=message):
        check(*arguments)


def test_a_selection_of_no_node_is_told_with_its_namespace(monkeypatch):
    configure_project("s10_pipeline")
    apart = [node(abs, f"{name}_in", f"{name}_out", name=name, namespace=name) for name in "ab"]
    monkeypatch.setitem(pipelines, "__default__", Pipeline(apart))
    with pytest.raises(UserError, match="--to-nodes=a.a --namespaces=b: no stage"):
        check_selection({"to_nodes": ["a.a"], "namespaces": ["b"]})


@pytest.mark.parametrize("arguments", ["", "--from-inputs=model --to-outputs=metrics", "--runner=ThreadRunner"])
def test_names_that_there_are(arguments):
    check(*arguments.split())
    check("--pipelines=data,training", "--from-nodes=train_resnet")
