//! Quotes of a csv that do not pair. The library takes whatever it meets: a quote that is never closed swallows the rest of the file
//! as one cell, and one that is closed by the opening quote of a cell further down swallows the rows between. Rulings would be lost
//! without a word, so a row with such a quote is told instead of being taken.

/// A quote without a partner, at the byte where it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slip {
    /// Byte of the opening quote.
    pub(super) at: usize,
    /// Byte of the one that closed it in the middle of a cell; `None` where the file ended first.
    pub(super) closed: Option<usize>,
}

/// Where a reader of the library's default dialect is: quotes open at the start of a cell only, and a doubled one is a letter.
enum Place {
    Start,
    Plain,
    Quoted(usize),
    AfterQuote(usize),
}

/// All of a text, in its order.
pub(super) fn slips(text: &[u8]) -> Vec<Slip> {
    let (mut slips, mut place) = (Vec::new(), Place::Start);
    for (at, byte) in text.iter().enumerate() {
        place = match (place, byte) {
            (Place::Start, b'"') => Place::Quoted(at),
            (Place::Quoted(open), b'"') => Place::AfterQuote(open),
            (Place::Quoted(open), _) | (Place::AfterQuote(open), b'"') => Place::Quoted(open),
            (_, b',' | b'\r' | b'\n') => Place::Start,
            (Place::AfterQuote(open), _) => {
                slips.push(Slip { at: open, closed: Some(at - 1) });
                Place::Plain
            }
            (Place::Start | Place::Plain, _) => Place::Plain,
        };
    }
    if let Place::Quoted(open) = place {
        slips.push(Slip { at: open, closed: None });
    }
    slips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_that_pair_are_left_alone_whatever_stands_between_them() {
        for text in
            ["", "a,b\n", "\"a,\nb\",c\r\n\"d\"", "\"a\"\"b\",\"\"\"\",\"\"\n", "3\" pipe,a\"b\"c\n", "\"a\"\r\"b\"", "\"a\""]
        {
            assert_eq!(slips(text.as_bytes()), [], "{text:?}");
        }
    }

    #[test]
    fn a_quote_without_a_partner_is_found_where_it_opened() {
        assert_eq!(slips(b"a,\"b\nc,d\n"), [Slip { at: 2, closed: None }]);
        assert_eq!(slips(b"a,\"b\"\"\n"), [Slip { at: 2, closed: None }]);
        assert_eq!(slips(b"\"a\nb,\"c\"\n"), [Slip { at: 0, closed: Some(5) }]);
        assert_eq!(slips(b"\"a\"b,\"c"), [Slip { at: 0, closed: Some(2) }, Slip { at: 5, closed: None }]);
    }
}
