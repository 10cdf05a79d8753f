"""Read the files of a fleet's directory: documents, data files and includes, all through one bounded reader."""
