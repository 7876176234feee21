//! The Lambda function on EventBridge's events of StartSession, ResumeSession and TerminateSession.
//!
//! `main` only wires. What is done with one event is in [`handle`], step by step.

mod config;
mod failure;
mod handle;
mod look_up;
mod metrics;

use std::process::ExitCode;

use aws::trace::{Tracer, within};
use lambda_runtime::tracing::{error, init_default_subscriber};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::config::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    init_default_subscriber();
    let variable = |name: &str| std::env::var(name).ok();
    let tracer = Tracer::from_environment(&variable);
    let app = match App::load(&variable).await {
        Ok(app) => app,
        Err(reason) => {
            error!("The guard does not start: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let (app, tracer) = (&app, &tracer);
    let handler = service_fn(async move |event: LambdaEvent<_>| {
        let trace = event.context.xray_trace_id.clone();
        tracer.run(trace.as_deref(), within("event", |_| true, handle::handle(app, event))).await
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!("The Lambda runtime failed: {reason}");
            ExitCode::FAILURE
        }
    }
}
