"""GPUs in containers, whole: a startd with an imitation of NVIDIA's library, and a CDI specification of its own.

The card that is listed is /dev/zero by another name; the other card is not listed, and nobody knows its device file.
"""

import json
from pathlib import Path

from tests.builders import a_gpu, a_grant, a_program, a_run, amounts
from tests.nvml import pynvml as imitation
from tests.startd.runtime.conftest import a_library
from tests.startd.test_whole import Pool, story

LISTED, UNLISTED = "GPU-11111111-aaaa", "MIG-22222222-bbbb"


def test_a_run_has_the_card_that_it_was_granted_and_a_card_that_cannot_be_shown_is_not_offered(
        tmp_path: Path, monkeypatch):
    library = a_library("libcuda.so.1", tmp_path).rename(tmp_path / "libcuda.so.570.1")
    cdi = tmp_path / "cdi"
    cdi.mkdir()
    (cdi / "nvidia.json").write_text(json.dumps({
        "cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
        "containerEdits": {"mounts": [{"hostPath": str(library), "containerPath": f"/usr/lib64/{library.name}"}]},
        "devices": [{"name": LISTED, "containerEdits": {
            "deviceNodes": [{"path": "/dev/nvidia0", "hostPath": "/dev/zero"}]}}]}))
    cards = tmp_path / "cards.json"
    cards.write_text(json.dumps({"gpus": [{"uuid": LISTED}, {"uuid": "GPU-2", "mig": [{"uuid": UNLISTED}]}]}))
    monkeypatch.setenv("NVML_IMITATION", str(cards))
    monkeypatch.setenv("PYTHONPATH", str(Path(imitation.__file__).parent))

    async def tell(pool: Pool) -> None:
        await pool.schedd.until(lambda: bool(pool.schedd.hellos))
        hello = pool.schedd.hellos[0]
        assert [part.device for part in hello.amounts.gpus] == [LISTED]
        assert hello.ad["PescGpuInjection"] == '"cdi"'
        assert "PescCdiProblems" not in hello.ad
        assert f"GPU 1:0 ({UNLISTED}): The GPU {UNLISTED} cannot be shown" in hello.ad["PescGpuProblems"]
        script = ("echo /dev/nvidia* $CUDA_VISIBLE_DEVICES; head -c 5 /dev/nvidia0 | wc -c; "
                  "python3 -c \"import ctypes; ctypes.CDLL('libcuda.so.1')\"")
        await pool.schedd.say(a_grant(claim=amounts(gpus=(a_gpu(LISTED),)), program=a_program(
            command="/bin/sh", arguments=["-c", script])))
        end = (await pool.schedd.end_of(a_run())).end
        assert end.exit_code == 0, pool.schedd.content(end.stderr.sha256)
        assert pool.schedd.content(end.stdout.sha256).split() == [b"/dev/nvidia0", LISTED.encode(), b"5"]
        await pool.schedd.say(a_grant(run=a_run(2), program=a_program(
            command="/bin/sh", arguments=["-c", "test ! -e /dev/nvidia0 && test ! -e /pesc/driver/libcuda.so.1"])))
        assert (await pool.schedd.end_of(a_run(2))).end.exit_code == 0

    story(tmp_path, tell, "--runtime", "podman", "--cdi", str(cdi))
