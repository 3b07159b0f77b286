"""From files on disk to batches: media, clips, augmentation, sampling, loading, and one reader per data set."""
