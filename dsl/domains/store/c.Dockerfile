ARG version=14
ARG base_image=docker.io/library/gcc:${version}
FROM ${base_image}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends make cmake \
    && (command -v gfortran || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    gcc g++ gfortran) && rm -rf /var/lib/apt/lists/*
