"""Recorded motion of real people as a motion source of the world: ASF/AMC, BVH and packed CMU clips.

Files become `Clip`s with their own skeleton (asf, bvh, packed), clips become `Recording`s on our nineteen bones
(names, retarget), parts of recordings belong to sessions (takes), and `Capture` gives them in a personal style
(restyle, source).
"""

from unbraid.world.capture.clip import Clip
from unbraid.world.capture.opening import open_motion
from unbraid.world.capture.source import Capture

__all__ = ["Capture", "Clip", "open_motion"]
