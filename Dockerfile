# capsight on the CPU, with all extras.
#
#   docker build -t capsight .
#   docker run --rm -v "$PWD":/data capsight predict promoters.fa --model yeast -o tss.tsv
#
# The folder that is mounted at /data must be writable for the user of the container: add `--user "$(id -u):$(id -g)"` to
# own what is written. Caches are in /cache; mount a volume there to keep fetched genomes.

FROM python:3.12-slim AS build
COPY . /source
RUN python -m venv /opt/capsight \
    && /opt/capsight/bin/pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \
    && /opt/capsight/bin/pip install --no-cache-dir '/source[all]'

FROM python:3.12-slim
# OpenMP, for LightGBM.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 capsight \
    && mkdir --mode=1777 /cache /data
COPY --from=build /opt/capsight /opt/capsight
ENV PATH=/opt/capsight/bin:$PATH \
    CAPSIGHT_CACHE=/cache \
    MPLCONFIGDIR=/cache/matplotlib
USER capsight
WORKDIR /data
ENTRYPOINT ["capsight"]
CMD ["--help"]
