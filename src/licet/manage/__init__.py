"""What people change: keys, aliases, memberships, domains, the catalog."""
