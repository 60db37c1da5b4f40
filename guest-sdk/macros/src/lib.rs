//! The `#[plugin]` attribute of `wasmcached-plugin`.
//!
//! # Invariants
//! - A component exports the interfaces of the hooks that the implementation writes, no others.
//! - Native builds get the implementation alone, so tests need no server and no Wasm.
//!
//! # Not here
//! What hooks mean: `wasmcached_plugin::Plugin`.

mod arguments;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{ImplItem, ItemImpl, parse_macro_input};

use arguments::Arguments;

/// Makes an `impl Plugin for X` a plugin, where `X: Default`.
///
/// - `name = "shop"`: what the plugin calls itself. The only one that must be there.
/// - `key_epoch = 1`: raise it when the meaning of keys or tags changes; 0 if left out.
/// - `pure = false`: `cache_key` depends on more than the request, so no answer is remembered.
/// - `inputs(header = "accept-language", cookie = "tier", query = "page")`: the request data that
///   the plugin reads, where it does not write `inputs` itself.
/// - `item_prefixes("frag:")`: the memcached items that `on_item` is asked about, where the plugin
///   does not write `item_prefixes` itself.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, implementation: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let implementation = parse_macro_input!(implementation as ItemImpl);
    expand(&arguments, implementation).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(arguments: &Arguments, mut implementation: ItemImpl) -> syn::Result<Tokens> {
    let written = |name: &str| implementation.items.iter().any(|item| is_fn(item, name));
    let mut interfaces = vec!["lifecycle"];
    for (interface, hooks) in [
        ("keyer", ["cache_key"].as_slice()),
        ("tagger", &["on_store", "on_item"]),
        ("invalidator", &["on_event"]),
    ] {
        if hooks.iter().any(|hook| written(hook)) {
            interfaces.push(interface);
        }
    }
    if interfaces.len() == 1 {
        let problem = "a plugin needs a hook: cache_key, on_store, on_item or on_event";
        return Err(syn::Error::new_spanned(&implementation.self_ty, problem));
    }
    let mut added = vec![arguments.info()];
    for (name, declared, item) in [
        ("inputs", arguments.has_inputs(), arguments.inputs()),
        ("item_prefixes", arguments.has_item_prefixes(), arguments.item_prefixes()),
    ] {
        match (written(name), declared) {
            (true, true) => {
                let problem = format!("`{name}` is both an argument and a method");
                return Err(syn::Error::new_spanned(&implementation.self_ty, problem));
            }
            (false, true) => added.push(item),
            (_, false) => {}
        }
    }
    for item in added {
        implementation.items.push(syn::parse2(item)?);
    }
    let exports = exports(&implementation, &interfaces);
    Ok(quote! { #implementation #exports })
}

fn is_fn(item: &ImplItem, name: &str) -> bool {
    matches!(item, ImplItem::Fn(function) if function.sig.ident == name)
}

fn exports(implementation: &ItemImpl, interfaces: &[&str]) -> Tokens {
    let plugin = &implementation.self_ty;
    let calls = interfaces.iter().map(|interface| {
        let span = proc_macro2::Span::call_site();
        let module = syn::Ident::new(interface, span);
        let export = syn::Ident::new(&format!("export_{interface}"), span);
        quote! {
            ::wasmcached_plugin::wasm::#module::#export!(
                Exports with_types_in ::wasmcached_plugin::wasm::#module
            );
        }
    });
    quote! {
        // Natively nothing else may use the plugin; that makes it no dead code.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> #plugin = <#plugin as ::core::default::Default>::default;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exports;

            ::std::thread_local! {
                static SLOT: ::wasmcached_plugin::wasm::Slot<#plugin> = const {
                    ::wasmcached_plugin::wasm::Slot { plugin: ::std::cell::OnceCell::new() }
                };
            }

            impl ::wasmcached_plugin::wasm::Exported for Exports {
                type Plugin = #plugin;

                fn with<T>(
                    use_it: impl FnOnce(&::wasmcached_plugin::wasm::Slot<#plugin>) -> T,
                ) -> T {
                    SLOT.with(use_it)
                }
            }

            #(#calls)*
        };
    }
}
