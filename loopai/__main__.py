"""`python -m loopai` is the `loopai` command."""

from loopai.cli.main import main

if __name__ == "__main__":
    main()
