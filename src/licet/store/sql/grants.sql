-- What the services' role may do, where another role owns the tables (licet migrate --grant-to ROLE).
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
REVOKE UPDATE, DELETE ON audit_entry FROM {role};
REVOKE DELETE ON license FROM {role};
REVOKE INSERT, UPDATE, DELETE ON schema_migration FROM {role};
