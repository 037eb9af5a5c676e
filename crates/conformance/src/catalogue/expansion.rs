//! What the catalogue becomes: tests, or data.

/// One `#[test]` for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$factory:expr] $($promise:literal $module:ident { $($(#[doc = $story:literal])* $name:ident)* })*) => {
        $($(
            $(#[doc = $story])*
            #[test]
            fn $name() {
                $crate::check(stringify!($name), &$factory);
            }
        )*)*
    };
}

/// The table as data.
#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    ([] $($promise:literal $module:ident { $($(#[doc = $story:literal])* $name:ident)* })*) => {
        &[$($(
            $crate::Case {
                name: stringify!($name),
                promise: $promise,
                story: concat!($($story),*).trim_ascii_start(),
                body: $module::$name,
            },
        )*)*]
    };
}
