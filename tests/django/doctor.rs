//! `portcullis doctor` on the Django example: its apps, and the code that creates tenants.

use std::fs;

use serde_json::Value;

use crate::support::django::Project;

/// The outcome and the message of one check.
pub(super) fn check(project: &Project, id: &str) -> (String, String) {
    let outcome = project.portcullis.run(["doctor", "--format", "json"]);
    let printed: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"));
    let found = printed["checks"].as_array().unwrap().iter().find(|check| check["id"] == id);
    let check = found.unwrap_or_else(|| panic!("no check {id}\n{outcome}"));
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("message"))
}

#[test]
fn code_that_creates_tenants_itself_is_reported_with_its_line() {
    let project = Project::complete();
    project.portcullis.run(["doctor"]).exits(0);
    let (outcome, printed) = check(&project, "tenant-creation");
    assert_eq!(outcome, "passed", "{printed}");
    let view = "from customers.models import Client\n\n\ndef sign_up(request):\n    Client.objects.create(schema_name=\"x\")\n";
    fs::write(project.portcullis.path("customers/sign_up_by_hand.py"), view).unwrap();
    let (outcome, printed) = check(&project, "tenant-creation");
    assert_eq!(outcome, "warned", "{printed}");
    assert!(printed.contains("customers/sign_up_by_hand.py:5"), "{printed}");
}

#[test]
fn a_project_app_without_tables_in_any_tenant_is_reported() {
    let project = Project::new();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let (outcome, printed) = check(&project, "tenant-apps");
    assert_eq!((outcome.as_str(), printed.as_str()), ("passed", "contacts, finance"));
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    let moved = text
        + "\nTENANT_APPS = [app for app in TENANT_APPS if app != \"finance\"]\nSHARED_APPS = [*SHARED_APPS, \"finance\"]\n";
    fs::write(&settings, moved).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let (outcome, printed) = check(&project, "tenant-apps");
    assert_eq!(outcome, "warned", "{printed}");
    assert!(printed.contains("finance"), "{printed}");
}
