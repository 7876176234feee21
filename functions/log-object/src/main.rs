//! The Lambda function on new logs of sessions: S3's `Object Created`, through EventBridge and an SQS queue.
//!
//! `main` only wires. What is done with one log is in [`handle`], step by step.

mod config;
mod failure;
mod handle;
mod metrics;
mod reading;

use std::process::ExitCode;

use aws::trace::Tracer;
use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::tracing::{error, init_default_subscriber};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};

use crate::config::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    init_default_subscriber();
    let variable = |name: &str| std::env::var(name).ok();
    let tracer = Tracer::from_environment(&variable);
    let app = match App::load(&variable).await {
        Ok(app) => app,
        Err(reason) => {
            error!("The function does not start: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let (app, tracer) = (&app, &tracer);
    let handler = service_fn(async move |batch: LambdaEvent<SqsEvent>| {
        let trace = batch.context.xray_trace_id.clone();
        Ok::<_, Diagnostic>(tracer.run(trace.as_deref(), handle::handle(app, batch)).await)
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!("The Lambda runtime failed: {reason}");
            ExitCode::FAILURE
        }
    }
}
