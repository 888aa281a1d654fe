//! Runs one command and returns its exit code.

fn main() -> std::process::ExitCode {
    ringonce::cli::main()
}
