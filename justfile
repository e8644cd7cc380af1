# What people do here, by name. Each recipe is one command that also works without just.

# list the recipes
default:
    @just --list

# what CI does, no more and no less
check:
    .ci/run

# the tests
test:
    cargo test --workspace

# licences, known holes, banned crates; needs `cargo install cargo-deny`, which is why `check` does not run it
deny:
    cargo deny check

# the benches
bench:
    cargo bench --workspace

# serve a model (the bundled one unless given): just serve --model models/mycity
serve *args:
    cargo run --release -- serve {{args}}

# train: just train --orders T --validation V --base BASE --out models/mycity
train *args:
    cargo run --release -p paidan-training -- train {{args}}

# the kernels (the only unsafe code) and attention, which lays out their memory, under the address sanitizer; builds all once more
sanitize:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" cargo test --target x86_64-unknown-linux-gnu --target-dir target/sanitize \
        -p paidan --no-default-features --lib -- kernels attention
