//! Ledgers that other tools write, made by the real tools: every state is produced by the tool and judged by the gate.

mod alembic;
mod custom;
mod databases;
mod detect;
mod laravel;
mod node;
mod project;
mod rails;
mod rust;
mod tool;
