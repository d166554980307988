"""List the operators that reach beyond a model's own tensors, each with what it can do."""

from __future__ import annotations

from enum import StrEnum


class Risk(StrEnum):
    """What an operator can do that arithmetic cannot."""

    CODE = "code"
    WRITE = "write"
    READ = "read"
    NETWORK = "network"
    PRINT = "print"
    CHECKPOINT = "checkpoint"
    ASSET = "asset"
    DECODE = "decode"
    PROGRAM = "program"


_TABLE = {
    Risk.CODE: {
        "PyFunc EagerPyFunc PyFuncStateless": (
            "calls a Python function that the process has registered under a number"
        ),
        "XlaCustomCall XlaCustomCallV2 XlaHostCompute _XlaHostComputeMlir": (
            "calls native code by a name that the graph gives"
        ),
        "GeneratorDataset": "runs functions of the graph as a dataset, usually around a PyFunc",
        "ShellExec ShellExecute SystemExec RunCommand LoadLibrary": (
            "runs commands or native code; TensorFlow has no such operator"
        ),
    },
    Risk.WRITE: {
        "WriteFile": "writes a file at a path that the graph gives",
        "DumpTensor": "writes tensors to files",
        "SaveDataset SaveDatasetV2 SnapshotDataset SnapshotDatasetV2 DistributedSave": (
            "writes files of a dataset"
        ),
        "CreateSummaryFileWriter CreateSummaryDbWriter": "creates a file or database for summaries",
        "DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary": (
            "sends tensors to what debug_urls names"
        ),
        "CacheDataset CacheDatasetV2": "writes a cache to files where it is given a path",
        "FileSystemSetConfiguration": "changes how the process reaches file systems",
        "TensorBoardWriteFile MakeDirectory DeleteFile RenameFile DeleteRecursively": (
            "changes files; TensorFlow has no such operator"
        ),
    },
    Risk.READ: {
        "ReadFile": "reads a file at a path that the graph gives",
        "MatchingFiles MatchingFilesDataset ExperimentalMatchingFilesDataset": "lists files by a pattern",
        "WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2": (
            "reads given files"
        ),
        "FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader IdentityReader IdentityReaderV2": (
            "reads given files"
        ),
        "TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset "
        "FixedLengthRecordDatasetV2": ("reads given files"),
        "CSVDataset CSVDatasetV2 ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset": (
            "reads given files"
        ),
        "LoadDataset ListSnapshotChunksDataset SnapshotChunkDataset SnapshotDatasetReader "
        "SnapshotNestedDatasetReader": ("reads datasets"),
        "SqlDataset ExperimentalSqlDataset": "opens a database and runs a query",
        "ImmutableConst": "maps memory from a file at a path that the graph gives",
    },
    Risk.NETWORK: {
        "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 "
        "RegisterDataset RegisterDatasetV2": ("talks to a service at an address that the graph gives"),
        "RpcCall RpcClient RpcServer RpcServerRegister RpcServerStart RpcGetValue RpcCheckStatus "
        "Rpc TryRpc": ("talks to other machines"),
        "RemoteCall": "runs a function on a device that may be another machine",
        "CollectiveInitializeCommunicator": "joins a group of machines",
        "BigtableClient BigtableTable BigQueryReader KafkaDataset KafkaGroupIODataset "
        "PubSubDataset KinesisDataset": ("reads from a service"),
        "GcsConfigureBlockCache GcsConfigureCredentials IO>HTTP": "changes how the process reaches services",
    },
    Risk.PRINT: {
        "PrintV2": "prints tensors, or appends them to a file (output_stream)",
        "Print": "prints tensors",
    },
    Risk.CHECKPOINT: {
        "Save SaveSlices SaveV2 MergeV2Checkpoints": (
            "writes files, or moves them, at a path that the graph gives"
        ),
        "Restore RestoreSlice RestoreV2 DTensorRestoreV2": "reads files at a path that the graph gives",
    },
    Risk.ASSET: {
        "InitializeTableFromTextFile InitializeTableFromTextFileV2": (
            "reads a vocabulary, as a rule an asset of the model"
        ),
    },
    Risk.DECODE: {
        "DecodeRaw DecodePaddedRaw DecodeCompressed DecodeProtoV2 DecodeJSONExample": (
            "takes apart bytes that the model is given"
        ),
        "DecodeGif DecodeImage DecodeJpeg DecodeAndCropJpeg DecodePng DecodeBmp DecodeWav "
        "DecodeWebP DecodeJxl": ("takes apart pictures or sound that the model is given"),
        "ParseTensor": "takes apart a tensor that the model is given",
    },
    Risk.PROGRAM: {
        "XlaCallModule": "runs a StableHLO program that the operator holds",
    },
}

OPERATORS: dict[str, tuple[Risk, str]] = {
    name: (risk, reason)
    for risk, rows in _TABLE.items()
    for names, reason in rows.items()
    for name in names.split()
}
"""What an operator can do, and how it is said, by the operator's name."""
