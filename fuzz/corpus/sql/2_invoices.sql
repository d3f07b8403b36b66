-- The table whose absence this program exists for.
CREATE TABLE finance_invoice (
    id          bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES crm_customer (id),
    number      text NOT NULL UNIQUE,
    issued_on   date NOT NULL,
    total_cents bigint NOT NULL
);

INSERT INTO finance_invoice (id, customer_id, number, issued_on, total_cents) VALUES
    (1, 1, 'INV-0001', '2026-01-12', 128000),
    (2, 2, 'INV-0002', '2026-01-19', 46050),
    (3, 1, 'INV-0003', '2026-02-02', 9900),
    (4, 3, 'INV-0004', '2026-02-11', 1250075);
