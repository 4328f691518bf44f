"""The browser of these tests; other folders import the same fixture in a `conftest.py` of theirs."""

from pages.browser import chromium  # noqa: F401
