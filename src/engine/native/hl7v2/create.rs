//! A message to begin with.

use super::super::Limits;
use super::super::charset::Charset;
use super::super::error::SyntaxError;
use super::super::tree::Tree;
use super::{Options, Separators, parse};

/// A message of nothing but MSH-1, MSH-2 and the version (MSH-12); with `declare`, MSH-18 says the character set where
/// table 0211 has a code for it. The rest is set by an [`Edit`](super::super::Edit).
///
/// # Errors
/// [`SyntaxError`] where the version holds a separator or the separators are no separators.
pub fn create(separators: Separators, version: &str, charset: Charset, declare: bool) -> Result<Tree, SyntaxError> {
    let field = char::from(separators.field);
    let encoding = String::from_utf8_lossy(&separators.encoding()).into_owned();
    let mut text = format!("MSH{field}{encoding}");
    text.extend(std::iter::repeat_n(field, 10));
    text.push_str(version);
    if let Some(code) = charset.hl7_code().filter(|_| declare) {
        text.extend(std::iter::repeat_n(field, 6));
        text.push_str(code);
    }
    text.push('\r');
    parse(text.into_bytes(), &Options { charset }, &Limits::default())
}
