"""Models that compare a row with rows seen in training: by kernels, or with the nearest."""
