"""What every handler needs, in one value."""

import getpass
import os
from dataclasses import dataclass, field

from schedd.blobs import Blobs
from schedd.bus import Bus
from schedd.delivery import Delivery
from schedd.links import Links
from schedd.logs import Logs
from schedd.loop import Loop
from schedd.shells import Shells


@dataclass(slots=True)
class Context:
    """The parts of one running schedd."""

    loop: Loop
    blobs: Blobs
    bus: Bus
    links: Links
    shells: Shells
    logs: Logs
    delivery: Delivery
    secret: bytes
    host: str
    own_user: str = field(default_factory=getpass.getuser)
    own_uid: int = field(default_factory=os.getuid)
