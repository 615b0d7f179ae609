//! Versions of the measured rivals.

/// The lock file of this build.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The version of a package of this workspace or of its dependencies.
pub fn version(package: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    lines.find(|line| *line == name)?;
    Some(lines.next()?.strip_prefix("version = ")?.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rivals_have_versions() {
        for package in ["tollgate", "governor", "rate-net"] {
            assert!(version(package).is_some_and(|v| v.split('.').count() == 3), "{package}");
        }
        assert_eq!(version("rate"), None);
    }
}
