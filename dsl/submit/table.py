"""The one table of submit commands.

Every word a submit file may use is a row: what it is called, what kind of value
it takes, which job attribute it sets, and whether this version carries it out.
A command that is known and not carried out is refused, never ignored.
"""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a command's value is."""

    TEXT = "text"
    FILE = "file"
    FILES = "files, separated by commas"
    FOLDER = "folder"
    ARGUMENTS = "arguments"
    ENVIRONMENT = "environment variables"
    EXPRESSION = "ClassAd expression"
    MEMORY = "memory, MiB or with a unit"
    DISK = "disk space, KiB or with a unit"
    INTEGER = "whole number"
    COUNT = "count, at least 1"
    TRUTH = "true or false"
    WORD = "one of some words"
    UNKNOWN = "not known to this version"


class Status(StrEnum):
    """What this version does with a command."""

    CARRIED_OUT = "carried out"
    REFUSED = "refused"


class Command(NamedTuple):
    """One row. `accepts`: only these values are carried out (in lower case)."""

    name: str
    kind: Kind = Kind.UNKNOWN
    attribute: str = ""
    help: str = ""
    aliases: tuple[str, ...] = ()
    default: str = ""
    accepts: tuple[str, ...] = ()
    status: Status = Status.CARRIED_OUT
    pesc: bool = False
    """A word of PESC, which HTCondor does not have."""


def _carried_out() -> tuple[Command, ...]:
    return (
        Command("process", Kind.FILE, "PescProcess", "Your program: a .py, .R, .jl, .sh or .jar file, an executable, "
                "a folder or a zip.", pesc=True),
        Command("main", Kind.TEXT, "PescMain", "The file to start inside a folder or zip given to process.", pesc=True),
        Command("executable", Kind.FILE, "Cmd", "The program to run, HTCondor's way: its arguments are yours alone."),
        Command("arguments", Kind.ARGUMENTS, "Args", "What the program is given on its command line.", ("args",)),
        Command("environment", Kind.ENVIRONMENT, "Environment", "Environment variables: \"A=1 B='x y'\".", ("env",)),
        Command("parameters", Kind.ARGUMENTS, "PescParameters", "What process gets as --parameters.", pesc=True),
        Command("repetitions", Kind.COUNT, "PescRepetitions", "How often to run it; with queue, so often for each of "
                "its jobs.", default="1", pesc=True),
        Command("input", Kind.FILE, "In", "The file that becomes standard input.", ("stdin",), "/dev/null"),
        Command("output", Kind.FILE, "Out", "Where standard output goes.", ("stdout",), "/dev/null"),
        Command("error", Kind.FILE, "Err", "Where standard error goes.", ("stderr",), "/dev/null"),
        Command("log", Kind.FILE, "UserLog", "Where the events of the jobs are written.", ("userlog",)),
        Command("initialdir", Kind.FOLDER, "Iwd", "The folder that other paths are relative to.",
                ("initial_dir", "job_iwd", "iwd")),
        Command("transfer_input_files", Kind.FILES, "TransferInput", "Files and folders that travel with the job.",
                ("transferinputfiles",)),
        Command("transfer_output_files", Kind.FILES, "TransferOutput", "The files that come back; all new ones if not "
                "given.", ("transferoutputfiles",)),
        Command("shared_files", Kind.FILES, "PescSharedFiles", "Files that all repetitions read; sent once to a "
                "machine.", pesc=True),
        Command("request_cpus", Kind.EXPRESSION, "RequestCpus", "How many cores a job needs.", ("requestcpus",), "1"),
        Command("request_memory", Kind.MEMORY, "RequestMemory", "How much memory a job needs.", ("requestmemory",),
                "128"),
        Command("request_disk", Kind.DISK, "RequestDisk", "How much disk space a job needs.", ("requestdisk",),
                "1048576"),
        Command("requirements", Kind.EXPRESSION, "Requirements", "Which machines will do."),
        Command("rank", Kind.EXPRESSION, "Rank", "Which machines are better: higher is better.", ("preferences",),
                "0.0"),
        Command("priority", Kind.INTEGER, "JobPrio", "Which of your jobs go first: higher first.", ("prio", "jobprio"),
                "0"),
        Command("hold", Kind.TRUTH, "JobStatus", "Whether to queue the jobs on hold.", default="false"),
        Command("max_retries", Kind.INTEGER, "JobMaxRetries", "How often a failing job is tried again.",
                ("jobmaxretries",)),
        Command("retry_until", Kind.EXPRESSION, "OnExitRemove", "Which exit code, or what, ends the retries early."),
        Command("success_exit_code", Kind.INTEGER, "JobSuccessExitCode", "The exit code that means success.",
                ("jobsuccessexitcode",)),
        Command("batch_name", Kind.TEXT, "JobBatchName", "What pesc_q calls these jobs.", ("jobbatchname",)),
        Command("should_transfer_files", Kind.WORD, "ShouldTransferFiles", "Whether files travel with the job: they "
                "do.", ("shouldtransferfiles",), "IF_NEEDED", ("yes", "if_needed", "true")),
        Command("when_to_transfer_output", Kind.WORD, "WhenToTransferOutput", "When files come back: when the job "
                "ends.", ("whentotransferoutput",), "ON_EXIT", ("on_exit",)),
        Command("universe", Kind.WORD, "JobUniverse", "The kind of job.", ("jobuniverse",), "vanilla",
                ("vanilla", "5")),
        Command("getenv", Kind.WORD, "", "Whether your environment travels with the job: it does not.", ("get_env",),
                "false", ("false", "no", "0")),
        Command("notification", Kind.WORD, "JobNotification", "When mail is sent: never.", (), "never",
                ("never", "0")),
        Command("transfer_executable", Kind.WORD, "TransferExecutable", "Whether the executable travels: it does.", (),
                "true", ("true", "yes", "1")),
        Command("stream_input", Kind.WORD, "StreamIn", "Whether input is read as it grows: it is not.", (), "false",
                ("false", "no", "0")),
        Command("stream_output", Kind.WORD, "StreamOut", "Whether output appears while the job runs; see pesc_tail.",
                (), "false", ("false", "no", "0")),
        Command("stream_error", Kind.WORD, "StreamErr", "Whether errors appear while the job runs; see pesc_tail.",
                (), "false", ("false", "no", "0")),
    )


_LATER_PESC = """
domain packages dockerfile language parallel same_client gpus gpu_capability gpu_memory gpu_sharing rooms header
checkpoint_every join
"""

_LATER_HTCONDOR = """
accounting_group accounting_group_user allow_arguments_v1 allow_environment_v1 allowed_execute_duration
allowed_job_duration append_files arc_application arc_data_staging arc_resources arc_rte arguments2
aws_access_key_id_file aws_region aws_secret_access_key_file azure_admin_key azure_admin_username
azure_auth_file azure_image azure_location azure_size batch_extra_submit_args batch_id batch_project batch_queue
batch_runtime buffer_block_size buffer_files buffer_size checkpoint_destination checkpoint_exit_code
cloud_label_names compress_files concurrency_limits concurrency_limits_expr container_image container_is_common
container_service_names container_target_dir core_size cron_day_of_month cron_day_of_week cron_hour cron_minute
cron_month cron_prep_time cron_window CronPrepTime CronWindow cuda_version dag_node_name dagman_job_id
dagman_log deferral_prep_time deferral_time deferral_window delegate_job_gsi_credentials_lifetime
DelegateJobGSICredentialsLifetime description disk_usage docker_image docker_network_type
docker_override_entrypoint docker_pull_policy docker_send_credentials dont_encrypt_input_files
dont_encrypt_output_files ec2_access_key_id ec2_ami_id ec2_availability_zone ec2_block_device_mapping
ec2_ebs_volumes ec2_elastic_ip ec2_iam_profile_arn ec2_iam_profile_name ec2_instance_type ec2_key_pair_file
ec2_keyp_air ec2_keypair ec2_keypair_file ec2_parameter_names ec2_secret_access_key ec2_security_groups
ec2_security_ids ec2_spot_price ec2_tag_names ec2_user_data ec2_user_data_file ec2_vpc_ip ec2_vpc_subnet
email_attributes encrypt_execute_directory encrypt_input_files encrypt_output_files environment2
erase_output_and_error_on_restart exit_requirements fetch_files file_remaps gce_account gce_auth_file gce_image
gce_json_file gce_machine_type gce_metadata gce_metadata_file gce_preemptible gpus_maximum_capability
gpus_minimum_capability gpus_minimum_memory gpus_minimum_runtime grid_resource gs_access_key_id_file
gs_secret_access_key_file hold_kill_sig image_size interactive_args interactive_executable jar_files
java_vm_args java_vm_arguments java_vm_arguments2 job_ad_information_attrs job_lease_duration job_machine_attrs
job_machine_attrs_history_length job_max_vacate_time jobset keep_claim_idle kill_sig kill_sig_timeout
leave_in_queue load_profile local_files log_xml machine_count manifest manifest_dir match_list_length
materialize_max_idle max_idle max_job_retirement_time max_materialize max_transfer_input_mb
max_transfer_output_mb memory_usage mount_under_scratch next_job_start_delay nice_user node_count NodeCount
noop_job noop_job_exit_code noop_job_exit_signal notify_user on_evict_checks on_exit_hold on_exit_hold_reason
on_exit_hold_subcode on_exit_remove output_destination output_directory parallel_script_shadow
parallel_script_starter periodic_hold periodic_hold_reason periodic_hold_subcode periodic_release
periodic_remove periodic_vacate preserve_relative_paths primary_unix_group project_name public_input_files
Remote_grid_resource remote_initialdir Remote_Remote_grid_resource remove_kill_sig rendezvousdir
request_gpu_memory request_gpus request_gpus_memory require_gpus retry_request_disk retry_request_memory
retry_request_memory_increase retry_request_memory_max run_as_owner s3_access_key_id_file
s3_secret_access_key_file scitokens_file send_credential shell skip_filechecks skip_if_dataflow stack_size
starter_debug starter_log submit_event_notes submit_event_notes_attrs submit_event_user_notes
suspend_job_at_exec tool_daemon_args tool_daemon_arguments tool_daemon_arguments2 tool_daemon_cmd
tool_daemon_error tool_daemon_input tool_daemon_output transfer_checkpoint_files transfer_common_input
transfer_container transfer_error transfer_input transfer_output transfer_output_remaps transfer_plugins
ulog_execute_attrs use_oauth_services use_scitoken use_scitokens use_x509userproxy UseOAuthServices
vm_checkpoint vm_disk vm_macaddr vm_memory vm_networking vm_networking_type vm_no_output_vm vm_type vm_vcpus
vm_vnc want_ads want_graceful_removal want_io_proxy want_job_networking WantNameTag WantParallelScheduling
x509userproxy xen_initrd xen_kernel xen_kernel_params xen_root
"""

_LATER_ATTRIBUTES = """
AWSRegion AccountingGroup AcctGroupUser AllowedExecuteDuration AllowedJobDuration AppendFiles ArcRte
AzureAdminKey AzureAdminUsername AzureAuthFile AzureImage AzureLocation AzureSize BatchExtraSubmitArgs
BatchProject BatchQueue BatchRuntime BufferBlockSize BufferFiles BufferSize CUDAVersion CheckpointDestination
CommonInputFiles CompressFiles ConcurrencyLimits ContainerImage ContainerIsCommon ContainerServiceNames
ContainerTargetDir CoreSize CronDayOfMonth CronDayOfWeek CronHour CronMinute CronMonth DAGManJobId
DAGManNodesLog DAGNodeName DeferralPrepTime DeferralTime DeferralWindow DockerImage DockerNetworkType
DockerOverrideEntrypoint DockerPullPolicy DockerSendCredentials DontEncryptInputFiles DontEncryptOutputFiles
EC2AccessKeyId EC2AmiID EC2AvailabilityZone EC2BlockDeviceMapping EC2ElasticBlockStorageVolumes EC2ElasticIp
EC2IamProfileArn EC2IamProfileName EC2InstanceType EC2KeyPair EC2KeyPairFile EC2ParamNames EC2SecretAccessKey
EC2SecurityGroups EC2SecurityIDs EC2SpotPrice EC2TagNames EC2UserData EC2UserDataFile EC2VpcIp EC2VpcSubnet
EmailAttributes EncryptExecuteDirectory EncryptInputFiles EncryptOutputFiles EraseOutputAndErrorOnRestart
FetchFiles FileRemaps GPUsMaxCapability GPUsMinCapability GPUsMinMemory GPUsMinRuntime GceAccount GceAuthFile
GceImage GceJsonFile GceMachineType GceMetadata GceMetadataFile GcePreemptible GridResource HoldKillSig
ImageSize IsNoopJob JarFiles JavaVMArgs JobAdInformationAttrs JobBatchId JobDescription JobLeaseDuration
JobMachineAttrs JobMachineAttrsHistoryLength JobMaterializeMaxIdle JobMaxVacateTime JobSetName JobStarterDebug
JobStarterLog JobVMCheckpoint JobVMNetworking JobVMNetworkingType JobVMType JobVMVNCConsole JobVM_MACADDR
KeepClaimIdle KillSig KillSigTimeout LastMatchListLength LeaveJobInQueue LoadProfile LocalFiles MachineCount
ManifestDesired ManifestDir MaxJobRetirementTime MaxTransferInputMB MaxTransferOutputMB MountUnderScratch
NextJobStartDelay NiceUser NoopJobExitCode NoopJobExitSignal NotifyUser OnExitHold OnExitHoldReason
OnExitHoldSubCode OnExitRemove OutputDestination OutputDirectory ParallelScriptShadow ParallelScriptStarter
PeriodicHold PeriodicHoldReason PeriodicHoldSubCode PeriodicRelease PeriodicRemove PeriodicVacate
PreserveRelativePaths PrimaryUnixGroup ProjectName RemoteIwd Remote_GridResource Remote_Remote_GridResource
RemoveKillSig RequestGPUs RunAsOwner ScitokensFile SkipIfDataflow StackSize SubmitEventNotes
SubmitEventNotesAttrs SubmitEventUserNotes SuccessCheckpointExitCode SuspendJobAtExec ToolDaemonArgs
ToolDaemonCmd ToolDaemonError ToolDaemonInput ToolDaemonOutput TransferCheckpoint TransferContainer TransferErr
TransferIn TransferOut TransferOutputRemaps TransferPlugins TransformOnEvict UserLogExecuteEventAttrs
UserLogUseXML WantGracefulRemoval WantIOProxy WantJobNetworking
"""


def _refused() -> tuple[Command, ...]:
    pesc = [Command(word, status=Status.REFUSED, pesc=True) for word in _LATER_PESC.split()]
    words = [*_LATER_HTCONDOR.split(), *_LATER_ATTRIBUTES.split()]
    return (*pesc, *(Command(word.lower(), status=Status.REFUSED) for word in words))


COMMANDS: tuple[Command, ...] = (*_carried_out(), *_refused())

BY_WORD: dict[str, Command] = {}
"""Every word in lower case, aliases included."""
for _command in COMMANDS:
    for _word in (_command.name, *_command.aliases):
        BY_WORD.setdefault(_word, _command)


def find(word: str) -> Command | None:
    """The command that `word` (in lower case) names. Any `request_NAME` is one."""
    command = BY_WORD.get(word)
    if command is None and word.startswith("request_") and len(word) > len("request_"):
        return Command(word, status=Status.REFUSED)
    return command


def carried_out() -> list[str]:
    """The names of the commands that this version carries out."""
    return [command.name for command in COMMANDS if command.status is Status.CARRIED_OUT]
