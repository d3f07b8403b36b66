-- What a tenant may subscribe to; the same for all of them.
CREATE TABLE billing_plan (
    code          text PRIMARY KEY,
    monthly_cents bigint NOT NULL
);

INSERT INTO billing_plan (code, monthly_cents) VALUES ('starter', 900), ('team', 4900);
