# The images of api, worker and llm-service, from one file:
#
#   docker build --target api -t localhost/linnet/api:local .
#
# Built on Debian bookworm, run on distroless: glibc, certificates and nothing else. No shell is there, so health is asked with
# each program's own `healthcheck`. They write nothing outside their volumes and may run with a read-only root.

ARG RUST_VERSION=1.95

FROM docker.io/library/rust:${RUST_VERSION}-bookworm AS sources
WORKDIR /src
# SQL is checked against the committed .sqlx folder.
ENV SQLX_OFFLINE=true
# .dockerignore lets through what the programs are made of, so a change of anything else leaves this layer as it is.
COPY . .

# What is compiled stays in cache mounts: a change of one crate compiles that crate. The programs are copied out of them,
# because a cache mount is no part of the layer.
FROM sources AS servers
RUN --mount=type=cache,id=linnet-cargo,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=linnet-servers,target=/target,sharing=locked \
    CARGO_TARGET_DIR=/target cargo build --locked --profile server -p api -p worker \
    && install -D -t /out /target/server/api /target/server/worker

# llm-service apart: mistral.rs is five hundred crates, twenty minutes the first time.
FROM sources AS llm
# For which processors: anything that `rustc -C target-cpu` takes. candle chooses its vector instructions at compile time, and
# without any the quantized model is six times slower. Empty: x86-64-v3 (Intel since Haswell, 2013, AMD since Excavator, 2015;
# virtual machines must pass AVX2 and FMA on) where that means anything, else the compiler's own choice. `native` is for images
# that are built on the machine that runs them.
ARG LLM_TARGET_CPU=""
RUN --mount=type=cache,id=linnet-cargo,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=linnet-llm,target=/target,sharing=locked \
    cpu="${LLM_TARGET_CPU}"; \
    if [ -z "$cpu" ] && [ "$(uname -m)" = x86_64 ]; then cpu=x86-64-v3; fi; \
    RUSTFLAGS="${cpu:+-C target-cpu=$cpu}" CARGO_TARGET_DIR=/target cargo build --locked --release -p llm-service \
    && install -D -t /out /target/release/llm-service \
    && install -d /out/empty

FROM gcr.io/distroless/cc-debian12 AS runtime
# Distroless' own user `nonroot`. By number, so that an orchestrator sees that it is not root.
USER 65532:65532

FROM runtime AS api
COPY --from=servers /out/api /usr/local/bin/api
ENV API_HOST=0.0.0.0
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/local/bin/api", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/api"]
CMD ["serve"]

FROM runtime AS worker
COPY --from=servers /out/worker /usr/local/bin/worker
ENV WORKER_HOST=0.0.0.0
EXPOSE 3200
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/local/bin/worker", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/worker"]
CMD ["serve"]

FROM runtime AS llm-service
COPY --from=llm /out/llm-service /usr/local/bin/llm-service
# Volumes begin as copies of these, and so belong to the user.
COPY --from=llm --chown=65532:65532 /out/empty/ /models/
COPY --from=llm --chown=65532:65532 /out/empty/ /calibration/
# HF_HOME: what is downloaded from the hub stays in the volume.
ENV LLM_HOST=0.0.0.0 HF_HOME=/models/huggingface LLM_CALIBRATION_DIR=/calibration
EXPOSE 3300
# A large model takes minutes to load, and an hour to download.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60m CMD ["/usr/local/bin/llm-service", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/llm-service"]
CMD ["serve"]
