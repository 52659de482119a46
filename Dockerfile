# The demo on processors:
#   docker build -t abi . && docker run --rm -v "$PWD/abi-demo:/work/abi-demo" abi
# Any other verb: docker run --rm abi list
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY transplant transplant
COPY commands commands
COPY registry registry
RUN pip install --no-cache-dir -c constraints.txt \
      --extra-index-url https://download.pytorch.org/whl/cpu ".[plot]"

WORKDIR /work
ENV ABI_REGISTRY=/work/registry ABI_CACHE=/work/cache
ENTRYPOINT ["abi"]
CMD ["demo"]
