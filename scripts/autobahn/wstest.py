"""Starts the Autobahn test suite (Python 2.7) from a private directory of packages: wstest.py DIRECTORY ARGUMENTS..."""
import site
import sys

site.addsitedir(sys.argv.pop(1))

from autobahntestsuite import wstest  # noqa: E402, needs the directory above

wstest.run()
