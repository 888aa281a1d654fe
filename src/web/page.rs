//! The operator's pages: plain HTML from the server, without script. A command exists for everything
//! that a page shows or does.

pub mod alarms;
pub mod calls;
pub mod chart;
pub mod customer;
pub mod customers;
pub mod done;
pub mod forms;
pub mod html;
pub mod kept_input;
pub mod layout;
pub mod lists;
pub mod login;
pub mod reports;
pub mod standing;
pub mod today;
pub mod words;

use crate::domain::customer::Customer;
use crate::domain::customer::name::{Kind, id, with_kind};
use crate::store::{self, Conn};
use crate::web::api::customers::one;

/// The customer of a page's address. The links of the pages say `id:7`: that id wins, even if another
/// customer's external id is the text `id:7`.
pub fn linked(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    let id = with_kind(text).filter(|(kind, _)| *kind == Kind::Id).and_then(|(_, name)| id(name));
    match id.map_or(Ok(None), |id| store::customers::by_id(conn, id))? {
        Some(customer) => Ok(customer),
        None => one(conn, text),
    }
}
