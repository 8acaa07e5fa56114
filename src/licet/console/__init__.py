"""The web page for sales, support and on-call: ``/console``, rendered here, useful without a script.

A page is a module with its handlers, a template, and where it stands in the navigation a row of ``NAV`` (``frame``).
"""
