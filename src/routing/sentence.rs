//! The second sentence: what the operator already chose from the hotline's lists. One function for training and serving.

use crate::text::normalize;

/// The category path and the type as one line, broadest level first; `None` if neither says anything. `其他` says nothing.
pub fn second_sentence(category: &[String], appeal_type: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::with_capacity(category.len() + 1);
    for part in category.iter().map(String::as_str).chain([appeal_type]) {
        let part = normalize(part);
        let part = part.strip_suffix('类').unwrap_or(&part).trim();
        if !part.is_empty() && part != "其他" && parts.last().is_none_or(|last| last != part) {
            parts.push(part.to_owned());
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(levels: &[&str]) -> Vec<String> {
        levels.iter().map(|level| (*level).to_owned()).collect()
    }

    #[test]
    fn levels_and_type_stand_in_their_order_and_say_something() {
        assert_eq!(
            second_sentence(&path(&["城市管理", "公共设施", "其他"]), "投诉类").as_deref(),
            Some("城市管理/公共设施/投诉")
        );
        assert_eq!(second_sentence(&path(&["其他", "其他"]), ""), None);
        assert_eq!(second_sentence(&[], "咨询").as_deref(), Some("咨询"));
        assert_eq!(second_sentence(&path(&["物业", "物业"]), "").as_deref(), Some("物业"));
    }
}
