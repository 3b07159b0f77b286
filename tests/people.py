"""A made-up data set that a small network can learn in seconds: one colour an identity, one brightness a camera."""

from pathlib import Path

import numpy as np

from unbraid.data.sets.folder import save_frames, save_index

IDENTITIES = {"train": 4, "test": 3}
CAMERAS = 2


def write_people(root: Path, *, size: tuple[int, int] = (64, 32), frames: int = 5, per_camera: int = 2) -> Path:
    """A tracklet folder: 4 training and 3 test identities, each `per_camera` times before 2 cameras."""
    generator = np.random.default_rng(0)
    rows = []
    for part, number in IDENTITIES.items():
        for identity in range(number):
            name = f"{part}{identity}"
            colour = generator.integers(40, 200, 3)
            for camera in range(CAMERAS):
                for take in range(per_camera):
                    key = f"{name}-c{camera}-{take}"
                    images = [_picture(size, colour, 20 + 60 * camera, generator) for _ in range(frames)]
                    split = part if part == "train" else ("query" if take == 0 else "gallery")
                    rows.append(
                        {
                            "key": key,
                            "split": split,
                            "modality": "rgb",
                            "identity": name,
                            "frames": save_frames(root, key, images),
                            "camera": f"cam{camera}",
                        }
                    )
    save_index(root, rows, {"name": "people", "synthetic": True})
    return root


def _picture(size: tuple[int, int], colour: np.ndarray, background: int, generator: np.random.Generator) -> np.ndarray:
    height, width = size
    image = np.full((height, width, 3), background, dtype=np.float64)
    left = width // 4 + int(generator.integers(-2, 3))
    image[height // 8 :, left : left + width // 2] = colour
    return np.clip(image + generator.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
