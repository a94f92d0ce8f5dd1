"""The command line: `atomos`, or `python -m atomos`."""

from atomos.cli import main

if __name__ == "__main__":
    main()
