"""``python -m capsight``: the command line."""

from capsight.cli import main, stopping

if __name__ == "__main__":
    stopping.catch()
    main()
