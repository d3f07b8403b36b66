-- replaces: 3-x
SELECT 1