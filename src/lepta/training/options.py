"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from lepta.core.space import Choice, Range

Schedule = Literal["one_cycle", "cosine", "constant"]


@dataclass(frozen=True)
class LoopOptions:
    """How a network is trained.

    Attributes:
        epochs: epochs at the most; fewer when the time budget is short.
        batch: rows in a step, of all workers together; "auto" measures: the fewest that come near
            the highest speed, or on a GPU the most that fit.
        learning_rate: highest rate of the schedule; "auto" looks for it (Smith 2017).
        schedule: "one_cycle" (rise, then fall as a cosine), "cosine" (a short rise first) or
            "constant".
        weight_decay: decoupled weight decay of AdamW.
        clip: norm to which gradients are clipped; 0 leaves them.
        accumulate: parts in which a step is computed, where a whole one does not fit into memory.
        average: decay of the running mean of the weights, near 1, such as 0.999; 0 takes the
            weights themselves.
        patience: epochs without a better validation loss after which to stop.
        augment: whether images are changed a little in each epoch: turned, moved, brightened.
        crop: with ``augment``, the least share of an image's area that is shown, at a random
            place; 1 shows all of it, 0.3 is usual in fine-tuning on few images.
        mirror: with ``augment``, whether images are flipped left to right half of the time.
        flip: with ``augment``, whether images are flipped upside down half of the time.
        contrast: with ``augment``, by which share contrast and brightness change at the most.
        mixup: parameter of the beta distribution by which rows are blended; 0 blends none.
        focal: exponent of the focal loss, for classes of which one is rare; 0 is the plain loss.
        smoothing: share of each target spread over all classes.
        device: where to compute, as ``lepta.engine.choose`` reads it: "auto", "cpu", "cuda:0:bf16".
            Where it names no precision, the faster of those that the hardware has is measured.
        compile: run the network through ``torch.compile``; it does not pay for small ones.
        checkpoint: folder in which the state is kept, to go on from after a kill.
        checkpoint_seconds: time between two checkpoints.
        workers: processes that train together; each takes its share of every batch.
        engine: where they run: "local" or "ray".
        address: of the Ray cluster.
        strategy: "ddp" (each holds all weights) or "fsdp" (each holds its share).
    """

    epochs: int = 30
    batch: Annotated[int | Literal["auto"], Choice(16, 32, 64, 128, 256)] = 32
    learning_rate: Annotated[float | Literal["auto"], Range(3e-4, 3e-2, log=True)] = 2e-3
    schedule: Annotated[Schedule, Choice("one_cycle", "cosine")] = "one_cycle"
    weight_decay: Annotated[float, Range(1e-3, 0.3, log=True)] = 0.02
    clip: float = 1.0
    accumulate: int = 1
    average: Annotated[float, Choice(0.0, 0.99, 0.999)] = 0.0
    patience: int = 8
    augment: bool = True
    crop: Annotated[float, Field(gt=0, le=1), Choice(1.0, 0.7, 0.4)] = 1.0
    mirror: Annotated[bool, Choice(False, True)] = False
    flip: bool = False
    contrast: Annotated[float, Field(ge=0, lt=1), Range(0.0, 0.4)] = 0.1
    mixup: float = 0.0
    focal: float = 0.0
    smoothing: Annotated[float, Range(0.0, 0.2)] = 0.0
    device: str = "auto"
    compile: bool = False
    checkpoint: str | None = None
    checkpoint_seconds: float = 60.0
    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    strategy: Literal["ddp", "fsdp"] = "ddp"
