//! Steps 8 and 9: what an orderly end keeps, and what a crash can't undo.

use tokio::time::Instant;

use super::{Shown, StepError, TREK, Tour, UNRELATED, claim, is_hit, shows, status_line};
use crate::demo::{ChildError, DemoError};

impl From<ChildError> for StepError {
    fn from(error: ChildError) -> Self {
        Self::Stage(Box::new(error.into()))
    }
}

impl From<DemoError> for StepError {
    fn from(error: DemoError) -> Self {
        Self::Stage(Box::new(error))
    }
}

/// Step 8.
pub(super) async fn restart(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let start = Instant::now();
    tour.stage.cache.terminate().await?;
    tour.stage.start_again().await?;
    let took = start.elapsed();
    for (path, before) in [(TREK, &tour.fresh), (UNRELATED, &tour.unrelated)] {
        let page = tour.page(path).await?;
        claim(is_hit(&page), || format!("{path}: {}", status_line(&page)))?;
        claim(page.body == *before, || format!("{path}: another body than before"))?;
    }
    Ok(Shown { took, detail: "both pages came from the database".into() })
}

/// Step 9. The page lies in the database as it was before this save.
pub(super) async fn kill(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let start = Instant::now();
    let (title, _) = tour.save_photo("Sunset over Machapuchare, take").await?;
    tour.stage.cache.kill().await?;
    tour.stage.start_again().await?;
    let took = start.elapsed();
    let page = tour.page(TREK).await?;
    claim(shows(&page.body, &title), || {
        format!("a page from before the save, {}", status_line(&page))
    })?;
    Ok(Shown { took, detail: format!("\"{title}\" after kill -9") })
}
