"""Join bodies and running agents -> the files of a new fleet. Pure: texts come in, texts go out.

`shell` and `curl` find the bodies in commands, `bodies` parses them, `references` replaces credentials, `files` writes
YAML. Nothing here expands a variable of this machine, runs a program, or returns the value of a credential.
"""
