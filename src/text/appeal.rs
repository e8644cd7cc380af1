//! An appeal (诉求) as the rest of the house may trust it: parsed once at the door.

/// The longest text that is accepted, in characters (Unicode scalar values).
pub const MAX_APPEAL_CHARS: usize = 20_000;

/// What a caller sends: nothing is checked yet. Empty strings mean "not given", since while someone types there is only text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppealFields {
    /// The caller's own id of the appeal, echoed in the answer.
    pub id: String,
    /// The citizen's words as the operator typed them.
    pub text: String,
    /// RFC 3339 date-time or date of receipt.
    pub received_at: String,
    /// 咨询, 投诉, 求助, 建议, …
    pub appeal_type: String,
    /// The operator's subject path, broadest level first.
    pub category: Vec<String>,
    /// District (区, 县) that the appeal is about.
    pub district: String,
    /// Where it came in: phone, app, web, ….
    pub channel: String,
    /// The departments that the dispatcher has in mind, by id or name.
    pub proposed_departments: Vec<String>,
}

/// An appeal that exists is a good one. Its fields can be read, not written.
#[derive(Debug, Clone, PartialEq)]
pub struct Appeal {
    fields: AppealFields,
}

/// Why an appeal was refused: the field, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct AppealError {
    /// Path of the field, as in the proto: `text`, `category[2]`.
    pub field: String,
    /// Lower-case English, no full stop.
    pub reason: String,
    /// The same for hotline staff.
    pub reason_zh: String,
}

impl Appeal {
    /// Parses what a caller sent.
    pub fn parse(fields: AppealFields) -> Result<Self, AppealError> {
        Ok(Self { fields })
    }

    /// An appeal of nothing but text.
    pub fn from_text(text: &str) -> Result<Self, AppealError> {
        Self::parse(AppealFields { text: text.to_owned(), ..AppealFields::default() })
    }

    /// All fields, trimmed and within their limits.
    pub fn fields(&self) -> &AppealFields {
        &self.fields
    }
}
