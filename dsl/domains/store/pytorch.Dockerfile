ARG version=2.5.1
ARG cuda=12.4
ARG base_image=docker.io/pytorch/pytorch:${version}-cuda${cuda}-cudnn9-runtime
FROM ${base_image}
RUN python3 -c "import torch; print(torch.__version__)"
