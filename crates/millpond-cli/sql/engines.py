"""Opens a folder that `millpond export --to parquet` writes in DuckDB, DataFusion and Spark, with the views of views.sql."""

import pathlib
import tempfile

HERE = pathlib.Path(__file__).parent
TABLES = ["events", "sites", "stacks", "frames", "modules", "threads", "marks", "samples", "processes"]


def statements(path):
    """Returns the statements in a file, without comments."""
    lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("--"))
    return [text.strip() for text in "\n".join(lines).split(";") if text.strip()]


class DuckDb:
    name = "DuckDB"

    def __init__(self, folder, memory):
        import duckdb

        self.connection = duckdb.connect(config={"memory_limit": memory})
        for table in TABLES:
            files = f"'{folder}/{table}/run=*/*.parquet'"
            options = "hive_partitioning = true, hive_types = {'run': VARCHAR}"
            self.run(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files}, {options})")

    def run(self, sql):
        return self.connection.execute(sql)

    def rows(self, sql):
        found = self.run(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]

    def close(self):
        self.connection.close()


class DataFusion:
    name = "DataFusion"

    def __init__(self, folder, memory):
        from datafusion import RuntimeEnvBuilder, SessionContext

        megabytes = int(memory.removesuffix("GB")) << 30
        limits = RuntimeEnvBuilder().with_disk_manager_os().with_fair_spill_pool(megabytes)
        self.context = SessionContext(runtime=limits)
        for table in TABLES:
            self.run(
                f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET PARTITIONED BY (run) LOCATION '{folder}/{table}/'"
            )

    def run(self, sql):
        return self.context.sql(sql).collect()

    def rows(self, sql):
        return [row for batch in self.run(sql) for row in batch.to_pylist()]

    def close(self):
        del self.context


class Spark:
    name = "Spark"

    def __init__(self, folder, memory):
        from pyspark.sql import SparkSession

        self.scratch = tempfile.TemporaryDirectory()
        settings = {
            "spark.driver.memory": memory.removesuffix("B"),
            "spark.sql.hive.manageFilesourcePartitions": "false",
            "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
            "spark.sql.shuffle.partitions": "8",
            "spark.sql.warehouse.dir": self.scratch.name,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
        }
        builder = SparkSession.builder.master("local-cluster[2,1,1024]")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.session = builder.getOrCreate()
        for table in TABLES:
            self.run(f"CREATE TABLE {table} USING parquet OPTIONS (path '{folder}/{table}')")

    def run(self, sql):
        return self.session.sql(sql)

    def rows(self, sql):
        return [row.asDict() for row in self.run(sql).collect()]

    def close(self):
        self.session.stop()
        self.scratch.cleanup()


ENGINES = {"duckdb": DuckDb, "datafusion": DataFusion, "spark": Spark}


def open_folder(engine, folder, memory="4GB"):
    """Returns an engine with all tables and views."""
    opened = ENGINES[engine](folder, memory)
    for statement in statements(HERE / "views.sql"):
        opened.run(statement)
    return opened
