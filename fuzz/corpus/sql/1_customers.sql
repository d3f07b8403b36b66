CREATE TABLE crm_customer (
    id    bigint PRIMARY KEY,
    name  text NOT NULL,
    email text NOT NULL
);

INSERT INTO crm_customer (id, name, email) VALUES
    (1, 'Northwind Traders', 'accounts@northwind.example'),
    (2, 'Blue Harbour Shipping', 'billing@blueharbour.example'),
    (3, 'Ostrava Steelworks', 'finance@ostrava-steel.example');
