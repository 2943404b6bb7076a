//! `load PLAN`: runs one plan (JSON, see `plan.rs`) and prints what it measured as one line of JSON.

use std::process::ExitCode;

use hub_bench_load::{
    Outcome, limits,
    plan::{Plan, Run},
};
use serde::Serialize;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<String> {
    let text = std::env::args().nth(1).ok_or("usage: load PLAN")?;
    let Plan { server, pin, run } = serde_json::from_str(&text)?;
    if let Some(processor) = pin {
        limits::pin(processor)?;
    }
    match run {
        Run::Fanout(mode) => line(mode.run(&server)),
        Run::Echo(mode) => line(mode.run(&server)),
        Run::Steady(mode) => line(mode.run(&server)),
        Run::Idle(mode) => line(mode.run(&server)),
        Run::Storm(mode) => line(mode.run(&server)),
        Run::Broadcast(mode) => line(mode.run(&server)),
        Run::Streams(mode) => line(mode.run(&server)),
        Run::Watchers(mode) => line(mode.run(&server)),
        Run::Pages(mode) => line(mode.run(&server)),
    }
}

fn line<T: Serialize>(measured: Outcome<T>) -> Outcome<String> {
    Ok(serde_json::to_string(&measured?)?)
}
