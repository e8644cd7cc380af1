//! How a command ends: one number for a script, as sysexits.h has them and as `paidan` gives them.

use std::io::ErrorKind;
use std::process::ExitCode;

use candle_core::Error as CandleError;
use paidan::model::ArtifactsError;
use paidan_training::checkpoint::RunError;

/// Wrong flags.
const USAGE: u8 = 64;
/// Input or model is not what it should be.
const DATA: u8 = 65;
/// An input is not there.
const NO_INPUT: u8 = 66;
/// Another run has it.
const UNAVAILABLE: u8 = 69;
/// Reading or writing failed.
const IO: u8 = 74;

/// For the help.
pub const EXIT_CODES: &str = "Exit codes (sysexits): 0 done, 64 wrong usage, 65 bad data, configuration or model, \
    66 a file is missing, 69 another run is at work there, 74 reading or writing failed.";

/// Help and version are an answer; everything else that clap says is a wrong use.
pub fn of_usage(error: &clap::Error) -> ExitCode {
    // If not even this can be written there is nobody left to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// The first cause that decides gives the number.
pub fn of_error(error: &anyhow::Error) -> ExitCode {
    let number = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(ArtifactsError::MissingFile { .. }) = cause.downcast_ref() {
            return Some(NO_INPUT);
        }
        match cause.downcast_ref() {
            Some(RunError::Missing(_)) => return Some(NO_INPUT),
            Some(RunError::InUse(_)) => return Some(UNAVAILABLE),
            None => {}
        }
        Some(match cause.downcast_ref::<std::io::Error>()?.kind() {
            ErrorKind::NotFound => NO_INPUT,
            // It was read, and is no text.
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => DATA,
            _ => IO,
        })
    };
    ExitCode::from(error.chain().find_map(number).unwrap_or(DATA))
}

/// The error and its causes, on one line; a cause that an error tells in its own words is not told once more. Under RUST_BACKTRACE
/// candle's errors carry where they came from in their text: of use to us perhaps, and hiding from everybody else the one line that
/// says what to do.
pub fn text(error: &anyhow::Error) -> String {
    let said = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(error) => without_backtrace(error),
        None => cause.to_string(),
    };
    let mut told = String::new();
    for cause in error.chain().map(said) {
        if !told.contains(&cause) {
            let colon = if told.is_empty() { "" } else { ": " };
            told.push_str(&format!("{colon}{cause}"));
        }
    }
    told
}

fn without_backtrace(error: &CandleError) -> String {
    match error {
        CandleError::WithBacktrace { inner, .. } => without_backtrace(inner),
        CandleError::WithPath { inner, path } => format!("{}: {}", path.display(), without_backtrace(inner)),
        CandleError::Context { inner, context } => format!("{context}: {}", without_backtrace(inner)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use super::*;

    #[test]
    fn a_cause_that_an_error_tells_itself_is_told_once() {
        let source = std::io::Error::new(ErrorKind::NotFound, "no such folder");
        let error = anyhow::Error::new(ArtifactsError::Unreadable { path: "base".into(), source });
        assert_eq!(text(&error.context("--base")), "--base: base: no such folder");
    }

    #[test]
    fn an_error_is_told_in_one_line_whatever_it_carries() {
        let inner = Box::new(CandleError::Msg("the gradient is no number at step 3; lower learning_rate".to_owned()));
        let error = CandleError::WithBacktrace { inner, backtrace: Box::new(Backtrace::force_capture()) };
        assert!(error.to_string().lines().count() > 1, "it carries a backtrace");
        let error = CandleError::WithPath { inner: Box::new(error), path: "a".into() };
        let error = anyhow::Error::new(error).context("epoch 2");
        assert_eq!(text(&error), "epoch 2: a: the gradient is no number at step 3; lower learning_rate");
    }
}
