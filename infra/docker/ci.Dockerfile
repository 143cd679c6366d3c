# The image in which the test suite and the devcontainer run: it has what `make test` needs and cannot fetch itself.
#   docker build -t quartet/ci -f infra/docker/ci.Dockerfile infra/docker
ARG PYTHON=python:3.11-slim-bookworm
ARG GO=golang:1.26-bookworm
ARG EMULATORS=google/cloud-sdk:emulators

FROM ${EMULATORS} AS emulators

FROM ${GO} AS go

FROM ${PYTHON}
# Java's package links its manual pages into a folder that the slim image leaves out
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends \
      ca-certificates chromium git make maven nodejs npm openjdk-17-jdk-headless procps util-linux >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY --from=emulators /usr/lib/google-cloud-sdk/platform/pubsub-emulator /usr/lib/google-cloud-sdk/platform/pubsub-emulator
COPY --from=go /usr/local/go /usr/local/go
RUN git config --system --add safe.directory '*'
ENV PATH=/usr/local/go/bin:$PATH LANG=C.UTF-8 CI=true
WORKDIR /quartet
