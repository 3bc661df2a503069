//! What the tests stand on: a sandbox, trees as literals, and a comparison of trees that knows nothing of blit.

pub(crate) mod compare;
pub(crate) mod device;
pub(crate) mod foreign;
pub(crate) mod mount;
pub(crate) mod random;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod terminal;
pub(crate) mod tree;

/// Makes each function a test on every engine. It gets the sandbox by reference.
macro_rules! on_every_engine {
    ($(fn $name:ident($sandbox:ident) $body:block)*) => {
        $(
            fn $name($sandbox: &$crate::support::sandbox::Sandbox) $body

            mod $name {
                #[test]
                fn threads() {
                    $crate::support::sandbox::Sandbox::with_engine("threads", super::$name);
                }

                #[test]
                fn uring() {
                    $crate::support::sandbox::Sandbox::with_engine("uring", super::$name);
                }
            }
        )*
    };
}
pub(crate) use on_every_engine;
