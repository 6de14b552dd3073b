"""The new process of a proof: `python -m hybrid_search.export FOLDER FORMAT INPUTS` prints the comparison as JSON."""

import json
import sys

from hybrid_search.export.proof import compare

if __name__ == "__main__":
    json.dump(compare(*sys.argv[1:4]), sys.stdout)
