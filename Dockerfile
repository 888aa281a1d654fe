# A small image: the one binary, certificates' roots inside it, no shell needed.
# docker build -t ringonce .
# docker run --rm -v ringonce-data:/data ringonce init     # then fill in the ids in ringonce.toml
# docker run -v ringonce-data:/data --env-file ringonce.env -p 127.0.0.1:8787:8787 ringonce
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin ringonce && cp target/release/ringonce /ringonce \
    && mkdir /empty

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /ringonce /usr/local/bin/ringonce
COPY --from=build --chown=nonroot:nonroot --chmod=0700 /empty /data
# The database is bound to its machine. A container has no machine id of its own: mount the host's
# with -v /etc/machine-id:/etc/machine-id:ro, so that a copied volume is noticed on another host.
ENV RINGONCE_DB=/data/ringonce.db RINGONCE_CONFIG=/data/ringonce.toml
VOLUME /data
WORKDIR /data
EXPOSE 8787
STOPSIGNAL SIGTERM
USER nonroot
ENTRYPOINT ["/usr/local/bin/ringonce"]
# Inside a container loopback is the container's own: listen on all, publish on the host's loopback.
CMD ["run", "--listen", "0.0.0.0:8787"]
