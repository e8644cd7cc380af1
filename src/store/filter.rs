//! Filters as AIP-160 has them, so far as rulings need them: comparisons, AND, OR, NOT (or `-`), parentheses.
//!
//! ```text
//! status = "in_force" AND lead = "城管" AND decided_on >= "2025-01-01"
//! orders:"Q2018" OR (matter:"油烟" AND NOT scope = standing)
//! ```
//!
//! As AIP-160 asks, OR binds closer than AND. A filter becomes a condition in SQL whose values are always bound, never written
//! into it. `fields` says which there are, and what a value means.

mod fields;

use crate::rulings::Known;

/// Longest filter, in characters, and most comparisons in it.
const MAX_CHARS: usize = 2_000;
const MAX_TERMS: usize = 50;
/// Deepest nesting.
const MAX_DEPTH: usize = 16;

/// A filter that makes sense.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    term: Option<Term>,
    /// Whether it names a department or a district.
    has_names: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    All(Vec<Term>),
    Any(Vec<Term>),
    Not(Box<Term>),
    Compare { column: &'static str, sign: &'static str, value: Value },
    Contains { column: &'static str, value: String },
    Names { kind: &'static str, value: String },
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    /// Our own number, which can stand in the statement.
    Rank(i64),
}

const SIGNS: [&str; 7] = ["<=", ">=", "!=", "=", "<", ">", ":"];

impl Filter {
    /// Reads a filter; an empty one lets everything through. The error says at which character it breaks off. Departments and
    /// districts are what rulings are kept with: ids of the ones, names of the others.
    pub fn parse(filter: &str) -> Result<Self, String> {
        Self::read(filter, None)
    }

    /// The same for people, who may use any name that is known.
    pub fn parse_named(filter: &str, known: &Known) -> Result<Self, String> {
        Self::read(filter, Some(known))
    }

    /// True if it names departments or districts: then it matters which names are known.
    pub fn has_names(&self) -> bool {
        self.has_names
    }

    fn read(filter: &str, known: Option<&Known>) -> Result<Self, String> {
        if filter.chars().count() > MAX_CHARS {
            return Err(format!("has more than {MAX_CHARS} characters"));
        }
        if let Some(at) = filter.chars().position(|c| c.is_control() && !c.is_whitespace()) {
            return Err(format!("character {}: a control character", at + 1));
        }
        let tokens = tokens(filter)?;
        if tokens.is_empty() {
            return Ok(Self::default());
        }
        let mut parser = Parser { tokens: &tokens, known, at: 0, terms: 0, has_names: false };
        let term = parser.all(0)?;
        match parser.tokens.get(parser.at) {
            None => Ok(Self { term: Some(term), has_names: parser.has_names }),
            Some(token) => Err(format!("character {}: {:?} is not expected here", token.at, token.text)),
        }
    }

    /// The condition over the table `rulings`, its values numbered from `$first + 1`, and the values.
    pub(super) fn sql(&self, first: usize) -> (String, Vec<String>) {
        let (mut sql, mut values) = (String::new(), Vec::new());
        match &self.term {
            None => sql.push_str("1 = 1"),
            Some(term) => term.write(first, &mut sql, &mut values),
        }
        (sql, values)
    }
}

impl Term {
    fn write(&self, first: usize, sql: &mut String, values: &mut Vec<String>) {
        let mut bound = |value: &str| {
            values.push(value.to_owned());
            format!("${}", first + values.len())
        };
        match self {
            Self::All(terms) | Self::Any(terms) => {
                let word = if matches!(self, Self::All(_)) { " AND " } else { " OR " };
                sql.push('(');
                for (i, term) in terms.iter().enumerate() {
                    if i > 0 {
                        sql.push_str(word);
                    }
                    term.write(first, sql, values);
                }
                sql.push(')');
            }
            Self::Not(term) => {
                sql.push_str("NOT (");
                term.write(first, sql, values);
                sql.push(')');
            }
            Self::Compare { column, sign, value: Value::Rank(rank) } => sql.push_str(&format!("{column} {sign} {rank}")),
            Self::Compare { column, sign, value: Value::Text(text) } => {
                sql.push_str(&format!("{column} {sign} {}", bound(text)));
            }
            Self::Contains { column, value } => {
                let escaped = value.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                sql.push_str(&format!("{column} LIKE {} ESCAPE '\\'", bound(&format!("%{escaped}%"))));
            }
            Self::Names { kind, value } => sql.push_str(&format!(
                "id IN (SELECT ruling FROM ruling_names WHERE kind = '{kind}' AND name = {})",
                bound(value)
            )),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Token {
    text: String,
    quoted: bool,
    /// Character, from 1.
    at: usize,
}

fn tokens(filter: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = filter.chars().collect();
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let at = i + 1;
        let two: String = chars[i..].iter().take(2).collect();
        if chars[i].is_whitespace() {
            i += 1;
        } else if chars[i] == '"' || chars[i] == '\'' {
            let quote = chars[i];
            let mut text = String::new();
            i += 1;
            loop {
                match chars.get(i) {
                    None => return Err(format!("character {at}: the quotation is not closed")),
                    Some(c) if *c == quote => break,
                    Some('\\') if i + 1 < chars.len() => {
                        text.push(chars[i + 1]);
                        i += 2;
                    }
                    Some(c) => {
                        text.push(*c);
                        i += 1;
                    }
                }
            }
            i += 1;
            tokens.push(Token { text, quoted: true, at });
        } else if let Some(sign) = SIGNS.iter().chain(&["(", ")"]).find(|sign| two.starts_with(**sign)) {
            tokens.push(Token { text: (*sign).to_owned(), quoted: false, at });
            i += sign.len();
        } else if chars[i] == '-' && chars.get(i + 1).is_some_and(|c| !c.is_whitespace()) {
            tokens.push(Token { text: "NOT".to_owned(), quoted: false, at });
            i += 1;
        } else {
            let ends = |c: &char| c.is_whitespace() || "()=<>!:\"'".contains(*c);
            let text: String = chars[i..].iter().take_while(|c| !ends(c)).collect();
            if text.is_empty() {
                return Err(format!("character {at}: {:?} is not expected here", chars[i]));
            }
            i += text.chars().count();
            tokens.push(Token { text, quoted: false, at });
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    known: Option<&'a Known>,
    at: usize,
    terms: usize,
    has_names: bool,
}

impl Parser<'_> {
    fn is(&self, word: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|token| !token.quoted && token.text == word)
    }

    fn take(&mut self, wanted: &str) -> Result<&Token, String> {
        let token = self.tokens.get(self.at).ok_or_else(|| format!("breaks off where {wanted} should stand"))?;
        self.at += 1;
        Ok(token)
    }

    fn all(&mut self, depth: usize) -> Result<Term, String> {
        let mut terms = vec![self.any(depth)?];
        while self.at < self.tokens.len() && !self.is(")") {
            if self.is("AND") {
                self.at += 1;
            }
            terms.push(self.any(depth)?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) })
    }

    fn any(&mut self, depth: usize) -> Result<Term, String> {
        let mut terms = vec![self.one(depth)?];
        while self.is("OR") {
            self.at += 1;
            terms.push(self.one(depth)?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) })
    }

    fn one(&mut self, depth: usize) -> Result<Term, String> {
        self.terms += 1;
        if depth > MAX_DEPTH || self.terms > MAX_TERMS {
            return Err(format!("has more than {MAX_TERMS} comparisons, or is nested deeper than {MAX_DEPTH}"));
        }
        if self.is("NOT") {
            self.at += 1;
            return Ok(Term::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.is("(") {
            self.at += 1;
            let term = self.all(depth + 1)?;
            self.take("a closing parenthesis")?;
            return Ok(term);
        }
        let field = self.take("a field")?;
        let (name, at) = (field.text.clone(), field.at);
        let sign_token = self.take("a comparison")?;
        let sign = SIGNS.iter().copied().find(|sign| *sign == sign_token.text && !sign_token.quoted);
        let sign = sign.ok_or_else(|| format!("character {at}: after {name:?} one of {} must stand", SIGNS.join(" ")))?;
        let value = self.take("a value")?.text.clone();
        self.has_names |= fields::has_names(&name);
        fields::compare(&name, sign, value, self.known).map_err(|reason| format!("character {at}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(filter: &str) -> (String, Vec<String>) {
        Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).sql(1)
    }

    #[test]
    fn a_filter_becomes_a_condition_with_its_values_bound() {
        assert_eq!(sql(""), ("1 = 1".to_owned(), vec![]));
        assert_eq!(sql("lead = '城管'"), ("lead_department = $2".to_owned(), vec!["城管".to_owned()]));
        assert_eq!(sql("body >= committee").0, "body >= 2");
        assert_eq!(sql("status = IN_FORCE").1, ["in_force"]);
        let (condition, values) = sql(r#"status = "in_force" scope = case OR NOT orders:"Q1""#);
        assert_eq!(
            condition,
            "(status = $2 AND (scope = $3 OR NOT (id IN (SELECT ruling FROM ruling_names WHERE kind = 'order' AND name = $4))))"
        );
        assert_eq!(values, ["in_force", "case", "Q1"]);
        let injected = sql(r#"matter : "100%' OR 1=1 --""#);
        assert_eq!(injected, ("matter LIKE $2 ESCAPE '\\'".to_owned(), vec!["%100\\%' OR 1=1 --%".to_owned()]));
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_its_place() {
        for (filter, said) in [
            ("led = 1", "no field \"led\""),
            ("lead", "breaks off"),
            ("lead = \"城管", "not closed"),
            ("(lead = a", "breaks off"),
            ("lead = a)", "\")\" is not expected"),
            ("body = king", "no body"),
            ("status = gone", "no status"),
            ("scope = STAND", "no scope"),
            ("lead = \"a\u{0}\"", "character 10: a control character"),
            ("orders > 1", "is a list"),
            (&"NOT ".repeat(40), "nested deeper"),
        ] {
            let error = Filter::parse(filter).expect_err(filter);
            assert!(error.contains(said), "{filter}: {error}");
        }
    }
}
