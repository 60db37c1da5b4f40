//! The arguments of `#[plugin]`.
//!
//! # Invariants
//! - An argument that is not known is refused where it stands, with those that are.
//!
//! # Not here
//! What becomes of them: `super::expand`.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitBool, LitInt, LitStr, MetaNameValue, Token, parenthesized};

/// What stands between the attribute's parentheses.
pub(crate) struct Arguments {
    name: LitStr,
    key_epoch: Option<LitInt>,
    pure: Option<LitBool>,
    inputs: Option<Vec<Tokens>>,
    item_prefixes: Option<Vec<LitStr>>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut name = None;
        let (mut key_epoch, mut pure, mut inputs, mut item_prefixes) = (None, None, None, None);
        while !input.is_empty() {
            let argument: Ident = input.parse()?;
            match argument.to_string().as_str() {
                "name" => name = Some(value(input)?),
                "key_epoch" => {
                    let epoch: LitInt = value(input)?;
                    epoch.base10_parse::<u32>()?;
                    key_epoch = Some(epoch);
                }
                "pure" => pure = Some(value(input)?),
                "inputs" => inputs = Some(parse_inputs(input)?),
                "item_prefixes" => {
                    let content;
                    parenthesized!(content in input);
                    let list = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
                    item_prefixes = Some(list.into_iter().collect());
                }
                _ => {
                    let known = "name, key_epoch, pure, inputs(…) and item_prefixes(…)";
                    let problem = format!("unknown argument `{argument}`; there are {known}");
                    return Err(syn::Error::new(argument.span(), problem));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let name = name.ok_or_else(|| input.error("a plugin needs a name: name = \"shop\""))?;
        Ok(Self { name, key_epoch, pure, inputs, item_prefixes })
    }
}

impl Arguments {
    /// `const INFO`.
    pub(crate) fn info(&self) -> Tokens {
        let name = &self.name;
        let key_epoch = self.key_epoch.as_ref().map_or(quote!(0), |epoch| quote!(#epoch));
        let pure = self.pure.as_ref().is_none_or(LitBool::value);
        quote! {
            const INFO: ::wasmcached_plugin::Info = ::wasmcached_plugin::Info {
                name: #name,
                version: ::core::env!("CARGO_PKG_VERSION"),
                key_epoch: #key_epoch,
                pure: #pure,
            };
        }
    }

    /// Whether there are `inputs(…)`.
    pub(crate) fn has_inputs(&self) -> bool {
        self.inputs.is_some()
    }

    /// `fn inputs`.
    pub(crate) fn inputs(&self) -> Tokens {
        let inputs = self.inputs.as_deref().unwrap_or_default();
        quote! {
            fn inputs(&self) -> ::std::vec::Vec<::wasmcached_plugin::Input> {
                ::std::vec![#(#inputs),*]
            }
        }
    }

    /// Whether there are `item_prefixes(…)`.
    pub(crate) fn has_item_prefixes(&self) -> bool {
        self.item_prefixes.is_some()
    }

    /// `fn item_prefixes`.
    pub(crate) fn item_prefixes(&self) -> Tokens {
        let prefixes = self.item_prefixes.as_deref().unwrap_or_default();
        quote! {
            fn item_prefixes(&self) -> ::std::vec::Vec<::std::string::String> {
                ::std::vec![#(::std::string::String::from(#prefixes)),*]
            }
        }
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn parse_inputs(input: ParseStream<'_>) -> syn::Result<Vec<Tokens>> {
    let content;
    parenthesized!(content in input);
    let pairs = Punctuated::<MetaNameValue, Token![,]>::parse_terminated(&content)?;
    let mut inputs = Vec::new();
    for pair in pairs {
        let name = &pair.value;
        let kind = pair.path.get_ident().map(Ident::to_string).unwrap_or_default();
        let variant = match kind.as_str() {
            "header" => quote!(Header),
            "cookie" => quote!(Cookie),
            "query" => quote!(QueryParam),
            _ => {
                let problem = "an input is header = \"…\", cookie = \"…\" or query = \"…\"";
                return Err(syn::Error::new_spanned(&pair.path, problem));
            }
        };
        inputs.push(quote! {
            ::wasmcached_plugin::Input::#variant(::std::string::String::from(#name))
        });
    }
    Ok(inputs)
}
