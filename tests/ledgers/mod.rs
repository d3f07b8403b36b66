//! Ledgers that other tools write, made by the real tools: every state is produced by the tool and judged by the gate.

mod alembic;
mod custom;
mod detect;
mod node;
mod project;
