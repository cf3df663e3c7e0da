ARG version=9.2.0
ARG base_image=docker.io/gnuoctave/octave:${version}
FROM ${base_image}
RUN command -v octave-cli || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends octave && rm -rf /var/lib/apt/lists/*)
