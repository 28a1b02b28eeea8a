"""The script that Streamlit runs, once for every touch of a widget: `main.py BUNDLE`."""

import sys

from lamina.apps.try_app import page

page.show(sys.argv[1])
