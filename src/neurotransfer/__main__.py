"""`python -m neurotransfer` is the command `neurotransfer`."""

from neurotransfer.cli import main

if __name__ == "__main__":
    main()
