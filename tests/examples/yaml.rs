//! YAML as JSON values, the way every reader of these files sees it.

use serde_json::Value;

use crate::support::examples;

/// Every document of a file of this repository.
pub(crate) fn documents(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(examples::path(name)).unwrap();
    parse(name, &text)
}

/// The only document of a file.
pub(crate) fn document(name: &str) -> Value {
    let mut documents = documents(name);
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

pub(crate) fn parse(name: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The strings of a list.
pub(crate) fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}
