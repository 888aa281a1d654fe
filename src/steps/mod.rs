//! Floor 3: acts. One verb a file; the provider is only known as a trait.

pub mod csv_rows;
pub mod customers;
pub mod entry_text;
pub mod import;
pub mod import_file;
pub mod import_header;
pub mod import_report;
