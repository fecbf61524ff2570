"""`python -m flambeau.run SCRIPT.py [arguments]`"""

import sys

from flambeau.run.program import main

sys.exit(main(sys.argv[1:]))
