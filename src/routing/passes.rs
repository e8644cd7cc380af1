//! What goes through the encoder together.

/// Most tokens of one pass, but for a text that is longer by itself. A batch is its tokens laid end to end, so a longer pass is no
/// faster; but the encoder keeps the room that the longest took, for each thread: 4,096 tokens of rulings read at a start held eighty
/// megabytes for good.
const MOST_TOKENS: usize = 512;

/// The passes over texts, in order, by how many tokens each text has.
pub(super) fn passes<T>(mut rest: &[T], tokens: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let mut total = 0;
        let fits = |text: &&T| {
            total += tokens(text);
            total <= MOST_TOKENS
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let pass;
        (pass, rest) = rest.split_at(count);
        (!pass.is_empty()).then_some(pass)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_as_many_as_fit_and_one_that_is_too_long_goes_alone() {
        let passes = |tokens: &[usize]| passes(tokens, |tokens| *tokens).map(<[usize]>::to_vec).collect::<Vec<_>>();
        assert_eq!(passes(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(passes(&[500, 12, 1, 511]), [vec![500, 12], vec![1, 511]]);
        assert_eq!(passes(&[600, 1, 2, 600]), [vec![600], vec![1, 2], vec![600]]);
    }
}
