//! The derive macro of `cam_graph::Tensors`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Member, Path, Result, parse_macro_input, parse_quote};

/// Derives `Tensors` for a struct or an enum, of which each field is `Tensors` itself.
///
/// A field that holds no tensor is left as it is by `#[tensors(skip)]`. Where `cam-graph` is reached through another crate, the path to
/// it is told by `#[tensors(crate = burn_cam::cam_graph)]` on the struct. The trait has an example.
///
/// # Errors
/// Unions are refused, and attributes that are none of these two.
#[proc_macro_derive(Tensors, attributes(tensors))]
pub fn tensors(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive(input: DeriveInput) -> Result<TokenStream> {
    let home = home(&input)?;
    let arms = match &input.data {
        Data::Struct(data) => vec![arm(&home, &quote!(Self), &data.fields)?],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let name = &variant.ident;
                arm(&home, &quote!(Self::#name), &variant.fields)
            })
            .collect::<Result<_>>()?,
        Data::Union(_) => {
            return Err(Error::new_spanned(&input.ident, "a union tells not which of its fields it holds"));
        }
    };

    let mut generics = input.generics;
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#home::Tensors));
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let name = input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #home::Tensors for #name #arguments #bounds {
            #[allow(unused_variables)]
            fn map_tensors(self, map: #home::MapTensor<'_>) -> Self {
                match self { #(#arms)* }
            }
        }
    })
}

/// The path to `cam-graph`.
fn home(input: &DeriveInput) -> Result<Path> {
    let mut home = parse_quote!(::cam_graph);
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("tensors")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("here is only `crate = ...`"));
            }
            home = meta.value()?.parse()?;
            Ok(())
        })?;
    }
    Ok(home)
}

/// One arm of the match: the fields are taken out and put back, mapped, in their order.
fn arm(home: &Path, name: &TokenStream, fields: &Fields) -> Result<TokenStream> {
    // `S { 0: a }` is a pattern and a value of `struct S(A)` as well, and `S {}` of `struct S`.
    let (members, values): (Vec<Member>, Vec<_>) =
        fields.members().enumerate().map(|(n, member)| (member, format_ident!("field_{n}"))).unzip();
    let mapped = fields
        .iter()
        .zip(&values)
        .map(|(field, value)| {
            Ok(match is_skipped(field)? {
                true => quote!(#value),
                false => quote!(#home::Tensors::map_tensors(#value, &mut *map)),
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
                return Err(meta.error("here is only `skip`"));
            }
            is_skipped = true;
            Ok(())
        })?;
    }
    Ok(is_skipped)
}
