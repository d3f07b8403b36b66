--
/* -- replaces: 1
/* */