"""Sounds: every plain WAV form, other files through soundfile, other rates."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from lepta.core.errors import ConfigError, DecodeError
from lepta.runtime.decoders import DECODERS, AudioDecoder
from lepta.runtime.decoders.audio import resample

RATE = 22050
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2000) / RATE)).astype(np.float32)


def file(values: np.ndarray, form: str, subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, values, RATE, format=form, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 2e-2),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAVEX", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("WAV", "ULAW", 3e-2),
        ("FLAC", None, 1e-4),
        ("OGG", None, 5e-2),
    ],
)
def test_forms(form: str, subtype: str | None, error: float) -> None:
    sound, rate = AudioDecoder().read(file(TONE, form, subtype))
    assert rate == RATE
    assert sound.dtype == np.float32
    assert sound.shape == TONE.shape
    np.testing.assert_allclose(sound, TONE, atol=error)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_channels_are_averaged(subtype: str) -> None:
    stereo = np.stack([TONE, -0.5 * TONE], axis=1)
    sound, _ = AudioDecoder().read(file(stereo, "WAV", subtype))
    np.testing.assert_allclose(sound, 0.25 * TONE, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 7919]),
    st.sampled_from([8000, 16000, 22050]),
    st.integers(1, 3000),
)
def test_resampling_is_that_of_scipy(before: int, after: int, length: int) -> None:
    sound = np.random.default_rng(length).normal(0, 0.3, length).astype(np.float32)
    wanted = resample_poly(sound, after, before)
    got = resample(sound, before, after)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_rate_and_length_are_brought_about() -> None:
    decoder = DECODERS.get("audio")(rate=8000, length=1000)
    long = decoder(file(TONE.repeat(4), "WAV"))
    short = decoder(file(TONE, "WAV"))
    assert long.shape == short.shape == (1000,)
    assert not short[-200:].any()
    assert long[-200:].any()


def test_damaged_and_oversized_files_are_refused() -> None:
    whole = file(TONE, "WAV", "PCM_16")
    for damaged in (b"", whole[:20], whole[:44], b"RIFF" + whole[4:20] + b"\0" * 40, b"nonsense"):
        with pytest.raises(DecodeError, match=r"sound|WAV"):
            AudioDecoder()(damaged, name="x.wav")
    for form in ("WAV", "FLAC"):
        with pytest.raises(DecodeError, match="limit is 100"):
            AudioDecoder(max_samples=100)(file(TONE, form))
    with pytest.raises(ConfigError, match="rate=0"):
        AudioDecoder(rate=0)


@pytest.mark.parametrize("missing", [2, 1000])
def test_a_sound_that_is_cut_off_is_refused(missing: int) -> None:
    whole = file(TONE, "WAV", "PCM_16")
    with pytest.raises(DecodeError, match="cut off"):
        AudioDecoder()(whole[:-missing])


def test_a_recording_from_a_pipe_has_no_size() -> None:
    whole = bytearray(file(TONE, "WAV", "PCM_16"))
    place = whole.index(b"data") + 4
    whole[place : place + 4] = b"\xff" * 4
    assert len(AudioDecoder()(bytes(whole))) == len(TONE)
