# The images of the four services, the console and the provider sandbox:
#   docker build -f infra/docker/service.Dockerfile --build-arg SERVICE=order -t quartet/order .
# SERVICE is order, payment, inventory, shipping, console or sandbox. The images share all layers but the last few.
ARG PYTHON=python:3.11-slim-bookworm
ARG SERVICE

# The interpreter with the packages of all services: one layer that all images share
FROM ${PYTHON} AS dependencies
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends binutils >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY infra/docker/requirements.lock infra/docker/slim.py /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    cp -a /usr/local /install \
 && pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --ignore-installed \
      --require-hashes --prefix=/install --requirement /build/requirements.lock \
 && python /build/slim.py /install

# The operating system below it
FROM ${PYTHON} AS system
RUN useradd --system --uid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin quartet \
 && rm -rf /usr/local/* /usr/lib/*/gconv /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale

FROM scratch AS runtime
COPY --from=system / /
COPY --from=dependencies /install /usr/local
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
WORKDIR /app
COPY shared/src/sagakit shared/src/sagakit
COPY shared/src/checkout shared/src/checkout
COPY shared/src/checkout_app shared/src/checkout_app
RUN python -m compileall -q shared
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HTTP_HOST=0.0.0.0 HTTP_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --start-interval=1s --retries=3 \
  CMD ["python", "-S", "-c", "import http.client as h, json, os; c = h.HTTPConnection('127.0.0.1', int(os.environ['HTTP_PORT']), timeout=3); c.request('GET', '/health/ready'); raise SystemExit(json.load(c.getresponse())['status'] != 'ready')"]

# The code of one service, with its migrations in the same place as in the checkout
FROM runtime AS service
ARG SERVICE
COPY services/${SERVICE}/src services/${SERVICE}/src
COPY services/${SERVICE}/migrations services/${SERVICE}/migrations
RUN python -m compileall -q services
ENV PYTHONPATH=/app/shared/src:/app/services/${SERVICE}/src
USER 10001:10001

# An entry point in exec form takes no variables, so each service has a stage
FROM service AS order
ENTRYPOINT ["python", "-m", "order_service"]

FROM service AS payment
ENTRYPOINT ["python", "-m", "payment_service"]

FROM service AS inventory
ENTRYPOINT ["python", "-m", "inventory_service"]

FROM service AS shipping
ENTRYPOINT ["python", "-m", "shipping_service"]

# It has no database, so no migrations
FROM runtime AS console
ARG SERVICE
COPY services/${SERVICE}/src services/${SERVICE}/src
RUN python -m compileall -q services
ENV PYTHONPATH=/app/shared/src:/app/services/${SERVICE}/src
USER 10001:10001
ENTRYPOINT ["python", "-m", "console_service"]

FROM runtime AS sandbox
COPY infra/sandbox/src infra/sandbox/src
RUN python -m compileall -q infra && install -d -o 10001 -g 10001 /data
ENV PYTHONPATH=/app/shared/src:/app/infra/sandbox/src SANDBOX_DATABASE=/data/sandbox.db
USER 10001:10001
VOLUME /data
ENTRYPOINT ["python", "-m", "provider_sandbox"]

FROM ${SERVICE}
