"""Write everything that is generated: `python -m helpers.show.course`."""

from .renew import renew

for path in renew():
    print(path)
