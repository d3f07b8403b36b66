//! `migrate --plan` and `--approve`, and the waves of `apply.waves`.

mod approval;
mod django;
mod locks;
mod waves;

use serde_json::Value;

use crate::support::portcullis::Portcullis;

/// The JSON of `migrate --plan`.
fn plan(portcullis: &Portcullis) -> Value {
    let outcome = portcullis.run(["migrate", "--plan", "--format", "json"]).exits(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn hash(plan: &Value) -> &str {
    plan["hash"].as_str().unwrap()
}
