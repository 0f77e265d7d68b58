"""Residual networks for small images (He et al. 2015, arXiv:1512.03385).

Shape suffixes: B batch, C channels, H and W pixels, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .params import BASIC_BLOCKS, BOTTLENECK_BLOCKS, ArchitectureParams, stage_names
from .whitening import PatchWhitening


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride)
        self.norm1 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.conv2 = _conv(channels, channels, 3)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x_bchw: Tensor) -> Tensor:
        y_bchw = self.dropout(F.relu(self.norm1(self.conv1(x_bchw))))
        return F.relu(self.norm2(self.conv2(y_bchw)) + self.shortcut(x_bchw))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions and a shortcut; its output has four times ``channels``."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = _conv(in_channels, channels, 1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.norm2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.conv3 = _conv(channels, out_channels, 1)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x_bchw: Tensor) -> Tensor:
        y_bchw = F.relu(self.norm1(self.conv1(x_bchw)))
        y_bchw = self.dropout(F.relu(self.norm2(self.conv2(y_bchw))))
        return F.relu(self.norm3(self.conv3(y_bchw)) + self.shortcut(x_bchw))


class ResNet(nn.Module):
    """Stem, residual stages ``layer1`` ... ``layerN``, global average pooling and one linear layer.

    Args:
        params: depth, width, stem and dropout; ``stem`` must not be "auto".
        num_classes: number of classes K.
    """

    def __init__(self, params: ArchitectureParams, num_classes: int) -> None:
        super().__init__()
        block: type[BasicBlock | Bottleneck] = BasicBlock if params.depth in BASIC_BLOCKS else Bottleneck
        num_blocks = {**BASIC_BLOCKS, **BOTTLENECK_BLOCKS}[params.depth]
        self.stem = self._stem(params)
        channels, self.stage_names = params.width, stage_names(params.depth)
        for stage, (name, n) in enumerate(zip(self.stage_names, num_blocks, strict=True)):
            width = params.width * 2**stage
            blocks = []
            for i in range(n):
                blocks.append(block(channels, width, 2 if stage and i == 0 else 1, params.dropout))
                channels = width * block.expansion
            self.add_module(name, nn.Sequential(*blocks))
        self.head = nn.Linear(channels, num_classes)
        self._init_weights(params.zero_init_residual)

    @staticmethod
    def _stem(params: ArchitectureParams) -> nn.Sequential:
        assert params.stem != "auto", params.stem
        layers: list[nn.Module]
        if params.stem == "whitened":
            # The whitened stem halves height and width, so that all later layers need a quarter of the computation.
            layers = [PatchWhitening(), _conv(PatchWhitening.out_channels, params.width, 1), nn.MaxPool2d(2)]
        else:
            layers = [_conv(3, params.width, 3) if params.stem == "cifar" else _conv(3, params.width, 7, 2)]
        layers += [nn.BatchNorm2d(params.width), nn.ReLU(inplace=True)]
        if params.stem == "imagenet":
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        if params.stem_dropout:
            layers.append(nn.Dropout2d(params.stem_dropout))
        return nn.Sequential(*layers)

    def _init_weights(self, zero_init_residual: bool) -> None:
        """Initialise convolutions by He's method (He et al. 2015, arXiv:1502.01852), other layers as PyTorch does.

        Args:
            zero_init_residual: set the scale of each block's last BatchNorm to 0, so that the block starts as identity.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last_norm = module.norm2 if isinstance(module, BasicBlock) else module.norm3
                nn.init.zeros_(last_norm.weight)

    def forward(self, x_bchw: Tensor) -> Tensor:
        x_bchw = self.stem(x_bchw)
        for name in self.stage_names:
            x_bchw = getattr(self, name)(x_bchw)
        logits_bk: Tensor = self.head(torch.mean(x_bchw, dim=(2, 3)))
        return logits_bk
