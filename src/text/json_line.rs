//! A line of JSON from outside. What is wrong with it is said by its field and its place, never by its words: serde's own text may
//! quote what a citizen wrote.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;

/// Longest name of a field that is repeated to whoever sent it, in characters.
const MAX_NAME: usize = 40;

/// Why a line is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct JsonFault {
    /// Path of the field, such as `basis[0].level`; `None` where it is none in particular.
    pub field: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads one object. The names of fields are ours, and told; so is one that we do not know.
pub fn json_line<T: DeserializeOwned>(line: &str) -> Result<T, JsonFault> {
    let mut reader = serde_json::Deserializer::from_str(line);
    let Object(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path();
        fault(path.iter().next().map(|_| path.to_string()), error.inner())
    })?;
    reader.end().map_err(|error| fault(None, &error))?;
    Ok(value)
}

/// A list of objects, for `deserialize_with`.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|Object(value)| value).collect())
}

/// What is written with the names of its fields. serde also reads a struct from a list of values in the order of its fields, so that
/// any row of an array of texts would pass for one.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

fn fault(path: Option<String>, error: &serde_json::Error) -> JsonFault {
    let place = format!("line {} column {}", error.line(), error.column());
    let said = error.to_string();
    let said = said.strip_suffix(&format!(" at {place}")).unwrap_or(&said);
    // These quote names of fields and nothing else.
    let names = ["unknown field", "missing field", "duplicate field"].iter().any(|kind| said.starts_with(kind));
    let (field, reason) = match error.classify() {
        Category::Data if names => (None, shortened(said)),
        Category::Data if path.is_some() => (path, format!("has the wrong type (column {})", error.column())),
        Category::Eof => (None, "the JSON object is cut off".to_owned()),
        // A value of another kind is told before its first character is read.
        _ => (None, format!("not a JSON object (column {})", error.column().max(1))),
    };
    JsonFault { field, reason }
}

/// The same with a long name, between its backticks, cut.
fn shortened(said: &str) -> String {
    let Some((kind, (name, rest))) = said.split_once('`').and_then(|(kind, rest)| Some((kind, rest.split_once('`')?))) else {
        return said.to_owned();
    };
    let cut: String = name.chars().take(MAX_NAME).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{kind}`{cut}{more}`{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        #[serde(default, deserialize_with = "objects")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        level: String,
    }

    fn told(line: &str) -> String {
        json_line::<Outer>(line).expect_err("a fault").to_string()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path_and_not_by_what_stands_there() {
        let said = told(r#"{"name": "a", "inner": [{"level": "x"}, {"level": 13800000000}]}"#);
        assert!(said.starts_with("inner[1].level: has the wrong type (column ") && !said.contains("138"), "{said}");
        assert_eq!(told("5"), "not a JSON object (column 1)");
    }

    #[test]
    fn a_list_of_values_is_no_object_though_it_has_as_many_as_an_object_has_fields() {
        assert_eq!(told(r#"["secret", []]"#), "not a JSON object (column 1)");
        let said = told(r#"{"name": "a", "inner": [{"level": "x"}, ["secret"]]}"#);
        assert!(said.starts_with("inner[1]: has the wrong type (column "), "{said}");
    }

    #[test]
    fn names_of_fields_are_told_long_ones_in_part() {
        assert_eq!(told(r#"{"nam": "secret"}"#), "unknown field `nam`, expected `name` or `inner`");
        assert_eq!(told(r#"{"inner": []}"#), "missing field `name`");
        assert_eq!(told(r#"{"name": "secret", "name": "secret"}"#), "duplicate field `name`");
        let said = told(&format!(r#"{{"{}": 1}}"#, "很长".repeat(1000)));
        assert_eq!(said, format!("unknown field `{}…`, expected `name` or `inner`", "很长".repeat(20)));
    }

    #[test]
    fn what_is_cut_off_or_no_object_or_has_something_behind_it_is_said() {
        assert_eq!(told(r#"{"name": "a"#), "the JSON object is cut off");
        assert_eq!(told("secret words"), "not a JSON object (column 1)");
        assert_eq!(told(r#"{"name": "a"} secret"#), "not a JSON object (column 15)");
    }
}
