//! A database's URL as it may be shown and logged: without its password, wherever it stands.

/// What stands in its place.
const HIDDEN: &str = "***";
/// Parameters that hold one.
const PASSWORDS: [&str; 2] = ["password", "sslpassword"];

/// A URL as it may be shown: a password is left out. In doubt more of it is hidden than need be.
pub fn without_password(url: &str) -> String {
    let url = without_values(url, is_password);
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:{HIDDEN}@{host}"))
    };
    hidden().unwrap_or(url)
}

/// A URL as the driver may see it: of a parameter that it does not know it would log the value.
pub(super) fn without_ignored_password(url: &str) -> String {
    without_values(url, |name| is_password(name) && name != b"password")
}

/// Hides the values of parameters with such names, in what is asked as well as in a fragment. A value goes on to the next `&`: some
/// passwords have a `#` or `?` that should have been encoded.
fn without_values(url: &str, is_hidden: impl Fn(&[u8]) -> bool) -> String {
    let Some(at) = url.find(['?', '#']) else { return url.to_owned() };
    let (mut shown, mut rest) = (url[..at].to_owned(), &url[at..]);
    // Each piece begins with the character that separates it from the one before.
    while let Some(separator) = rest.get(..1) {
        let piece = &rest[1..];
        let mut end = piece.find(['?', '#', '&', ';']).unwrap_or(piece.len());
        shown.push_str(separator);
        match piece[..end].split_once('=') {
            Some((name, _)) if is_hidden(&decoded(name)) => {
                end = piece.find('&').unwrap_or(piece.len());
                shown.extend([name, "=", HIDDEN]);
            }
            _ => shown.push_str(&piece[..end]),
        }
        rest = &piece[end..];
    }
    shown
}

fn is_password(name: &[u8]) -> bool {
    PASSWORDS.iter().any(|password| name.trim_ascii().eq_ignore_ascii_case(password.as_bytes()))
}

/// A name without percent signs: `p%61ssword` is one too, for the driver.
fn decoded(name: &str) -> Vec<u8> {
    let (mut letters, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let letter = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        letters.push(letter.unwrap_or(*first));
        rest = if letter.is_some() { &after[2..] } else { after };
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hidden_wherever_it_stands() {
        for (url, shown) in [
            ("sqlite:/var/lib/paidan.db?mode=rwc", "sqlite:/var/lib/paidan.db?mode=rwc"),
            ("postgres://user@host/db", "postgres://user@host/db"),
            ("postgres://user:secret@host/db?a=b", "postgres://user:***@host/db?a=b"),
            ("postgres://user:se@cr:et@host/db", "postgres://user:***@host/db"),
            ("postgres:///db?user=u&password=secret", "postgres:///db?user=u&password=***"),
            ("postgres://h/db?password=secret&sslmode=require", "postgres://h/db?password=***&sslmode=require"),
            ("postgres://h/db?PassWord=s%26e%23c=ret", "postgres://h/db?PassWord=***"),
            ("postgres://h/db?sslkey=k&sslpassword=secret#top", "postgres://h/db?sslkey=k&sslpassword=***"),
            ("postgres://h/db?p%61ssw%6Frd=secret", "postgres://h/db?p%61ssw%6Frd=***"),
            ("postgres://h/db?password=se?cr;et#&a=b", "postgres://h/db?password=***&a=b"),
            ("postgres://h/db?a=b#password=secret", "postgres://h/db?a=b#password=***"),
            ("postgres://h/db#password=secret", "postgres://h/db#password=***"),
            ("postgres://h:5432/db?password=sec@ret", "postgres://h:5432/db?password=***"),
            ("postgres://u:secret@h/db?password=secret&password=", "postgres://u:***@h/db?password=***&password=***"),
            ("postgres://h/db?application_name=密码&x=%", "postgres://h/db?application_name=密码&x=%"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn the_driver_sees_the_password_that_it_knows_and_none_that_it_would_log() {
        let url = "postgres://u:secret@h/db?password=own&PASSWORD=other&sslpassword=third&sslmode=require";
        let seen = "postgres://u:secret@h/db?password=own&PASSWORD=***&sslpassword=***&sslmode=require";
        assert_eq!(without_ignored_password(url), seen);
        assert_eq!(without_ignored_password("postgres://h/db?p%61ssword=a"), "postgres://h/db?p%61ssword=a");
    }

    #[test]
    fn no_part_of_a_secret_is_left_over() {
        // Of what is no proper URL either: it is shown all the same.
        for url in ["postgres://u:secret/secret@h/db", "postgres://u:secret?secret@h/db", "postgres://u:secret#secret@h/db"] {
            assert!(!without_password(url).contains("secret"), "{}", without_password(url));
        }
    }
}
