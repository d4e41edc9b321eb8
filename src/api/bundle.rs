//! Puts the modules of the first view into one script, `first.js`, and its style sheets into one, `first.css`: a browser that has
//! nothing yet reads two files sooner than fifty. A release is built with them (`build.rs`); debug builds make them from
//! `ui-dist` at each request.
//!
//! Every module becomes a function that answers what it exports. A file that is in it is served as a stand-in, which exports
//! the same from `first.js`: so pages that come later import what they always did, and nothing is there twice.
//!
//! This is no parser. It knows the statements that `ui-dist` has, where they begin a line (or follow `;` or `}` in vendored
//! files), and refuses all others in words.

use std::collections::BTreeMap;

/// What a browser may show first; the last one starts the panel, when all others are there.
const ENTRIES: [&str; 4] = ["pages/sign-in.js", "pages/overview.js", "pages/marketplace.js", "app.js"];

pub(crate) const NAME: &str = "first.js";
pub(crate) const PAGE: &str = "index.html";
/// The style sheets that the page links, in its order.
pub(crate) const SHEET: &str = "first.css";

/// The page as it is served, with one link in place of those to the sheets, and what that one leads to.
///
/// # Errors
/// A sentence that names the file: a sheet that is not there, or a page without any.
pub(crate) fn sheet(page: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<(String, String), String> {
    const LINK: &str = r#"<link rel="stylesheet" href="/"#;
    let mut parts = page.split(LINK);
    let mut served = parts.next().unwrap_or_default().to_owned();
    let mut all = String::new();
    for (at, part) in parts.enumerate() {
        let (name, rest) = part.split_once("\">").ok_or("index.html: a link has no end")?;
        all.push_str(&read(name).ok_or_else(|| format!("{name}: there is no such file"))?);
        all.push('\n');
        match at {
            0 => served.push_str(&format!("{LINK}{SHEET}\">{rest}")),
            _ => served.push_str(rest.trim_start()),
        }
    }
    match all.is_empty() {
        true => Err("index.html: it links no style sheet".to_owned()),
        false => Ok((served, all)),
    }
}

/// The modules of the first view, each after those that it imports.
pub(crate) struct Bundle {
    order: Vec<String>,
    modules: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    /// The code without its statements of import and export.
    body: String,
    /// The module, and what it gives: pairs of `name` there and `name` here; `*` is all of it.
    imports: Vec<(String, Vec<(String, String)>)>,
    /// Name outside, and the expression for it inside.
    exports: Vec<(String, String)>,
}

impl Bundle {
    /// Reads what the entries need, with `read` for the text of a file by its name below `ui-dist`.
    ///
    /// # Errors
    /// A sentence that names the file: a statement of another form, a file or a name that is not there, modules in a circle.
    pub(crate) fn read(read: &dyn Fn(&str) -> Option<String>) -> Result<Bundle, String> {
        let mut bundle = Bundle {
            order: Vec::new(),
            modules: BTreeMap::new(),
        };
        for entry in ENTRIES {
            bundle.add(entry, read, &mut Vec::new())?;
        }
        for (name, module) in &bundle.modules {
            for (from, names) in &module.imports {
                let gives = &bundle.modules[from].exports;
                if let Some((wanted, _)) = names
                    .iter()
                    .find(|(there, _)| there != "*" && !gives.iter().any(|(name, _)| name == there))
                {
                    return Err(format!("{name}: {from} does not export {wanted}"));
                }
            }
        }
        Ok(bundle)
    }

    fn add(&mut self, name: &str, read: &dyn Fn(&str) -> Option<String>, above: &mut Vec<String>) -> Result<(), String> {
        if above.iter().any(|one| one == name) {
            return Err(format!("{name}: it imports itself by way of {}", above.join(", ")));
        }
        if self.modules.contains_key(name) {
            return Ok(());
        }
        let text = read(name).ok_or_else(|| format!("{name}: there is no such file"))?;
        let module = Module::parse(name, &text).map_err(|why| format!("{name}: {why}"))?;
        above.push(name.to_owned());
        for (from, _) in &module.imports {
            self.add(from, read, above)?;
        }
        above.pop();
        self.modules.insert(name.to_owned(), module);
        self.order.push(name.to_owned());
        Ok(())
    }

    /// The script, an ES module that exports every module under its `binding`.
    pub(crate) fn script(&self) -> String {
        let mut script = String::new();
        for name in &self.order {
            let module = &self.modules[name];
            script.push_str(&format!("// {name}\nconst {} = (() => {{\n", binding(name)));
            for (from, names) in &module.imports {
                for (there, here) in names {
                    let part = if there == "*" { String::new() } else { format!(".{there}") };
                    script.push_str(&format!("const {here} = {}{part};\n", binding(from)));
                }
            }
            script.push_str(&self.with_imports(&module.body, name));
            let exports: Vec<String> = module
                .exports
                .iter()
                .map(|(outside, inside)| format!("{outside}: {inside}"))
                .collect();
            script.push_str(&format!("\nreturn {{ {} }};\n}})();\n", exports.join(", ")));
        }
        let all: Vec<String> = self.order.iter().map(|name| binding(name)).collect();
        script.push_str(&format!("export {{ {} }};\n", all.join(", ")));
        script
    }

    /// What is served in place of a file that is in the script; `None` for all others.
    pub(crate) fn stand_in(&self, name: &str) -> Option<String> {
        let module = self.modules.get(name)?;
        let mut text = format!("import {{ {} as m }} from '/{NAME}';\n", binding(name));
        for (outside, _) in &module.exports {
            text.push_str(&match outside.as_str() {
                "default" => "export default m.default;\n".to_owned(),
                _ => format!("export const {outside} = m.{outside};\n"),
            });
        }
        Some(text)
    }

    /// `import('…')` in the code of `name`: the module at once where it is in the script, else by a path from the top.
    fn with_imports(&self, body: &str, name: &str) -> String {
        const CALL: &str = "import('";
        let mut parts = body.split(CALL);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (path, rest) = part.split_once("')").unwrap_or((part, ""));
            let target = resolve(name, path);
            text.push_str(&match self.modules.contains_key(&target) {
                true => format!("Promise.resolve({})", binding(&target)),
                false => format!("{CALL}/{target}')"),
            });
            text.push_str(rest);
        }
        text
    }
}

impl Module {
    fn parse(name: &str, text: &str) -> Result<Module, String> {
        let mut module = Module::default();
        let mut rest = text;
        while let Some(at) = statement(rest) {
            module.body.push_str(&rest[..at]);
            rest = match rest[at..].strip_prefix("import") {
                Some(after) => module.import(name, after)?,
                None => module.export(name, &rest[at + "export".len()..])?,
            };
        }
        module.body.push_str(rest);
        Ok(module)
    }

    /// Takes `{ a, b as c } from 'x';`, `d from 'x';`, `* as e from 'x';` or `'x';`, and answers what follows.
    fn import<'a>(&mut self, name: &str, text: &'a str) -> Result<&'a str, String> {
        let (clause, path, rest) = from(text)?;
        let names = if clause.is_empty() {
            Vec::new()
        } else if let Some(list) = braces(clause) {
            pairs(list)
        } else if let Some(all) = clause.strip_prefix("* as ") {
            vec![("*".to_owned(), all.trim().to_owned())]
        } else if is_word(clause) {
            vec![("default".to_owned(), clause.to_owned())]
        } else {
            return Err(format!("import {clause} is of a form that is not known here"));
        };
        self.imports.push((resolve(name, path), names));
        Ok(rest)
    }

    /// Takes `{ a, b as c };`, the same `from 'x';`, or the words before a declaration.
    fn export<'a>(&mut self, name: &str, text: &'a str) -> Result<&'a str, String> {
        let text = text.trim_start();
        if let Some(list) = text.strip_prefix('{') {
            let (list, rest) = list.split_once('}').ok_or("a list of exports has no end")?;
            if rest.trim_start().starts_with("from") {
                let (_, path, rest) = from(rest)?;
                let target = resolve(name, path);
                for (there, outside) in pairs(list) {
                    self.exports.push((outside, format!("{}.{there}", binding(&target))));
                }
                self.imports.push((
                    target,
                    pairs(list)
                        .into_iter()
                        .map(|(there, _)| (there.clone(), format!("_{there}")))
                        .collect(),
                ));
                return Ok(rest);
            }
            self.exports
                .extend(pairs(list).into_iter().map(|(inside, outside)| (outside, inside)));
            return Ok(rest.strip_prefix(';').unwrap_or(rest));
        }
        let (default, declared) = text.strip_prefix("default ").map_or((false, text), |rest| (true, rest));
        let mut after = declared.strip_prefix("async ").unwrap_or(declared);
        after = ["function* ", "function ", "class ", "const "]
            .iter()
            .find_map(|word| after.strip_prefix(word))
            .unwrap_or("");
        let own = &after[..after.find(|letter| !is_letter(letter)).unwrap_or(after.len())];
        match (default, own) {
            (true, "") => {
                self.exports.push(("default".to_owned(), "_default".to_owned()));
                self.body.push_str("const _default = ");
            }
            (true, _) => self.exports.push(("default".to_owned(), own.to_owned())),
            (false, "") => {
                return Err(format!(
                    "export {} is of a form that is not known here",
                    declared.lines().next().unwrap_or_default()
                ));
            }
            (false, _) => self.exports.push((own.to_owned(), own.to_owned())),
        }
        Ok(declared)
    }
}

/// Where the next statement of import or export begins.
fn statement(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + ["import", "export"].iter().filter_map(|word| text[from..].find(word)).min()?;
        let before = text[..at].chars().next_back();
        let after = text[at + "import".len()..].chars().next();
        if matches!(before, None | Some('\n' | ';' | '}')) && matches!(after, Some(' ' | '{' | '*' | '"' | '\'')) {
            return Some(at);
        }
        from = at + "import".len();
    }
}

/// `clause from 'path';` in its parts: the clause, the path, and what follows.
fn from(text: &str) -> Result<(&str, &str, &str), String> {
    let open = text.find(['"', '\'']).ok_or("an import names no file")?;
    let clause = text[..open].trim().trim_end_matches("from").trim();
    let quote = &text[open..=open];
    let (path, rest) = text[open + 1..].split_once(quote).ok_or("an import names no file")?;
    Ok((clause, path, rest.strip_prefix(';').unwrap_or(rest)))
}

fn braces(clause: &str) -> Option<&str> {
    clause.strip_prefix('{')?.strip_suffix('}')
}

/// `a, b as c` as pairs of what is before and behind `as`.
fn pairs(list: &str) -> Vec<(String, String)> {
    let words = list.split(',').map(str::trim).filter(|one| !one.is_empty());
    words
        .map(|one| {
            let (left, right) = one.split_once(" as ").unwrap_or((one, one));
            (left.trim().to_owned(), right.trim().to_owned())
        })
        .collect()
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '$'
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_letter)
}

/// The name of a module in the script: `lib/sign-in.js` is `lib_sign_in_js`.
fn binding(name: &str) -> String {
    name.replace(|letter| !is_letter(letter), "_")
}

/// `../lib/api.js` as `pages/apps.js` means it: `lib/api.js`.
fn resolve(name: &str, path: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn module(text: &str) -> Result<Module, String> {
        Module::parse("pages/a.js", text)
    }

    #[test]
    fn sheets_become_one() {
        let link = |name: &str| format!(r#"  <link rel="stylesheet" href="/styles/{name}.css">{}"#, "\n");
        let page = format!("<head>\n{}{}<title>x</title>", link("a"), link("b"));
        let read = |name: &str| Some(format!("/* {name} */"));
        let (served, all) = sheet(&page, &read).expect("it is read");
        assert_eq!(
            served,
            "<head>\n  <link rel=\"stylesheet\" href=\"/first.css\">\n  <title>x</title>"
        );
        assert_eq!(all, "/* styles/a.css */\n/* styles/b.css */\n");
        assert_eq!(sheet(&page, &|_| None).expect_err("no file"), "styles/a.css: there is no such file");
        assert!(sheet("<head></head>", &read).is_err());
    }

    #[test]
    fn statements_become_names() {
        let found = module(
            "// about import and export\nimport { a, b as c } from '../lib/x.js';\nimport d from './y.js';\nimport * as e from '../z.js';\nimport '../w.js';\n\
             export const one = a;\nexport async function two() {}\nexport default class Three {}\nexport { c as four, d };\nexport { five } from './y.js';\n",
        )
        .expect("it is read");
        let from: Vec<&str> = found.imports.iter().map(|(from, _)| from.as_str()).collect();
        assert_eq!(from, ["lib/x.js", "pages/y.js", "z.js", "w.js", "pages/y.js"]);
        assert_eq!(found.imports[0].1, pairs("a, b as c"));
        let exports: Vec<String> = found
            .exports
            .iter()
            .map(|(outside, inside)| format!("{outside}={inside}"))
            .collect();
        assert_eq!(
            exports,
            ["one=one", "two=two", "default=Three", "four=c", "d=d", "five=pages_y_js.five"]
        );
        assert_eq!(
            found.body.split_whitespace().collect::<Vec<_>>().join(" "),
            "// about import and export const one = a; async function two() {} class Three {}"
        );
    }

    #[test]
    fn minified_modules_too() {
        let found = module(r#"import{h as t,k}from"./p.js";var a=1;function n(){}export{n as b,a};export default function(s){}"#)
            .expect("it is read");
        assert_eq!(found.imports, [("pages/p.js".to_owned(), pairs("h as t,k"))]);
        assert_eq!(found.body, "var a=1;function n(){}const _default = function(s){}");
        let outside: Vec<&str> = found.exports.iter().map(|(outside, _)| outside.as_str()).collect();
        assert_eq!(outside, ["b", "a", "default"]);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "export let x = 1;",
            "export * from './x.js';",
            "import a, { b } from './x.js';",
            "export const { a } = b;",
        ] {
            assert!(module(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_and_circles_are_named() {
        let read = |files: &'static [(&str, &str)]| {
            Bundle::read(&move |name| Some(files.iter().find(|(own, _)| *own == name).map_or("", |(_, text)| text).to_owned())).err()
        };
        let missing: &[(&str, &str)] = &[("app.js", "import { gone } from './lib/a.js';")];
        assert_eq!(read(missing).as_deref(), Some("app.js: lib/a.js does not export gone"));
        let circle: &[(&str, &str)] = &[("app.js", "import './b.js';"), ("b.js", "import './app.js';")];
        assert_eq!(read(circle).as_deref(), Some("app.js: it imports itself by way of app.js, b.js"));
    }

    #[test]
    fn the_panel_itself() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui-dist");
        let bundle = Bundle::read(&|name| fs::read_to_string(top.join(name)).ok()).expect("it is read");
        assert_eq!(bundle.order.last().map(String::as_str), Some("app.js"));
        let script = bundle.script();
        assert_eq!(script.matches("\nexport ").count(), 1, "only the list at the end");
        assert!(script.contains("() => Promise.resolve(pages_overview_js)") && script.contains("import('/pages/apps.js')"));
        let stand_in = bundle.stand_in("pages/overview.js").expect("it is read");
        assert!(
            stand_in.starts_with("import { pages_overview_js as m } from '/first.js';\n") && stand_in.contains("export default m.default;")
        );
        assert!(bundle.stand_in("pages/apps.js").is_none());
    }
}
