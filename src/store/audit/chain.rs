//! The chain of the trail: each entry must hash to what it says and follow the one before it, from the first to the noted end.

use super::AuditEntry;

/// The end of the trail, as it was noted apart from the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last entry; 0 if there is none.
    pub number: i64,
    /// Its hash.
    pub hash: String,
}

/// What is wrong with a trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// The entry does not hash to what it says.
    #[error("entry {number} was changed: its hash does not fit its content")]
    Changed {
        /// Which.
        number: i64,
    },
    /// Numbers are left out.
    #[error("{} missing before entry {number}", entries(*.expected, *.number - 1))]
    Missing {
        /// The first that is missing.
        expected: i64,
        /// The next that is there.
        number: i64,
    },
    /// The entry does not follow the one before it.
    #[error("entry {number} does not follow entry {}: one of the two was replaced or moved", number - 1)]
    Unlinked {
        /// Which.
        number: i64,
    },
    /// A ruling is not what its last entry recorded.
    #[error("ruling {id:?} is not what entry {number} recorded: somebody changed it in the database")]
    Ruling {
        /// Which.
        id: String,
        /// Its last entry.
        number: i64,
    },
    /// A ruling is no longer there.
    #[error("ruling {id:?}, which entry {number} recorded, is gone")]
    RulingGone {
        /// Which.
        id: String,
        /// The entry that recorded it.
        number: i64,
    },
    /// There is an entry behind the last that was written.
    #[error("entry {number} stands behind the last that was written, entry {head}: somebody put it there")]
    Behind {
        /// The last of those.
        number: i64,
        /// The last that was written.
        head: i64,
    },
    /// The trail ends before, or otherwise than, it should.
    #[error("the trail ends at entry {last}, but entry {head} was written: {}", if last < head { "the end is missing" } else { "the end was replaced" })]
    End {
        /// The last that is there.
        last: i64,
        /// The last that was written.
        head: i64,
    },
}

fn entries(from: i64, to: i64) -> String {
    if from == to { format!("entry {from} is") } else { format!("entries {from} to {to} are") }
}

/// Checks a trail entry by entry; keeps nothing but the last.
#[derive(Debug, Default)]
pub struct ChainCheck {
    last: AuditHead,
}

impl ChainCheck {
    /// Of a trail whose entries up to this one are elsewhere.
    pub fn behind(last: AuditHead) -> Self {
        Self { last }
    }

    /// The last entry that it was given.
    pub fn last(&self) -> &AuditHead {
        &self.last
    }

    /// The next entry; tells what is wrong with it.
    pub fn entry(&mut self, entry: &AuditEntry) -> Vec<AuditFault> {
        let mut faults = Vec::new();
        let number = entry.number;
        if entry.computed_hash() != entry.hash {
            faults.push(AuditFault::Changed { number });
        }
        if number != self.last.number + 1 {
            faults.push(AuditFault::Missing { expected: self.last.number + 1, number });
        } else if entry.previous_hash != self.last.hash {
            faults.push(AuditFault::Unlinked { number });
        }
        self.last = AuditHead { number, hash: entry.hash.clone() };
        faults
    }

    /// The end; gives the head that was reached.
    pub fn end(self, head: &AuditHead) -> (AuditHead, Option<AuditFault>) {
        let fault = (self.last != *head).then_some(AuditFault::End { last: self.last.number, head: head.number });
        (self.last, fault)
    }
}

/// Checks a whole trail at once.
pub fn verify_chain(entries: &[AuditEntry], head: &AuditHead) -> Vec<AuditFault> {
    let mut check = ChainCheck::default();
    let mut faults: Vec<AuditFault> = entries.iter().flat_map(|entry| check.entry(entry)).collect();
    faults.extend(check.end(head).1);
    faults
}
