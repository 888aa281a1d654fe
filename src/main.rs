//! One command → exit code.

fn main() -> std::process::ExitCode {
    ringonce::cli::main()
}
