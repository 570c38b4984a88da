"""Runs one Kafka node in the foreground, for development: `make kafka`.

Owns the command line alone; `libs.bus.kafka_process` does the work. Invariant: this process becomes the Java program, so
its pid, which is printed and written to `kafka.pid`, is the node's.
"""

import argparse
import os
import sys
from pathlib import Path

from libs.bus.kafka_process import KafkaProcess, KafkaUnavailableError, ensure_jars

_HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9092, help="of the broker, on loopback")
    parser.add_argument("--data-dir", type=Path, default=Path("var/kafka/data"))
    parser.add_argument("--libs-dir", type=Path, default=Path("var/kafka/libs"), help="where Maven puts the jars")
    arguments = parser.parse_args()
    node = KafkaProcess(
        port=arguments.port,
        data_dir=arguments.data_dir,
        libs_dir=arguments.libs_dir,
        template=_HERE / "server.properties",
    )
    try:
        ensure_jars(_HERE / "pom.xml", arguments.libs_dir)
        command = node.prepare()
    except KafkaUnavailableError as error:
        sys.exit(str(error))
    (arguments.data_dir / "kafka.pid").write_text(f"{os.getpid()}\n")
    sys.stdout.write(f"Kafka at {node.bootstrap_servers}, pid {os.getpid()}, data in {arguments.data_dir}\n")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (our own command)


if __name__ == "__main__":
    main()
