//! Exclusive XML Canonicalization 1.0 (W3C, 18 July 2002) of a tree without comments, with its list of prefixes that are
//! treated as in inclusive canonicalization.

use super::xml::{Attribute, Element, Node, Scope};
use std::collections::BTreeMap;

/// The bytes that are signed. `without`: a child of `element` that is left out; `inclusive`: the list of prefixes, the one
/// without a name as the empty text.
pub(super) fn canonical(element: &Element, without: Option<&Element>, inclusive: &[String]) -> Vec<u8> {
    let mut out = String::new();
    write(&mut out, element, without, inclusive, &Scope::new());
    out.into_bytes()
}

/// `rendered`: what stands above in the output.
fn write(out: &mut String, element: &Element, without: Option<&Element>, inclusive: &[String], rendered: &Scope) {
    let mut rendered = rendered.clone();
    let name = qualified(&element.prefix, &element.local);
    out.push('<');
    out.push_str(&name);
    for (prefix, namespace) in needed(element, inclusive) {
        let before = rendered.get(prefix).map_or("", String::as_str);
        if before != namespace {
            match prefix.is_empty() {
                true => out.push_str(" xmlns=\""),
                false => out.push_str(&format!(" xmlns:{prefix}=\"")),
            }
            escape_value(out, namespace);
            out.push('"');
            rendered.insert(prefix.to_owned(), namespace.to_owned());
        }
    }
    let mut attributes: Vec<&Attribute> = element.attributes.iter().collect();
    attributes.sort_by_key(|one| (&one.namespace, &one.local));
    for one in attributes {
        out.push(' ');
        out.push_str(&qualified(&one.prefix, &one.local));
        out.push_str("=\"");
        escape_value(out, &one.value);
        out.push('"');
    }
    out.push('>');
    for child in &element.children {
        match child {
            Node::Element(child) if without.is_some_and(|left_out| std::ptr::eq(left_out, child)) => {}
            Node::Element(child) => write(out, child, None, inclusive, &rendered),
            Node::Text(text) => escape_text(out, text),
        }
    }
    out.push_str("</");
    out.push_str(&name);
    out.push('>');
}

/// What must be declared at an element: what it and its attributes use, and what of the list is in scope. In the order of
/// the prefixes.
fn needed<'a>(element: &'a Element, inclusive: &'a [String]) -> BTreeMap<&'a str, &'a str> {
    let mut needed = BTreeMap::from([(element.prefix.as_str(), element.namespace.as_str())]);
    for one in element.attributes.iter().filter(|one| !one.prefix.is_empty()) {
        needed.insert(&one.prefix, &one.namespace);
    }
    for prefix in inclusive {
        match element.scope.get(prefix) {
            Some(namespace) => needed.insert(prefix, namespace),
            None if prefix.is_empty() => needed.insert("", ""),
            None => None,
        };
    }
    // It is what it is everywhere.
    needed.remove("xml");
    needed
}

fn qualified(prefix: &str, local: &str) -> String {
    match prefix.is_empty() {
        true => local.to_owned(),
        false => format!("{prefix}:{local}"),
    }
}

fn escape_text(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(letter),
        }
    }
}

fn escape_value(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::xml::*, *};

    fn check(text: &str, path: &[&str], inclusive: &[&str], expected: &str) {
        let root = parse(text, Comments::Dropped, &Scope::new()).expect(text);
        let mut element = &root;
        for local in path {
            element = element.elements().find(|one| one.local == *local).expect("it is there");
        }
        let inclusive: Vec<String> = inclusive.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(String::from_utf8_lossy(&canonical(element, None, &inclusive)), expected, "{text}");
    }

    #[test]
    fn as_the_recommendation_has_it() {
        // Section 2.2 of the recommendation: the same for both surroundings.
        for text in [
            "<n0:local xmlns:n0=\"foo:bar\" xmlns:n3=\"ftp://example.org\"><n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff xmlns:n3=\"ftp://example.org\"/></n1:elem2></n0:local>",
            "<n2:pdu xmlns:n1=\"http://example.com\" xmlns:n2=\"http://foo.example\" xml:lang=\"fr\" xml:space=\"retain\"><n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff xmlns:n3=\"ftp://example.org\"/></n1:elem2></n2:pdu>",
        ] {
            check(
                text,
                &["elem2"],
                &[],
                "<n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff xmlns:n3=\"ftp://example.org\"></n3:stuff></n1:elem2>",
            );
        }
        check(
            "<a xmlns=\"u\" xmlns:x=\"v\" b='2' a='1' x:a='3'><b xmlns=''/><x:c/></a>",
            &[],
            &[],
            "<a xmlns=\"u\" xmlns:x=\"v\" a=\"1\" b=\"2\" x:a=\"3\"><b xmlns=\"\"></b><x:c></x:c></a>",
        );
        check(
            "<a xmlns:z=\"1\" xmlns:y=\"2\"><z:b c='\"&lt;&amp;>&#9;&#13;'>&lt;>&amp;\"&#13;<![CDATA[<]]><!-- x --></z:b></a>",
            &["b"],
            &[],
            "<z:b xmlns:z=\"1\" c=\"&quot;&lt;&amp;>&#x9;&#xD;\">&lt;&gt;&amp;\"&#xD;&lt;</z:b>",
        );
        // A prefix that only a value names: xsi:type="xs:string".
        let typed = "<r xmlns:xs=\"XS\" xmlns:i=\"I\" xmlns=\"D\"><v xmlns=\"\" i:type=\"xs:string\"><w/></v></r>";
        check(
            typed,
            &["v"],
            &["xs"],
            "<v xmlns:i=\"I\" xmlns:xs=\"XS\" i:type=\"xs:string\"><w></w></v>",
        );
        check(
            typed,
            &[],
            &[""],
            "<r xmlns=\"D\"><v xmlns=\"\" xmlns:i=\"I\" i:type=\"xs:string\"><w></w></v></r>",
        );
    }
}
