//! `serverkit doctor`: what is wrong with the panel's machine, and what to do.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    output::{Output, shown, tone_of},
};
use client::types::{Finding, FindingLevel};

/// Fails with exit code 1 if there is a problem; warnings are none.
pub async fn doctor(context: &Context) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.doctor()).await?;
    let out = context.out;
    out.answer(&answer.json, || {
        answer.value.findings.iter().map(|finding| line(finding, &out)).collect()
    })?;
    if answer.value.findings.iter().any(|finding| finding.level == FindingLevel::Problem) {
        return Err(Failure::exit(1));
    }
    Ok(())
}

fn line(finding: &Finding, out: &Output) -> String {
    let level = finding.level.to_string();
    let mut text = format!(
        "{} {:8} {}\n",
        out.paint(tone_of(&level), &format!("{level:8}")),
        shown(&finding.check),
        shown(&finding.summary)
    );
    if !finding.fix.is_empty() {
        text.push_str(&format!("{:18}→ {}\n", "", shown(&finding.fix)));
    }
    text
}
