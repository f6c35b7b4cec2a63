//! A test for each planted defect, in a line or a few: what `check` must say of it, and how to plant it.
#![allow(unused_macros, unused_imports)]

/// `name: Severity "rule" in "dump", "image" entry, |plant| ...;`, where `-` is no entry. The defect may break other
/// rules too, but this one once.
macro_rules! planted {
    ($($name:ident: $severity:ident $rule:literal in $dump:literal, $image:literal $entry:tt, $change:expr;)*) => {$(
        #[test]
        fn $name() {
            let plant = Plant::of_data($dump);
            let change: fn(&Plant) = $change;
            change(&plant);
            let found = plant.check();
            found.expect(Severity::$severity, $rule, $image, planted!(@ $entry));
            assert_eq!(found.of($rule).count(), 1, "{}", found.text());
        }
    )*};
    (@ -) => { None };
    (@ $entry:literal) => { Some($entry) };
}

pub(crate) use planted;
