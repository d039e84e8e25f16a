"""A made-up chest: one patient's geometry, and its slices in Hounsfield units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rng = np.random.Generator

WIDTH = 128.0
"""The chest is drawn in units of 1/128 of the field of view, whatever the number of pixels."""
FIELD_MM = 360.0
"""Side of the field of view."""
SPACING_MM = 5.0
"""Distance between slices."""
NOISE_HU = 34.0
"""Standard deviation of the noise at 100 mA in a patient of average size."""
VISIBLE = 4.5
"""Smallest radius at which a lesion's cross-section is drawn and labelled."""

_STEP = SPACING_MM / FIELD_MM * WIDTH


@dataclass(frozen=True)
class Lesion:
    """A round mass in a lung: lengths in drawing units, z in slices, place in lung radii."""

    side: int
    place: tuple[float, float]
    z: float
    radius: float
    hu: float
    lobes: tuple[float, float, float, float]

    def radius_at(self, z: float) -> float:
        """Radius of the cross-section at slice ``z``; 0 where it is too small to be called one."""
        squared = self.radius**2 - ((z - self.z) * _STEP) ** 2
        return math.sqrt(squared) if squared >= VISIBLE**2 else 0.0


@dataclass(frozen=True)
class Patient:
    """What stays the same over the slices of a patient."""

    centre: tuple[float, float]
    angle: float
    body: tuple[float, float]
    fat: float
    lung: tuple[float, float]
    lung_hu: float
    gravity: float
    soft_hu: float
    blood_hu: float
    bone_hu: float
    ribs: tuple[float, ...]
    vessels: float
    taper: float
    texture: float
    noise: float
    blur: float
    lesions: tuple[Lesion, ...]


def draw_patient(rng: Rng, *, slices: int, lesions: bool) -> Patient:
    """Return a random patient; only ``lesions`` tells the sick from the healthy."""
    width, height = rng.uniform(47, 57), rng.uniform(36, 44)
    fat = rng.uniform(2.0, 6.0)
    return Patient(
        centre=(64 + rng.normal(0, 3.5), 64 + rng.normal(0, 3.5)),
        angle=rng.normal(0, 0.05),
        body=(width, height),
        fat=fat,
        lung=((width - fat) * rng.uniform(0.36, 0.41), (height - fat) * rng.uniform(0.62, 0.72)),
        lung_hu=rng.uniform(-890, -670),
        gravity=rng.uniform(-1, 5),
        soft_hu=rng.uniform(25, 60),
        blood_hu=rng.uniform(40, 220),
        bone_hu=rng.uniform(350, 650),
        ribs=tuple(rng.uniform(0, 2 * math.pi, int(rng.integers(5, 9)))),
        vessels=rng.uniform(4, 9),
        taper=rng.uniform(-0.015, 0.015),
        texture=rng.uniform(10, 30),
        noise=rng.uniform(0.75, 1.3),
        blur=rng.uniform(0.5, 0.8),
        lesions=tuple(_lesion(rng, slices) for _ in range(rng.integers(1, 4) if lesions else 0)),
    )


def _lesion(rng: Rng, slices: int) -> Lesion:
    radius = rng.uniform(5.0, 9.0)
    reach = math.sqrt(radius**2 - VISIBLE**2) / _STEP
    distance, direction = 0.72 * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
    outward = distance * math.cos(direction)
    if outward < -0.25:  # the heart would hide it
        outward = -outward
    side = int(rng.choice((-1, 1)))
    first, second = rng.uniform(0, 0.12, 2)
    return Lesion(
        side=side,
        place=(side * outward, distance * math.sin(direction)),
        z=rng.uniform(-reach, slices - 1 + reach),
        radius=radius,
        hu=rng.uniform(-250, 100),
        lobes=(first, rng.uniform(0, 2 * math.pi), second, rng.uniform(0, 2 * math.pi)),
    )


class Canvas:
    """A slice being drawn: an image in Hounsfield units and the coordinates of its pixels."""

    def __init__(self, image: Image, x: Image, y: Image, pixel: float) -> None:
        self.image, self.x, self.y, self.pixel = image, x, y, pixel

    @classmethod
    def of(cls, patient: Patient, size: int, fill: float) -> Canvas:
        """Return an empty canvas in the patient's own coordinates."""
        pixel = WIDTH / size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * pixel
        x, y = axis[None, :] - patient.centre[0], axis[:, None] - patient.centre[1]
        cos, sin = np.float32(math.cos(patient.angle)), np.float32(math.sin(patient.angle))
        image = np.full((size, size), fill, np.float32)
        return cls(image, cos * x + sin * y, cos * y - sin * x, pixel)

    def near(self, x: float, y: float, reach: float) -> Canvas:
        """Return the part of the canvas within ``reach`` of a point, sharing its pixels."""
        row, column = np.unravel_index(
            np.argmin(np.abs(self.x - x) + np.abs(self.y - y)), self.image.shape
        )
        margin = int(1.2 * reach / self.pixel) + 2
        box = (
            slice(max(0, int(row) - margin), int(row) + margin + 1),
            slice(max(0, int(column) - margin), int(column) + margin + 1),
        )
        return Canvas(self.image[box], self.x[box], self.y[box], self.pixel)

    def ellipse(self, x: float, y: float, a: float, b: float, *, angle: float = 0.0) -> Image:
        """Return the coverage (0 to 1) of an ellipse, its edge one pixel soft."""
        dx, dy = self.x - x, self.y - y
        if angle:
            cos, sin = math.cos(angle), math.sin(angle)
            dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
        radius = np.sqrt((dx / a) ** 2 + (dy / b) ** 2)
        return self._edge((1.0 - radius) * min(a, b))

    def tube(self, start: NDArray[np.float64], end: NDArray[np.float64], wide: float) -> Image:
        """Return the coverage of a line that narrows from radius ``wide`` to 0.4 of it."""
        along = end - start
        length = float(along @ along) or 1.0
        dx, dy = self.x - np.float32(start[0]), self.y - np.float32(start[1])
        t = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1)
        away = np.hypot(dx - t * along[0], dy - t * along[1])
        return self._edge(wide * (1 - 0.6 * t) - away)

    def blob(self, x: float, y: float, radius: float, lobes: tuple[float, ...]) -> Image:
        """Return the coverage of a lobed disc with a soft rim."""
        dx, dy = self.x - x, self.y - y
        angle = np.arctan2(dy, dx)
        bound = radius * (
            1 + lobes[0] * np.cos(3 * angle + lobes[1]) + lobes[2] * np.cos(5 * angle + lobes[3])
        )
        return self._edge((bound - np.hypot(dx, dy)) * 0.7)

    def paint(self, cover: Image, hu: float | Image) -> None:
        """Lay tissue of ``hu`` over the image where ``cover`` says."""
        self.image += cover * (np.asarray(hu, np.float32) - self.image)

    def _edge(self, inside: NDArray[np.floating]) -> Image:
        return np.asarray(np.clip(inside / self.pixel + 0.5, 0, 1), np.float32)


def draw_slice(patient: Patient, z: int, rng: Rng, size: int) -> tuple[Image, bool, Mask]:
    """Return the slice (size, size) in HU, before the scanner's noise, and where it is sick.

    The second value tells whether there is a lesion, the third which pixels are half one at the
    least: lesions end at the lung, and what stands in the middle of the chest covers them.
    """
    canvas = Canvas.of(patient, size, -1000.0)
    width, height = patient.body
    inner = (width - patient.fat, height - patient.fat)
    canvas.paint(canvas.ellipse(0, 0, width, height), -100.0)
    canvas.paint(canvas.ellipse(0, 0, *inner), patient.soft_hu)
    _bones(canvas, patient, inner, rng)
    sick, mask = False, np.zeros((size, size), bool)
    for side in (-1, 1):
        found, where = _lung(canvas, patient, side, z, rng)
        sick, mask = sick or found, mask | where
    for cover, hu in _middle(canvas, patient, inner):
        canvas.paint(cover, hu)
        mask &= cover < 0.5
    return canvas.image, sick, mask


def _bones(canvas: Canvas, patient: Patient, inner: tuple[float, float], rng: Rng) -> None:
    for angle in patient.ribs:
        turn = angle + rng.normal(0, 0.08)
        x, y = 0.93 * inner[0] * math.cos(turn), 0.93 * inner[1] * math.sin(turn)
        slope = math.atan2(inner[1] * math.cos(turn), -inner[0] * math.sin(turn))
        canvas.paint(canvas.ellipse(x, y, 5.0, 1.6, angle=slope), patient.bone_hu)
    back = 0.72 * inner[1]
    canvas.paint(canvas.ellipse(0, back, 7.0, 5.5), patient.bone_hu)
    canvas.paint(canvas.ellipse(0, back + 5.5, 2.2, 2.0), 20.0)


def _lung(canvas: Canvas, patient: Patient, side: int, z: int, rng: Rng) -> tuple[bool, Mask]:
    scale = 1 + patient.taper * (z - 4.5) + rng.normal(0, 0.01)
    a, b = patient.lung[0] * scale, patient.lung[1] * scale
    x = side * (a * 1.18 + 1.0)
    inside = canvas.ellipse(x, 0, a, b, angle=side * 0.08)
    before = canvas.image.copy()
    air = np.float32(patient.lung_hu + rng.normal(0, 60)) + np.float32(patient.gravity) * canvas.y
    canvas.paint(inside, air)
    canvas.image += inside * _texture(rng, canvas.image.shape[0], patient.texture)
    _vessels(canvas, patient, (x, a, b), side, rng)
    _benign(canvas, patient, (x, a, b), rng)
    sick, mask = False, np.zeros(inside.shape, bool)
    for lesion in patient.lesions:
        radius = lesion.radius_at(z) if lesion.side == side else 0.0
        if radius:
            room = max(0.0, 1 - (radius + 1) / min(a, b) - 0.02)
            place = (x + a * min(1.0, room / 0.72) * lesion.place[0], b * lesion.place[1])
            cover = canvas.blob(*place, radius, lesion.lobes)
            canvas.paint(cover, lesion.hu)
            sick, mask = True, mask | (cover >= 0.5)
    canvas.image = before + (canvas.image - before) * (inside > 0)
    return sick, mask & (inside > 0)


def _vessels(
    canvas: Canvas, patient: Patient, lung: tuple[float, float, float], side: int, rng: Rng
) -> None:
    x, a, b = lung
    root = np.array([x - side * 0.75 * a, rng.uniform(-0.2, 0.2) * b])
    for _ in range(rng.poisson(patient.vessels)):
        away, turn = rng.uniform(0.3, 0.95), rng.uniform(0, 2 * math.pi)
        tip = np.array([x + away * a * math.cos(turn), away * b * math.sin(turn)])
        start = root if rng.uniform() < 0.4 else tip + rng.normal(0, 7.0, 2)
        x0, y0 = (start + tip) / 2
        part = canvas.near(x0, y0, math.dist(start, tip) / 2 + 2.5)
        part.paint(part.tube(start, tip, rng.uniform(0.6, 1.3)), patient.blood_hu)


def _benign(canvas: Canvas, patient: Patient, lung: tuple[float, float, float], rng: Rng) -> None:
    """Vessels cut across, calcified granulomas, and thickened pleura."""
    x, a, b = lung
    for _ in range(rng.poisson(3.0)):
        away, turn = 0.9 * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
        radius = rng.uniform(0.8, 1.5)
        hu = patient.bone_hu if rng.uniform() < 0.25 else patient.blood_hu
        place = (x + away * a * math.cos(turn), away * b * math.sin(turn))
        part = canvas.near(*place, radius + 1)
        part.paint(part.ellipse(*place, radius, radius), hu)
    for _ in range(rng.poisson(0.3)):
        turn = rng.uniform(0, 2 * math.pi)
        place = (x + 1.02 * a * math.cos(turn), 1.02 * b * math.sin(turn))
        canvas.paint(canvas.ellipse(*place, rng.uniform(2, 4), rng.uniform(2, 4)), patient.soft_hu)


def _middle(
    canvas: Canvas, patient: Patient, inner: tuple[float, float]
) -> Iterator[tuple[Image, float]]:
    """Yield the cover of each part, and its HU."""
    yield canvas.ellipse(0, 0.1 * inner[1], 7.5, 0.5 * inner[1]), patient.soft_hu
    heart = (3.0, -0.22 * inner[1], 13.0, 10.5)
    yield canvas.ellipse(*heart, angle=0.4), patient.blood_hu
    yield canvas.ellipse(5.0, 0.46 * inner[1], 3.6, 3.6), patient.blood_hu
    yield canvas.ellipse(-1.0, 0.16 * inner[1], 2.4, 2.4), -980.0


def _texture(rng: Rng, size: int, amplitude: float) -> Image:
    from scipy.ndimage import gaussian_filter

    rough = gaussian_filter(rng.standard_normal((size, size), np.float32), 1.8 * size / WIDTH)
    return np.asarray(rough * (amplitude / max(float(rough.std()), 1e-6)), np.float32)


def scan(image: Image, patient: Patient, current_ma: float, rng: Rng) -> NDArray[np.int16]:
    """Return what the scanner measures: blurred, with correlated noise, in whole HU.

    Quantum noise falls with the root of the tube current; ``patient.noise`` stands for how much a
    body absorbs.
    """
    from scipy.ndimage import gaussian_filter

    pixels = image.shape[0] / WIDTH
    white = rng.standard_normal(image.shape, np.float32)
    noise = gaussian_filter(white, patient.blur * pixels) - gaussian_filter(white, 2.5 * pixels)
    wanted = NOISE_HU * patient.noise * math.sqrt(100 / current_ma)
    noise *= wanted / max(float(noise.std()), 1e-6)
    blurred = gaussian_filter(image, patient.blur * pixels)
    return np.asarray(np.clip(np.rint(blurred + noise), -1024, 3071), np.int16)
