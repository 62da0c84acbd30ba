"""`python -m segbench`."""

from segbench.commands.app import main

if __name__ == "__main__":
    main()
