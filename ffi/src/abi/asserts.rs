//! The ABI as a C program that compiles without warnings only if the header declares the same ABI.

use super::header::{Declaration, Field};
use super::layout;
use std::fmt::Write;

const HEAD: &str = "\
/* The ABI on 64-bit systems, as static assertions and pointer conversions. Compile this file with
 * -Werror: it then fails if the header declares another ABI. Without -Werror, some C compilers only warn
 * if the type of a field or a function differs.
 * Generated: TOLLGATE_BLESS=1 cargo test -p tollgate-ffi abi */
#include <assert.h>
#include <stddef.h>
#include <tollgate.h>
#include <tollgate.h> /* a second time: the include guard works */
#ifndef __cplusplus
#include <stdalign.h>
#endif
";

/// Generates the program.
pub(super) fn program(declarations: &[Declaration]) -> String {
    let (mut facts, mut functions) = (String::from(HEAD), String::new());
    for declaration in declarations {
        let _ = match declaration {
            // A brace initializer cannot be compared in a `static_assert`; the C tests cover it.
            Declaration::Constant { value, .. } if value.starts_with('{') => Ok(()),
            Declaration::Constant { name, value } => assert(&mut facts, name, value),
            Declaration::Status { name, value } => assert(&mut facts, name, value),
            Declaration::Opaque { name } => writeln!(facts, "typedef struct {name} {name};"),
            Declaration::Struct { name, fields } => layout_of(&mut facts, name, fields),
            Declaration::Function { name, prototype, .. } => {
                let pointer = prototype.replacen(name, &format!("(*{name}_)"), 1);
                writeln!(functions, "    {pointer} = {name};\n    (void){name}_;")
            }
        };
    }
    let _ = assert(&mut facts, "sizeof(tollgate_status)", &4);
    format!("{facts}\nstatic inline void functions(void) {{\n{functions}}}\n")
}

fn assert(text: &mut String, what: &str, value: &dyn std::fmt::Display) -> std::fmt::Result {
    writeln!(text, "static_assert({what} == {value}, \"{what}\");")
}

fn layout_of(text: &mut String, name: &str, fields: &[Field]) -> std::fmt::Result {
    let layout = layout::of(name);
    writeln!(text)?;
    assert(text, &format!("sizeof({name})"), &layout.size)?;
    assert(text, &format!("alignof({name})"), &layout.align)?;
    for (field, in_rust) in fields.iter().zip(&layout.fields) {
        assert(text, &format!("offsetof({name}, {})", field.name), &in_rust.offset)?;
    }
    // Checks the field types: the compiler warns if `&value->field` is a pointer to another type.
    writeln!(text, "static inline void types_of_{name}({name} *value) {{")?;
    for Field { kind, name, length } in fields {
        match length {
            Some(length) => writeln!(text, "    {kind} (*{name})[{length}] = &value->{name};")?,
            None => writeln!(text, "    {kind} *{name} = &value->{name};")?,
        }
        writeln!(text, "    (void){name};")?;
    }
    writeln!(text, "}}")
}
