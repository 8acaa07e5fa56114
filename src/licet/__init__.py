"""Licet turns a deal in Salesforce into an answer in the product."""

__version__ = "0.1.0"
