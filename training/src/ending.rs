//! How a command ends: one number for a script, as sysexits.h has them and as `paidan` gives them.

use std::io::ErrorKind;
use std::process::ExitCode;

use paidan::model::ArtifactsError;

/// Wrong flags.
const USAGE: u8 = 64;
/// Input or model is not what it should be.
const DATA: u8 = 65;
/// An input is not there.
const NO_INPUT: u8 = 66;
/// Reading or writing failed.
const IO: u8 = 74;

/// For the help.
pub const EXIT_CODES: &str = "Exit codes (sysexits): 0 done, 64 wrong usage, 65 bad data, configuration or model, \
    66 a file is missing, 74 reading or writing failed.";

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
        Some(match cause.downcast_ref::<std::io::Error>()?.kind() {
            ErrorKind::NotFound => NO_INPUT,
            // It was read, and is no text.
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => DATA,
            _ => IO,
        })
    };
    ExitCode::from(error.chain().find_map(number).unwrap_or(DATA))
}
