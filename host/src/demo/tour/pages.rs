//! Steps 1 to 5: what a visitor sees.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use super::{Shown, StepError, TREK, Tour, UNRELATED, claim, is_hit, shows, status_line};
use crate::client::ClientError;

/// The least that the cache must be faster than the application.
const TIMES_FASTER_MIN: f64 = 100.0;

/// Requests for the warm page; the fastest counts, since the machine may be busy with others.
const WARM_REQUESTS: usize = 100;

/// Step 1. A folder of an earlier demo may hold pages, so everything is invalidated first.
pub(super) async fn cold(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let request = Request::post(tour.stage.api("/v1/invalidate"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(b"{\"everything\":true}")))
        .map_err(ClientError::from)?;
    let answer = tour.client.send(request).await?;
    claim(answer.status.is_success(), || format!("invalidate: status {}", answer.status))?;

    let page = tour.page(TREK).await?;
    claim(!is_hit(&page), || status_line(&page))?;
    (tour.cold, tour.cold_took) = (page.body, page.took);
    tour.unrelated = tour.page(UNRELATED).await?.body;
    let detail = format!("{} bytes, made by the application", tour.cold.len());
    Ok(Shown { took: tour.cold_took, detail })
}

/// Step 2.
pub(super) async fn warm(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let mut fastest = Duration::MAX;
    for _ in 0..WARM_REQUESTS {
        let page = tour.page(TREK).await?;
        claim(is_hit(&page), || status_line(&page))?;
        claim(page.body == tour.cold, || "another body than the cold page's".into())?;
        fastest = fastest.min(page.took);
    }
    let times = tour.cold_took.as_secs_f64() / fastest.as_secs_f64().max(f64::EPSILON);
    claim(times >= TIMES_FASTER_MIN, || format!("only {times:.0} times faster"))?;
    let detail = format!("{times:.0} times faster, the fastest of {WARM_REQUESTS}");
    Ok(Shown { took: fastest, detail })
}

/// Step 3.
pub(super) async fn save(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let (title, took) = tour.save_photo("Sunrise over Annapurna II, take").await?;
    claim(!shows(&tour.cold, &title), || "the cold page had that title already".into())?;
    tour.title = title;
    Ok(Shown { took, detail: "row committed and webhook answered 2xx".into() })
}

/// Step 4.
pub(super) async fn fresh(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let page = tour.page(TREK).await?;
    claim(shows(&page.body, &tour.title), || {
        format!("a page without the new title, {}", status_line(&page))
    })?;
    tour.fresh = page.body;
    Ok(Shown { took: page.took, detail: format!("\"{}\"", tour.title) })
}

/// Step 5.
pub(super) async fn unrelated(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let page = tour.page(UNRELATED).await?;
    claim(is_hit(&page), || status_line(&page))?;
    claim(page.body == tour.unrelated, || "another body than before".into())?;
    Ok(Shown { took: page.took, detail: format!("{UNRELATED}, rendered before the save") })
}
