#!/usr/bin/env bash
# Build both packages, install them into a fresh environment, and type the three commands there.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf dist
"$python" -m build --outdir dist edge
"$python" -m build --outdir dist .
ls -l dist

"${PYTHON:-python3}" -m venv "$work/venv"
bin=$work/venv/bin
test -d "$bin" || bin=$work/venv/Scripts
exact=${CONSTRAINTS-constraints.txt}
"$bin/python" -m pip install --quiet ${exact:+-c "$exact"} dist/*.whl
cp -r samples "$work/samples"
cd "$work"
"$bin/python" samples/make_samples.py drawn --clips-per-label 6 --performers 3 --minutes 0.3 --take-minutes 0.2
"$bin/seqvision" train drawn/clips --size 32 --frames 8 --epochs 2 --workers 0
"$bin/seqvision" export model.pt
"$bin/edge-run" --model model.onnx --source drawn/untrimmed.mp4 --no-window
"$bin/python" -c 'import seqvision, seqvision_edge; assert seqvision.__version__ == seqvision_edge.__version__'
echo "dist/ is ready: twine upload dist/*"
