//! Memory that a step gave back is kept for the next one. Training takes and frees tensors of many megabytes with every operation, and
//! glibc by itself asks the system for each of them and returns it: a quarter of a step was spent on pages that were just there.
//! mimalloc and jemalloc were tried in its place and gain little, since they return large blocks too.
//!
//! glibc reads its limits from the environment when a program starts, so the program starts once more, in its own place: the same
//! process, the same arguments, two variables more. No allocator of ours, and no unsafe call.

/// glibc's names, and what they are set to, in bytes: nothing is asked for apart, nothing returned.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LIMITS: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "4294967296"), ("MALLOC_TRIM_THRESHOLD_", "17179869184")];

/// Call it first. Whoever set one of the variables is left alone, and where the program cannot be started anew it goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_memory() {
    use std::os::unix::process::CommandExt;

    if LIMITS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut arguments = std::env::args_os();
        let mut again = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // It comes back only with an error, and then nothing was lost but time.
        let _ = again.args(arguments).envs(LIMITS).exec();
    }
}

/// Other systems' allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_memory() {}
