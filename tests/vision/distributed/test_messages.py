"""What training processes send, and what the bar of the one that started them makes of it."""

from multiprocessing import Pipe

import pytest
import torch

from s10_pipeline.vision.distributed.messages import Sender, listen
from s10_pipeline.vision.progress import Bar
from s10_pipeline.vision.training import trainer
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.trainer import Trainer


def completed(bar: Bar) -> float:
    (task,) = bar._progress.tasks
    return task.completed


def test_what_is_sent_moves_the_bar():
    reader, writer = Pipe(duplex=False)
    bar = Bar("", 100, "batches")
    with listen([reader], bar) as errors:
        sender = Sender(writer)
        sender.advance(70)
        sender.move_to(40)
        sender.advance(5)
        sender.describe("epoch 2")
        sender.note("loss 1")
        sender.send("user", "a mistake")
        writer.close()
    assert completed(bar) == 45
    (task,) = bar._progress.tasks
    assert (task.description, task.fields["note"]) == ("epoch 2", "loss 1")
    assert errors == {0: ("user", "a mistake")}


def test_the_bar_of_a_restarted_training_ends_at_its_end(data, tiny, tmp_path, monkeypatch):
    plain = trainer.train_epoch

    def killed(*arguments, epoch, on_progress, **options):
        done = plain(*arguments, epoch=epoch, on_progress=on_progress, **options)
        if epoch == 2:
            on_progress(done[0], 4)
            raise KeyboardInterrupt
        return done

    bar = Bar("", 12, "batches")
    with CheckpointStore(tmp_path).open("key", keep=1) as checkpoints:
        monkeypatch.setattr(trainer, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            Trainer(data, 0.05, tiny, torch.device("cpu")).train(checkpoints, bar)
        assert completed(bar) == 6 + 4
        monkeypatch.setattr(trainer, "train_epoch", plain)
        Trainer(data, 0.05, tiny, torch.device("cpu")).train(checkpoints, bar)
    assert completed(bar) == 12
