//! A day as offices write it. Files of orders and of rulings come out of spreadsheets, and mean the same days by it.

use super::Day;

/// Reads `2026-01-02`, `2026-1-2`, `2026/1/2` and `2026年1月2日`; `None` for whatever else, and for what is no day of the calendar.
pub fn written_day(text: &str) -> Option<Day> {
    let parts: Vec<&str> = match text.strip_suffix('日') {
        Some(text) => text.split(['年', '月']).collect(),
        None => text.split(if text.contains('/') { '/' } else { '-' }).collect(),
    };
    let [year, month, day] = parts[..] else { return None };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let sound =
        year.len() == 4 && [month, day].iter().all(|part| (1..=2).contains(&part.len())) && parts.iter().all(|p| digits(p));
    Day::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_offices_write_them_and_what_is_none_is_none() {
        for text in ["2026-01-02", "2026/1/2", "2026-1-2", "2026/01/02", "2026年1月2日", "2026年01月02日"] {
            assert_eq!(written_day(text).map(|day| day.to_string()).as_deref(), Some("2026-01-02"), "{text}");
        }
        let none = "|26/1/2|1/2/2026|2026年1月|2026/1|2026/1/2/3|2026/001/2|明年1月2日|2026/+1/2|2026/1-2|20260102|2026-02-30";
        for text in none.split('|') {
            assert_eq!(written_day(text), None, "{text}");
        }
    }
}
