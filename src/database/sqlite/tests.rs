//! SQLite, in a folder of its own.
