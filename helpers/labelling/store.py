"""The folder of results: a manifest that says what the rows are, and shards that are there whole or not at all.

    DIR/manifest.json         the configuration, how many photographs and shards there will be; written once, first
    DIR/shard-00000.parquet   rows of the first photographs of the source, and so on
    DIR/quarantine.csv        id, reason and explanation of photographs that no fit could be made of; written last

A shard is written under another name, forced to the disk and then renamed. So which ones are done can be seen from the
names alone, and no list of them can disagree with what is there.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import fcntl
import io
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from helpers.errors import UserError
from helpers.files import write_in_one_step
from helpers.labelling.configuration import Configuration
from helpers.labelling.parquet import ROWS, WRITTEN, read_columns

MANIFEST, LOCK, QUARANTINE = "manifest.json", ".lock", "quarantine.csv"
SHARD = re.compile(r"shard-(\d{5,})\.parquet")
# What a killed run was writing: the temporary names of `helpers.files`, now and in earlier versions.
HALF_WRITTEN = (".part-*", ".*.parquet.*", f".{MANIFEST}.*", f".{QUARANTINE}.*")
FULL = (errno.ENOSPC, errno.EDQUOT)
HELD = (errno.EAGAIN, errno.EACCES)  # what POSIX answers where another process has the lock


class Store:
    """One folder, held by one run at a time.

    Entering it as a context makes the folder or continues it, and removes what a killed run has left half-written. That
    raises UserError if the folder belongs to another configuration, is in use, or cannot be written.

    Args:
        folder: where the results are.
        configuration: of the run.
        photographs: how many the source has.
    """

    def __init__(self, folder: str | Path, configuration: Configuration, photographs: int):
        self.folder, self.configuration, self.photographs = Path(folder), configuration, photographs
        self.fingerprint = configuration.fingerprint()
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Store:
        with contextlib.ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _lock(held.enter_context(open(self.folder / LOCK, "w")), self.folder)
            except OSError as error:
                raise UserError(
                    f"{self.folder}: cannot be written to: {error.strerror}; name another folder"
                ) from error
            self._take_up()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._held.close()

    @property
    def shards(self) -> int:
        """How many there will be."""
        return -(-self.photographs // self.configuration.shard)

    def places(self, shard: int) -> range:
        """The photographs of a shard, as places in the source."""
        size = self.configuration.shard
        return range(shard * size, min((shard + 1) * size, self.photographs))

    def finished(self) -> set[int]:
        """Shards that are done. One that cannot be read whole, as after a fault of the disk, is moved aside."""
        done = set()
        for number, file in shard_files(self.folder).items():
            try:
                rows = read_columns(file, None, ROWS)  # all of them, with the checksums of their pages
                sound = len(rows) == len(self.places(number))
                mark = (rows.schema.metadata or {}).get(b"fingerprint", b"").decode(errors="replace")
            except UserError:
                sound, mark = False, None
            if mark is not None and mark != self.fingerprint:
                raise UserError(
                    f"{file}: comes from another configuration than {self.folder / MANIFEST}: move it elsewhere"
                )
            if sound:
                done.add(number)
            else:
                file.rename(file.with_name(f"damaged-{file.name}"))
        return done

    def write(self, shard: int, table: pa.Table) -> None:
        """Write all rows of a shard.

        Args:
            shard: its number.
            table: the rows, in the order of the source.

        Raises:
            UserError: if the disk is full.
            ValueError: for rows of other photographs.
        """
        if table.column("index").to_pylist() != list(self.places(shard)):
            raise ValueError(
                f"shard {shard}: rows must be those of photographs {self.places(shard)}, each once, in order"
            )
        table = table.replace_schema_metadata({"fingerprint": self.fingerprint})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **WRITTEN)
        self._write(f"shard-{shard:05d}.parquet", lambda file: file.write(sink.getvalue()))

    def write_quarantine(self) -> int:
        """List the photographs without a fit; returns how many there are."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("id", "reason", "explanation"))
        count = 0
        for file in shard_files(self.folder).values():
            rows = read_columns(file, ["id", "reason", "explanation", "code"], ROWS)
            rows = rows.filter(pc.field("code") < 0).drop_columns(["code"])
            writer.writerows(zip(*(rows.column(name).to_pylist() for name in rows.column_names), strict=True))
            count += len(rows)
        self._write(QUARANTINE, lambda file: file.write(text.getvalue().encode()))
        return count

    def _take_up(self) -> None:
        for pattern in HALF_WRITTEN:
            for file in self.folder.glob(pattern):
                file.unlink()
        path = self.folder / MANIFEST
        if path.exists():
            known, photographs = read_manifest(self.folder)
            found = self.configuration.differences(known)
            if found or photographs != self.photographs:
                found = found or [f"photographs: {self.photographs}, not {photographs}"]
                raise UserError(
                    f"{self.folder}: holds rows of another configuration ({'; '.join(found[:4])}{' …' if found[4:] else ''}): "
                    "name another folder, or run with the same settings again"
                )
            return
        if shard_files(self.folder):
            raise UserError(
                f"{self.folder}: has shards but no {MANIFEST}: name another folder, or put the manifest back"
            )
        manifest = {"photographs": self.photographs, "shards": self.shards, "fingerprint": self.fingerprint}
        manifest["configuration"] = asdict(self.configuration)
        self._write(
            MANIFEST, lambda file: file.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        )

    def _write(self, name: str, write) -> None:
        try:
            write_in_one_step(self.folder / name, write, durable=True)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise UserError(
                f"{self.folder}: the disk is full; nothing half-written is left. Make room and run the same command again"
            ) from error


def _lock(file: TextIO, folder: Path) -> None:
    """Lock a file as long as it is open; where the file system has no locks (some NFS, Lustre), warn and go on."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            raise UserError(
                f"{folder}: another run is writing here: wait for it, or name another folder"
            ) from error
        print(
            f"{folder}: its file system has no locks ({error.strerror}): see to it that no other run writes here",
            file=sys.stderr,
        )


def shard_files(folder: str | Path) -> dict[int, Path]:
    """Number → file of the shards in a folder, in order. Raises UserError for a folder that is not there."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = {int(m[1]): file for file in folder.iterdir() if (m := SHARD.fullmatch(file.name))}
    return dict(sorted(found.items()))


def read_manifest(folder: str | Path) -> tuple[Configuration, int]:
    """The configuration of a folder, and how many photographs its source has.

    Raises:
        UserError: for a folder without a manifest, and for one that cannot be understood.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        configuration = Configuration(**manifest["configuration"])
        if manifest["fingerprint"] != configuration.fingerprint():
            raise ValueError("the configuration is not the one that was written")
        return configuration, manifest["photographs"]
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: missing: this is no folder that `python -m helpers label` has written"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be understood: restore it, or label into another folder") from error
