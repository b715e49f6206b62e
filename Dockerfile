# The control plane, its workers and the gateway: one image, told apart by its command.
# "Containers" in docs/operations.md says how it is used, and what has been tried of it.

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /source
COPY requirements/runtime.txt requirements/runtime.txt
RUN python -m venv /opt/trimtab \
    && /opt/trimtab/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
       --no-deps --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/trimtab/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN groupadd --system --gid 10001 trimtab \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/trimtab \
       --shell /usr/sbin/nologin trimtab \
    && install -d -o trimtab -g trimtab -m 0700 /var/lib/trimtab
COPY --from=build /opt/trimtab /opt/trimtab
ENV PATH=/opt/trimtab/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRIMTAB_HOME=/var/lib/trimtab \
    TRIMTAB_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/trimtab
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not well: a database that is away is no reason to start this anew.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["trimtab"]
CMD ["serve"]
