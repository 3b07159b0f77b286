"""A jump on the spot: crouch, take off, fly, land, stand."""

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, TOE
from unbraid.world.motion.keys import driven
from unbraid.world.motion.run import GRAVITY
from unbraid.world.motion.standing import HEIGHT, Stance, in_place
from unbraid.world.motion.style import Style, gain, varied
from unbraid.world.people.skeleton import SIDES, Floats

GROUND_SECONDS, FLIGHT_SECONDS = 1.25, 0.38
# Shares of the time on the ground: deepest crouch, take-off; after landing: heels down, softest, upright again.
BOTTOM, LEAVES = 0.26, 0.42
HEELS_DOWN, SOFTEST, UPRIGHT = 0.10, 0.22, 0.48
# Hip over ankle in leg lengths, pitch of the foot (heels up) in radians and its speed per second, at both ends of the
# flight; legs are not quite straight, because a knee cannot stop at once.
TAKE_OFF, LANDING = (0.955, -34 * DEGREE, -7.0), (0.955, -24 * DEGREE, 5.0)


def jump(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Crouch, take off, fly, land, stand, with swinging arms.

    Source: the flight is free fall of the hips; all else is not in a paper, chosen by looking.
    """
    style = varied(style, random)
    start, size = random.uniform(), style.stride * random.uniform(0.93, 1.05)
    return jump_at(style, start, times, size)


def jump_at(style: Style, start: float, times: Floats, size: float) -> Motion:
    """The jump at `times` (T,) seconds after phase `start` (cycles); size: gain of crouch and height."""
    ground = GROUND_SECONDS / style.cadence
    upwards, flight, downwards = _flight(FLIGHT_SECONDS * float(np.sqrt(size)))
    bottom, leaves, whole = BOTTOM * ground, LEAVES * ground, ground + flight
    lands = leaves + flight
    heels, softest, upright = (lands + share * ground for share in (HEELS_DOWN, SOFTEST, UPRIGHT))
    time = (start * whole + times) % whole
    pitch = driven(
        time,
        (0.0, 0.0, 0.0),
        (0.7 * bottom + 0.3 * leaves, 0.0, 0.0),
        (leaves, *TAKE_OFF[1:]),
        (leaves + 0.4 * flight, -48 * DEGREE, 0.0),
        (lands, *LANDING[1:]),
        (heels, 0.0, 0.0),
        (whole, 0.0, 0.0),
    )
    pitch = np.minimum(pitch, 0.0)
    # Legs and heels together give the hips their speed at take-off and landing.
    length = driven(
        time,
        (0.0, HEIGHT, 0.0),
        (bottom, HEIGHT - 0.25 * size * (0.6 + 0.4 * style.knee), 0.0),
        (leaves, TAKE_OFF[0], upwards - _ankle_slope(TAKE_OFF[1]) * TAKE_OFF[2]),
        (leaves + 0.3 * flight, 0.982, 0.0),
        (leaves + 0.7 * flight, 0.982, 0.0),
        (lands, LANDING[0], downwards - _ankle_slope(LANDING[1]) * LANDING[2]),
        (softest, HEIGHT - 0.21 * size * (0.6 + 0.4 * style.knee), 0.0),
        (upright, HEIGHT, 0.0),
        (whole, HEIGHT, 0.0),
    )
    low = driven(
        time,
        (0.0, 0.0, 0.0),
        (bottom, 1.0, 0.0),
        (leaves, 0.0, 0.0),
        (lands, 0.0, 0.0),
        (softest, 0.8, 0.0),
        (upright, 0.0, 0.0),
        (whole, 0.0, 0.0),
    )
    flown = np.clip(time - leaves, 0, flight)
    hips = TAKE_OFF[0] + _ankle(TAKE_OFF[1]) + upwards * flown - GRAVITY * flown**2 / 2
    lift = np.where((time > leaves) & (time < lands), np.maximum(hips - length - _ankle(pitch), 0.0), 0.0)
    stance = Stance(
        style,
        time / whole,
        back=0.10 * size * low,
        height=length + _ankle(pitch),
        heels=pitch,
        pitch=16 * DEGREE * low,
        bend=DEGREE * (22 + 8 * style.trunk) * low,
        nod=-8 * DEGREE * low,
    )
    figure, _ = stance.figure()
    swing = driven(
        time,
        (0.0, 0.0, 0.0),
        (0.8 * bottom, -32.0, 0.0),
        (leaves + 0.4 * flight, 96.0, 0.0),
        (lands + 0.15 * ground, 20.0, 0.0),
        (upright, 0.0, 0.0),
        (whole, 0.0, 0.0),
    )
    for _, sign in SIDES:
        side = gain(style.arm_asymmetry, sign)
        figure.arm(
            sign,
            flexion=DEGREE * swing * (0.7 + 0.3 * style.arm_swing * side),
            abduction=style.abduction + 0.06,
            elbow=DEGREE * (14 + 0.25 * style.elbow_swing * np.sqrt(swing**2 + 25)) + style.elbow,
        )
    return in_place(figure, lift)


def _ankle(pitch: Floats | float) -> Floats:
    """Height of the ankle over that of a flat foot when the heel is up by -pitch and the toes stay."""
    return np.asarray(-TOE[1] * np.sin(-np.asarray(pitch)) - TOE[2] * (np.cos(pitch) - 1))


def _ankle_slope(pitch: float) -> float:
    """Change of `_ankle` with pitch."""
    return float(TOE[1] * np.cos(pitch) + TOE[2] * np.sin(pitch))


def _flight(seconds: float) -> tuple[float, float, float]:
    """Speed at take-off, duration and (negative) speed at landing of hips that land lower or higher than they left.

    seconds: duration of a flight between equal heights.
    """
    upwards = GRAVITY * seconds / 2
    change = LANDING[0] - TAKE_OFF[0] + float(_ankle(LANDING[1]) - _ankle(TAKE_OFF[1]))
    duration = (upwards + float(np.sqrt(upwards**2 - 2 * GRAVITY * change))) / GRAVITY
    return upwards, duration, upwards - GRAVITY * duration
