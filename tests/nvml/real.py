"""Whether there is a real library of NVIDIA here, with a driver that answers."""

import pynvml


def there_is_a_real_one() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    try:
        return pynvml.nvmlDeviceGetCount() > 0
    finally:
        pynvml.nvmlShutdown()
