//! The derive macros of `cam_graph::Tensors` and of `cam_core::Input`.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Member, Path, Result, parse_macro_input, parse_quote};

/// Derives `Tensors` for a struct or an enum whose fields implement `Tensors`.
///
/// `#[tensors(skip)]` leaves a field without tensors unchanged. The generated code names
/// `burn_cam`; `#[tensors(crate = other)]` on the type names another crate with the trait. The trait has an example.
///
/// # Errors
/// Unions and unknown attributes are compile errors.
#[proc_macro_derive(Tensors, attributes(tensors))]
pub fn tensors(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(input).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `Input` for a struct of tensors: the first field is explained, and the others go with it.
///
/// The first field implements `Input`, and the others `Companion` or have `#[tensors(skip)]`; the struct is `Clone`. The crate is named as
/// for `Tensors`. The trait has an example.
///
/// # Errors
/// Types that are not structs with a field are compile errors.
#[proc_macro_derive(Input, attributes(tensors))]
pub fn input(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive_input(input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive_input(input: DeriveInput) -> Result<TokenStream> {
    let path = crate_path(&input)?;
    let name = &input.ident;
    let fields = match &input.data {
        Data::Struct(data) if !data.fields.is_empty() => &data.fields,
        _ => {
            return Err(Error::new_spanned(
                name,
                "`Input` is derived for structs whose first field is explained",
            ));
        }
    };
    let members: Vec<Member> = fields.members().collect();
    let (explained, others) = members.split_first().expect("there is a field");
    let kind = &fields.iter().next().expect("there is a field").ty;
    let copied = fields.iter().zip(&members).skip(1).map(|(field, member)| {
        Ok(match is_skipped(field)? {
            true => quote!(#member: ::core::clone::Clone::clone(&self.#member)),
            false => quote!(#member: #path::Companion::copies(&self.#member, image, copies)),
        })
    });
    let copied = copied.collect::<Result<Vec<_>>>()?;
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #path::Input for #name #arguments #bounds {
            type Map = <#kind as #path::Input>::Map;

            fn grid(&self) -> ::std::vec::Vec<usize> {
                #path::Input::grid(&self.#explained)
            }

            fn to_layer(&self) -> #path::burn::Tensor<3> {
                #path::Input::to_layer(&self.#explained)
            }

            fn with_layer(&self, values: #path::burn::Tensor<3>) -> Self {
                Self {
                    #explained: #path::Input::with_layer(&self.#explained, values),
                    #(#others: ::core::clone::Clone::clone(&self.#others),)*
                }
            }

            fn copies(&self, image: usize, copies: usize) -> Self {
                Self { #explained: #path::Input::copies(&self.#explained, image, copies), #(#copied,)* }
            }

            fn to_map(values: #path::burn::Tensor<2>, grid: &[usize]) -> Self::Map {
                <#kind as #path::Input>::to_map(values, grid)
            }

            fn batch(&self) -> usize {
                #path::Input::batch(&self.#explained)
            }
        }
    })
}

fn derive(input: DeriveInput) -> Result<TokenStream> {
    let crate_path = crate_path(&input)?;
    let arms = match &input.data {
        Data::Struct(data) => vec![match_arm(&crate_path, &quote!(Self), &data.fields)?],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let name = &variant.ident;
                match_arm(&crate_path, &quote!(Self::#name), &variant.fields)
            })
            .collect::<Result<_>>()?,
        Data::Union(_) => {
            return Err(Error::new_spanned(&input.ident, "`Tensors` cannot be derived for unions"));
        }
    };

    let mut generics = input.generics;
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#crate_path::Tensors));
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let name = input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #crate_path::Tensors for #name #arguments #bounds {
            #[allow(unused_variables)]
            fn map_tensors(self, map: #crate_path::MapTensor<'_>) -> Self {
                match self { #(#arms)* }
            }
        }
    })
}

/// Returns the path to the crate with the trait.
fn crate_path(input: &DeriveInput) -> Result<Path> {
    let mut crate_path = parse_quote!(::burn_cam);
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("tensors")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("unknown attribute, expected `crate = ...`"));
            }
            crate_path = meta.value()?.parse()?;
            Ok(())
        })?;
    }
    Ok(crate_path)
}

/// Returns an arm of the match, which destructures the fields and rebuilds the value with mapped fields in the same order.
fn match_arm(crate_path: &Path, name: &TokenStream, fields: &Fields) -> Result<TokenStream> {
    // `S { 0: a }` is a pattern and a value of `struct S(A)` too, and `S {}` of `struct S`.
    let (members, values): (Vec<Member>, Vec<_>) =
        fields.members().enumerate().map(|(n, member)| (member, format_ident!("field_{n}"))).unzip();
    let mapped = fields
        .iter()
        .zip(&values)
        .map(|(field, value)| {
            Ok(match is_skipped(field)? {
                true => quote!(#value),
                false => quote!(#crate_path::Tensors::map_tensors(#value, &mut *map)),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        #name { #(#members: #values),* } => #name { #(#members: #mapped),* },
    })
}

fn is_skipped(field: &Field) -> Result<bool> {
    let mut is_skipped = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("tensors")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("skip") {
                return Err(meta.error("unknown attribute, expected `skip`"));
            }
            is_skipped = true;
            Ok(())
        })?;
    }
    Ok(is_skipped)
}
