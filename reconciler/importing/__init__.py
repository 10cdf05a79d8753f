"""Join bodies and running agents -> the files of a new fleet. Pure: texts come in, texts go out.

`shell` and `curl` find the bodies in commands, `bodies` reads them, `references` takes the credentials out, `files`
writes YAML. Nothing here expands a variable of this machine, runs anything, or keeps the value of a credential.
"""
