ARG version=21
ARG base_image=docker.io/library/eclipse-temurin:${version}
FROM ${base_image}
RUN command -v javac || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends default-jdk-headless && rm -rf /var/lib/apt/lists/*)
