"""The hook ``on_epoch`` in runs of ``kedro run``, with the programs of docs/logging.md."""

import re
import sys
from types import SimpleNamespace

import pandas as pd
from click.testing import CliRunner
from kedro.framework.hooks import hook_impl
from kedro.framework.project import configure_project

from s10_pipeline import settings
from s10_pipeline.cli import cli

RUN = (
    "run", "--env=sample", "--pipelines=data,lr_search,training",
    "--params=ingest.shapes10.num_train_images=200,ingest.shapes10.num_test_images=40,train.architecture.width=4",
    "--params=train.lr=0.05,train.epochs=3,train.warmup_epochs=0,train.batch_size=64",
)  # fmt: skip


class Recorder:
    """Stops the first run after its second epoch, as Ctrl-C would."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    @hook_impl
    def on_epoch(self, row):
        self.rows.append(row.copy())
        row.clear()  # its own copy
        if len(self.rows) == 2:
            raise KeyboardInterrupt


class Broken:
    @hook_impl
    def on_epoch(self, row):
        raise ValueError(f"no server for\nepoch {row['epoch']}")


def test_each_epoch_is_sent_once_and_a_failing_hook_is_named(root, tmp_path, monkeypatch):
    written: list[tuple] = []  # stands in for TensorBoard's and MLflow's where those are not installed
    metrics: dict = {}

    def writer(folder: str) -> SimpleNamespace:
        return SimpleNamespace(add_scalar=lambda *scalar: written.append((folder, *scalar)), flush=lambda: None)

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=writer))
    log_metrics = SimpleNamespace(log_metrics=lambda values, step: metrics.update({step: values}))
    monkeypatch.setitem(sys.modules, "mlflow", log_metrics)
    program, epochs_to_mlflow = re.findall(r"```python\n(.*?)```", (root / "docs/logging.md").read_text(), re.DOTALL)
    assert len(program.splitlines()) <= 30
    names: dict = {}
    exec(program, names)
    exec(epochs_to_mlflow, names)
    recorder = Recorder()
    # the last one is called first, so the recorder hears of epochs that the others have had
    hooks = (*settings.HOOKS, recorder, names["TensorBoardHooks"](), names["MlflowEpochs"](), Broken())
    monkeypatch.setattr(settings, "HOOKS", hooks)
    results = []
    for _ in range(2):
        configure_project("s10_pipeline")
        results.append(CliRunner(env={"S10_DATA_ROOT": str(tmp_path)}).invoke(cli, RUN))
    assert [result.exit_code for result in results] == [130, 0], results[1].output
    (history,) = tmp_path.glob("sample/*/training_history.csv/*/*.csv")
    expected = pd.read_csv(history, keep_default_na=False)
    pd.testing.assert_frame_equal(pd.DataFrame(recorder.rows)[expected.columns], expected, check_dtype=False)
    for result, epochs in zip(results, ("12", "3"), strict=True):
        told = [line for line in result.output.splitlines() if "Broken.on_epoch failed" in line]
        assert re.findall(r"failed in epoch (\d) \(ValueError: no server for epoch \1\)", "\n".join(told)) == [*epochs]
    losses = [(folder, epoch, value) for folder, name, value, epoch in written if name == "val_loss"]
    assert [(epoch, value) for _, epoch, value in losses] == [*enumerate(expected["val_loss"], start=1)]
    assert len({folder for folder, _, _ in losses}) == 2, "one per run"
    assert {step: values["val_loss"] for step, values in metrics.items()} == {epoch: v for _, epoch, v in losses}
    assert {name for _, name, _, _ in written} > {"train_accuracy", "images_per_second"}
