"""The inner loops of the renderer: skinning, projection, hidden surfaces and shading, compiled by numba.

Single precision, one thread, no allocation: the caller owns all buffers. Image axes: x to the right, y down, pixel
centres at half integers. Camera axes: x right, y down, z forward.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Single = NDArray[np.float32]
Whole = NDArray[np.int32]
Bytes = NDArray[np.uint8]

PLAIN, ROWS, COLUMNS, CHECKS, OPEN_FRONT, HALVES = range(6)


def compiled(function: Function) -> Function:
    """The function as machine code, cached on disk; keeps its type."""
    return cast(Function, numba.njit(cache=True, fastmath=True, nogil=True)(function))


@compiled
def vertex_normals(points: Single, faces: Whole, normals: Single) -> None:
    """Unit normals (V, 3) of a mesh, face normals weighted by area; faces counter-clockwise seen from outside."""
    normals[:] = 0.0
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in range(3):
            v = faces[f, corner]
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(points.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + np.float32(1e-20)
        for c in range(3):
            normals[v, c] /= length


@compiled
def skin(
    points: Single, normals: Single, index: Whole, weight: Single, bones: Single, out: Single, out_normals: Single
) -> None:
    """Linear blend skinning of points and normals (V, 3) by four bones per vertex; bones (19, 3, 4)."""
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        p, q, r = normals[v, 0], normals[v, 1], normals[v, 2]
        for c in range(3):
            a = b = d = e = np.float32(0.0)
            for k in range(index.shape[1]):
                w = weight[v, k]
                if w > 0:
                    m = bones[index[v, k], c]
                    a += w * m[0]
                    b += w * m[1]
                    d += w * m[2]
                    e += w * m[3]
            out[v, c] = a * x + b * y + d * z + e
            out_normals[v, c] = a * p + b * q + d * r


@compiled
def project(points: Single, rows: Single, eye: Single, out: Single) -> None:
    """Normalised image coordinates x/z, y/z and depth z in metres (V, 3); rows (3, 3): camera axes in the world."""
    for v in range(points.shape[0]):
        x, y, z = points[v, 0] - eye[0], points[v, 1] - eye[1], points[v, 2] - eye[2]
        depth = rows[2, 0] * x + rows[2, 1] * y + rows[2, 2] * z
        out[v, 0] = (rows[0, 0] * x + rows[0, 1] * y + rows[0, 2] * z) / depth
        out[v, 1] = (rows[1, 0] * x + rows[1, 1] * y + rows[1, 2] * z) / depth
        out[v, 2] = depth


@compiled
def to_pixels(points: Single, left: float, top: float, across: float, down: float, out: Single) -> None:
    """Pixel x, pixel y, depth (V, 3) from normalised image coordinates; across, down: pixels per unit."""
    for v in range(points.shape[0]):
        out[v, 0] = (points[v, 0] - np.float32(left)) * np.float32(across)
        out[v, 1] = (points[v, 1] - np.float32(top)) * np.float32(down)
        out[v, 2] = points[v, 2]


@compiled
def rasterise(screen: Single, faces: Whole, nearness: Single, seen: Whole) -> None:
    """The nearest front-facing triangle of every pixel.

    screen (V, 3): pixel x, pixel y, depth. nearness (H, W): 1 / depth, filled with 0 before; seen (H, W): index
    of the face, filled with -1 before. Triangles behind or very near the camera (depth < 0.1) are left out.
    """
    height, width = seen.shape
    half, slack = np.float32(0.5), np.float32(-1e-5)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, x1, y1, x2, y2 = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        # Seen from outside corners run counter-clockwise, which is clockwise turned over by the downward y axis.
        if area >= 0:
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - half)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - half)), width - 1)
        if left > right:
            continue
        top = max(int(np.ceil(min(y0, y1, y2) - half)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - half)), height - 1)
        if top > bottom or min(screen[a, 2], screen[b, 2], screen[c, 2]) < np.float32(0.1):
            continue
        scale = np.float32(1.0) / area
        n0, n1, n2 = np.float32(1.0) / screen[a, 2], np.float32(1.0) / screen[b, 2], np.float32(1.0) / screen[c, 2]
        for y in range(top, bottom + 1):
            py = np.float32(y) + half
            for x in range(left, right + 1):
                px = np.float32(x) + half
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * scale
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * scale
                w0 = np.float32(1.0) - w1 - w2
                if w0 >= slack and w1 >= slack and w2 >= slack:
                    near = w0 * n0 + w1 * n1 + w2 * n2
                    if near > nearness[y, x]:
                        nearness[y, x] = near
                        seen[y, x] = f


@compiled
def shade(
    screen: Single,
    faces: Whole,
    seen: Whole,
    normals: Single,
    cloth: Single,
    part: Bytes,
    edge: Single,
    colours: Single,
    second: Single,
    pattern: int,
    patterned: int,
    waist: float,
    light: Single,
    ambient: float,
    image: Bytes,
) -> None:
    """Paint the seen faces into image (H, W, 3): part colours, a cloth pattern, one sun and the sky.

    A triangle whose corners belong to several parts is divided along the zero line of edge (V,), else by the
    nearest corner. cloth (V, 3): rest coordinates in metres that carry the pattern of the part number
    `patterned`; second (3,): its other colour; waist: rest height between the halves of HALVES.
    light (3,): unit vector towards the sun in world axes; ambient 0..1: share of light that comes from the sky.
    """
    height, width = seen.shape
    one = np.float32(1.0)
    for y in range(height):
        for x in range(width):
            f = seen[y, x]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            x0, y0, x1, y1 = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1]
            x2, y2 = screen[c, 0], screen[c, 1]
            px, py = np.float32(x) + np.float32(0.5), np.float32(y) + np.float32(0.5)
            scale = one / ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))
            w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * scale
            w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * scale
            w0 = one - w1 - w2
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-12)
            sun = (nx * light[0] + ny * light[1] + nz * light[2]) / length
            # Wrapped diffuse light keeps the dark side of a body readable.
            direct = max(np.float32(0.0), (sun + np.float32(0.3)) / np.float32(1.3))
            sky = np.float32(0.72) + np.float32(0.28) * nz / length
            strength = ambient * sky + (one - ambient) * direct
            strongest = a
            if w1 > w0 and w1 >= w2:
                strongest = b
            elif w2 > w0:
                strongest = c
            p = part[strongest]
            if part[a] != part[b] or part[a] != part[c]:
                e0, e1, e2 = edge[a], edge[b], edge[c]
                first = a if e0 <= e1 and e0 <= e2 else (b if e1 <= e2 else c)
                last = a if e0 >= e1 and e0 >= e2 else (b if e1 >= e2 else c)
                if edge[first] < 0 and edge[last] > 0:
                    p = part[first] if w0 * e0 + w1 * e1 + w2 * e2 < 0 else part[last]
            other = False
            if p == patterned and pattern != PLAIN:
                rx = w0 * cloth[a, 0] + w1 * cloth[b, 0] + w2 * cloth[c, 0]
                ry = w0 * cloth[a, 1] + w1 * cloth[b, 1] + w2 * cloth[c, 1]
                rz = w0 * cloth[a, 2] + w1 * cloth[b, 2] + w2 * cloth[c, 2]
                if pattern == ROWS:
                    other = (int(np.floor(rz / 0.045)) & 1) == 1
                elif pattern == COLUMNS:
                    other = (int(np.floor(rx / 0.035 + 0.5)) & 1) == 1
                elif pattern == CHECKS:
                    other = ((int(np.floor(rz / 0.055)) + int(np.floor(rx / 0.055))) & 1) == 1
                elif pattern == OPEN_FRONT:
                    other = abs(rx) < 0.055 and ry < -0.03
                else:
                    other = rz < waist
            for channel in range(3):
                base = second[channel] if other else colours[p, channel]
                image[y, x, channel] = np.uint8(min(max(base * strength, 0.0), 255.0))


@compiled
def cast_shadow(points: Single, light: Single, rows: Single, eye: Single, frame: Single, ground: Single) -> None:
    """Count in `ground` (h, w) where vertices fall on the floor z = 0 along the light.

    frame (4,): left and top in normalised image coordinates, cells per unit across and down.
    """
    height, width = ground.shape
    for v in range(0, points.shape[0], 3):
        fall = points[v, 2] / light[2]
        x, y = points[v, 0] - fall * light[0] - eye[0], points[v, 1] - fall * light[1] - eye[1]
        z = -eye[2]
        depth = rows[2, 0] * x + rows[2, 1] * y + rows[2, 2] * z
        if depth < 0.1:
            continue
        across = (rows[0, 0] * x + rows[0, 1] * y + rows[0, 2] * z) / depth
        down = (rows[1, 0] * x + rows[1, 1] * y + rows[1, 2] * z) / depth
        column, row = int(np.floor((across - frame[0]) * frame[2])), int(np.floor((down - frame[1]) * frame[3]))
        if 0 <= column < width and 0 <= row < height:
            ground[row, column] += np.float32(1.0)


@compiled
def bounds(points: Single, out: Single) -> None:
    """Least and greatest x and y of points (V, 3): out (2, 2), rows least, greatest."""
    left = top = np.float32(np.inf)
    right = bottom = np.float32(-np.inf)
    for v in range(points.shape[0]):
        left, right = min(left, points[v, 0]), max(right, points[v, 0])
        top, bottom = min(top, points[v, 1]), max(bottom, points[v, 1])
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = left, top, right, bottom


@compiled
def dim(image: Bytes, factor: Single) -> None:
    """Multiply image (H, W, 3) by factor (H, W) in 0..1."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if factor[y, x] < np.float32(1.0):
                for c in range(3):
                    image[y, x, c] = np.uint8(np.float32(image[y, x, c]) * factor[y, x])


@compiled
def expose(image: Bytes, table: Bytes, noise: Bytes, strength: float, out: Bytes) -> None:
    """What the sensor stores: a tone curve per channel, table (256, 3), then noise of `strength` grey levels.

    noise (2, H, W, 3): random bytes. The sum of two has a triangular distribution with standard deviation
    sqrt(2 (256^2 - 1) / 12) = 104.5, near enough to a bell for a sensor and much cheaper to draw.
    """
    grain = np.empty(511, np.int32)
    for total in range(511):
        grain[total] = int(np.floor(strength / 104.5 * (total - 255) + 0.5))
    height, width, channels = image.shape
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                value = table[image[y, x, c], c] + grain[np.int32(noise[0, y, x, c]) + np.int32(noise[1, y, x, c])]
                out[y, x, c] = np.uint8(min(max(value, 0), 255))
