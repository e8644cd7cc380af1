//! Everything that can go wrong with a call, and what the caller is told: a code, a reason for programs, a sentence in English
//! and in Chinese. One match, so that a unary call and an item of a stream can never tell two stories.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::proto;
use crate::rulings::RulingFault;
use crate::store::StoreError;

/// The domain of [`ServiceError::reason`] in google.rpc.ErrorInfo.
const ERROR_DOMAIN: &str = "paidan";

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// A field of the request is at fault.
    #[error("{field}: {description}")]
    Invalid {
        /// Path from RouteAppealRequest.
        field: String,
        /// The kind of mistake, for programs.
        code: &'static str,
        /// What is wrong.
        description: String,
        /// The same in Chinese.
        description_zh: String,
    },
    /// The bytes are not the message.
    #[error("the message could not be decoded: {description}")]
    Malformed {
        /// Path of the field where reading broke off, empty if not known.
        field: String,
        /// What is wrong; never what was sent.
        description: String,
    },
    /// The message is longer than the server reads.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The most it reads, in bytes.
        limit: usize,
    },
    /// The queue is full.
    #[error("too many appeals are waiting; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// When there should be room again.
        retry_after: Duration,
    },
    /// The deadline passed first.
    #[error("the deadline passed before the appeal was answered")]
    DeadlineExceeded,
    /// The same of a call that only reads.
    #[error("the deadline passed before the call was answered")]
    ReadLate,
    /// The same of a call that records something: the answer is late, what it records may be there.
    #[error(
        "the deadline passed before the call was answered; what was sent, such as a ruling, may have been recorded all the same: \
         read it before you send it again"
    )]
    RecordLate,
    /// As many files are imported as there is room for.
    #[error("other files of rulings are being imported; try again in {} s", retry_after.as_secs())]
    ImportsBusy {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// Whoever sends a file stopped half-way.
    #[error("no part of the file came for {} s; nothing of it was recorded, send it again", waited.as_secs())]
    ImportIdle {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The model failed; the log says how.
    #[error("the model failed on this appeal")]
    ModelFailed,
    /// Fields of a ruling are at fault.
    #[error("{}", listed(faults))]
    RulingInvalid {
        /// All of them, with their paths from the request.
        faults: Vec<RulingFault>,
    },
    /// What the store says of a ruling.
    #[error("{description}")]
    Ruling {
        /// Which kind.
        kind: RulingTrouble,
        /// What it says.
        description: String,
    },
    /// The database does not answer, or has no room left.
    #[error("{description}")]
    StoreUnavailable {
        /// STORE_UNAVAILABLE or STORE_FULL.
        reason: &'static str,
        /// What is wrong, without what was sent.
        description: String,
    },
    /// The catalogue that was read has faults; the former stays in use.
    #[error("the catalogue was not exchanged: {}", first(faults))]
    CatalogFaulty {
        /// Each with its place, FILE:LINE.
        faults: Vec<(String, String)>,
    },
    /// There is no catalogue to read again.
    #[error("this server has no catalogue; set catalog.path and start it again")]
    NoCatalog,
    /// The server is stopping.
    #[error("the server is shutting down; send this to another one")]
    ShuttingDown,
}

/// What stands in the way of a change of rulings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulingTrouble {
    /// There is none.
    NotFound,
    /// There is another of its id.
    Exists,
    /// Somebody was first.
    Conflict,
    /// It is not in the right state.
    State,
    /// The order is not known.
    NoOrder,
    /// There is no such case.
    NoCase,
    /// The order is settled.
    Settled,
    /// The order is closed.
    OrderClosed,
    /// The order has an open case.
    CaseOpen,
    /// The id of a report stands for another.
    OtherReturn,
}

/// Faults of a catalogue that a caller is told: they travel in headers, which hold some kilobytes. The log has all of them.
const TOLD_FAULTS: usize = 10;

fn first(faults: &[(String, String)]) -> String {
    let first = faults.first().map_or_else(String::new, |(place, reason)| format!("{place}: {reason}"));
    match faults.len() {
        0 | 1 => first,
        count => format!("{first}; {} more faults", count - 1),
    }
}

fn listed(faults: &[RulingFault]) -> String {
    faults.iter().map(RulingFault::to_string).collect::<Vec<_>>().join("; ")
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        let description = error.to_string();
        let trouble = |kind| Self::Ruling { kind, description: description.clone() };
        match error {
            StoreError::NotFound { .. } => trouble(RulingTrouble::NotFound),
            StoreError::Exists { .. } => trouble(RulingTrouble::Exists),
            StoreError::Conflict { .. } => trouble(RulingTrouble::Conflict),
            StoreError::State { .. } | StoreError::Circular { .. } => trouble(RulingTrouble::State),
            StoreError::NoOrder { .. } => trouble(RulingTrouble::NoOrder),
            StoreError::NoCase { .. } => trouble(RulingTrouble::NoCase),
            StoreError::Settled { .. } => trouble(RulingTrouble::Settled),
            StoreError::OrderClosed { .. } => trouble(RulingTrouble::OrderClosed),
            StoreError::CaseOpen { .. } => trouble(RulingTrouble::CaseOpen),
            StoreError::OtherReturn { .. } => trouble(RulingTrouble::OtherReturn),
            StoreError::PageToken => Self::invalid("page_token", "MALFORMED", &description, "翻页标记无效"),
            StoreError::Full => Self::StoreUnavailable { reason: "STORE_FULL", description },
            StoreError::Unavailable(error) => {
                // The caller hears that it is away; why is for the log, since it may name hosts and users.
                tracing::error!(%error, "the database is not available");
                let description = "the database is not available; try again".to_owned();
                Self::StoreUnavailable { reason: "STORE_UNAVAILABLE", description }
            }
            StoreError::Url
            | StoreError::NoFile { .. }
            | StoreError::File { .. }
            | StoreError::Open(_)
            | StoreError::Migrate(_)
            | StoreError::Damaged { .. } => {
                tracing::error!(%description, "the store failed");
                Self::StoreUnavailable { reason: "STORE_UNAVAILABLE", description: "the store failed; see its log".to_owned() }
            }
        }
    }
}

/// What the caller is told besides the English sentence, which is the error's `Display`.
struct Told {
    code: Code,
    reason: &'static str,
    message_zh: String,
    violations: Vec<proto::FieldViolation>,
    retry_after: Option<Duration>,
}

impl ServiceError {
    /// A field at fault.
    pub fn invalid(field: &str, code: &'static str, description: &str, description_zh: &str) -> Self {
        let [field, description, description_zh] = [field, description, description_zh].map(str::to_owned);
        Self::Invalid { field, code, description, description_zh }
    }

    /// Bytes that are not the message. The decoder's error names messages and fields, never their content.
    pub fn malformed(error: &prost::DecodeError) -> Self {
        let text = error.to_string();
        let (mut fields, mut description) = (Vec::new(), text.as_str());
        for part in text.split(": ") {
            match part.split_once('.') {
                Some((message, field)) if is_name(message) && is_name(field) => fields.push(field),
                _ => description = part,
            }
        }
        // The decoder names them from the inside out.
        fields.reverse();
        Self::Malformed { field: fields.join("."), description: description.to_owned() }
    }

    /// What a program can branch on.
    pub fn reason(&self) -> &'static str {
        self.told().reason
    }

    fn told(&self) -> Told {
        let told =
            |code, reason, message_zh: String| Told { code, reason, message_zh, violations: Vec::new(), retry_after: None };
        match self {
            Self::Invalid { field, code, description, description_zh } => Told {
                violations: vec![violation(field, code, description, description_zh)],
                ..told(Code::InvalidArgument, "APPEAL_INVALID", format!("字段 {field}：{description_zh}"))
            },
            Self::Malformed { field, description } => Told {
                violations: vec![violation(field, "MALFORMED", description, "无法解码")],
                ..told(
                    Code::InvalidArgument,
                    "MESSAGE_MALFORMED",
                    "消息无法解码：不是有效的 protobuf，或文字不是 UTF-8 编码".to_owned(),
                )
            },
            // tonic says OUT_OF_RANGE, others RESOURCE_EXHAUSTED, which asks for a retry that cannot help.
            Self::TooLarge { limit } => {
                told(Code::InvalidArgument, "MESSAGE_TOO_LARGE", format!("消息过大：最多 {limit} 字节，请缩短内容"))
            }
            Self::Overloaded { retry_after } => Told {
                retry_after: Some(*retry_after),
                ..told(
                    Code::ResourceExhausted,
                    "OVERLOADED",
                    format!("排队的诉求过多，请在 {} 毫秒后重试", retry_after.as_millis()),
                )
            },
            Self::DeadlineExceeded => told(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "未能在时限内完成，请重试".to_owned()),
            Self::ReadLate => told(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "未能在时限内答复，请重试".to_owned()),
            Self::RecordLate => told(
                Code::DeadlineExceeded,
                "DEADLINE_EXCEEDED",
                "未能在时限内答复，但所提交的内容（如责任认定）可能已经记录，请先查询再决定是否重新提交".to_owned(),
            ),
            Self::ImportsBusy { retry_after } => Told {
                retry_after: Some(*retry_after),
                ..told(
                    Code::ResourceExhausted,
                    "IMPORTS_BUSY",
                    format!("正在导入其他认定文件，请在 {} 秒后重试", retry_after.as_secs()),
                )
            },
            Self::ImportIdle { waited } => told(
                Code::DeadlineExceeded,
                "IMPORT_IDLE",
                format!("{} 秒内未收到文件的后续内容，未作任何记录，请重新发送", waited.as_secs()),
            ),
            Self::ModelFailed => told(Code::Internal, "MODEL_FAILED", "模型处理该诉求时出错，请转人工派单".to_owned()),
            Self::RulingInvalid { faults } => Told {
                violations: faults.iter().map(|one| violation(&one.field, "INVALID", &one.reason, "填写有误")).collect(),
                ..told(Code::InvalidArgument, "RULING_INVALID", format!("认定记录有 {} 处填写有误", faults.len()))
            },
            Self::Ruling { kind: RulingTrouble::NotFound, .. } => {
                told(Code::NotFound, "RULING_NOT_FOUND", "没有这条认定".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::Exists, .. } => {
                told(Code::AlreadyExists, "RULING_EXISTS", "该编号已有内容不同的认定，修改时请带上 etag".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::Conflict, .. } => {
                told(Code::Aborted, "RULING_CHANGED", "该认定刚被他人修改，请重新读取后再改".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::State, .. } => {
                told(Code::FailedPrecondition, "RULING_STATE", "该认定的状态不允许此操作".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::NoOrder, .. } => {
                told(Code::NotFound, "ORDER_NOT_FOUND", "系统中没有这张工单，请随退单一并发送诉求内容".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::NoCase, .. } => {
                told(Code::NotFound, "CASE_NOT_FOUND", "没有这个案卷".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::Settled, .. } => {
                told(Code::FailedPrecondition, "ORDER_SETTLED", "该工单已有责任认定，不能再退单；如需改变请另作认定".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::OrderClosed, .. } => {
                told(Code::FailedPrecondition, "ORDER_CLOSED", "该工单已办结".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::CaseOpen, .. } => {
                told(Code::FailedPrecondition, "CASE_OPEN", "该工单的案卷尚待裁定，不能办结".to_owned())
            }
            Self::Ruling { kind: RulingTrouble::OtherReturn, .. } => {
                told(Code::AlreadyExists, "RETURN_EXISTS", "该请求编号已用于另一次退单".to_owned())
            }
            Self::StoreUnavailable { reason, .. } => Told {
                retry_after: Some(Duration::from_secs(1)),
                ..told(Code::Unavailable, reason, "数据库暂不可用，未作任何记录，请稍后重试".to_owned())
            },
            Self::CatalogFaulty { faults } => Told {
                violations: faults
                    .iter()
                    .take(TOLD_FAULTS)
                    .map(|(place, reason)| violation(place, "INVALID", reason, "目录有误"))
                    .collect(),
                ..told(
                    Code::FailedPrecondition,
                    "CATALOG_FAULTY",
                    format!("新的派单目录有 {} 处错误，未启用，仍使用原目录", faults.len()),
                )
            },
            Self::NoCatalog => {
                told(Code::FailedPrecondition, "NO_CATALOG", "本服务未配置派单目录，请设置 catalog.path 后重新启动".to_owned())
            }
            Self::ShuttingDown => told(Code::Unavailable, "SHUTTING_DOWN", "服务正在停止，请改用其他服务器".to_owned()),
        }
    }
}

fn violation(field: &str, reason: &str, description: &str, description_zh: &str) -> proto::FieldViolation {
    let [field, reason, description, description_zh] = [field, reason, description, description_zh].map(str::to_owned);
    proto::FieldViolation { field, reason, description, description_zh }
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let told = error.told();
        let mut details = ErrorDetails::new();
        let violation = told.violations.first().map(|violation| ("violation".to_owned(), violation.reason.clone()));
        details.set_error_info(told.reason, ERROR_DOMAIN, violation.into_iter().collect::<HashMap<_, _>>());
        details.set_localized_message("zh-CN", told.message_zh);
        for violation in told.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some(delay) = told.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(told.code, error.to_string(), details)
    }
}

impl From<ServiceError> for proto::ItemStatus {
    fn from(error: ServiceError) -> Self {
        let told = error.told();
        Self {
            code: told.code as i32,
            reason: told.reason.to_owned(),
            message: error.to_string(),
            message_zh: told.message_zh,
            field_violations: told.violations,
            retry_delay: told.retry_after.map(super::convert::duration),
        }
    }
}
