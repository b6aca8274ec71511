"""How durazzo wants its Flower: `durazzo flower` reads this, and `celery … flower --conf=` can."""

from __future__ import annotations

from typing import Final

#: Nobody elsewhere connects, and nothing is changed, unless somebody says so.
address: Final = "127.0.0.1"
read_only: Final = True

#: What Flower keeps is in its memory, some 4 KB a task: the latest stay.
max_tasks: Final = 10_000
max_workers: Final = 500
#: A worker's name holds its process, so none that ended comes back. s.
purge_offline_workers: Final = 3_600
#: What a Flower that is killed has not kept. ms.
state_save_interval: Final = 60_000

natural_time: Final = True
#: No arguments and no result: they say nothing that the id does not. The exception is a code.
tasks_columns: Final = "name,uuid,state,received,runtime,exception"
