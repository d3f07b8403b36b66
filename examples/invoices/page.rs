//! Renders the pages: HTML from values.

use crate::database::Invoice;

/// A tenant's invoices as a table.
pub fn invoices(tenant: &str, invoices: &[Invoice]) -> String {
    let rows: String = invoices.iter().map(row).collect();
    let open: i64 =
        invoices.iter().filter(|(.., paid_on)| paid_on.is_none()).map(|(_, _, _, cents, _)| cents).sum();
    let body = format!(
        "<p class=\"tenant\">{}</p>\n<h1>Invoices</h1>\n<p>{} in all, {} still open.</p>\n\
         <table>\n<thead><tr><th>Number</th><th>Customer</th><th>Issued</th>\
         <th class=\"amount\">Total</th><th>State</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>",
        escape(tenant),
        invoices.len(),
        money(open),
    );
    document("Invoices", &body)
}

/// A page that reports an error.
pub fn problem(title: &str, detail: &str) -> String {
    document(title, &format!("<h1>{}</h1>\n<p>{}</p>", escape(title), escape(detail)))
}

fn row((number, customer, issued_on, cents, paid_on): &Invoice) -> String {
    let state = match paid_on {
        Some(day) => format!("<td>paid {}</td>", escape(day)),
        None => "<td class=\"open\">open</td>".to_owned(),
    };
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"amount\">{}</td>{state}</tr>\n",
        escape(number),
        escape(customer),
        escape(issued_on),
        money(*cents),
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<link rel=\"stylesheet\" href=\"/static/invoices.css\">\n</head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escape(title),
    )
}

fn money(cents: i64) -> String {
    format!("€ {}.{:02}", cents / 100, (cents % 100).abs())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
