"""The playground of notebook 08: widgets over the fit, to be driven by hand.

`face` and `person` hold what is computed, `drawing` draws it quickly, `upload`, `landmark_editor` and `download` talk
to the browser, and each of `choose`, `change`, `live`, `two` and `guess` is a panel of the page. `app` joins them.
"""

from helpers.show.playground.app import Playground

__all__ = ["Playground"]
