-- People search a customer by a word of its name, as they type. Each of these finds the names whose second or third word
-- (and the two after it) begin with a text, as customer_name does for the first: a prefix of an ordered index costs what
-- it returns, however common the word is, and needs no extension.
SET LOCAL lock_timeout = '3s';

CREATE INDEX customer_name_2 ON customer (
    lower(split_part(name, ' ', 2) || ' ' || split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4)) text_pattern_ops)
    WHERE split_part(name, ' ', 2) <> '';
CREATE INDEX customer_name_3 ON customer (
    lower(split_part(name, ' ', 3) || ' ' || split_part(name, ' ', 4) || ' ' || split_part(name, ' ', 5)) text_pattern_ops)
    WHERE split_part(name, ' ', 3) <> '';
-- An alias without its system: who looks for tenant:4711 has 4711 before him.
CREATE INDEX customer_alias_value ON customer_alias (substr(alias, strpos(alias, ':') + 1), alias)
    WHERE upper_inf(valid) AND upper_inf(recorded);
