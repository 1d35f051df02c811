//! Enums whose variants have fixed names, each stated once.

/// Defines an enum with a name for each variant, a list of all variants, and a function that
/// returns the name.
#[macro_export]
macro_rules! named_enum {
    (
        $(#[$about:meta])*
        $vis:vis enum $type:ident {
            $($(#[$meta:meta])* $variant:ident = $name:literal,)*
        }
        $(#[$returns:meta])*
        fn $method:ident
    ) => {
        $(#[$about])*
        $vis enum $type {
            $($(#[$meta])* $variant,)*
        }

        impl $type {
            /// All variants in order.
            $vis const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            $(#[$returns])*
            #[must_use]
            $vis const fn $method(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}
