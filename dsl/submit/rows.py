"""HTCondor's commands that this version reads and does not carry out, one line each.

`name, aliases | kind | attribute | what it would do`. Those of ACCEPTED a job can do
without: they are taken with a warning. Those of REFUSED would change what a job means:
`--dry-run` expands them, a submission that has one is refused.
"""

ACCEPTED = """
accounting_group | text | AcctGroup | Which group's share the jobs count against.
accounting_group_user | text | AcctGroupUser | The name under which the group's use is counted.
batch_id | text | JobBatchId | A number that groups clusters.
buffer_block_size | expression | BufferBlockSize | Obsolete: how remote files are read.
buffer_files | expression | BufferFiles | Obsolete: which remote files are buffered.
buffer_size | expression | BufferSize | Obsolete: how remote files are read.
core_size | integer | CoreSize | The largest core file, in bytes.
cuda_version | text | CUDAVersion | Obsolete: say gpus_minimum_runtime.
dag_node_name | text | DAGNodeName | The node of a DAG; set by DAGMan.
dagman_job_id | integer | DAGManJobId | The job of the DAG; set by DAGMan.
dagman_log | text | DAGManNodesLog | The log of a DAG's nodes; set by DAGMan.
disk_usage | image | DiskUsage | Obsolete: say request_disk.
email_attributes | text | EmailAttributes | Which attributes mails tell.
image_size | image | ImageSize | Obsolete: say request_memory.
job_ad_information_attrs | text | JobAdInformationAttrs | Which attributes the log tells with every event.
job_lease_duration | expression | JobLeaseDuration | How long a machine may be silent; the pool's own rule holds.
job_machine_attrs | text | JobMachineAttrs | Which attributes of machines the job remembers.
job_machine_attrs_history_length | integer | JobMachineAttrsHistoryLength | Of how many machines it remembers them.
jobset | text | JobSetName | The set these jobs belong to.
keep_claim_idle | expression | KeepClaimIdle | How long a machine is kept for the next job.
leave_in_queue | expression | LeaveJobInQueue | Whether ended jobs stay in pesc_q; see pesc_history.
load_profile | truth | LoadProfile | Windows: whether the user's profile is loaded.
log_xml | truth | UserLogUseXML | Whether the log is XML; it is text.
match_list_length | integer | LastMatchListLength | How many of its machines a job remembers.
materialize_max_idle, max_idle | expression | JobMaterializeMaxIdle | How many idle jobs are made; all are made late.
max_job_retirement_time | expression | MaxJobRetirementTime | How long a job may go on before it must leave.
max_materialize | integer | JobMaterializeLimit | How many jobs are made at a time; as many run as there is room for.
max_transfer_input_mb | expression | MaxTransferInputMB | The most that may be sent; the pool's own limits hold.
max_transfer_output_mb | expression | MaxTransferOutputMB | The most that may come back; the pool's own limits hold.
memory_usage | image | MemoryUsage | Obsolete: say request_memory.
next_job_start_delay | expression | NextJobStartDelay | How many seconds lie between two starts.
nice_user | truth | NiceUser | Whether the jobs only take what nobody else wants; give them a low priority.
notification | word | JobNotification | When mail is sent; see pesc_wait.
notify_user | text | NotifyUser | Who gets the mail.
run_as_owner | truth | RunAsOwner | Windows: whether the job runs as its owner.
skip_filechecks | truth | | Whether files are looked for when they are submitted; they are.
stack_size | expression | StackSize | The largest stack, in bytes.
starter_debug | text | JobStarterDebug | How much the machine writes about the job.
starter_log | text | JobStarterLog | Where the machine's own log of the job goes.
stream_error, streamerr | truth | StreamErr | Whether errors appear while the job runs; see pesc_tail.
stream_input, streamin | truth | StreamIn | Whether input is read as it grows.
stream_output, streamout | truth | StreamOut | Whether output appears while the job runs; see pesc_tail.
submit_event_notes | text | SubmitEventNotes | A note for the log.
submit_event_notes_attrs | text | SubmitEventNotesAttrs | Attributes that are put into that note.
submit_event_user_notes | text | SubmitEventUserNotes | A second note for the log.
ulog_execute_attrs | text | UserLogExecuteEventAttrs | Attributes of the machine that the log tells.
want_graceful_removal | expression | WantGracefulRemoval | Whether a removed job gets time to end; it does.
want_io_proxy | truth | WantIOProxy | Whether the job can talk to the schedd.
"""

REFUSED = """
allowed_execute_duration | expression | AllowedExecuteDuration | How many seconds one run may take.
allowed_job_duration | expression | AllowedJobDuration | How many seconds the job may take, transfers included.
append_files | text | AppendFiles | Obsolete: files that are added to.
arc_application | text | ArcApplication | Grid (ARC): the application.
arc_data_staging | text | ArcDataStaging | Grid (ARC): data staging.
arc_resources | text | ArcResources | Grid (ARC): resources.
arc_rte | text | ArcRte | Grid (ARC): runtime environments.
aws_access_key_id_file | text | EC2AccessKeyId | Amazon: the file with the key's name.
aws_region | text | AWSRegion | Amazon: the region.
aws_secret_access_key_file | text | EC2SecretAccessKey | Amazon: the file with the key.
azure_admin_key | text | AzureAdminKey | Azure: the key of the administrator.
azure_admin_username | text | AzureAdminUsername | Azure: the administrator.
azure_auth_file | text | AzureAuthFile | Azure: the file with the credentials.
azure_image | text | AzureImage | Azure: the image.
azure_location | text | AzureLocation | Azure: where.
azure_size | text | AzureSize | Azure: the size of the machine.
batch_extra_submit_args | text | BatchExtraSubmitArgs | Grid: more arguments for the other batch system.
batch_project | text | BatchProject | Grid: the project in the other batch system.
batch_queue | text | BatchQueue | Grid: the queue of the other batch system.
batch_runtime | expression | BatchRuntime | Grid: seconds the job may take in the other batch system.
checkpoint_destination | text | CheckpointDestination | Where checkpoints go.
cloud_label_names | text | CloudLabelNames | Cloud: names of labels.
compress_files | text | CompressFiles | Obsolete: files that are compressed.
concurrency_limits | text | ConcurrencyLimits | Limits of the pool that the job counts against.
concurrency_limits_expr | expression | ConcurrencyLimits | The same, as an expression.
container_image | text | ContainerImage | The container that the job runs in.
container_is_common | truth | ContainerIsCommon | Whether machines keep the container for the next jobs.
container_service_names | text | ContainerServiceNames | Ports of the container that get a name.
container_target_dir | text | ContainerTargetDir | Where the job's folder is in the container.
cron_day_of_month | text | CronDayOfMonth | On which days of the month it starts.
cron_day_of_week | text | CronDayOfWeek | On which days of the week it starts.
cron_hour | text | CronHour | At which hours it starts.
cron_minute | text | CronMinute | At which minutes it starts.
cron_month | text | CronMonth | In which months it starts.
cron_prep_time, cronpreptime | integer | DeferralPrepTime | How many seconds before its start it gets a machine.
cron_window, cronwindow | integer | DeferralWindow | How many seconds late it may start.
deferral_prep_time | integer | DeferralPrepTime | How many seconds before its start it gets a machine.
deferral_time | expression | DeferralTime | When it starts, in seconds since 1970.
deferral_window | integer | DeferralWindow | How many seconds late it may start.
delegate_job_gsi_credentials_lifetime | integer | DelegateJobGSICredentialsLifetime | How long a proxy lives.
docker_image | text | DockerImage | The Docker image that the job runs in.
docker_network_type | text | DockerNetworkType | The network of the container.
docker_override_entrypoint | truth | DockerOverrideEntrypoint | Whether the image's own program is passed over.
docker_pull_policy | text | DockerPullPolicy | When the image is fetched anew.
docker_send_credentials | truth | DockerSendCredentials | Whether your Docker credentials travel.
dont_encrypt_input_files | text | DontEncryptInputFiles | Inputs that travel in the clear.
dont_encrypt_output_files | text | DontEncryptOutputFiles | Outputs that travel in the clear.
ec2_access_key_id | text | EC2AccessKeyId | Amazon: the file with the key's name.
ec2_ami_id | text | EC2AmiID | Amazon: the image.
ec2_availability_zone | text | EC2AvailabilityZone | Amazon: the zone.
ec2_block_device_mapping | text | EC2BlockDeviceMapping | Amazon: disks.
ec2_ebs_volumes | text | EC2ElasticBlockStorageVolumes | Amazon: volumes.
ec2_elastic_ip | text | EC2ElasticIp | Amazon: the address.
ec2_iam_profile_arn | text | EC2IamProfileArn | Amazon: the profile.
ec2_iam_profile_name | text | EC2IamProfileName | Amazon: the profile by name.
ec2_instance_type | text | EC2InstanceType | Amazon: the size of the machine.
ec2_key_pair_file, ec2_keypair_file | text | EC2KeyPairFile | Amazon: the file for a new key pair.
ec2_keypair, ec2_keyp_air | text | EC2KeyPair | Amazon: the key pair.
ec2_parameter_names | text | EC2ParamNames | Amazon: more parameters.
ec2_secret_access_key | text | EC2SecretAccessKey | Amazon: the file with the key.
ec2_security_groups | text | EC2SecurityGroups | Amazon: security groups.
ec2_security_ids | text | EC2SecurityIDs | Amazon: security groups by id.
ec2_spot_price | text | EC2SpotPrice | Amazon: the most to be paid.
ec2_tag_names | text | EC2TagNames | Amazon: tags.
ec2_user_data | text | EC2UserData | Amazon: a text for the machine.
ec2_user_data_file | text | EC2UserDataFile | Amazon: a file for the machine.
ec2_vpc_ip | text | EC2VpcIp | Amazon: the address in the private network.
ec2_vpc_subnet | text | EC2VpcSubnet | Amazon: the private network.
encrypt_execute_directory | truth | EncryptExecuteDirectory | Whether the job's folder is encrypted.
encrypt_input_files | text | EncryptInputFiles | Inputs that travel encrypted.
encrypt_output_files | text | EncryptOutputFiles | Outputs that travel encrypted.
erase_output_and_error_on_restart | truth | EraseOutputAndErrorOnRestart | Whether outputs begin anew with every run.
exit_requirements | expression | ExitRequirements | Obsolete: say on_exit_remove.
fetch_files | text | FetchFiles | Obsolete: files that are fetched.
file_remaps | expression | FileRemaps | Obsolete: say transfer_output_remaps.
gce_account | text | GceAccount | Google: the account.
gce_auth_file | text | GceAuthFile | Google: the file with the credentials.
gce_image | text | GceImage | Google: the image.
gce_json_file | text | GceJsonFile | Google: a description of the machine.
gce_machine_type | text | GceMachineType | Google: the size of the machine.
gce_metadata | text | GceMetadata | Google: a text for the machine.
gce_metadata_file | text | GceMetadataFile | Google: a file for the machine.
gce_preemptible | truth | GcePreemptible | Google: whether the machine may be taken away.
grid_resource | text | GridResource | Grid: where the job goes.
gs_access_key_id_file | text | EC2AccessKeyId | Google storage: the file with the key's name.
gs_secret_access_key_file | text | EC2SecretAccessKey | Google storage: the file with the key.
interactive_args | text | InteractiveArgs | Arguments of an interactive job.
interactive_executable | text | InteractiveExecutable | The program of an interactive job.
jar_files | text | JarFiles | Java: archives.
java_vm_args, java_vm_arguments, java_vm_arguments2 | text | JavaVMArgs | Java: arguments of the machine.
local_files | text | LocalFiles | Obsolete: files that stay.
machine_count, node_count, nodecount | integer | MachineCount | How many machines a parallel job needs.
manifest | truth | ManifestDesired | Whether the files of the job's folder are listed.
manifest_dir | text | ManifestDir | Where these lists go.
mount_under_scratch | text | MountUnderScratch | Folders that the job has for itself.
noop_job | expression | IsNoopJob | Whether the job ends without being run.
noop_job_exit_code | expression | NoopJobExitCode | The exit code of such a job.
noop_job_exit_signal | expression | NoopJobExitSignal | The signal that ended such a job.
on_evict_checks | expression | TransformOnEvict | What changes in a job that had to leave.
output_destination | text | OutputDestination | The address that outputs go to.
output_directory | text | OutputDirectory | The folder that outputs are taken from.
parallel_script_shadow | text | ParallelScriptShadow | Parallel: a program beside the queue.
parallel_script_starter | text | ParallelScriptStarter | Parallel: a program beside the job.
periodic_hold | expression | PeriodicHold | When a job is held, whatever it does.
periodic_hold_reason | expression | PeriodicHoldReason | What is then given as the reason.
periodic_hold_subcode | expression | PeriodicHoldSubCode | The number of that reason.
periodic_release | expression | PeriodicRelease | When a held job is released.
periodic_remove | expression | PeriodicRemove | When a job is removed.
periodic_remove_reason | expression | PeriodicRemoveReason | What is then given as the reason.
periodic_vacate | expression | PeriodicVacate | When a running job must leave its machine.
preserve_relative_paths | truth | PreserveRelativePaths | Whether inputs keep their folders.
primary_unix_group | text | PrimaryUnixGroup | The group that the job runs in.
public_input_files | text | PublicInputFiles | Inputs that everybody may see.
remote_grid_resource | text | Remote_GridResource | Grid: where the job goes from there.
remote_initialdir | text | RemoteIwd | The folder of the job on its machine.
remote_remote_grid_resource | text | Remote_Remote_GridResource | Grid: where it goes from there in turn.
rendezvousdir | text | RendezvousDir | Where parallel jobs meet.
retry_request_disk | text | | The disk space that is asked for once the first was too little.
retry_request_memory | text | | The memory that is asked for once the first was too little.
retry_request_memory_increase | expression | | By how much more memory is asked for each time.
retry_request_memory_max | expression | | The most memory that is asked for.
s3_access_key_id_file | text | EC2AccessKeyId | Amazon: the file with the key's name.
s3_secret_access_key_file | text | EC2SecretAccessKey | Amazon: the file with the key.
scitokens_file | text | ScitokensFile | The file with a token.
send_credential | truth | SendCredential | Windows: whether your password travels.
shell | text | | A line for /bin/sh, in place of an executable.
skip_if_dataflow | truth | SkipIfDataflow | Whether a job is left out if its outputs are newer than its inputs.
suspend_job_at_exec | truth | SuspendJobAtExec | Whether the job starts stopped.
tool_daemon_args, tool_daemon_arguments, tool_daemon_arguments2 | text | ToolDaemonArgs | Its arguments.
tool_daemon_cmd | text | ToolDaemonCmd | A program beside the job.
tool_daemon_error | text | ToolDaemonError | Its errors.
tool_daemon_input | text | ToolDaemonInput | Its input.
tool_daemon_output | text | ToolDaemonOutput | Its output.
transfer_common_input | text | CommonInputFiles | Inputs that all jobs have in common.
transfer_container | truth | TransferContainer | Whether the container travels with the job.
transfer_error | truth | TransferErr | Whether errors come back.
transfer_input | truth | TransferIn | Whether the input travels.
transfer_output | truth | TransferOut | Whether the output comes back.
transfer_output_remaps | text | TransferOutputRemaps | Where output files are put: "a = b; c = d".
transfer_plugins | text | TransferPlugins | Your own programs for addresses.
use_oauth_services, useoauthservices | text | OAuthServicesNeeded | Services that a token is needed for.
use_scitokens, use_scitoken | truth | UseScitokens | Whether a token travels.
use_x509userproxy | truth | UseX509UserProxy | Whether a proxy travels.
vm_checkpoint | truth | JobVMCheckpoint | Virtual machine: whether it is checkpointed.
vm_disk | text | VMPARAM_vm_Disk | Virtual machine: its disks.
vm_macaddr | text | JobVM_MACADDR | Virtual machine: its address.
vm_memory | expression | JobVMMemory | Virtual machine: its memory.
vm_networking | truth | JobVMNetworking | Virtual machine: whether it has a network.
vm_networking_type | text | JobVMNetworkingType | Virtual machine: which network.
vm_no_output_vm | truth | VMPARAM_No_Output_VM | Virtual machine: whether it comes back.
vm_type | text | JobVMType | Virtual machine: its kind.
vm_vcpus | integer | JobVM_VCPUS | Virtual machine: its cores.
vm_vnc | truth | JobVMVNCConsole | Virtual machine: whether its screen can be seen.
want_ads | truth | WantAds | Obsolete.
wantnametag | truth | WantNameTag | Grid: whether a name travels.
wantparallelscheduling | truth | WantParallelScheduling | Whether a job is scheduled with others.
x509userproxy | text | x509userproxy | The file with a proxy.
xen_initrd | text | VMPARAM_Xen_Initrd | Virtual machine: its first file system.
xen_kernel | text | VMPARAM_Xen_Kernel | Virtual machine: its kernel.
xen_kernel_params | text | VMPARAM_Xen_Kernel_Params | Virtual machine: its kernel's parameters.
xen_root | text | VMPARAM_Xen_Root | Virtual machine: its root.
"""

WRONG = {
    "request_gpu_memory": "gpus_minimum_memory",
    "request_gpus_memory": "gpus_minimum_memory",
}
"""Words that HTCondor answers with an error, and what is meant."""
