ARG version=1
ARG base_image=docker.io/library/rust:${version}
FROM ${base_image}
RUN command -v cargo || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    rustc cargo gcc libc6-dev && rm -rf /var/lib/apt/lists/*)
