"""Data sets as people have them → clips; `find` is the way, one file per layout."""

from seqvision.data.readers.find import READERS, DataSet, find_clips, find_data_set

__all__ = ["READERS", "DataSet", "find_clips", "find_data_set"]
