# The image of keeper and engine, and those to work on debridfs. Stages: builder, runtime (what is built when none is named), development,
# tester, benchmark. `docker build .`, `podman build --target development .`, `buildah bud --target runtime .`
#
# The bases are arguments. BUILDER is a Debian with Rust (rustup in /usr/local) or without further ado the image of that name; RUNTIME may be
# anything, as the program is static: with `debian:bookworm-slim` or `alpine` there is a shell for `library.on_library_update`.
ARG BUILDER=docker.io/library/rust:1.95-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim
ARG RUNTIME=scratch

FROM ${BUILDER} AS base
# musl: a program without libraries runs on whatever a node has. git, because cargo asks for it in a work tree.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates gcc libc6-dev make musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
ENV CC_x86_64_unknown_linux_musl=musl-gcc \
    CC_aarch64_unknown_linux_musl=musl-gcc
WORKDIR /src

FROM base AS builder
COPY . .
# What cargo fetched and compiled stays for the next build; only what is copied out of it gets into the image.
RUN --mount=type=cache,id=debridfs-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=debridfs-target,target=/target \
    target="$(uname -m)-unknown-linux-musl" \
    && CARGO_TARGET_DIR=/target cargo build --release --locked --target "$target" --package debridfs \
    && install -D -s "/target/$target/release/debridfs" /image/usr/local/bin/debridfs \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -d -m 1777 /image/tmp

FROM ${RUNTIME} AS runtime
COPY --from=builder /image/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Asks the engine; where there is none (a keeper by itself) turn it off.
HEALTHCHECK --interval=30s --timeout=10s CMD ["/usr/local/bin/debridfs", "status"]
ENTRYPOINT ["/usr/local/bin/debridfs"]
CMD ["serve"]

FROM builder AS bench-builder
RUN --mount=type=cache,id=debridfs-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=debridfs-target,target=/target \
    target="$(uname -m)-unknown-linux-musl" \
    && CARGO_TARGET_DIR=/target cargo build --release --locked --target "$target" --package debridfs-bench \
    && install -D "/target/$target/release/debridfs-bench" /image/usr/local/bin/debridfs-bench

FROM ${DEBIAN} AS benchmark
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates curl ffmpeg fuse3 procps rclone util-linux \
    && rm -rf /var/lib/apt/lists/*
COPY --from=bench-builder /image/usr/local/bin/ /usr/local/bin/
# The report; privileged, as it mounts and shapes.
VOLUME /bench-results
WORKDIR /
ENTRYPOINT ["debridfs-bench", "--debridfs", "/usr/local/bin/debridfs"]

# Everything that the tests and the demo want from Debian. Mounts: run it with `--device /dev/fuse --cap-add SYS_ADMIN`, the tests `--privileged`.
FROM base AS development
RUN --mount=type=bind,source=scripts,target=/scripts \
    DEBIAN_FRONTEND=noninteractive /scripts/setup.sh packages \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && rustup component add clippy rustfmt
CMD ["bash"]

# `docker run --privileged debridfs:tester` is what CI runs.
FROM development AS tester
# Go only builds kustomize; Debian's own is too old for it.
RUN . /etc/os-release \
    && mirror="$(grep -rhoE 'https?://[^ ]+' /etc/apt/sources.list* | head -n 1)" \
    && echo "deb $mirror $VERSION_CODENAME-backports main" > /etc/apt/sources.list.d/backports.list \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -t "$VERSION_CODENAME-backports" golang-go \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN scripts/setup.sh image
CMD ["make", "test"]

# The last stage is what is built when none is named.
FROM runtime
