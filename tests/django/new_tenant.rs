//! The values of a new tenant's rows: as Django fills them, as they are given, and all missing ones at once.

use std::fs;

use super::tenants::{clients, empty, schemas};
use crate::support::django::Project;

const MODELS: &str = r#"
"""The tenants, with a column of each kind."""

import uuid
from datetime import timedelta
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django_tenants.models import DomainMixin, TenantMixin


def trial_end():
    return (timezone.now() + timedelta(days=30)).date()


class Plan(models.TextChoices):
    FREE = "free"
    TEAM = "team"


class Client(TenantMixin):
    auto_create_schema = False

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=100)
    folded = models.GeneratedField(expression=Lower("name"), output_field=models.CharField(max_length=100), db_persist=True)
    rank = models.IntegerField(db_default=4)
    created_on = models.DateField(auto_now_add=True)
    note = models.TextField(blank=True)
    contact = models.EmailField(blank=True)
    logo = models.FileField(blank=True)
    phone = models.CharField(max_length=20, blank=True, null=True)
    plan = models.CharField(max_length=10, choices=Plan.choices, default=Plan.FREE)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal("9.50"))
    active = models.BooleanField(default=True)
    languages = ArrayField(models.CharField(max_length=10), default=list)
    hosts = ArrayField(models.CharField(max_length=30), default=lambda_hosts)
    options = models.JSONField(default=dict)
    motto = models.JSONField(default="a \"text\"")
    token = models.UUIDField(default=uuid.uuid4, unique=True)
    trial = models.DateField(default=trial_end)
    grace = models.DurationField(default=timedelta(days=3, hours=2))
    updated = models.DateTimeField(auto_now=True)
REQUIRED

class Domain(DomainMixin):
    certificate = models.TextField(DOMAIN)
"#;

const REQUIRED: &str = "    slug = models.SlugField(unique=True)\n    country = models.CharField(max_length=2)\n    seats = models.IntegerField()\n";

/// The project with such a tenant model; `required` are the fields that only the caller can fill.
fn project(required: &str, domain: &str) -> Project {
    let project = Project::new();
    let hosts = "\n\ndef lambda_hosts():\n    return [\"a b\", 'quote\"d', \"back\\\\slash\"]\n";
    let models = MODELS.trim_start().replace("REQUIRED", required).replace("DOMAIN", domain);
    let models = models.replacen("\n\nclass Plan", &format!("{hosts}\n\nclass Plan"), 1);
    fs::write(project.portcullis.path("customers/models.py"), models).unwrap();
    // Its date is another one than the server's.
    let hour: u32 = project.database.column("SELECT extract(hour FROM now() AT TIME ZONE 'UTC')::int::text")
        [0]
    .parse()
    .unwrap();
    let zone = if hour < 12 { "Etc/GMT+12" } else { "Etc/GMT-14" };
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(settings, text + &format!("TIME_ZONE = \"{zone}\"\n")).unwrap();
    fs::remove_file(project.portcullis.path("customers/migrations/0001_initial.py")).unwrap();
    project.manage(&["makemigrations", "customers", "-v0"]).exits(0);
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project
}

/// Every column of a row except for those that differ by nature.
fn row(project: &Project, schema: &str) -> Vec<String> {
    project.database.column(&format!(
        "SELECT (to_jsonb(c) - '{{id,schema_name,name,folded,token,updated}}'::text[])::text FROM customers_client c \
         WHERE schema_name = '{schema}'"
    ))
}

#[test]
fn a_new_row_equals_the_one_that_django_writes() {
    let project = project("", "blank=True");
    let made = "from customers.models import *\n\
                Domain.objects.create(domain='django.localhost', tenant=Client.objects.create(schema_name='django', name='Django'))";
    project.manage(&["shell", "-v0", "-c", made]).exits(0);
    project.portcullis.run(["tenant", "create", "acme", "--domain", "acme.localhost"]).exits(0);
    assert_eq!(row(&project, "acme"), row(&project, "django"));
    let other_day =
        "SELECT DISTINCT (created_on <> (now() AT TIME ZONE 'UTC')::date)::text FROM customers_client";
    assert_eq!(project.database.column(other_day), ["true"]);
    let tokens = "SELECT count(DISTINCT token)::text FROM customers_client WHERE token IS NOT NULL";
    assert_eq!(project.database.column(tokens), ["2"]);
    let domains = "SELECT DISTINCT certificate || is_primary::text FROM customers_domain";
    assert_eq!(project.database.column(domains), ["true"]);
}

#[test]
fn all_missing_values_are_named_at_once_with_the_command_that_gives_them() {
    let project = project(REQUIRED, "");
    let create = ["tenant", "create", "Acme GmbH", "--schema", "acme", "--domain", "acme.localhost"];
    let refused = project.portcullis.run(create).exits(64);
    refused
        .prints("its registry row needs `slug` (character varying(50)), `country`")
        .prints("and its domain's row needs `certificate` (text)")
        .prints(
            "portcullis tenant create 'Acme GmbH' --schema=acme --domain=acme.localhost \
             --set slug=VALUE --set country=VALUE --set seats=VALUE --domain-set certificate=VALUE",
        );
    assert!(schemas(&project).is_empty() && clients(&project).is_empty());
    let create = |last: [&str; 2]| {
        project.portcullis.run([
            "tenant",
            "create",
            "acme",
            "--domain",
            "acme.localhost",
            "--set",
            "slug=acme",
            "--set",
            "country=DE",
            "--set",
            "seats=3",
            "--domain-set",
            last[0],
            "--domain-set",
            last[1],
        ])
    };
    create(["is_primary=true", "is_primary=false"])
        .exits(64)
        .prints("--domain-set certificate=VALUE")
        .prints_not("seats=VALUE");
    create(["certificate=x", "colour=red"]).exits(64).prints("no column `colour`");
    create(["certificate=x", "is_primary=false"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    assert_eq!(
        project.database.column("SELECT certificate || is_primary::text FROM customers_domain"),
        ["xfalse"]
    );
}

#[test]
fn a_step_gives_the_values_of_its_tenants_and_of_their_domains() {
    let mut project = project(REQUIRED, "");
    project.set("CREATE_DEMO_TENANT", "1");
    let run = r#"run = ["python", "manage.py", "bootstrap_demo_tenants", "demo"] }"#;
    project.configure(&format!(r#"tenants = ["demo"], {run}"#), r#"tenants = ["demo", "trial"] }"#);
    let missing = project.portcullis.run(["tenant", "bootstrap"]).exits(78);
    missing
        .prints("`demo`")
        .prints("`trial`")
        .prints(r#"values = { slug = "...", country = "...", seats = "..." }"#);
    assert!(clients(&project).is_empty());
    let values = r#"tenants = ["demo", "trial"], values = { slug = "the-{schema}", country = "DE", seats = 3, active = false }, domain = { domain = "{schema}.localhost", colour = "red" } }"#;
    project.configure(r#"tenants = ["demo", "trial"] }"#, values);
    project
        .portcullis
        .run(["tenant", "bootstrap"])
        .exits(73)
        .prints("`domain` in the step's `bootstrap`")
        .prints("no column `colour`");
    project.configure("colour = \"red\"", "certificate = \"x\"");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("2 created");
    let rows = "SELECT c.schema_name || ' ' || slug || ' ' || seats || ' ' || active || ' ' || d.domain || ' ' || d.certificate \
                FROM customers_client c JOIN customers_domain d ON d.tenant_id = c.id ORDER BY 1";
    assert_eq!(
        project.database.column(rows),
        ["demo the-demo 3 false demo.localhost x", "trial the-trial 3 false trial.localhost x"]
    );
    project.portcullis.run(["verify"]).exits(0).prints("2 tenants complete");
}

#[test]
fn values_of_a_step_with_its_own_command_are_an_error() {
    let project = empty();
    project.configure(
        "bootstrap = { tenants = [\"demo\"],",
        "bootstrap = { values = { name = \"x\" }, tenants = [\"demo\"],",
    );
    project.portcullis.run(["check"]).exits(78).prints("`values` has no effect with `run`");
}
