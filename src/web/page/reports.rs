//! `GET /reports`: the figures of `ringonce report` and of the API.

use maud::{Markup, html};

use crate::http::response::Response;
use crate::steps::results::report::{Figures, ReportBy};
use crate::web::api::report::made;
use crate::web::asked::Asked;
use crate::web::page::html::{section, table};
use crate::web::page::layout::page;

pub fn reports(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let report = made(asked)?;
    let chosen = html! {
        form.filter method="get" action="/reports" {
            (date("from", "From", &report.from))
            (date("to", "To", &report.to))
            label.field for="by" {
                span { "One row for each" }
                select id="by" name="by" {
                    @for by in ReportBy::ALL {
                        option value=(by.as_str()) selected[by.as_str() == report.by] {
                            (by.as_str())
                        }
                    }
                }
            }
            button { "Show" }
        }
    };
    let rows = report.rows.iter().map(|row| cells(&row.key, &row.figures));
    let total = (!report.rows.is_empty()).then(|| cells("total", &report.total));
    let header =
        [report.by, "Due", "Called", "Reached", "Skipped", "Failed", "In doubt", "Minutes", "Cost"];
    let body = html! {
        div.head { h1 { "Reports" } }
        (section("Figures", html! {
            (chosen)
            (table("Figures", header, rows.chain(total), "Nothing fell due in these days."))
        }))
        (section("Skipped, by reason", skipped(&report.total)))
    };
    Ok(page(asked, "Reports", body))
}

fn date(name: &str, label: &str, value: &str) -> Markup {
    html! {
        label.field for=(name) {
            span { (label) }
            input id=(name) name=(name) type="date" value=(value) required;
        }
    }
}

fn cells(key: &str, figures: &Figures) -> [Markup; 9] {
    let minutes = format!("{:.1}", figures.minutes);
    let cost = format!("${:.2}", figures.cost);
    [
        html! { (key) },
        html! { (figures.due) },
        html! { (figures.called) },
        html! { (figures.reached) },
        html! { (figures.skipped.values().sum::<i64>()) },
        html! { (figures.failed) },
        html! { (figures.in_doubt) },
        html! { (minutes) },
        html! { (cost) },
    ]
}

fn skipped(total: &Figures) -> Markup {
    let rows = total.skipped.iter().map(|(reason, count)| [html! { (reason) }, html! { (count) }]);
    table("Skipped", ["Reason", "Occasions"], rows, "Nothing was skipped.")
}
