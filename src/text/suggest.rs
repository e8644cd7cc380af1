//! What somebody who mistyped a name meant.

/// The nearest of the names, if it is near enough to be meant: a third of the letters may be wrong.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = names.into_iter().map(|name| (distance(typed, name), name)).min()?;
    (distance <= typed.chars().count().max(name.chars().count()).div_ceil(3)).then_some(name)
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_nonsense_is_not() {
        let names = ["address", "max_batch_tokens", "max_queue_delay_ms"];
        assert_eq!(nearest("adress", names), Some("address"));
        assert_eq!(nearest("max_batch_token", names), Some("max_batch_tokens"));
        assert_eq!(nearest("max_queue_delay", names), Some("max_queue_delay_ms"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("colour", []), None);
    }
}
