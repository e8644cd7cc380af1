//! An order as it is remembered. An intake system asks for the same order again and again, seldom with all that it said before: what
//! it leaves out is not unsaid.

use chrono::{DateTime, Utc};

use crate::repeats::CallerMark;
use crate::routing::day_in_the_city;
use crate::text::AppealFields;

/// An order as it is remembered: its appeal, masked.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRecord {
    /// The appeal; its id is the order's number, its text is masked.
    pub fields: AppealFields,
    /// Who called, if the hotline says: not the token, only a mark of it.
    pub caller: Option<CallerMark>,
    /// True once it was closed (办结).
    pub closed: bool,
    /// When it was first asked for: it repeats no order that came after it.
    pub first_seen: DateTime<Utc>,
}

impl OrderRecord {
    /// With a day of receipt: where nobody gave one, the day in the city on which it was first asked for.
    #[must_use]
    pub fn dated(mut self) -> Self {
        if self.fields.received_at.is_empty() {
            self.fields.received_at = day_in_the_city(self.first_seen).map(|day| day.to_string()).unwrap_or_default();
        }
        self
    }

    /// The same order asked for again, with what is said of it now.
    #[must_use]
    pub fn asked_again(self, now: Self) -> Self {
        let said = |now: String, before: String| if now.trim().is_empty() { before } else { now };
        let (before, fields) = (self.fields, now.fields);
        let no_category = fields.category.iter().all(|level| level.trim().is_empty());
        Self {
            fields: AppealFields {
                id: before.id,
                text: said(fields.text, before.text),
                received_at: said(fields.received_at, before.received_at),
                appeal_type: said(fields.appeal_type, before.appeal_type),
                category: if no_category { before.category } else { fields.category },
                district: said(fields.district, before.district),
                channel: said(fields.channel, before.channel),
                proposed_departments: fields.proposed_departments,
            },
            caller: now.caller.or(self.caller),
            closed: self.closed || now.closed,
            first_seen: self.first_seen.min(now.first_seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str, district: &str, received_at: &str, at: &str) -> OrderRecord {
        let fields = AppealFields {
            id: "1".into(),
            text: text.into(),
            district: district.into(),
            received_at: received_at.into(),
            ..AppealFields::default()
        };
        OrderRecord { fields, caller: None, closed: false, first_seen: at.parse().expect("a time") }
    }

    #[test]
    fn what_is_left_out_when_it_is_asked_for_again_stays_and_what_is_said_anew_counts() {
        let mut first = order("路灯不亮", "东区", "2026-03-02", "2026-03-02T01:00:00Z");
        (first.caller, first.fields.category) = (CallerMark::of("c1"), vec!["市政".into()]);
        let later = "2026-03-05T01:00:00Z";
        let blank = OrderRecord { closed: false, ..order("路灯不亮", " ", "", later) };
        assert_eq!(first.clone().asked_again(blank), first);
        let mut told = order("路灯仍不亮", "西区", "2026-03-03", later);
        (told.caller, told.fields.category) = (CallerMark::of("c2"), vec!["照明".into()]);
        let again = first.clone().asked_again(told.clone());
        assert_eq!(again, OrderRecord { first_seen: first.first_seen, ..told }, "but it came when it came");
    }

    #[test]
    fn an_order_without_a_day_of_receipt_came_on_the_day_in_the_city_on_which_it_was_first_asked_for() {
        let undated = order("路灯不亮", "", "", "2026-03-02T16:30:00Z").dated();
        assert_eq!(undated.fields.received_at, "2026-03-03");
        assert_eq!(order("路灯不亮", "", "2026-03-01", "2026-03-02T16:30:00Z").dated().fields.received_at, "2026-03-01");
    }
}
