//! Magnet links.

/// Info-hash (40 hexadecimal digits, or 32 of base 32) and display name of a magnet.
pub(super) fn magnet_parts(magnet: &str) -> Option<(String, Option<String>)> {
    let query = magnet
        .get(..8)
        .filter(|scheme| scheme.eq_ignore_ascii_case("magnet:?"))?;
    let parameters = form_urlencoded::parse(&magnet.as_bytes()[query.len()..]);
    let (mut hash, mut name) = (None, None);
    for (key, value) in parameters {
        if key == "dn" {
            name = Some(value.into_owned());
        } else if key.starts_with("xt") {
            let text = value.strip_prefix("urn:btih:")?;
            hash = Some(match text.len() {
                40 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    text.to_ascii_lowercase()
                }
                32 => base32_to_hex(text)?,
                _ => return None,
            });
        }
    }
    Some((hash?, name))
}

/// RFC 4648 base 32 of 20 bytes, as old magnets write hashes.
fn base32_to_hex(text: &str) -> Option<String> {
    let mut out = String::new();
    for group in text.as_bytes().chunks(4) {
        let bits = group.iter().try_fold(0u32, |bits, byte| {
            let digit = match byte.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                digit @ b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            Some(bits << 5 | u32::from(digit))
        })?;
        out.push_str(&format!("{bits:05x}"));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnets_are_read() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let (read, name) = magnet_parts(&format!(
            "magnet:?xt=urn:btih:{}&dn=A+B&tr=udp%3A%2F%2Fx",
            hash.to_uppercase()
        ))
        .unwrap();
        assert_eq!((read.as_str(), name.as_deref()), (hash, Some("A B")));
        // 20 zero bytes but the last.
        let (read, _) =
            magnet_parts("magnet:?xt=urn:btih:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB").unwrap();
        assert_eq!(read, format!("{}1", "0".repeat(39)));
        for bad in [
            "",
            "magnet:",
            "magnet:?dn=x",
            "http://x",
            "magnet:?xt=urn:btih:zz",
            "mägnet:?",
        ] {
            assert_eq!(magnet_parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn fuzz_any_magnet_is_answered() {
        bolero::check!().with_type::<String>().for_each(|text| {
            drop(magnet_parts(text));
            drop(magnet_parts(&format!("magnet:?{text}")));
        });
    }
}
