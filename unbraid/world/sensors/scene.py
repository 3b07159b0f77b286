"""Painted surroundings: what a camera sees behind people. Four kinds of place, muted colours, no text."""

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.world.people.skeleton import Floats

HEIGHT, WIDTH, HORIZON = 720, 1280, 240
PLACES = ("street", "park", "hall", "yard")
Canvas = NDArray[np.float32]


def paint(random: np.random.Generator) -> tuple[str, NDArray[np.uint8]]:
    """One place: its kind (of PLACES) and its picture (HEIGHT, WIDTH, 3) RGB with the horizon in row HORIZON."""
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    number = int(random.integers(len(PLACES)))
    (_street, _park, _hall, _yard)[number](canvas, random)
    canvas += _grain(random, HEIGHT, WIDTH)[..., None]
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2)
    return PLACES[number], np.asarray(np.clip(canvas, 0, 255), np.uint8)


def _street(canvas: Canvas, random: np.random.Generator) -> None:
    """House fronts with windows behind a pavement."""
    canvas[:HORIZON] = _muted(random, 150, 210, 7)
    base = HORIZON + int(random.integers(20, 60))
    left = -int(random.integers(0, 120))
    while left < WIDTH:
        width = int(random.integers(130, 320))
        _front(canvas, random, left, width, int(random.integers(0, 60)), base)
        left += width
    _floor(canvas, random, base, _muted(random, 105, 150, 5), bands=int(random.integers(6, 14)))


def _front(canvas: Canvas, random: np.random.Generator, left: int, width: int, top: int, base: int) -> None:
    """One house front with a grid of windows and perhaps a door."""
    wall = _muted(random, 90, 190, 8)
    _box(canvas, left, top, left + width, base, wall)
    glass, step = _muted(random, 40, 110, 7), int(random.integers(46, 74))
    for x in range(left + step // 3, left + width - step // 2, step):
        for y in range(top + step // 3, base - step, step):
            _box(canvas, x, y, x + step // 2, y + int(step * 0.6), glass * random.uniform(0.8, 1.3))
    if random.random() < 0.7:
        door = left + int(random.integers(10, max(11, width - 50)))
        _box(canvas, door, base - 96, door + 44, base, _muted(random, 50, 120, 18))


def _park(canvas: Canvas, random: np.random.Generator) -> None:
    """Trees and hedges behind a lawn or gravel path."""
    canvas[:HORIZON] = np.linspace(1.06, 0.96, HORIZON)[:, None, None] * _muted(random, 175, 215, 6)
    base = HORIZON + int(random.integers(10, 40))
    hedge = np.array([70.0, 92.0, 62.0]) * random.uniform(0.7, 1.2)
    _box(canvas, 0, HORIZON - int(random.integers(20, 80)), WIDTH, base, hedge)
    for _ in range(int(random.integers(8, 16))):
        x, foot = int(random.integers(0, WIDTH)), base + int(random.integers(-6, 24))
        crown = np.array([74.0, 104.0, 58.0]) * random.uniform(0.6, 1.25) * random.uniform(0.9, 1.1, 3)
        _box(canvas, x - 7, foot - 150, x + 7, foot, np.array([84.0, 66.0, 50.0]))
        for _ in range(7):
            spot = (x + int(random.normal() * 32), foot - 165 + int(random.normal() * 30))
            shade = crown * random.uniform(0.8, 1.15)
            cv2.circle(canvas, spot, int(random.integers(22, 48)), tuple(map(float, shade)), -1)
    ground = np.array([96.0, 116.0, 74.0]) if random.random() < 0.5 else np.array([156.0, 144.0, 122.0])
    _floor(canvas, random, base, ground * random.uniform(0.85, 1.1), bands=0)


def _hall(canvas: Canvas, random: np.random.Generator) -> None:
    """Panelled wall with doors and pictures behind a smooth floor."""
    base = HORIZON + int(random.integers(40, 100))
    wall = _muted(random, 135, 205, 8)
    _box(canvas, 0, 0, WIDTH, base, wall)
    panel = int(random.integers(90, 180))
    for x in range(0, WIDTH, panel):
        _box(canvas, x, 0, x + 3, base, wall * 0.8)
        if random.random() < 0.4:
            _box(canvas, x + 16, base - 190, x + 16 + min(80, panel - 26), base, _muted(random, 70, 150, 16))
        elif random.random() < 0.5:
            _box(canvas, x + 20, HORIZON - 90, x + 20 + min(64, panel - 30), HORIZON - 20, _muted(random, 60, 200, 22))
    _box(canvas, 0, base - 10, WIDTH, base, wall * 0.65)
    _floor(canvas, random, base, _muted(random, 120, 175, 5), bands=int(random.integers(4, 10)))


def _yard(canvas: Canvas, random: np.random.Generator) -> None:
    """Parked cars, a fence and a far wall behind asphalt."""
    canvas[:HORIZON] = _muted(random, 165, 215, 8)
    base = HORIZON + int(random.integers(24, 60))
    _box(canvas, 0, HORIZON - int(random.integers(40, 140)), WIDTH, base, _muted(random, 110, 165, 9))
    for x in range(0, WIDTH, int(random.integers(40, 90))):
        _box(canvas, x, HORIZON - 60, x + 4, base, _muted(random, 70, 100, 5))
    _floor(canvas, random, base, _muted(random, 85, 125, 4), bands=int(random.integers(0, 4)))
    left = int(random.integers(0, 140))
    while left < WIDTH:
        paint_colour, low = _muted(random, 50, 190, 22), base + 16
        _box(canvas, left + 34, low - 84, left + 150, low - 44, paint_colour * 0.6)
        _box(canvas, left, low - 52, left + 190, low - 8, paint_colour)
        for wheel in (left + 40, left + 148):
            cv2.circle(canvas, (wheel, low - 10), 17, (36.0, 36.0, 38.0), -1)
        left += int(random.integers(230, 420))


def _floor(canvas: Canvas, random: np.random.Generator, base: int, tone: Floats, *, bands: int) -> None:
    """Ground from row `base` down, brighter towards the viewer, with cross joints closer together far away."""
    rows = np.arange(base, HEIGHT)
    nearness = (rows - HORIZON) / (HEIGHT - HORIZON)
    canvas[base:] = (tone * (0.86 + 0.22 * nearness)[:, None])[:, None]
    for number in range(bands):
        row = HORIZON + int((base - HORIZON) / max(0.05, 1 - number / bands))
        if base < row < HEIGHT:
            _box(canvas, 0, row, WIDTH, row + 1 + int(3 * (row - HORIZON) / HEIGHT), tone * 0.82)
    texture = cv2.resize(random.normal(size=(60, 60)).astype(np.float32), (WIDTH, HEIGHT - base))
    canvas[base:] += 3.5 * texture[..., None] * (0.4 + nearness)[:, None, None].astype(np.float32)


def _grain(random: np.random.Generator, height: int, width: int) -> Canvas:
    """Smooth noise (height, width) of three sizes, a few grey levels."""
    total = np.zeros((height, width), np.float32)
    for cell, strength in ((3, 2.0), (12, 2.5), (60, 4.0)):
        small = random.normal(size=(height // cell, width // cell)).astype(np.float32)
        total += strength * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


def _muted(random: np.random.Generator, low: float, high: float, tint: float) -> Floats:
    """A greyish colour (3,) of brightness low..high with a slight tint."""
    return np.clip(random.uniform(low, high) + tint * random.normal(size=3), 10, 245)


def _box(canvas: Canvas, left: int, top: int, right: int, bottom: int, tone: Floats) -> None:
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), tuple(map(float, tone)), -1)
