"""The browser of these tests."""

from pages.browser import chromium  # noqa: F401
