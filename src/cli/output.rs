//! Writing for people: bars, widths of Chinese characters, colours where there is a terminal.

use std::io::IsTerminal;

/// Colours, or none: only for a terminal, and not if `NO_COLOR` is set (no-color.org).
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// For standard output.
    pub fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// What matters most.
    pub fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is there to be looked up.
    pub fn soft(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What a person should look at.
    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A bar of at most `width` cells for a share in [0, 1].
pub fn bar(share: f32, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f32 * 8.0).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let full = "█".repeat(eighths / 8);
    let drawn = eighths / 8 + usize::from(!eighths.is_multiple_of(8));
    format!("{full}{rest}{}", " ".repeat(width.saturating_sub(drawn)))
}

/// Padded to `cells` cells of a terminal, in which a Chinese character takes two.
pub fn padded(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// Cells that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1100}'..).contains(&c) && !('\u{2000}'..'\u{2e80}').contains(&c) { 2 } else { 1 }).sum()
}

/// A share as percent, one decimal.
pub fn percent(share: f32) -> String {
    format!("{:.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_same_width_whatever_they_show() {
        for share in [-1.0, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0] {
            assert_eq!(bar(share, 20).chars().count(), 20, "{share}");
        }
        assert_eq!(bar(0.5, 4), "██  ");
    }

    #[test]
    fn chinese_takes_two_cells() {
        assert_eq!(width("城管a"), 5);
        assert_eq!(padded("城管", 6), "城管  ");
    }
}
