"""What holds the notebooks together as a course, all of it generated: links, tables, maps and the web site.

`python -m helpers.show.course` writes it anew without executing a notebook; `make notebooks` does so at its end.
"""

from helpers.show.course.renew import outdated, renew

__all__ = ["outdated", "renew"]
