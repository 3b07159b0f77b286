"""`python -m unbraid`, the same as the command."""

import sys

from unbraid.cli import main

if __name__ == "__main__":
    sys.exit(main())
