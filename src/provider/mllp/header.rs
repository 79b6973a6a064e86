//! The fields of a v2 message that the transport lives by: MSH-10, MSH-15, MSH-16, MSA and the code in ERR.
//!
//! This is not a parser of messages (the engine has one); it looks at the header of what is about to be sent, and at an
//! acknowledgement, without decoding anything (HL7 v2.5.1 §2.9.2, §2.9.3).

pub use silta_engine::native::hl7v2::acknowledgement::Code;

/// When an acknowledgement is wanted (table 0155).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// AL: always.
    Always,
    /// NE: never.
    Never,
    /// ER: on error or rejection only.
    ErrorOnly,
    /// SU: on success only.
    SuccessOnly,
}

/// What a message that is to be sent says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// MSH-10.
    pub control_id: &'a [u8],
    /// MSH-15, MSH-16; neither in original mode. Where only one is valued, the other is [`Condition::Never`].
    pub enhanced: Option<(Condition, Condition)>,
}

/// Why a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It does not begin with an MSH segment.
    #[error("it does not begin with MSH and its delimiters")]
    NoHeader,
    /// MSH-10 is empty, so no answer could be matched.
    #[error("MSH-10 is empty")]
    NoControlId,
    /// MSH-15 or MSH-16 is not a code of table 0155.
    #[error("MSH-15 or MSH-16 is not AL, NE, ER or SU")]
    UnknownCondition,
}

/// An acknowledgement, as far as the transport needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// MSA-1.
    pub code: Code,
    /// MSA-2.
    pub control_id: &'a [u8],
    /// ERR-3.1, else ERR-1.4.1 (to 2.4), else MSA-6.1: a code of table 0357.
    pub error: Option<&'a str>,
}

/// Reads the header of a message that is to be sent.
///
/// # Errors
/// When it has no usable MSH or MSH-10.
pub fn outgoing(message: &[u8]) -> Result<Outgoing<'_>, HeaderError> {
    let (separator, msh) = header(message).ok_or(HeaderError::NoHeader)?;
    let control_id = field(msh, separator, 9).trim_ascii();
    if control_id.is_empty() {
        return Err(HeaderError::NoControlId);
    }
    let (accept, application) = (field(msh, separator, 14).trim_ascii(), field(msh, separator, 15).trim_ascii());
    let enhanced = if accept.is_empty() && application.is_empty() {
        None
    } else {
        let condition = |text: &[u8]| match text {
            b"AL" => Ok(Condition::Always),
            b"NE" | b"" => Ok(Condition::Never),
            b"ER" => Ok(Condition::ErrorOnly),
            b"SU" => Ok(Condition::SuccessOnly),
            _ => Err(HeaderError::UnknownCondition),
        };
        Some((condition(accept)?, condition(application)?))
    };
    Ok(Outgoing { control_id, enhanced })
}

/// Reads an acknowledgement; none when there is no MSH, no MSA or an unknown MSA-1.
#[must_use]
pub fn acknowledgement(message: &[u8]) -> Option<Acknowledgement<'_>> {
    let (separator, msh) = header(message)?;
    let encoding = field(msh, separator, 1);
    let component = encoding.first().copied().unwrap_or(b'^');
    let subcomponent = encoding.get(3).copied().unwrap_or(b'&');
    let mut msa = None;
    let mut errors = Vec::new();
    for segment in segments(message) {
        match segment.split_first_chunk::<3>() {
            Some((b"MSA", rest)) if rest.first() == Some(&separator) => msa = msa.or(Some(segment)),
            Some((b"ERR", rest)) if rest.first() == Some(&separator) => errors.push(segment),
            _ => {}
        }
    }
    let msa = msa?;
    let first = |text| nth(text, component, 0).trim_ascii();
    let error = errors
        .iter()
        .map(|err| first(field(err, separator, 3)))
        .chain(errors.iter().map(|err| nth(nth(field(err, separator, 1), component, 3), subcomponent, 0).trim_ascii()))
        .chain([first(field(msa, separator, 6))])
        .find(|code| {
            !code.is_empty() && *code != b"0" && code.len() <= 20 && code.iter().all(u8::is_ascii_alphanumeric)
        });
    Some(Acknowledgement {
        code: Code::of(field(msa, separator, 1).trim_ascii())?,
        control_id: field(msa, separator, 2).trim_ascii(),
        error: error.and_then(|code| std::str::from_utf8(code).ok()),
    })
}

fn header(message: &[u8]) -> Option<(u8, &[u8])> {
    let segment = segments(message).next()?;
    let separator = *segment.strip_prefix(b"MSH")?.first()?;
    (!separator.is_ascii_alphanumeric()).then_some((separator, segment))
}

fn segments(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split(|b| matches!(b, b'\r' | b'\n')).map(<[u8]>::trim_ascii_start).filter(|s| !s.is_empty())
}

/// The n-th piece; of MSH, whose first field is the separator itself, piece n is field n + 1.
fn field(segment: &[u8], separator: u8, n: usize) -> &[u8] {
    nth(segment, separator, n)
}

fn nth(text: &[u8], separator: u8, n: usize) -> &[u8] {
    text.split(|b| *b == separator).nth(n).unwrap_or_default()
}
