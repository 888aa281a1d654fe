# A small image: the one binary, certificates' roots inside it, no shell needed.
# docker build -t ringonce .
# docker run --rm -v ringonce-data:/data ringonce init     # then fill in the ids in ringonce.toml
# docker run --name ringonce --read-only -v ringonce-data:/data -v /etc/machine-id:/etc/machine-id:ro \
#     --env-file ringonce.env -p 127.0.0.1:8787:8787 ringonce
# docker exec ringonce ringonce status
# Mount the folder or a volume, never the database as a single file: ringonce does not write to such a file.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin ringonce && cp target/release/ringonce /ringonce \
    && mkdir -p /volume/data && chmod 0700 /volume/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /ringonce /usr/local/bin/ringonce
COPY --from=build --chown=nonroot:nonroot /volume/ /
# The database is bound to its machine. A container has no machine id of its own: the host's, mounted
# as above, lets a copied volume be noticed on another host. Always with it or always without: a
# database that was armed without it is another machine's.
ENV RINGONCE_DB=/data/ringonce.db RINGONCE_CONFIG=/data/ringonce.toml
VOLUME /data
WORKDIR /data
EXPOSE 8787
STOPSIGNAL SIGTERM
USER nonroot
ENTRYPOINT ["/usr/local/bin/ringonce"]
# Inside a container loopback is the container's own: listen on all, publish on the host's loopback.
CMD ["run", "--listen", "0.0.0.0:8787"]
