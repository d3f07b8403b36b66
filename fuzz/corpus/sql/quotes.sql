CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $x$ SELECT ';' -- ' 
$x$; SELECT E'a\';', /* /* ; */ */ U&"d\0061t"; ALTER TABLE a ADD b int DEFAULT 1;
