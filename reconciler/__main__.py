"""The program `reconciler`, also as `python -m reconciler`."""

import gc


def main() -> None:
    """Run the command line and exit with its code."""
    # A short command reads much and throws little away: looking for garbage costs more than the garbage.
    gc.disable()
    from reconciler.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
