# The image of keeper and engine, and those to work on debridfs. Stages: builder, runtime (what is built when none is named), development,
# tester, benchmark. `docker build .`, `docker build --platform linux/arm64 .`, `podman build --target development .`, `buildah bud --target runtime .`
#
# The bases are arguments. BUILDER is a Debian with Rust (rustup in /usr/local) or without further ado the image of that name; RUNTIME may be
# anything, as the program is static: with `debian:bookworm-slim` or `alpine` there is a shell for `library.on_library_update`.
ARG BUILDER=docker.io/library/rust:1.95.0-bookworm
ARG DEBIAN=docker.io/library/debian:12.12-slim
ARG RUNTIME=scratch

# Runs on the machine that builds, whatever it builds for (`--platform linux/arm64`): nothing has to be emulated.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS compiler
ARG TARGETARCH
# musl: a program without libraries runs on whatever a node has. For another processor it is Debian's cross compiler with the headers of that
# processor's musl; the rest of musl comes with Rust.
RUN here="$(dpkg --print-architecture)" there="${TARGETARCH:-$(dpkg --print-architecture)}" \
    && case "$there" in \
        amd64) machine=x86_64 package=gcc-x86-64-linux-gnu ;; \
        arm64) machine=aarch64 package=gcc-aarch64-linux-gnu ;; \
        *) echo "debridfs is built for amd64 and arm64, not for $there" >&2; exit 1 ;; \
    esac \
    && if [ "$here" = "$there" ]; then \
        set -- gcc libc6-dev musl-tools; \
        compiler=musl-gcc flags=; \
    else \
        dpkg --add-architecture "$there"; \
        set -- gcc libc6-dev "$package" "libc6-dev-$there-cross" "musl-dev:$there"; \
        compiler="$machine-linux-gnu-gcc" flags="-isystem /usr/include/$machine-linux-musl"; \
    fi \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates make "$@" \
    && rm -rf /var/lib/apt/lists/* \
    && target="$machine-unknown-linux-musl" \
    && rustup target add "$target" \
    && printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\n[env]\nCC_%s = "%s"\nCFLAGS_%s = "%s"\n' \
        "$target" "$target" "$machine-linux-gnu-gcc" "$target" "$compiler" "$target" "$flags" >> "${CARGO_HOME:-/usr/local/cargo}/config.toml" \
    && printf 'target=%s\nstrip=%s\n' "$target" "$machine-linux-gnu-strip" > /target.sh
WORKDIR /src

FROM compiler AS builder
COPY . .
# What cargo fetched and compiled stays for the next build; only what is copied out of it gets into the image.
RUN --mount=type=cache,id=debridfs-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=debridfs-target,target=/target \
    . /target.sh \
    && CARGO_TARGET_DIR=/target cargo build --release --locked --package debridfs \
    && install -D -s --strip-program="$strip" "/target/$target/release/debridfs" /image/usr/local/bin/debridfs \
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
    . /target.sh \
    && CARGO_TARGET_DIR=/target cargo build --release --locked --package debridfs-bench \
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
FROM ${BUILDER} AS development
WORKDIR /src
RUN --mount=type=bind,source=scripts,target=/scripts \
    DEBIAN_FRONTEND=noninteractive /scripts/setup.sh packages \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup component add clippy rustfmt
CMD ["bash"]

# `docker run --privileged debridfs:tester` is what CI runs.
FROM development AS tester
# Go only builds kustomize; Debian's own is too old for it.
RUN . /etc/os-release \
    && mirror="$(grep -rhv '^#' /etc/apt/sources.list* | grep -oE 'https?://[^ ]+' | head -n 1)" \
    && echo "deb $mirror $VERSION_CODENAME-backports main" > /etc/apt/sources.list.d/backports.list \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -t "$VERSION_CODENAME-backports" golang-go \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN scripts/setup.sh image
CMD ["make", "test"]

# The last stage is what is built when none is named.
FROM runtime
