# Where the test suite runs, and where a devcontainer lives: what make test needs and cannot fetch by itself.
#   docker build -t quartet/ci -f infra/docker/ci.Dockerfile infra/docker
ARG PYTHON=python:3.11-slim-bookworm
ARG EMULATORS=google/cloud-sdk:emulators

FROM ${EMULATORS} AS emulators

FROM ${PYTHON}
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends \
      ca-certificates git golang-go make maven nodejs npm openjdk-17-jdk-headless procps util-linux >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY --from=emulators /usr/lib/google-cloud-sdk/platform/pubsub-emulator /usr/lib/google-cloud-sdk/platform/pubsub-emulator
RUN git config --system --add safe.directory '*'
ENV LANG=C.UTF-8 CI=true
WORKDIR /quartet
