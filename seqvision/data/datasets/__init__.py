"""Data sets in their published layouts → clips; `detect` is the way, one file per layout."""

from seqvision.data.datasets.detect import READERS, DataSet, find_clips, find_data_set

__all__ = ["READERS", "DataSet", "find_clips", "find_data_set"]
