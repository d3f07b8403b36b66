CREATE INDEX finance_invoice_customer ON finance_invoice (customer_id, issued_on);
