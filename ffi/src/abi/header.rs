//! A parser for `include/tollgate.h`. It supports only the C that cbindgen generates.

use std::fmt::{self, Display, Formatter};

/// A declaration that a program may use.
pub(super) enum Declaration {
    Constant { name: String, value: String },
    Status { name: String, value: i32 },
    Opaque { name: String },
    Struct { name: String, fields: Vec<Field> },
    Function { name: String, prototype: String, inline: bool },
}

/// A field of a struct: `const char *name`, or `uint64_t seed[4]`.
pub(super) struct Field {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) length: Option<usize>,
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let space = if self.kind.ends_with('*') { "" } else { " " };
        write!(f, "{}{space}{}", self.kind, self.name)?;
        self.length.map_or(Ok(()), |length| write!(f, "[{length}]"))
    }
}

/// Parses all declarations, in order.
pub(super) fn declarations(header: &str) -> Vec<Declaration> {
    let mut declarations = Vec::new();
    let (constants, code) = split(header);
    for (name, value) in &constants {
        // The version of the release is not part of the ABI.
        if !name.starts_with("TOLLGATE_VERSION_") {
            declarations.push(Declaration::Constant { name: name.clone(), value: value.clone() });
        }
    }
    for statement in statements(&code) {
        parse(&statement, &constants, &mut declarations);
    }
    declarations
}

/// Splits a header into its macros and its other code. Drops comments and conditional code: a second
/// definition of the status type, the C++ linkage, and functions for tests.
fn split(header: &str) -> (Vec<(String, String)>, String) {
    let (mut constants, mut code) = (Vec::new(), String::new());
    let (mut comment, mut conditions) = (false, 0);
    for line in header.lines() {
        let line = line.split("//").next().unwrap_or("").trim();
        if comment || line.starts_with("/*") {
            comment = !line.ends_with("*/");
        } else if line.starts_with("#if") && line != "#ifndef TOLLGATE_H" {
            conditions += 1;
        } else if conditions > 0 {
            conditions -= usize::from(line.starts_with("#endif"));
        } else if let Some(constant) = line.strip_prefix("#define ") {
            if let Some((name, value)) = constant.split_once(' ') {
                constants.push((name.to_owned(), value.to_owned()));
            }
        } else if !line.starts_with('#') {
            code.push_str(line);
            code.push(' ');
        }
    }
    (constants, code)
}

/// Splits code into statements. A statement ends with a semicolon outside of braces, or with the body of
/// a function.
fn statements(code: &str) -> Vec<String> {
    let (mut statements, mut statement, mut depth) = (Vec::new(), String::new(), 0);
    for character in code.chars() {
        statement.push(character);
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let ends_body = character == '}' && statement.trim_start().starts_with("static inline");
        if depth == 0 && (character == ';' || ends_body) {
            statements.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
            statement.clear();
        }
    }
    assert_eq!(statement.trim(), "", "the last statement is incomplete");
    statements
}

/// Parses a statement and appends its declarations.
fn parse(statement: &str, constants: &[(String, String)], declarations: &mut Vec<Declaration>) {
    let body = || {
        let from = statement.find('{').expect("an opening brace") + 1;
        let to = statement.rfind('}').expect("a closing brace");
        &statement[from..to]
    };
    let last = || statement.trim_end_matches(';').rsplit(' ').next().expect("a name").to_owned();
    if statement.starts_with("enum tollgate_status ") {
        let values = body().split(',').map(str::trim).filter(|value| !value.is_empty());
        declarations.extend(values.map(|value| {
            let (name, value) = value.split_once(" = ").expect("a number");
            Declaration::Status { name: name.to_owned(), value: value.parse().expect("a number") }
        }));
    } else if statement.starts_with("typedef struct {") {
        let fields = body().split(';').map(str::trim).filter(|field| !field.is_empty());
        let fields = fields.map(|text| field(text, constants)).collect();
        declarations.push(Declaration::Struct { name: last(), fields });
    } else if statement.starts_with("typedef struct ") {
        declarations.push(Declaration::Opaque { name: last() });
    } else if !statement.starts_with("struct ") {
        // A statement that begins with `struct` declares a struct of the system.
        let inline = statement.starts_with("static inline ");
        let prototype = statement.trim_start_matches("static inline ");
        let prototype = prototype.split([';', '{']).next().expect("a prototype").trim().to_owned();
        let before = prototype.split('(').next().expect("a name");
        let name = before.rsplit([' ', '*']).next().expect("a name").to_owned();
        declarations.push(Declaration::Function { name, prototype, inline });
    }
}

/// Parses the declaration of a field. An array's length may be the name of a constant.
fn field(text: &str, constants: &[(String, String)]) -> Field {
    let (text, length) = match text.split_once('[') {
        None => (text, None),
        Some((text, length)) => {
            let length = length.trim_end_matches(']');
            let known = constants.iter().find(|(name, _)| name == length);
            let number = known.map_or(length, |(_, value)| value).parse().expect("a number");
            (text, Some(number))
        }
    };
    let name = text.rsplit([' ', '*']).next().expect("a name");
    let kind = text[..text.len() - name.len()].trim();
    Field { kind: kind.to_owned(), name: name.to_owned(), length }
}
