"""The playground of notebook 08: photograph left, face right, and sliders.

`face`, `look`, `person`, `directions` and `download` hold what is computed, `drawing` draws it for those who only read, `widget`
is the page in the browser (app.js, app.css), and `app` joins them.
"""

from helpers.show.playground.app import Playground

__all__ = ["Playground"]
