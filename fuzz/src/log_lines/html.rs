//! A strict HTML checker. It allows only the elements and the character references of a report, and no
//! attribute that runs or loads anything.

/// The allowed elements. None of them runs a script, loads a file or links to another page.
const ELEMENTS: [&str; 36] = [
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "div",
    "h1", "h2", "small", "p", "pre", "span", "i", "dl", "dt", "dd", "ul", "li", "table", "thead",
    "tbody", "tr", "th", "td", "svg", "g", "rect", "line", "text", "path", "desc",
];
/// The elements without an end tag.
const VOID: [&str; 1] = ["meta"];
/// The allowed character references.
const REFERENCES: [&str; 5] = ["amp;", "lt;", "gt;", "quot;", "#39;"];

/// Panics unless the page is well-formed and contains only allowed elements.
pub fn check(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at]);
        let (tag, after) = split_tag(&rest[at + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in <{tag}>");
            continue;
        }
        let closed = tag.strip_suffix('/');
        let name = check_tag(closed.unwrap_or(tag));
        if closed.is_some() || VOID.contains(&name) {
            continue;
        }
        open.push(name);
        if name == "style" {
            // The content of `style` is not HTML. It is constant, so skip it.
            rest = &rest[rest.find("</style>").expect("an end of the style")..];
        }
    }
    check_text(rest);
    assert!(open.is_empty(), "{open:?} left open");
}

/// Splits after a tag. Returns the tag without its brackets, and the rest.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        c == '>' && !quoted
    });
    let end = end.unwrap_or_else(|| panic!("no end of <{text:.40}"));
    (&text[..end], &text[end + 1..])
}

/// Checks the name and the attributes of a tag, and returns the name.
fn check_tag(tag: &str) -> &str {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(ELEMENTS.contains(&name), "<{tag}>");
    while !rest.is_empty() {
        let (attribute, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>"));
        let plain = attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let harmless = !attribute.starts_with("on") && !["href", "src"].contains(&attribute);
        assert!(plain && harmless && !attribute.is_empty(), "{attribute:?} in <{tag}>");
        let (value, after) = value.split_once('"').unwrap_or_else(|| panic!("<{tag}>"));
        check_text(value);
        rest = after.strip_prefix(' ').unwrap_or(after);
        assert!(rest.is_empty() || after.starts_with(' '), "<{tag}>");
    }
    name
}

/// Panics if text contains angle brackets, control characters, or a character reference that is not
/// allowed.
fn check_text(text: &str) {
    assert!(!text.contains(['<', '>']), "{text:?}");
    assert!(!text.contains(|c: char| c != '\n' && c.is_control()), "{text:?}");
    for (at, _) in text.match_indices('&') {
        let reference = &text[at + 1..];
        assert!(REFERENCES.iter().any(|allowed| reference.starts_with(allowed)), "{reference:.20}");
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    fn accepts(body: &str) -> bool {
        let page = format!("<!DOCTYPE html><html><body>{body}</body></html>");
        std::panic::catch_unwind(|| check(&page)).is_ok()
    }

    #[test]
    fn unescaped_or_unexpected_markup_is_rejected() {
        assert!(accepts("<p class=\"a\">x &lt; y</p><rect x=\"1\"/>"));
        for wrong in [
            "<p>",
            "</p>",
            "<script>x</script>",
            "<p onclick=\"x\"></p>",
            "<p class=\"a\"b\"></p>",
            "<p class=a></p>",
            "x > y",
            "x & y",
            "\u{1b}[31m",
            "<p><i></p></i>",
        ] {
            assert!(!accepts(wrong), "{wrong}");
        }
    }
}
