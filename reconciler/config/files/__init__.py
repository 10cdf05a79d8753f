"""The files of a fleet's directory: documents, data files and includes, all read through one bounded reader."""
