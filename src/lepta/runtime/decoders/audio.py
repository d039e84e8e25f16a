"""Sound: WAV by the standard library and NumPy, FLAC and OGG through soundfile."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, missing_extra
from lepta.runtime.decoders.base import refusal, refusing

Array = NDArray[np.float32]

MAX_SAMPLES = 2**28
"""Most samples, all channels together, that a file may unpack to: 97 minutes at 48 kHz."""
_RATES = (500, 1_000_000)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_ZEROS, _BETA = 10, 5.0
_UNKNOWN_SIZE = 0x7FFF0000
"""Sizes from here on are written where sound is recorded into a pipe, whose end is not known."""


@dataclass(frozen=True)
class AudioDecoder:
    """Decode sound to one channel (samples,), float32 in [-1, 1].

    Args:
        rate: samples a second of the result; None keeps the file's own.
        length: samples of the result: longer sounds are cropped at the end, shorter ones padded
            with silence; None keeps them.
        max_samples: files that unpack to more, all channels together, are refused.
    """

    rate: int | None = None
    length: int | None = None
    max_samples: int = MAX_SAMPLES

    dtype = "float32"

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("length", self.length)):
            if value is not None and (isinstance(value, bool) or value < 1):
                raise ConfigError(f"The decoder 'audio' has no {name}={value!r}: it counts from 1.")

    def __call__(self, data: bytes, name: str = "") -> Array:
        """Return the sound in ``data`` at the rate and of the length asked for.

        Raises:
            DecodeError: the file is damaged, empty, too long or of an unknown form.
            MissingExtraError: it is no plain WAV file, and soundfile is not installed.
        """
        sound, rate = self.read(data, name)
        if self.rate is not None:
            sound = resample(sound, rate, self.rate)
        return sound if self.length is None else fit_length(sound, self.length)

    def read(self, data: bytes, name: str = "") -> tuple[Array, int]:
        """Return the sound in ``data``, its channels averaged, and its samples a second.

        Raises:
            DecodeError, MissingExtraError: as when called.
        """
        with refusing(name, "The sound cannot be decoded"):
            found = _read_wav(data, self.max_samples, name)
            channels, rate = found or _read_other(data, self.max_samples, name)
            if not len(channels):
                raise refusal("The sound is empty.", name)
            if not _RATES[0] <= rate <= _RATES[1]:
                raise refusal(f"A sound of {rate:,} samples a second is not read.", name)
            mono = channels.mean(axis=1, dtype=np.float32)
            mono = np.clip(np.nan_to_num(mono), -1.0, 1.0)
        return np.ascontiguousarray(mono, np.float32), rate


def fit_length(sound: Array, length: int) -> Array:
    """Return the sound (samples,) cropped at its end, or padded with silence, to ``length``."""
    return np.pad(sound[:length], (0, max(0, length - len(sound))))


def resample(sound: Array, before: int, after: int) -> Array:
    """Return the sound at another rate, by a polyphase filter.

    The filter is a sinc under a Kaiser window (beta 5, 10 zero crossings each side), which keeps
    what lies below half of the lower rate (Crochiere & Rabiner, Multirate Digital Signal
    Processing, 1983).

    Args:
        sound: (samples,).
        before: its samples a second.
        after: samples a second of the result.
    """
    if before == after or not len(sound):
        return sound
    shared = math.gcd(before, after)
    up, down = after // shared, before // shared
    widest = max(up, down)
    half = _ZEROS * widest
    places = np.arange(-half, half + 1) / widest
    taps = np.sinc(places) * np.kaiser(2 * half + 1, _BETA)
    taps *= up / taps.sum()
    count = -(-len(sound) * up // down)
    width = -(-len(taps) // up)
    taps = np.pad(taps, (0, width * up - len(taps)))
    reach = half // up + width + 1
    padded = np.pad(sound, (reach, reach + down))
    views = np.lib.stride_tricks.sliding_window_view(padded, width)
    out = np.empty(count, np.float32)
    for first in range(min(up, count)):
        # Output n is the sum over k of taps[n * down + half - k * up] * sound[k].
        begin = first * down + half
        phase = taps[begin % up :: up][::-1].astype(np.float32)
        start = begin // up - width + 1 + reach
        chosen = views[start::down][: len(range(first, count, up))]
        out[first::up] = chosen @ phase
    return out


def _read_wav(data: bytes, limit: int, name: str) -> tuple[Array, int] | None:
    """Return channels (frames, channels) and rate of a WAV file; None: not of a plain form."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    form, body = _chunk(data, b"fmt ", name), _chunk(data, b"data", name)
    if len(form) < 16:
        raise refusal("The WAV file does not say what it holds.", name)
    tag, count, rate, _, _, bits = np.frombuffer(form[:16], _FORMAT)[0].tolist()
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")
    if (tag, bits) not in _READERS:
        return None
    if count < 1:
        raise refusal("The WAV file has no channels.", name)
    frames = len(body) // (count * bits // 8)
    if frames * count > limit:
        raise refusal(f"The sound has {frames * count:,} samples; the limit is {limit:,}.", name)
    values = _values(body[: frames * count * bits // 8], tag, bits)
    return values.reshape(frames, count), int(rate)


_FORMAT = np.dtype(
    [("tag", "<u2"), ("channels", "<u2"), ("rate", "<u4"), ("bytes", "<u4"), ("align", "<u2"),
     ("bits", "<u2")]
)  # fmt: skip
_READERS = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "u1",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


def _chunk(data: bytes, wanted: bytes, name: str) -> bytes:
    """Return the content of the first chunk of a RIFF file with that name, empty if none.

    Raises:
        DecodeError: the file ends before the chunk does.
    """
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == wanted:
            found = data[place + 8 : place + 8 + size]
            if len(found) < size < _UNKNOWN_SIZE:
                raise refusal(
                    f"The WAV file is cut off: {len(found):,} of {size:,} bytes are there.",
                    name,
                    "Get the complete file from its source.",
                )
            return found
        place += 8 + size + size % 2
    return b""


def _values(body: bytes, tag: int, bits: int) -> Array:
    raw = np.frombuffer(body, _READERS[tag, bits])
    if tag == _FLOAT:
        return raw.astype(np.float32)
    if bits == 8:
        return (raw.astype(np.float32) - 128.0) / 128.0
    if bits == 24:
        parts = raw.reshape(-1, 3).astype(np.int32)
        raw = (parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) >> 8
    return (raw / 2.0 ** (bits - 1)).astype(np.float32)


def _read_other(data: bytes, limit: int, name: str) -> tuple[Array, int]:
    """Return channels (frames, channels) and rate of any form that libsndfile reads."""
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise missing_extra("soundfile", "audio", "Sound other than plain WAV") from error
    with soundfile.SoundFile(io.BytesIO(data)) as stream:
        samples = stream.frames * stream.channels
        if samples > limit:
            raise refusal(f"The sound has {samples:,} samples; the limit is {limit:,}.", name)
        found = stream.read(dtype="float32", always_2d=True)
        if len(found) < stream.frames:
            what = f"The sound is cut off: {len(found):,} of {stream.frames:,} frames are there."
            raise refusal(what, name)
        return found, int(stream.samplerate)
