"""Write everything that is generated: `python -m helpers.course`."""

from helpers.course.renew import renew

for path in renew():
    print(path)
