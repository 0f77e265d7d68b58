import pytest
import torch

from s10_pipeline.vision.distributed.messages import Sender, listen
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.progress import Bar
from s10_pipeline.vision.training import trainer
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import Job, train_here


def completed(bar: Bar) -> float:
    (task,) = bar.progress.tasks
    return task.completed


def test_what_is_sent_moves_the_bar_and_errors_are_kept():
    bar, rows = Bar("", 100, "batches"), []
    with listen(1, bar.show, rows.append) as ((writer,), errors):
        sender = Sender(writer)
        sender.show(70, "epoch 2", "loss 2")
        sender.show(45, "epoch 2", "loss 1")
        sender.send("epoch", {"epoch": 2})
        sender.send("error", UserError("a mistake"))
    assert rows == [{"epoch": 2}]
    assert completed(bar) == 45
    (task,) = bar.progress.tasks
    assert (task.description, task.fields["note"]) == ("epoch 2", "loss 1")
    assert [repr(error) for error in errors] == ["UserError('a mistake')"]


def test_the_bar_of_a_restarted_training_ends_at_its_end(data, tiny, tmp_path, monkeypatch):
    plain = trainer.train_epoch

    def killed(*arguments, epoch, on_progress, **options):
        done = plain(*arguments, epoch=epoch, on_progress=on_progress, **options)
        if epoch == 2:
            on_progress(done[0], 4)
            raise KeyboardInterrupt
        return done

    bar, rows = Bar("", 12, "batches"), []
    with CheckpointStore(tmp_path).open("key", keep=1) as checkpoints:
        job = Job(data, 0.05, tiny, torch.device("cpu"), checkpoints)
        monkeypatch.setattr(trainer, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_here(job, bar.show, rows.append)
        assert completed(bar) == 6 + 4
        monkeypatch.setattr(trainer, "train_epoch", plain)
        train_here(job, bar.show, rows.append)
    assert completed(bar) == 12
    assert [row["epoch"] for row in rows] == [1, 2], "each epoch is reported once"
