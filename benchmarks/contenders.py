"""Training loops that the engine is compared with; each function returns one that trains an epoch and times it."""

import time
from collections.abc import Callable

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from s10_pipeline.vision.device import Precision
from s10_pipeline.vision.training.optimizer import build_optimizer
from setting import Setting

Epoch = Callable[[], float]


def step_on_one_batch(setting: Setting) -> Callable[[], None]:
    """Return a function that does one training step of the engine's network, on one batch that is on the device."""
    model = setting.network().train()
    optimizer = build_optimizer(model, setting.params, 0.01)
    shape = (setting.params.batch_size, 3, setting.size, setting.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=setting.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, shape[:1], device=setting.device)

    def step() -> None:
        with setting.precision.autocast():
            logits = model(images)
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def repeated(setting: Setting, step: Callable[[], None]) -> Epoch:
    def epoch() -> None:
        for _ in range(setting.num_images // setting.params.batch_size):
            step()

    return setting.timed(epoch)


def bare_step(setting: Setting) -> Epoch:
    """Time only the training step, without data loading, augmentation and metrics."""
    return repeated(setting, step_on_one_batch(setting))


def captured_step(setting: Setting) -> Epoch:
    """Time the training step captured as one CUDA graph, which is about the highest speed that the GPU allows."""
    step = step_on_one_batch(setting)
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
        with torch.cuda.graph(graph, stream=stream):
            step()

    def replay(_alive: Callable[[], None] = step) -> None:
        graph.replay()  # ``_alive`` keeps the step's tensors, because the graph uses them by address

    return repeated(setting, replay)


class SingleImages(Dataset[tuple[torch.Tensor, int]]):
    """Dataset that returns one image at a time, with torchvision's transforms, as in tutorials."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._augment = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(setting.size, setting.size // 8),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0)),
            ]
        )

    def __len__(self) -> int:
        return self._setting.num_images

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self._augment(self._setting.images.images_nhwc[i]), int(self._setting.images.labels[i])


def loader_of_single_images(setting: Setting) -> DataLoader[tuple[torch.Tensor, int]]:
    return DataLoader(
        SingleImages(setting),
        setting.params.batch_size,
        shuffle=True,
        num_workers=setting.num_workers,
        persistent_workers=setting.num_workers > 0,
        pin_memory=setting.device.type == "cuda",
    )


def plain_loop(setting: Setting) -> Epoch:
    """Time a loop as in tutorials: fp32, contiguous memory, a DataLoader over single images, unfused SGD."""
    model = setting.network().to(memory_format=torch.contiguous_format).train()
    model.memory_format = torch.contiguous_format  # the format that the network converts images to
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    loader = loader_of_single_images(setting)
    precision = Precision("fp32", setting.device)

    def epoch() -> None:
        for images, labels in loader:
            with precision.autocast():
                logits = model((images * 255).to(setting.device))
            optimizer.zero_grad()
            loss = F.cross_entropy(logits, labels.to(setting.device))
            loss.backward()
            optimizer.step()

    return setting.timed(epoch)


def lightning(setting: Setting) -> Epoch:
    """Time Lightning's Trainer in the same precision, channels_last, without set-up and tear-down of ``fit``."""
    import logging
    import warnings

    import pytorch_lightning as pl

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = setting.network().to(memory_format=torch.channels_last)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _number: int) -> torch.Tensor:
            images, labels = batch
            logits = self.network((images * 255).to(memory_format=torch.channels_last))
            return F.cross_entropy(logits.float(), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return build_optimizer(self, setting.params, 0.01)

    class Clock(pl.Callback):
        seconds = 0.0

        def on_train_epoch_start(self, *_: object) -> None:
            setting.wait()
            self._started = time.perf_counter()

        def on_train_epoch_end(self, *_: object) -> None:
            setting.wait()
            self.seconds = time.perf_counter() - self._started

    module, loader = Module(), loader_of_single_images(setting)
    names = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}

    def epoch() -> float:
        clock = Clock()
        trainer = pl.Trainer(
            accelerator="gpu" if setting.device.type == "cuda" else "cpu",
            devices=1,
            precision=names[setting.precision.name],
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[clock],
        )
        trainer.fit(module, loader)
        return clock.seconds

    return epoch


class PilImages(SingleImages):
    """Dataset of PIL images, as in timm; timm's loader sets ``transform``."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.transform = setting, None

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        images = self._setting.images
        return self.transform(Image.fromarray(images.images_nhwc[i])), int(images.labels[i])


def timm_loop(setting: Setting) -> Epoch:
    """``train_one_epoch`` of timm's train.py with ``--channels-last --amp``, in this run's precision.

    These parts are timm's: loader (crop, flip, random erasing; prefetcher only on CUDA), optimiser factory, scaler,
    meters, order of calls, and reading the loss after each step. Options that are off by default, logging and
    checkpoints are left out. The network is this project's, which normalises its input, so the loader keeps 0-255.
    """
    from timm.data import create_loader
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter, NativeScaler

    on_cuda, size, params = setting.device.type == "cuda", setting.size, setting.params
    model = setting.network().to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, "sgd", lr=0.01, weight_decay=params.weight_decay, momentum=params.momentum)
    scaler = NativeScaler(setting.device.type) if setting.precision.name == "fp16" else None
    loss_fn = nn.CrossEntropyLoss().to(setting.device)
    loader = create_loader(
        PilImages(setting), (3, size, size), params.batch_size, is_training=True, color_jitter=0.0, re_prob=1.0,
        mean=(0.0,) * 3, std=(1 / 255,) * 3, num_workers=setting.num_workers, use_prefetcher=on_cuda,
        device=setting.device, pin_memory=on_cuda, persistent_workers=setting.num_workers > 0,
    )  # fmt: skip

    def epoch() -> None:
        batch_time, data_time, losses = AverageMeter(), AverageMeter(), AverageMeter()
        model.train()
        end = time.time()
        for images, labels in loader:
            data_time.update(time.time() - end)
            images, labels = images.to(setting.device), labels.to(setting.device)
            images = images.contiguous(memory_format=torch.channels_last)
            with setting.precision.autocast():
                logits = model(images)
                loss = loss_fn(logits, labels)
            optimizer.zero_grad()
            if scaler:
                scaler(loss, optimizer, parameters=model.parameters())
            else:
                loss.backward()
                optimizer.step()
            losses.update(loss.item(), images.size(0))
            batch_time.update(time.time() - end)
            end = time.time()

    return setting.timed(epoch)
