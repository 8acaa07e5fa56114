-- name: tables
-- The limits' tables: one like Licet's, one with scalars alone.
CREATE TABLE whole (LIKE customer INCLUDING ALL) WITH (fillfactor = 70);
CREATE TABLE narrow (
    customer_id    text COLLATE "C" PRIMARY KEY,
    name           text,
    account_manager text,
    sales_engineer text,
    terms          boolean,
    sku1           boolean,
    sku2           boolean,
    sku3           boolean
) WITH (fillfactor = 70)

-- name: rows
-- The rows that Licet has just written.
SELECT customer_id, name, account_manager, sales_engineer, deleted, fields::text, first_delivery, last_delivery,
       revision, created_at, updated_at
FROM customer WHERE customer_id = ANY(%s)

-- name: whole
-- The same rows, all columns.
INSERT INTO whole
SELECT customer_id, name, account_manager, sales_engineer, deleted, fields::json, first_delivery, last_delivery,
       revision, created_at, updated_at
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::bigint[], %s::bigint[],
            %s::bigint[], %s::timestamptz[], %s::timestamptz[])
    AS r (customer_id, name, account_manager, sales_engineer, deleted, fields, first_delivery, last_delivery,
          revision, created_at, updated_at)
ON CONFLICT (customer_id) DO UPDATE
SET name = excluded.name, account_manager = excluded.account_manager, sales_engineer = excluded.sales_engineer,
    deleted = excluded.deleted, fields = excluded.fields, last_delivery = excluded.last_delivery,
    revision = excluded.revision, updated_at = excluded.updated_at

-- name: narrow
-- The same customers, scalars alone.
INSERT INTO narrow
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::boolean[], %s::boolean[],
                     %s::boolean[])
ON CONFLICT (customer_id) DO UPDATE
SET name = excluded.name, account_manager = excluded.account_manager, sales_engineer = excluded.sales_engineer,
    terms = excluded.terms, sku1 = excluded.sku1, sku2 = excluded.sku2, sku3 = excluded.sku3
