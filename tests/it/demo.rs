//! The demo's own tour, as a newcomer runs it.

use wasmcached_tests::server::run;

#[test]
fn every_claim_of_the_tour_holds() {
    let output = run(&["demo", "--tour"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}{errors}", output.status);
    for step in 1..=9 {
        assert!(said.contains(&format!("{step}/9  ")), "step {step} is not in:\n{said}");
    }
}
