"""The command line as `python -m relunet`."""

from relunet.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
