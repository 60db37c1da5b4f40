//! The application's pages as HTML.
//!
//! # Invariants
//! - Text of visitors and rows is put into a page only by [`Escaped`].
//! - A page needs nothing else: no script, no style sheet, no picture.
//!
//! # Not here
//! Where the data comes from and how long a page may be kept.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, UNIX_EPOCH};

use super::rows::{Message, Photo, Survey, Trek};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:0 auto;padding:1.5rem;\
background:#faf8f4;color:#25302b}\
nav a{margin-right:1.2rem}a{color:#0a6b52}h1{line-height:1.2}\
article{background:#fff;border:1px solid #e4dfd5;border-radius:.6rem;padding:1rem 1.3rem;\
margin:1rem 0}article h2,article p{margin:.2rem 0}small,footer{color:#75807a}\
footer{margin-top:2.5rem;border-top:1px solid #e4dfd5;padding-top:.8rem;font-size:.9rem}\
label{display:block;margin:.8rem 0 .2rem}input,select,textarea{font:inherit;width:100%;\
box-sizing:border-box;padding:.45rem;border:1px solid #b9b3a6;border-radius:.35rem}\
button{font:inherit;margin-top:1rem;padding:.45rem 1.4rem;border:0;border-radius:.35rem;\
background:#0a6b52;color:#fff}.note{border-left:.3rem solid #0a6b52;padding-left:.8rem}\
@media(prefers-color-scheme:dark){body{background:#161b19;color:#dde5e0}a{color:#5fc7a8}\
article{background:#1f2623;border-color:#35403b}}";

/// How the cache took the news of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged,
    Unacknowledged,
}

/// Text as it may stand in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let (text, special) = match part.char_indices().next_back() {
                Some((at, last)) => match entity(last) {
                    Some(entity) => (part.get(..at).unwrap_or_default(), entity),
                    None => (part, ""),
                },
                None => (part, ""),
            };
            f.write_str(text)?;
            f.write_str(special)?;
        }
        Ok(())
    }
}

fn entity(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

pub(super) fn home(treks: &[Trek], survey: &Survey, now_ms: u64) -> String {
    let list: String = treks.iter().map(trek_card).collect();
    let main = format!("<h1>Walk with us in Nepal</h1>{list}{}", footer(survey, now_ms));
    document("Treks in Nepal", &main)
}

fn trek_card(trek: &Trek) -> String {
    format!(
        "<article><h2><a href=\"/treks/{slug}/\">{name}</a></h2><p>{blurb}</p>\
         <small>{days} days, up to {height} m. On the cover: {cover}</small></article>",
        slug = Escaped(&trek.slug),
        name = Escaped(&trek.name),
        blurb = Escaped(&trek.blurb),
        days = trek.days,
        height = trek.height_m,
        cover = Escaped(&trek.cover),
    )
}

pub(super) fn trek(trek: &Trek, photos: &[Photo], survey: &Survey, now_ms: u64) -> String {
    let list: String = photos
        .iter()
        .map(|photo| {
            format!(
                "<article><h2>{}</h2><small><a href=\"/admin/photos/{}/\">edit</a></small>\
                 </article>",
                Escaped(&photo.title),
                photo.id
            )
        })
        .collect();
    let main = format!(
        "<h1>{name}</h1><p>{blurb}</p><p><small>{days} days, up to {height} m</small></p>{list}{}",
        footer(survey, now_ms),
        name = Escaped(&trek.name),
        blurb = Escaped(&trek.blurb),
        days = trek.days,
        height = trek.height_m,
    );
    document(&trek.name, &main)
}

pub(super) fn queue(messages: &[Message], survey: &Survey, now_ms: u64) -> String {
    let list: String = messages
        .iter()
        .map(|message| {
            format!(
                "<article><p>{}</p><small>{}, {}</small></article>",
                Escaped(&message.text),
                Escaped(&message.author),
                Escaped(&message.received_at)
            )
        })
        .collect();
    let main = format!(
        "<h1>Messages for our guides</h1>\
         <form method=\"post\" action=\"/queue/\">\
         <label for=\"author\">Your name</label>\
         <input id=\"author\" name=\"author\" maxlength=\"120\" required>\
         <label for=\"text\">Message</label>\
         <textarea id=\"text\" name=\"text\" rows=\"3\" maxlength=\"1000\" required></textarea>\
         <button>Send</button></form>{list}{}",
        footer(survey, now_ms)
    );
    document("Messages", &main)
}

pub(super) fn photo_form(photo: &Photo, treks: &[Trek], outcome: Option<Outcome>) -> String {
    let note = match outcome {
        Some(Outcome::Acknowledged) => {
            "<p class=\"note\">Saved. The cache has acknowledged: nobody sees the old title \
             now.</p>"
        }
        Some(Outcome::Unacknowledged) => {
            "<p class=\"note\">Saved, but the cache did not acknowledge: it may show the old title \
             until it is told again.</p>"
        }
        None => "",
    };
    let options: String = treks
        .iter()
        .map(|trek| {
            let selected = if trek.slug == photo.trek { " selected" } else { "" };
            let (slug, name) = (Escaped(&trek.slug), Escaped(&trek.name));
            format!("<option value=\"{slug}\"{selected}>{name}</option>")
        })
        .collect();
    let main = format!(
        "<h1>Photo {id}</h1>{note}<form method=\"post\" action=\"/admin/photos/{id}/\">\
         <label for=\"title\">Title</label>\
         <input id=\"title\" name=\"title\" value=\"{title}\" maxlength=\"120\" required>\
         <label for=\"trek\">Trek</label><select id=\"trek\" name=\"trek\">{options}</select>\
         <button>Save</button></form><p><a href=\"/treks/{trek}/\">See the trek</a></p>",
        id = photo.id,
        title = Escaped(&photo.title),
        trek = Escaped(&photo.trek),
    );
    document("Photo", &main)
}

pub(super) fn fault(text: &str) -> String {
    document("Off the path", &format!("<h1>Off the path</h1><p>{}</p>", Escaped(text)))
}

fn footer(survey: &Survey, now_ms: u64) -> String {
    let rendered = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now_ms));
    format!(
        "<footer>The widest of our {points} surveyed points lie {span:.1} km apart. \
         Rendered on {rendered}; this page took {took:.2} s of database work.</footer>",
        points = survey.points,
        span = survey.span_m / 1000.0,
        took = survey.took.as_secs_f64(),
    )
}

fn document(title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>\
         <nav><a href=\"/\">Treks</a><a href=\"/queue/\">Messages</a></nav>\
         <main>{main}</main></body></html>\n",
        Escaped(title)
    )
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn no_character_of_html_survives_escaping() {
        let escaped = Escaped("a<b title=\"x\">&'é'</b>").to_string();
        assert_eq!(escaped, "a&lt;b title=&quot;x&quot;&gt;&amp;&#39;é&#39;&lt;/b&gt;");
        assert_eq!(Escaped("").to_string(), "");
    }
}
