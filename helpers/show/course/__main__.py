"""Write everything that is generated: `python -m helpers.show.course`."""

from helpers.show.course.renew import renew

for path in renew():
    print(path)
