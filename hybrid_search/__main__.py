"""`python -m hybrid_search`: the command line, where its script is not on the path."""

from hybrid_search.cli import main

if __name__ == "__main__":
    main()
