# Builds the program and puts it into a small image. `docker build -t debridfs .`
ARG BUILDER=rust:1.95-bookworm
ARG RUNTIME=debian:bookworm-slim

FROM ${BUILDER} AS builder
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package debridfs && cp target/release/debridfs /debridfs

FROM ${RUNTIME} AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /debridfs /usr/local/bin/debridfs
# Health looks through the mount, with a time limit of its own.
HEALTHCHECK --interval=30s --timeout=10s CMD ["debridfs", "status"]
ENTRYPOINT ["debridfs"]
CMD ["serve"]
