//! One tag, and a list of them by their keys.

/// Key to values, in the order given; a bare tag is a key without values.
pub type Tags = Vec<(Box<str>, Vec<Box<str>>)>;

/// Key and value of a tag: what stands before its first colon and after it, without blanks around; the value of a bare tag is
/// empty. `None` where there is no key.
pub fn split(tag: &str) -> Option<(&str, &str)> {
    let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
    let key = key.trim();
    (!key.is_empty()).then(|| (key, value.trim()))
}

/// The tag with this key and value, which is empty for a bare one.
pub fn text(key: &str, value: &str) -> String {
    if value.is_empty() { key.to_owned() } else { [key, ":", value].concat() }
}

/// Adds a tag, once.
pub fn add(tags: &mut Tags, key: &str, value: &str) {
    let place = tags.iter().position(|(known, _)| **known == *key).unwrap_or_else(|| {
        tags.push((key.into(), Vec::new()));
        tags.len() - 1
    });
    let values = tags.get_mut(place).map(|(_, values)| values).filter(|_| !value.is_empty());
    if let Some(values) = values
        && !values.iter().any(|known| **known == *value)
    {
        values.push(value.into());
    }
}

/// Adds a tag for each of these values.
pub fn add_each<'a>(tags: &mut Tags, key: &str, values: impl IntoIterator<Item = &'a Box<str>>) {
    values.into_iter().for_each(|value| add(tags, key, value));
}

/// A key or bare tag as it is compared: in lower case, with `_` for every sign and before the capitals of `camelCase`.
pub(super) fn word(text: &str) -> String {
    let (mut word, mut was_small) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        if was_small && character.is_uppercase() {
            word.push('_');
        }
        was_small = character.is_lowercase() || character.is_numeric();
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        } else {
            word.push('_');
        }
    }
    word
}
