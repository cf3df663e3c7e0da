ARG version=3.12
ARG base_image=docker.io/library/python:${version}-slim
FROM ${base_image}
RUN python3 --version
