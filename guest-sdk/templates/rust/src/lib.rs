//! What my-plugin knows of the application: how pages are told apart, and what changes them.

use wasmcached_plugin::prelude::*;

/// A shop with products in several languages.
#[derive(Default)]
pub struct Shop;

#[plugin(name = "my-plugin", key_epoch = 1, inputs(header = "accept-language"))]
impl Plugin for Shop {
    // One page for each language, whatever the campaign.
    fn cache_key(&self, request: &Request) -> Result<Key> {
        let language = request.header("accept-language").and_then(|text| text.get(..2));
        let key = Key::of(request).drop_query("utm_*").sort_query();
        Ok(key.with("lang", language.unwrap_or("en")))
    }

    // `/products/5` shows product 5; every page shows some products.
    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        let storage = Storage::ttl(300).tag("model:shop.product");
        Ok(match request.path().strip_prefix("/products/") {
            Some(id) if !id.is_empty() => storage.tag(format!("product:{id}")),
            _ => storage.tag("list"),
        })
    }

    // A product that was saved makes its page and the lists wrong.
    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        Ok(match (event.model(), event.object_id()) {
            ("shop.product", Some(id)) => vec![hard_tag(format!("product:{id}")), soft_tag("list")],
            ("shop.product", None) => vec![hard_tag("model:shop.product")],
            _ => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmcached_plugin::testing::{actions, event, get, key, response, storage};

    #[test]
    fn campaigns_share_a_page_and_languages_do_not() {
        let german = |url| get(url).header("accept-language", "de-AT");
        assert_eq!(key(&Shop, &german("https://shop/a?utm_source=x")), "http://shop/a|lang=de");
        assert_eq!(key(&Shop, &get("https://shop/a")), "http://shop/a|lang=en");
    }

    #[test]
    fn a_product_makes_its_page_and_the_lists_wrong() {
        let page = storage(&Shop, &get("https://shop/products/5"), &response(200));
        assert_eq!(page, Storage::ttl(300).tag("model:shop.product").tag("product:5"));
        let saved = event("shop.product").id(5);
        assert_eq!(actions(&Shop, &saved), [hard_tag("product:5"), soft_tag("list")]);
    }

    #[test]
    fn other_models_change_nothing() {
        assert_eq!(actions(&Shop, &event("auth.user").id(1)), []);
    }
}
