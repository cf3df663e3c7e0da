ARG version=1.11
ARG base_image=docker.io/library/julia:${version}
FROM ${base_image}
RUN julia --version
