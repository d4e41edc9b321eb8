//! XML as SAML needs it: a strict tree in which nothing is left that two readers could take differently. There is one
//! parser, so what was signed and what is read are the same nodes.
//!
//! Refused: document types (so entities of one's own, and what they load or expand to), processing instructions, comments
//! in messages, namespaces that nobody declared, and more than the bounds below.

use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// Bytes of a document, elements in it, elements in one another, attributes of one.
const BYTES: usize = 1 << 20;
const ELEMENTS: usize = 20_000;
const DEPTH: usize = 64;
const ATTRIBUTES: usize = 100;

/// Namespaces by prefix; the one without a prefix by the empty text.
pub(super) type Scope = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub(super) struct Element {
    pub prefix: String,
    pub local: String,
    pub namespace: String,
    /// Without the declarations of namespaces.
    pub attributes: Vec<Attribute>,
    /// What is declared here and above.
    pub scope: Arc<Scope>,
    pub children: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub prefix: String,
    pub local: String,
    pub namespace: String,
    pub value: String,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

/// What is done with comments. In a message they would cut a text in two for one reader and not for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comments {
    Refused,
    Dropped,
}

impl Element {
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }
    pub fn all<'a, 'b>(&'a self, namespace: &'b str, local: &'b str) -> impl Iterator<Item = &'a Element> + use<'a, 'b> {
        self.elements().filter(move |element| element.is(namespace, local))
    }
    /// The only child of that name; fails when there are more.
    pub fn at_most_one(&self, namespace: &str, local: &str) -> Result<Option<&Element>, String> {
        let mut found = self.all(namespace, local);
        let first = found.next();
        match found.next() {
            Some(_) => Err(format!("{} has more than one {local}", self.local)),
            None => Ok(first),
        }
    }
    pub fn one(&self, namespace: &str, local: &str) -> Result<&Element, String> {
        self.at_most_one(namespace, local)?
            .ok_or_else(|| format!("{} has no {local}", self.local))
    }
    /// Of an attribute without a namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|one| one.namespace.is_empty() && one.local == local);
        found.next().map(|one| one.value.as_str())
    }
    /// What stands in it, without white space around; fails when there are elements in it.
    pub fn text(&self) -> Result<&str, String> {
        match self.children.as_slice() {
            [] => Ok(""),
            [Node::Text(text)] => Ok(text.trim_matches([' ', '\t', '\n', '\r'])),
            _ => Err(format!("{} is not only text", self.local)),
        }
    }
    /// It and everything below.
    pub fn visit<'a>(&'a self, each: &mut impl FnMut(&'a Element)) {
        each(self);
        for element in self.elements() {
            element.visit(each);
        }
    }
}

/// The root of a document; `scope`: what is declared around it.
pub(super) fn parse(text: &str, comments: Comments, scope: &Scope) -> Result<Element, String> {
    if text.len() > BYTES {
        return Err("it is larger than 1 MiB".into());
    }
    // Ends of lines first, as XML 1.0, section 2.11, has it.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    checked(&text)?;
    let mut scope = scope.clone();
    scope.insert("xml".into(), XML.into());
    let mut tree = Tree {
        outside: Arc::new(scope),
        open: Vec::new(),
        root: None,
        elements: 0,
    };
    let mut reader = Reader::from_str(&text);
    let mut is_first = true;
    loop {
        let event = reader.read_event().map_err(|error| format!("it is no XML: {error}"))?;
        match event {
            Event::Start(tag) => tree.begin(&tag)?,
            Event::Empty(tag) => {
                tree.begin(&tag)?;
                tree.end()?;
            }
            Event::End(_) => tree.end()?,
            Event::Text(piece) => tree.text(&piece.decode().map_err(|error| error.to_string())?)?,
            Event::CData(piece) => tree.text(&piece.decode().map_err(|error| error.to_string())?)?,
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| error.to_string())?;
                tree.text(&meant(&format!("&{name};"))?)?;
            }
            Event::Decl(_) if is_first => {}
            Event::Comment(_) if comments == Comments::Dropped => {}
            Event::Comment(_) => return Err("it has a comment".into()),
            Event::DocType(_) => return Err("it has a document type".into()),
            Event::Decl(_) | Event::PI(_) => return Err("it has a processing instruction".into()),
            Event::Eof => break,
        }
        is_first = false;
    }
    match tree.root {
        Some(root) if tree.open.is_empty() => Ok(root),
        _ => Err("it is no whole XML document".into()),
    }
}

struct Tree {
    outside: Arc<Scope>,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        self.elements += 1;
        if self.elements > ELEMENTS || self.open.len() >= DEPTH {
            return Err("it is too deep or has too many elements".into());
        }
        if self.root.is_some() {
            return Err("it has more than one root".into());
        }
        let around = self.open.last().map_or(&self.outside, |parent| &parent.scope);
        let element = element(tag, around)?;
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let done = self.open.pop().ok_or("an element ends that did not begin")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(done)),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn text(&mut self, piece: &str) -> Result<(), String> {
        let Some(parent) = self.open.last_mut() else {
            return match piece.trim().is_empty() {
                true => Ok(()),
                false => Err("there is text outside of the root".into()),
            };
        };
        match parent.children.last_mut() {
            Some(Node::Text(text)) => text.push_str(piece),
            _ if piece.is_empty() => {}
            _ => parent.children.push(Node::Text(piece.to_owned())),
        }
        Ok(())
    }
}

fn element(tag: &BytesStart<'_>, around: &Arc<Scope>) -> Result<Element, String> {
    let whole = tag.name();
    let (prefix, local) = name(whole.as_ref())?;
    let mut scope = Cow::Borrowed(around.as_ref());
    let mut attributes = Vec::new();
    for (count, attribute) in tag.attributes().enumerate() {
        let attribute = attribute.map_err(|error| format!("an attribute is wrong: {error}"))?;
        if count >= ATTRIBUTES {
            return Err("an element has too many attributes".into());
        }
        let (prefix, local) = name(attribute.key.as_ref())?;
        let raw = std::str::from_utf8(&attribute.value).map_err(|error| error.to_string())?;
        let value = value(raw)?;
        let declared = match (prefix, local) {
            ("", "xmlns") => Some(""),
            ("xmlns", declared) => Some(declared),
            _ => None,
        };
        match declared {
            Some(declared) => declare(scope.to_mut(), declared, value)?,
            None => attributes.push(Attribute {
                prefix: prefix.into(),
                local: local.into(),
                namespace: String::new(),
                value,
            }),
        }
    }
    let find = |prefix: &str| match scope.get(prefix) {
        Some(namespace) => Ok(namespace.clone()),
        None if prefix.is_empty() => Ok(String::new()),
        None => Err(format!("nobody declared the prefix {prefix}")),
    };
    for attribute in attributes.iter_mut().filter(|one| !one.prefix.is_empty()) {
        attribute.namespace = find(&attribute.prefix)?;
    }
    for (count, one) in attributes.iter().enumerate() {
        if attributes[..count]
            .iter()
            .any(|other| other.local == one.local && other.namespace == one.namespace)
        {
            return Err(format!("the attribute {} is there twice", one.local));
        }
    }
    let namespace = find(prefix)?;
    let scope = match scope {
        Cow::Borrowed(_) => around.clone(),
        Cow::Owned(scope) => Arc::new(scope),
    };
    Ok(Element {
        prefix: prefix.into(),
        local: local.into(),
        namespace,
        attributes,
        scope,
        children: Vec::new(),
    })
}

fn declare(scope: &mut Scope, prefix: &str, namespace: String) -> Result<(), String> {
    let is_reserved = prefix == "xmlns" || namespace == XMLNS || (prefix == "xml") != (namespace == XML);
    if is_reserved || (namespace.is_empty() && !prefix.is_empty()) {
        return Err(format!("the prefix {prefix} cannot mean `{namespace}`"));
    }
    match namespace.is_empty() {
        true => scope.remove(prefix),
        false => scope.insert(prefix.to_owned(), namespace),
    };
    Ok(())
}

/// Prefix and the rest. A canonical form is of one tree only as long as names are names.
fn name(raw: &[u8]) -> Result<(&str, &str), String> {
    let text = std::str::from_utf8(raw).map_err(|error| error.to_string())?;
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
    };
    match is_name(local) && (is_name(prefix) || !text.contains(':')) {
        true => Ok((prefix, local)),
        false => Err("it has a name that is none".into()),
    }
}

/// Of an attribute, normalized as XML 1.0, section 3.3.3, has it.
fn value(raw: &str) -> Result<String, String> {
    if raw.contains('<') {
        return Err("an attribute has < in it".into());
    }
    meant(&raw.replace(['\t', '\n'], " "))
}

/// With the five names and the numbers of characters put in; other entities there are none.
fn meant(raw: &str) -> Result<String, String> {
    let text = unescape(raw).map_err(|error| format!("it refers to what is not there: {error}"))?;
    checked(&text)?;
    Ok(text.into_owned())
}

fn checked(text: &str) -> Result<(), String> {
    let is_wrong = |letter: char| (letter < ' ' && !matches!(letter, '\t' | '\n' | '\r')) || matches!(letter, '\u{fffe}' | '\u{ffff}');
    match text.chars().any(is_wrong) {
        true => Err("it has characters that XML does not have".into()),
        false => Ok(()),
    }
}

/// A text for an element or an attribute.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_two_ways_is_refused() {
        for (text, words) in [
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"),
            ("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "document type"),
            ("<a>&x;</a>", "refers"),
            ("<a b=\"&x;\"/>", "refers"),
            ("<a>user@x<!---->.evil</a>", "comment"),
            ("<a><?php x?></a>", "instruction"),
            ("<a/><?xml version=\"1.0\"?>", "instruction"),
            ("<a/><b/>", "root"),
            ("<a/>text", "outside"),
            ("<a><b></a></b>", "XML"),
            ("<a>", "XML"),
            ("", "whole"),
            ("<p:a/>", "declared"),
            ("<a p:b=\"\"/>", "declared"),
            ("<a xmlns:p=\"\"/>", "cannot mean"),
            ("<a xmlns:xml=\"urn:x\"/>", "cannot mean"),
            ("<a b=\"1\" b=\"2\"/>", "attribute"),
            ("<a xmlns:p=\"u\" xmlns:q=\"u\" p:b=\"1\" q:b=\"2\"/>", "twice"),
            ("<a b=\"<\"/>", "<"),
            ("<a>&#0;</a>", "refers"),
            ("<a>&#1;</a>", "characters"),
            ("<a b=1/>", "attribute"),
            ("<a:b:c xmlns:a=\"u\"/>", "name"),
        ] {
            let why = parse(text, Comments::Refused, &Scope::new()).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(parse(&deep, Comments::Refused, &Scope::new()).expect_err("deep").contains("deep"));
    }

    #[test]
    fn texts_are_whole() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<a b=\"1&#10;2\n3\">x &amp; <![CDATA[<y>]]>&#x41;\r\nz</a>\n";
        let root = parse(text, Comments::Refused, &Scope::new()).expect("good");
        assert_eq!(root.text(), Ok("x & <y>A\nz"));
        assert_eq!(root.attribute("b"), Some("1\n2 3"));
        let dropped = parse("<a>1<!-- x -->2</a>", Comments::Dropped, &Scope::new()).expect("good");
        assert_eq!(dropped.text(), Ok("12"));
    }
}
