"""TCFDNet: gait across camera and LiDAR, with what the sensor adds told by texts and taken out."""
