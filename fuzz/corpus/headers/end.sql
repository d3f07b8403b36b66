/* a* a*Èõ
--Replaces: 0001-00ÿ* a*/42