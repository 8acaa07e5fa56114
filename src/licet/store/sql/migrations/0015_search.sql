-- People search a customer by any word of its name, as they type. Each of these finds the names whose words from the
-- second, third or fourth on begin with a text, as customer_name does for the first: a prefix of an ordered index costs
-- what it returns, however common the word is, and needs no extension.
SET LOCAL lock_timeout = '3s';

CREATE INDEX customer_name_2 ON customer (lower(substring(name FROM '^\W*(?:\w+\W+){1}(\w.*)$')) text_pattern_ops)
    WHERE lower(substring(name FROM '^\W*(?:\w+\W+){1}(\w.*)$')) IS NOT NULL;
CREATE INDEX customer_name_3 ON customer (lower(substring(name FROM '^\W*(?:\w+\W+){2}(\w.*)$')) text_pattern_ops)
    WHERE lower(substring(name FROM '^\W*(?:\w+\W+){2}(\w.*)$')) IS NOT NULL;
CREATE INDEX customer_name_4 ON customer (lower(substring(name FROM '^\W*(?:\w+\W+){3}(\w.*)$')) text_pattern_ops)
    WHERE lower(substring(name FROM '^\W*(?:\w+\W+){3}(\w.*)$')) IS NOT NULL;
-- An alias without its system: who looks for tenant:4711 has 4711 before him.
CREATE INDEX customer_alias_value ON customer_alias (substr(alias, strpos(alias, ':') + 1), alias)
    WHERE upper_inf(valid) AND upper_inf(recorded);
