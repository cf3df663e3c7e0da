ARG version=4.4.2
ARG base_image=docker.io/library/r-base:${version}
FROM ${base_image}
RUN command -v Rscript || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends r-base-core && rm -rf /var/lib/apt/lists/*)
