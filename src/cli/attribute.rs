//! `-a name=value`: an attribute of an event on the command line.

use serde_json::Map;
use serde_json::Value;

/// One attribute: `name=text`, or `name:=json` for a number, a boolean or anything else JSON has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Why something is no attribute, or no list of them. The flag's parser shows nothing but this, so it says its cause itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttributeError {
    #[error("\"{0}\" has no \"=\": write name=value")]
    NoValue(String),
    #[error("the value of \"{text}\" is not JSON: {error}")]
    Json { text: String, error: serde_json::Error },
    #[error("\"{0}\" has no name before \"=\"")]
    NoName(String),
    #[error("the attribute \"{0}\" is given twice")]
    Twice(String),
    #[error("the attribute \"{0}\" is what exec finds out itself")]
    FoundOut(String),
}

/// Reads one attribute.
pub(crate) fn parse(text: &str) -> Result<Attribute, AttributeError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(AttributeError::NoValue(text.to_owned()));
    };
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let parsed = serde_json::from_str(value);
            (name, parsed.map_err(|error| AttributeError::Json { text: text.to_owned(), error })?)
        }
        None => (name, Value::String(value.to_owned())),
    };
    if name.is_empty() {
        return Err(AttributeError::NoName(text.to_owned()));
    }
    Ok(Attribute { name: name.to_owned(), value })
}

/// All attributes of one event; a name that is given twice is a mistake.
pub(crate) fn collect(attributes: &[Attribute]) -> Result<Map<String, Value>, AttributeError> {
    let mut all = Map::new();
    for attribute in attributes {
        if all.insert(attribute.name.clone(), attribute.value.clone()).is_some() {
            return Err(AttributeError::Twice(attribute.name.clone()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::Attribute;
    use super::collect;
    use super::parse;

    #[test]
    fn attributes_are_text_or_json() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, Value)>) {
            let expected = expected.map(|(name, value)| Attribute { name: name.to_owned(), value });
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
        check("a=b", Some(("a", json!("b"))));
        check("a=", Some(("a", json!(""))));
        check("a=b=c", Some(("a", json!("b=c"))));
        check("a=1", Some(("a", json!("1"))));
        check("a:=1", Some(("a", json!(1))));
        check("a:=true", Some(("a", json!(true))));
        check("a:=[\"x\"]", Some(("a", json!(["x"]))));
        check("service.name=a b", Some(("service.name", json!("a b"))));
        check("a", None);
        check("=b", None);
        check(":=1", None);
        check("a:=", None);
        check("a:=b", None);
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let twice = [parse("a=1").unwrap(), parse("b=1").unwrap(), parse("a=2").unwrap()];
        assert!(collect(&twice).is_err());
        assert_eq!(collect(&twice[..2]).unwrap().len(), 2);
    }
}
