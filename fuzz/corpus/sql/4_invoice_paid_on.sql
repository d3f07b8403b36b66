ALTER TABLE finance_invoice ADD COLUMN paid_on date;

UPDATE finance_invoice SET paid_on = '2026-01-30' WHERE number IN ('INV-0001', 'INV-0002');
