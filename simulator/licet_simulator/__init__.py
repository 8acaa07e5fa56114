"""A false Salesforce. It knows Licet over HTTP only."""
