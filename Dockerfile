# mem1-mcp over HTTP, for this machine or behind a proxy with TLS. Without a token it does not start:
#   docker build --tag mem1-mcp .
#   docker run --rm --volume mem1:/data mem1-mcp token create --user alice
#   docker run --detach --volume mem1:/data --publish 127.0.0.1:8765:8765 mem1-mcp
# This file was not built where it was written, which has no Docker to run; a test reads it.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY mem1_mcp mem1_mcp
RUN python -m venv /opt/mem1 && /opt/mem1/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 mem1 && install --directory --owner mem1 --group mem1 --mode 700 /data
COPY --from=build /opt/mem1 /opt/mem1
# No path of a client's is one of this machine's; pictures come as data, in the call.
ENV PATH=/opt/mem1/bin:$PATH MEM1_MEMORY_DIR=/data MEM1_IMAGE_ROOTS=none
USER mem1
VOLUME /data
EXPOSE 8765
HEALTHCHECK --start-period=10s --interval=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=4)"]
ENTRYPOINT ["mem1-mcp"]
CMD ["serve", "--http", "--host", "0.0.0.0"]
