"""Sounds to log-mel spectrograms (rows, bands, frames), float32 in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import LeptaError, Where
from lepta.core.schema import Field
from lepta.models.front.base import MediaFront, sample_rows
from lepta.models.graph import Graph
from lepta.runtime.decoders.audio import AudioDecoder

if TYPE_CHECKING:
    from lepta.data import Dataset

MAX_RATE = 16_000
"""Samples a second above which sounds are brought down: speech needs no more."""
MAX_SECONDS = 10.0
_LONG = 3.0
_COVERED = 0.95
_MEASURED = 500
_RANGE_DB = 80.0
_FLOOR = 1e-10


@dataclass(frozen=True, eq=False)
class AudioFront(MediaFront):
    """Fitted preprocessing of one field of sounds (samples,).

    The spectrogram is computed in the graph: frames of 32 ms under a Hann window, their discrete
    Fourier transform as one convolution, power in mel bands, in decibels below the loudest of the
    sound, 80 dB to [0, 1]. So loudness does not matter, and silence is 0.

    Attributes:
        rate: samples a second.
        length: samples read of a sound, from its beginning.
        bands: mel bands.
        window: samples in a frame.
        hop: samples from one frame to the next.
    """

    rate: int
    length: int
    bands: int
    window: int
    hop: int

    @classmethod
    def fit(cls, data: Dataset, source: Field, tensor: str, optional: bool) -> AudioFront:
        """Choose the rate, and the length that holds 95 % of the sounds whole, at most 10 s."""
        rate, lengths = _measure(data, source.name)
        length = int(np.quantile(lengths, _COVERED))
        length = int(np.clip(length, rate // 4, MAX_SECONDS * rate))
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            decoder=("audio", {"rate": rate, "length": length}),
            rate=rate,
            length=length,
            bands=40 if rate <= MAX_RATE // 2 else 64,
            window=2 ** round(np.log2(0.032 * rate)),
            hop=round((0.01 if length <= _LONG * rate else 0.02) * rate),
        )

    @property
    def frames(self) -> int:
        """Frames of a spectrogram."""
        return self.length // self.hop + 1

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, self.bands, self.frames)

    @property
    def input(self) -> InputSpec:
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype="float32",
            shape=(-1, -1),
            decoder=self.decoder[0],
            options=self.decoder[1],
            required=not self.optional,
        )

    def emit(self, graph: Graph, tensor: str) -> str:
        sound = self._cut(graph, tensor)
        half = self.window // 2
        waves = graph.op(
            "Conv",
            graph.op("Unsqueeze", sound, graph.const([1], "int64")),
            graph.const(fourier_waves(self.window)),
            strides=[self.hop],
            pads=[half, half],
        )
        squares = graph.op("Mul", waves, waves)
        # Bands of cosines and of sines: the product adds both, weighed alike.
        mel = mel_bands(self.rate, self.window, self.bands)
        power = graph.op("MatMul", graph.const(np.hstack([mel, mel])), squares)
        return self._decibels(graph, power)

    def _cut(self, graph: Graph, tensor: str) -> str:
        """Crop or pad with silence at the end, so that arrays of any length do."""
        ends = [graph.const([value], "int64") for value in (0, self.length, 1)]
        kept = graph.op("Slice", tensor, *ends)
        size = graph.op("Shape", kept, start=1)
        lack = graph.op("Sub", graph.const([self.length], "int64"), size)
        pads = graph.op("Concat", graph.const([0, 0, 0], "int64"), lack, axis=0)
        return graph.op("Pad", kept, pads)

    def _decibels(self, graph: Graph, power: str) -> str:
        loud = graph.op("Max", power, graph.const(_FLOOR, "float32"))
        level = graph.op("Mul", graph.op("Log", loud), graph.const(10 / np.log(10), "float32"))
        top = graph.op("ReduceMax", level, graph.const([1, 2], "int64"), keepdims=1)
        below = graph.op("Div", graph.op("Sub", level, top), graph.const(_RANGE_DB, "float32"))
        lifted = graph.op("Add", below, graph.const(1.0, "float32"))
        audible = graph.op("Greater", top, graph.const(10 * np.log10(_FLOOR), "float32"))
        kept = graph.op("Mul", lifted, graph.op("Cast", audible, to=1))
        return graph.op("Max", kept, graph.const(0.0, "float32"))


def fourier_waves(window: int) -> NDArray[np.float32]:
    """Return cosines, then sines, of every frequency under a Hann window: (2 * bins, 1, window)."""
    places = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * places / window)
    turns = 2 * np.pi * np.outer(np.arange(window // 2 + 1), places) / window
    waves = np.concatenate([np.cos(turns), np.sin(turns)]) * hann
    return waves[:, None].astype(np.float32)


def mel_bands(rate: int, window: int, bands: int) -> NDArray[np.float32]:
    """Return the weights (bands, bins) of triangular filters, evenly spaced in mel.

    The scale is mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987, as in HTK); the triangles peak
    at 1 and reach from the centre of one neighbour to that of the other (Davis & Mermelstein 1980).
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, window // 2 + 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _measure(data: Dataset, name: str) -> tuple[int, list[float]]:
    """Return the rate to use, and lengths at that rate of some sounds."""
    rows = sample_rows(data, name)
    if name not in data.decoders:
        return MAX_RATE, [float(len(data.decode(name, int(row)))) for row in rows]
    everything = np.flatnonzero(data.present(name))
    step = max(1, len(everything) // _MEASURED)
    decoder, found = AudioDecoder(), []
    for row in everything[::step]:
        try:
            sound, rate = decoder.read(data.read_bytes(name, int(row)))
        except LeptaError as error:
            error.where = Where(file=data.location(name, int(row)), field=name)
            raise
        found.append((len(sound), rate))
    rate = min(MAX_RATE, int(np.median([rate for _, rate in found])))
    return rate, [length * rate / before for length, before in found]
