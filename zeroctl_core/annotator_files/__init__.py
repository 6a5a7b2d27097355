"""The files of the annotators' networks: found below folders, fetched when that is asked for, checked by loading."""
