//! What a person said about the columns of a file, kept in a file for the next import.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::domain::customer::columns::Column;
use crate::steps::import::header::is_same_header;
use crate::steps::import::options::parse_map;

/// The first line of a kept file.
const HEADING: &str = "# What the columns of an export mean: ringonce customers import --map-file";

/// The flags of an import that say what its columns mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnMap {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub as_variable: Vec<String>,
    /// Headers by their columns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<String, String>,
}

impl ColumnMap {
    /// Reads a kept file.
    pub fn parse(text: &str) -> Result<ColumnMap, String> {
        let kept: ColumnMap =
            toml::from_str(text).map_err(|error| error.to_string().trim().to_string())?;
        kept.columns()?;
        Ok(kept)
    }

    /// The text of a file to keep.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{HEADING}\n{}", toml::to_string(self)?))
    }

    /// Flags of today go before what was kept.
    pub fn over(self, kept: ColumnMap) -> ColumnMap {
        let mut map = kept.map;
        map.extend(self.map.clone());
        // A header that a flag gives another meaning loses the kept one.
        let is_mapped = |name: &str| self.map.values().any(|header| is_same_header(header, name));
        let is_variable =
            |name: &str| self.as_variable.iter().any(|header| is_same_header(header, name));
        map.retain(|column, header| {
            self.map.contains_key(column) || !(is_mapped(header) || is_variable(header))
        });
        let mut as_variable = kept.as_variable;
        as_variable.retain(|name| !is_mapped(name) && !is_variable(name));
        as_variable.extend(self.as_variable);
        ColumnMap {
            default_country: self.default_country.or(kept.default_country),
            country_column: self.country_column.or(kept.country_column),
            date_format: self.date_format.or(kept.date_format),
            encoding: self.encoding.or(kept.encoding),
            as_variable,
            map,
        }
    }

    /// The columns with their headers. A header has one meaning: of two, one would be dropped.
    pub fn columns(&self) -> Result<Vec<(Column, String)>, String> {
        let parse = |(column, header)| parse_map(&format!("{column}={header}"));
        let columns: Vec<(Column, String)> =
            self.map.iter().map(parse).collect::<Result<_, _>>()?;
        for (index, (column, header)) in columns.iter().enumerate() {
            let is_same = |(_, other): &&(Column, String)| is_same_header(other, header);
            if let Some((other, _)) = columns[..index].iter().find(is_same) {
                return Err(format!(
                    "the column \"{header}\" cannot be both {other} and {column}: map it once"
                ));
            }
            if self.as_variable.iter().any(|name| is_same_header(name, header)) {
                return Err(format!(
                    "the column \"{header}\" cannot be both {column} and a variable: give --map \
                     or --as-variable"
                ));
            }
        }
        Ok(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_back_as_it_was_kept_and_flags_go_first() {
        let map = |phone: &str| BTreeMap::from([("phone".to_string(), phone.to_string())]);
        let kept = ColumnMap {
            default_country: Some("US".to_string()),
            as_variable: vec!["Plan \"A\"".to_string()],
            map: map("Phone = Number"),
            ..ColumnMap::default()
        };
        assert_eq!(ColumnMap::parse(&kept.text().unwrap()), Ok(kept.clone()));
        let flags = ColumnMap { map: map("Tel"), ..ColumnMap::default() };
        let both = flags.over(kept);
        assert_eq!((both.map, both.default_country.as_deref()), (map("Tel"), Some("US")));
        let flags = ColumnMap { as_variable: vec!["tel".to_string()], ..ColumnMap::default() };
        let kept = ColumnMap { map: map("Tel"), ..ColumnMap::default() };
        assert_eq!(flags.over(kept).map, BTreeMap::new());
        for text in [
            "[map]\nphone = 'Tel'\nemail = 'tel'",
            "as_variable = ['Tel']\n[map]\nphone = 'tel'",
            "[map]\nfone = 'x'",
            "colour = 'red'",
            "[map]\nphone = ''",
        ] {
            assert!(ColumnMap::parse(text).is_err(), "{text}");
        }
    }
}
