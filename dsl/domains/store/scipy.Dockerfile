ARG version=3.12
ARG base_image=docker.io/library/python:${version}-slim
FROM ${base_image}
RUN python3 -m pip --version >/dev/null 2>&1 || export PYTHONPATH=/run/pesc/pip; \
    PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir --no-input --disable-pip-version-check \
    numpy scipy pandas matplotlib scikit-learn
