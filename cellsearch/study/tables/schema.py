"""The tables beside Optuna's, for data without a place in Optuna: work items, claims, recorded stages, cells
and their equivalence, workers. The SQL is portable: SQLite for one machine, PostgreSQL for several.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    column,
    func,
    inspect,
    literal,
    select,
    table,
)

META = MetaData()
VERSION = 2  # version of these tables; `migrations` has the steps from earlier ones

OLD_TABLE = "cellsearch_slots"  # a table of version 1, which did not record its version
version = Table("cellsearch_schema", META, Column("version", Integer, primary_key=True))

studies = Table(  # bound to a study of Optuna by the attribute `STUDY_KEY` there, which holds the uuid
    "cellsearch_study",
    META,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(36), nullable=False, unique=True),
    Column("space", Text, nullable=False),  # the text of the space as run
    Column("numerics", Integer, nullable=False),  # raised by the program only when results change
    Column("program", String(64), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON: stage -> digest of its data set
    Column("baseline", Text),  # JSON: stage -> Unit, once frozen
    Column("trials", Integer),  # the target: all trials but the seeds; NULL: no limit
    Column("proposals", Integer),  # the target: proposals alone; NULL: no limit
    Column("seconds", Float, nullable=False, default=0.0),  # total seconds of all `search` commands
    Column("streak", Integer, nullable=False, default=0),  # failures in a row
    Column("cause", Text, nullable=False, default=""),  # cause of the first failure of the streak
    Column("stopped", Text, nullable=False, default=""),  # reason that no trial may be taken, else ""
    Column("halted", Boolean, nullable=False, default=False),  # the last `search` reached its time limit
    sqlite_autoincrement=True,  # ids are never reused
)

cells = Table(
    "cellsearch_cell",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("parent", String(64), nullable=False, default=""),
    Column("edits", Text, nullable=False, default="[]"),  # JSON: the mutations that made it from its parent
    Column("trial", Integer, nullable=False),  # its first trial
    Column("seed", Boolean, nullable=False, default=False),
    Column("score", Float),  # score of a cell that passed every kept task, over finished trials
    Index("cellsearch_cell_score", "study", "score"),
)

functions = Table(  # the key guarantees that only one of equivalent cells is trained
    "cellsearch_function",
    META,
    Column("study", Integer, primary_key=True),
    Column("function", String(64), primary_key=True),  # functional fingerprint
    Column(
        "fingerprint", String(64), nullable=False
    ),  # fingerprint of the cell that is trained for all of them
)

equivalents = Table(  # proposals that are equivalent to a recorded cell
    "cellsearch_equivalent",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),  # its own
    Column("cell", String(64), nullable=False),  # fingerprint of the recorded cell
    Column("name", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("parent", String(64), nullable=False),
    Column("edits", Text, nullable=False),
    Column("trial", Integer, nullable=False),
    Index("cellsearch_equivalent_cell", "study", "cell"),
    Index("cellsearch_equivalent_trial", "study", "trial"),
)

items = Table(  # work items: the worker that may write to a trial; a seed has several, any other trial one
    "cellsearch_item",
    META,
    Column("study", Integer, primary_key=True),
    Column("trial", Integer, primary_key=True),  # Optuna's number
    Column("piece", Integer, primary_key=True),
    Column("trial_id", Integer, nullable=False),  # Optuna's id
    Column("kind", String(16), nullable=False, default=""),  # a `Kind` of `states`; "": undecided
    Column("owner", String(64), nullable=False, default=""),  # id of the worker; "": free
    Column("attempts", Integer, nullable=False, default=0),  # crashes since the last recorded stage
    Column("fingerprint", String(64), nullable=False, default=""),
    Column("parent", String(64), nullable=False, default=""),
    Column(
        "task", String(255), nullable=False, default=""
    ),  # task of a baseline piece, or stage at which a proposal failed
    Column("outcome", String(16), nullable=False, default=""),  # baseline, ranked, filtered, failed; "": open
    Column("cause", Text, nullable=False, default=""),
    Column("score", Float),
    Column("seconds", Float, nullable=False, default=0.0),
    Index("cellsearch_item_open", "study", "outcome", "owner", "trial", "piece"),  # in the order of `take`
    Index("cellsearch_item_counts", "study", "kind", "outcome", "trial"),
    Index("cellsearch_item_trial", "trial_id", "study"),
)

stages = Table(  # the unit of record: one cell, one task, its settings
    "cellsearch_stage",
    META,
    Column("study", Integer, primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("piece", Integer, primary_key=True),
    Column("task", String(255), primary_key=True),  # or a repeat on it: `space.model.repeat_of`
    Column("fingerprint", String(64), nullable=False),
    Column("outcomes", Text, nullable=False),  # JSON: one object per setting
    Column("settings", Integer, nullable=False),
    Column("trained", Integer, nullable=False),  # number of settings with an accuracy
    Column("accuracy", Float),  # of the best setting, like the rest of this row
    Column("loss", Float),
    Column("setting", String(255)),  # its values as text
    Column("parameters", Integer),
    Column("hidden", Integer),
    Column("seconds", Float, nullable=False),
    Index("cellsearch_stage_cell", "study", "fingerprint", "task"),
    Index(
        "cellsearch_stage_best", "study", "task", "fingerprint", "accuracy"
    ),  # order of the leaderboard's query
    Index("cellsearch_stage_counts", "study", "settings", "trained", "seconds"),
)

claims = Table(  # the key guarantees that no setting is run twice for a cell
    "cellsearch_claim",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("setting", String(255), primary_key=True),  # its values as text
    Column("trial", Integer, nullable=False),
    Column("piece", Integer, nullable=False),
    Column("place", Integer, nullable=False),  # order within the stage
    Index("cellsearch_claim_trial", "study", "trial", "piece", "task"),
)

sizes = Table(  # counts of ranked cells, derived from their texts and cached here
    "cellsearch_size",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("width", Integer, primary_key=True),  # width of the layer for the last two counts
    Column("nodes", Integer, nullable=False),
    Column("matrices", Integer, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("products", Integer, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("multiply_adds", BigInteger, nullable=False),
)

workers = Table(
    "cellsearch_worker",
    META,
    Column("study", Integer, primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),  # worker, search
    Column("parent", String(64), nullable=False, default=""),  # id of the search that started it
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", String(64), nullable=False),  # start time of the process in units of the system
    Column(
        "beat", Integer, nullable=False, default=0
    ),  # a counter: clocks of different hosts are never compared
    Column("doing", Text, nullable=False, default=""),
)

repeats = Table(  # rounds of `verify`; missing in the studies of programs without it, see `repeats`
    "cellsearch_repeat",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("look", Integer, primary_key=True),  # index of the look that the round ends at
    Column("setting", String(255), nullable=False),  # its values as text
    Column("digest", String(64), nullable=False),  # digest of the data, which are fresh in each round
    Column("outcomes", Text, nullable=False),  # JSON: one object per repeat
    Column("seconds", Float, nullable=False, default=0.0),
)

OURS = (studies, cells, functions, equivalents, items, stages, claims, sizes, workers, repeats)
STUDY_KEY = "cellsearch"  # the attribute of an Optuna study with the uuid of `studies`
COMMAND_KEY = "command"  # the attribute with the words of the latest command, as JSON
COHORT_KEY = "cohorts"  # the attribute with the cohort sizes, as JSON

# Tables of Optuna, with the columns that we read directly.
optuna_studies = table("studies", column("study_id"), column("study_name"))
optuna_attributes = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
optuna_trials = table(
    "trials", column("trial_id"), column("study_id"), column("number"), column("state", String)
)
optuna_values = table("trial_values", column("trial_id"), column("value"))
optuna_reports = table(
    "trial_intermediate_values", column("trial_id"), column("step"), column("intermediate_value")
)


def bound(study: int) -> Any:
    """A scalar subquery: Optuna's id of the study that is bound to row `study` of ours. NULL if it was
    deleted, even if Optuna reuses its id."""
    value = literal('"') + studies.c.uuid + literal('"')  # as JSON
    theirs = (optuna_attributes.c.key == STUDY_KEY, optuna_attributes.c.value_json == value)
    return select(optuna_attributes.c.study_id).where(studies.c.id == study, *theirs).scalar_subquery()


def version_of(connection: Connection) -> int:
    """The version of our tables in a database; 0 if there are none. As long as tables of version 1 exist, the
    studies are not migrated."""
    there = set(inspect(connection).get_table_names())
    if OLD_TABLE in there:
        return 1
    if version.name not in there:
        return 0
    return int(connection.execute(select(func.max(version.c.version))).scalar() or 0)
