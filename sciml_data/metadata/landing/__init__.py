"""The landing page of one dataset version: HTML for people, with the exports beside it."""
