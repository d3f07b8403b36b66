/* a
 licence */

--Replaces: 0001-0042
--- replaces : 43 - 44,,
SELECT 1; -- replaces: 45
