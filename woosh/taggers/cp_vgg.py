"""The VGG form of a network of restricted receptive field: convolutions in a row, nothing added (arXiv 1907.01803)."""

from __future__ import annotations

from torch import Tensor, nn

from woosh.taggers.cp_resnet import STAGES
from woosh.taggers.fields import (
    USUAL_FIELDS,
    WHOLE,
    ConvolutionForm,
    Fields,
    block_convolution,
    class_head,
    pool,
    stem,
)
from woosh.taggers.mobilenet import Tags


class CpVgg(nn.Module):
    """Spectrograms of any length -> what is heard, and one feature vector per clip.

    Its convolutions are those of the `CpResNet` of the same arguments, so that both see equally far.

    Args:
        width: channels of the first stage; the others have twice and four times as many.
        channels: of the spectrogram.
        classes: of the head.
        fields: blocks, and what they see along both axes.
        form: of the blocks' convolutions.
    """

    def __init__(
        self,
        width: int = 128,
        channels: int = 2,
        classes: int = 10,
        fields: Fields = USUAL_FIELDS,
        form: ConvolutionForm = WHOLE,
    ) -> None:
        super().__init__()
        self.config = {
            "width": width,
            "channels": channels,
            "classes": classes,
            "fields": fields,
            "form": form,
        }
        layers: list[nn.Module] = [stem(channels, width, fields, form)]
        before = width
        for stage, multiple in enumerate(STAGES):
            after = width * multiple
            for number in fields.numbers(stage):
                for convolution in (0, 1):
                    reach = fields.reach(number, convolution)
                    layers.append(
                        nn.Sequential(
                            block_convolution(before, after, reach, form),
                            nn.BatchNorm2d(after),
                            nn.ReLU(),
                        )
                    )
                    before = after
                layers.append(pool(fields.pool_after(number)))
        self.features = nn.Sequential(*layers)
        self.feature_width = before
        self.feed_forward = class_head(before, classes, form)

    def forward(self, x: Tensor) -> Tags:
        """Classify spectrograms (B, channels, bands, frames)."""
        last = self.features(x)  # (B, feature width, F, T)
        return Tags(self.feed_forward(last), last.mean(dim=(2, 3)))
