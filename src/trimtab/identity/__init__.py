"""Who is who: tenants, people, service accounts, roles, keys, sessions, tokens."""
