# The command, and by default the simulated service, for CI of other people's projects:
#   docker build -t reconciler . && docker run --rm -p 127.0.0.1:8080:8080 reconciler
#   docker run --rm -v "$PWD:/fleet" -e AGORA_APP_ID -e AGORA_APP_CERTIFICATE reconciler plan -e prod
FROM python:3.13-slim AS build
WORKDIR /build
COPY .ci/requirements.txt .ci/requirements.txt
# Every package by its hash; of these files alone the image below is made.
RUN pip download --no-cache-dir --no-deps --require-hashes --dest /packages -r .ci/requirements.txt \
 && python -m venv /tools \
 && /tools/bin/pip install --no-index --no-deps --require-hashes --find-links /packages -r .ci/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas/ schemas/
COPY reconciler/ reconciler/
RUN /tools/bin/hatchling build --target wheel --directory /packages \
 && python -m venv /opt/reconciler \
 && /opt/reconciler/bin/pip install --no-index --find-links /packages 'agora-reconciler[watch]'

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home reconciler && install --directory --owner reconciler /fleet
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER reconciler
WORKDIR /fleet
EXPOSE 8080
ENTRYPOINT ["reconciler"]
# All addresses of the container: from outside nothing is reached but what `-p` publishes.
CMD ["simulator", "--host", "0.0.0.0", "--port", "8080"]
