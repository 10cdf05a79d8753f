#!/usr/bin/env bash
# Installs the reconciler, at the version that the workflow names.
set -euo pipefail

python -m pip install --disable-pip-version-check --quiet "agora-reconciler==${RECONCILER_VERSION:?}"
reconciler version
