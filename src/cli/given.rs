//! What flags and variables say: blank is as good as not given, and blanks and line ends around it do not count.
//!
//! That is how a CI passes on a variable that is not set, and what is left of a file from Windows.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::cli;
use crate::cli::Failure;

/// What was given, without what is blank around it; nothing where all of it is blank.
pub(crate) fn given(raw: Option<&OsString>) -> Option<&OsStr> {
    raw.map(|raw| OsStr::from_bytes(raw.as_bytes().trim_ascii())).filter(|given| !given.is_empty())
}

/// The same as text; `name` is the flag.
pub(crate) fn text<'a>(name: &'static str, raw: Option<&'a OsString>) -> Result<Option<&'a str>, Failure> {
    let text = |given: &'a OsStr| given.to_str().ok_or_else(|| Failure::usage(NotText::new(name, given)));
    given(raw).map(text).transpose()
}

/// What should be text and is not.
#[derive(Debug, thiserror::Error)]
#[error("{name}: `{shown:.80}` is not UTF-8")]
pub(crate) struct NotText {
    /// The flag.
    name: &'static str,
    shown: String,
}

impl NotText {
    pub(crate) fn new(name: &'static str, given: &OsStr) -> Self {
        Self { name, shown: given.to_string_lossy().into_owned() }
    }
}

/// What comes of something that was given and cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The command is not run.
    Fails,
    /// It is warned about, and left out.
    IsTold,
}

impl Unusable {
    /// The value; nothing in its place where that is told.
    pub(crate) fn settle<T>(self, read: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match read {
            Err(failure) if self == Self::IsTold => {
                cli::note(&format!("warning: {}; it is left out", cli::with_causes(&failure)));
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_is_not_given() {
        #[track_caller]
        fn check(raw: &[u8], expected: Option<&[u8]>) {
            let raw = OsStr::from_bytes(raw).to_owned();
            assert_eq!(given(Some(&raw)), expected.map(OsStr::from_bytes));
            assert_eq!(text("--flag", Some(&raw)).is_ok(), expected.is_none_or(<[u8]>::is_ascii));
        }
        check(b"", None);
        check(b" \t\r\n", None);
        check(b"acme", Some(b"acme"));
        check(b" http://a/b c\r\n", Some(b"http://a/b c"));
        check(b"\xff\n", Some(b"\xff"));
        assert_eq!(given(None), None);
    }
}
