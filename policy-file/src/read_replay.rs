//! Reads the entries of a replay.

use crate::entry::{Entries, Read, Value};
use crate::error::Problem;
use crate::length;
use crate::replay::{Absent, CostSpec, DurationSpec, FieldKey, KeySpec, ReplaySpec};
use std::time::Duration;
use toml::de::DeValue;

impl Entries<'_> {
    /// Reads the entries of a policy that concern a replay.
    pub fn replay(&self) -> Read<ReplaySpec> {
        Ok(ReplaySpec {
            key: self.key("key", "address", "absent")?,
            key_position: self.position("key"),
            absent_position: self.position("absent"),
            cost: self.cost("cost")?.unwrap_or(CostSpec { fixed: 1, fields: Vec::new() }),
            cost_position: self.position("cost"),
            estimate: self.cost("estimate")?,
            estimate_position: self.position("estimate"),
        })
    }

    /// Reads the key, whether it is an address, and what replaces it if it is absent.
    fn key(
        &self,
        entry: &'static str,
        address: &'static str,
        absent: &'static str,
    ) -> Read<Option<KeySpec>> {
        let name = self.text(entry)?;
        let Some(name) = name.as_deref().filter(|name| *name != "*") else {
            if let Some(extra) = [address, absent].into_iter().find(|extra| self.has(extra)) {
                return Err(self.error_at_name(extra, Problem::SharedKey { entry: extra }));
            }
            return Ok(name.map(|_| KeySpec::Shared));
        };
        let address = self.flag(address)?;
        let absent = match self.text(absent)? {
            None => Absent::Skip,
            Some(text) if text == "skip" => Absent::Skip,
            Some(text) if text == "share" => Absent::Share,
            Some(field) => Absent::Field(field),
        };
        Ok(Some(KeySpec::Field(FieldKey { name: name.to_owned(), address, absent })))
    }

    /// Reads an optional cost: a number, a field, or a list of them to add up.
    fn cost(&self, entry: &'static str) -> Read<Option<CostSpec>> {
        let Some(value) = self.value(entry) else { return Ok(None) };
        let mut cost = CostSpec { fixed: 0, fields: Vec::new() };
        match value.content {
            DeValue::Array(terms) if terms.is_empty() => {
                return Err(self.error(value, Problem::Empty { entry }));
            }
            DeValue::Array(terms) => terms
                .iter()
                .try_for_each(|term| self.add_term(Value::new(entry, term), &mut cost))?,
            _ => self.add_term(value, &mut cost)?,
        }
        Ok(Some(cost))
    }

    fn add_term(&self, term: Value<'_>, cost: &mut CostSpec) -> Read<()> {
        const EXPECTED: &str = "a whole number, a field, or a list of these";
        if let DeValue::Integer(number) = term.content {
            let number = self.in_range(term, number, 1..=u64::MAX)?;
            let sum = cost.fixed.checked_add(number);
            let overflow = || self.error(term, Problem::Sum { entry: term.entry });
            cost.fixed = sum.ok_or_else(overflow)?;
        } else {
            cost.fields.push(self.text_in(term, EXPECTED)?);
        }
        Ok(())
    }

    /// Reads the optional duration of a request: a field in seconds, or a field and its unit.
    pub fn duration(&self, entry: &'static str) -> Read<Option<DurationSpec>> {
        const EXPECTED: &str = "a field, or a table with \"field\" and \"unit\"";
        let Some(value) = self.value(entry) else { return Ok(None) };
        let position = self.position(entry);
        let DeValue::Table(table) = value.content else {
            let field = self.text_in(value, EXPECTED)?;
            return Ok(Some(DurationSpec { field, unit: Duration::from_secs(1), position }));
        };
        let parts = self.inner(value, table);
        parts.reject_unknown(&["field", "unit"])?;
        let (field, text) = (parts.required_text("field")?, parts.required_text("unit")?);
        let Some(unit) = length::unit(&text) else {
            return Err(parts.length_error("unit", text, "us, ms, s, m, h or d", "20ms"));
        };
        Ok(Some(DurationSpec { field, unit, position }))
    }
}
