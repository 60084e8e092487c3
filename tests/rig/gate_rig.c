/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Namespaces, tgtd, gate, other node and writers for the gate's tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "iscsi/path_iscsi.h"
#include "tests/rig/gate_rig.h"

#define TARGET "iqn.2024-01.test:san"
#define CONTROL_PORT "4217" /* seen by nobody: /run/tgtd is the test's own */
#define OTHER_KEY 0x4c00000000000099u

struct rig rig = {.give_up_ms = 5000, .hold_limit_ms = 20000};
static pid_t owner_of_all;
static const struct path_kind *const kinds[] = {&path_kind_iscsi, NULL};
static struct rig_writer *writers[16];
static size_t writer_count;

static void clean_up(void)
{
	if (getpid() != owner_of_all)
		return;
	for (size_t i = 0; i < writer_count; i++)
		if (writers[i]->pid > 0)
			kill(writers[i]->pid, SIGKILL);
	if (rig.tgtd > 0)
		kill(rig.tgtd, SIGKILL);
	gate_kill_all(rig.run);
	attach_remove_leftovers(rig.run, NULL);
	umount2(rig.folder, MNT_DETACH);
	rmdir(rig.folder);
}

void rig_fail(const char *file, int line, const char *what)
{
	char log[200];
	snprintf(log, sizeof(log), "tail -n 30 %s/gate/*/log >&2", rig.run);
	if (system(log) < 0)
		fprintf(stderr, "(no log)\n");
	fprintf(stderr, "\n%s:%d: not so: %s\n", file, line, what);
	exit(1);
}

void rig_turn(void)
{
	uv_run(rig.loop, UV_RUN_NOWAIT);
	nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
}

void rig_run_for(unsigned ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000ull;
	while (uv_hrtime() < end)
		rig_turn();
}

static pid_t start(const char *const *arguments)
{
	pid_t pid = fork();
	if (pid == 0) {
		int nothing;

		setpgid(0, 0);
		nothing = open("/dev/null", O_RDWR);
		dup2(nothing, 0);
		if (!getenv("GATE_TEST_VERBOSE")) {
			dup2(nothing, 1);
			dup2(nothing, 2);
		}
		execvp(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	CHECK(pid > 0);
	return pid;
}

int rig_command(unsigned limit_ms, const char *const *arguments)
{
	uint64_t end = uv_hrtime() + limit_ms * 1000000ull;
	pid_t pid = start(arguments);
	int status = 0;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (uv_hrtime() > end) {
			kill(pid, SIGKILL);
			return -1;
		}
		rig_turn();
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the SAN --- */

static void tgtadm(const char *const *arguments)
{
	const char *line[32] = {"tgtadm", "-C", CONTROL_PORT, "--lld", "iscsi"};
	size_t count = 5;
	for (; *arguments; arguments++)
		line[count++] = *arguments;
	CHECK(rig_command(5000, line) == 0);
}
#define TGTADM(...) tgtadm((const char *const[]){__VA_ARGS__, NULL})

void rig_lun_make(int lun, unsigned block_size)
{
	char number[12], size[16];
	snprintf(number, sizeof(number), "%d", lun + 1);
	snprintf(size, sizeof(size), "%u", block_size);
	TGTADM("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", number, "-b",
	       rig.image[lun], "--blocksize", size);
}

void rig_lun_remove(int lun)
{
	char number[12];
	snprintf(number, sizeof(number), "%d", lun + 1);
	TGTADM("--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun", number);
}

void rig_tgtd_start(void)
{
	const char *const line[] = {
		"tgtd", "-f", "-C", CONTROL_PORT, "--iscsi", "portal=127.0.0.1:3260", NULL};
	const char *const show[] = {"tgtadm", "-C",   CONTROL_PORT, "--lld",  "iscsi",
				    "--op",   "show", "--mode",     "target", NULL};
	rig.tgtd = start(line);
	WAIT(rig_command(2000, show) == 0, 5000);
	TGTADM("--op", "new", "--mode", "target", "--tid", "1", "-T", TARGET);
	for (int i = 0; i < RIG_LUNS; i++)
		rig_lun_make(i, 512);
	TGTADM("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL");
}

/* Every connection of every session but the other node's. */
static void connections_cut(bool looking)
{
	const char *const line[] = {
		"sh", "-c",
		"tgtadm -C " CONTROL_PORT " --lld iscsi --op show --mode conn --tid 1 | awk '"
		"/Session:/ {s = $2} /Connection:/ {c = $2} /Initiator:.*jerry/ {print s, c}' |"
		"while read s c; do tgtadm -C " CONTROL_PORT
		" --lld iscsi --op delete --mode conn --tid 1 --sid $s --cid $c || exit 1; done",
		NULL};
	int status = -1;
	pid_t pid;

	if (looking) {
		CHECK(rig_command(5000, line) == 0);
		return;
	}
	pid = start(line);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	nanosleep(&(struct timespec){.tv_nsec = 50000000},
		  NULL); /* the gate process has noticed; we read nothing */
}

void rig_connections_cut(void)
{
	connections_cut(true);
}

void rig_connections_cut_while_not_looking(void)
{
	connections_cut(false);
}

void rig_tgtd_kill(void)
{
	kill(rig.tgtd, SIGKILL);
	kill(rig.tgtd, SIGCONT);
	waitpid(rig.tgtd, NULL, 0);
	rig.tgtd = 0;
}

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
	close(fd);
}

void rig_begin(void)
{
	static char plugin[PATH_MAX];

	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		printf("skipped: needs root and namespaces\n");
		exit(77);
	}
	if (!getenv("LUNKEEPER_GATE") && realpath("build/lunkeeper-gate.so", plugin))
		setenv("LUNKEEPER_GATE", plugin, 1);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	loopback_up();
	mkdir("/run/tgtd", 0755);
	CHECK(mount("none", "/run/tgtd", "tmpfs", 0, NULL) == 0);
	snprintf(rig.folder, sizeof(rig.folder), "/tmp/lunkeeper-gate.XXXXXX");
	CHECK(mkdtemp(rig.folder));
	owner_of_all = getpid();
	atexit(clean_up);
	CHECK(mount("none", rig.folder, "tmpfs", 0, "mode=711") == 0);
	snprintf(rig.run, sizeof(rig.run), "%s/run", rig.folder);
	CHECK(mkdir(rig.run, 0755) == 0);
	for (int i = 0; i < RIG_LUNS; i++) {
		int fd;

		snprintf(rig.image[i], sizeof(rig.image[i]), "%s/image%d", rig.folder, i);
		fd = open(rig.image[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && ftruncate(fd, RIG_LUN_SIZE) == 0);
		close(fd);
	}
	rig.loop = uv_default_loop();
	rig_tgtd_start();
}

/* --- the gate --- */

static void gate_up(struct gate *gate, bool found, void *user)
{
	(void)gate;
	(void)user;
	rig.ups++;
	rig.found = found;
}

static void gate_down(struct gate *gate, const char *reason, void *user)
{
	(void)gate;
	(void)user;
	if (getenv("GATE_TEST_VERBOSE"))
		fprintf(stderr, "down: %s\n", reason);
	rig.downs++;
}

static void gate_changed(struct gate *gate, void *user)
{
	struct gate_view view = rig_view();
	(void)user;
	if (rig.autofail && view.state == GATE_STATE_HELD && view.cause == GATE_CAUSE_CONFLICT)
		gate_set(gate, GATE_STATE_FAILED);
}

static void gate_nexus(struct gate *gate, uint16_t lun, bool up, bool fresh, void *user)
{
	(void)gate;
	(void)user;
	if (up && fresh)
		rig.fresh[lun]++;
}

static void gate_attention(struct gate *gate, uint16_t lun, uint8_t asc, uint8_t ascq, void *user)
{
	(void)gate;
	(void)lun;
	(void)user;
	if (asc == 0x2a && (ascq == 0x03 || ascq == 0x05))
		rig.attentions++;
}

void rig_gate_open(void)
{
	static const char *const names[] = {"one", "two"};
	static const char *const urls[] = {"iscsi://127.0.0.1/" TARGET "/1",
					   "iscsi://127.0.0.1/" TARGET "/2"};
	static const struct gate_events events = {gate_up, gate_down, gate_changed, gate_nexus,
						  gate_attention};
	struct gate_lun_setup luns[RIG_LUNS] = {0};
	struct gate_setup setup = {
		.run_folder = rig.run,
		.group = "mail",
		.initiator_name = "iqn.2024-01.test:jerry",
		.hold_limit_ms = rig.hold_limit_ms,
		.give_up_ms = rig.give_up_ms,
		.luns = luns,
		.lun_count = RIG_LUNS,
	};
	char message[400];
	unsigned ups = rig.ups;

	for (int i = 0; i < RIG_LUNS; i++) {
		luns[i].name = names[i];
		luns[i].url = urls[i];
		luns[i].wwid = rig.wwid[i];
	}
	CHECK(gate_open(rig.loop, &setup, &events, NULL, &rig.gate, message, sizeof(message)) == 0);
	WAIT(rig.ups > ups, 5000);
}

static void set_true(void *flag)
{
	*(bool *)flag = true;
}

void rig_gate_close(bool stop)
{
	bool closed = false;
	gate_close(rig.gate, stop, set_true, &closed);
	WAIT(closed, 5000);
	rig.gate = NULL;
}

struct gate_view rig_view(void)
{
	struct gate_view view;
	gate_view(rig.gate, &view);
	return view;
}

bool rig_state(enum gate_state state)
{
	struct gate_view view = rig_view();
	return view.connected && view.state == state;
}

bool rig_quiet(void)
{
	struct gate_view view = rig_view();
	return view.connected && view.quiet;
}

bool rig_nexuses_up(void)
{
	for (uint16_t i = 0; i < RIG_LUNS; i++)
		if (gate_path(rig.gate, i)->state != PATH_STATE_UP)
			return false;
	return true;
}

static void order_done(struct scsi_request *request)
{
	*(bool *)request->user = true;
}

struct scsi_result rig_order(struct path *path, enum pr_out_action action, uint64_t key,
			     uint64_t service_key)
{
	struct pr_out out = {
		.action = action,
		.type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
		.key = key,
		.service_key = service_key,
	};
	bool done = false;
	uint8_t buffer[PR_OUT_PARAMETER_LENGTH];
	struct scsi_request request = {.timeout_ms = 2000, .done = order_done, .user = &done};
	uint32_t wait_ms;
	for (unsigned attempt = 0;; attempt++) {
		CHECK(pr_out_encode(&request, &out, buffer, sizeof(buffer)) == 0);
		done = false;
		path_submit(path, &request);
		WAIT(done, 5000);
		if (scsi_retry_judge(&request.result, attempt, &wait_ms) != SCSI_RETRY_AT_ONCE)
			return request.result;
	}
}

void rig_own(uint64_t key)
{
	WAIT(rig_nexuses_up(), 5000);
	for (uint16_t i = 0; i < RIG_LUNS; i++) {
		struct path *path = gate_path(rig.gate, i);
		CHECK(rig_order(path, PR_OUT_REGISTER_AND_IGNORE, 0, key).outcome ==
		      SCSI_OUTCOME_OK);
		if (rig_order(path, PR_OUT_RESERVE, key, 0).outcome != SCSI_OUTCOME_OK)
			CHECK(rig_order(path, PR_OUT_PREEMPT, key, key).outcome == SCSI_OUTCOME_OK);
		CHECK(gate_lun_view(rig.gate, i)->key == key);
	}
	CHECK(gate_set(rig.gate, GATE_STATE_OPEN) == 0);
	WAIT(rig_state(GATE_STATE_OPEN), 1000);
}

static struct path *other_path(int lun)
{
	if (rig.other[lun] && rig.other[lun]->state == PATH_STATE_UP)
		return rig.other[lun];
	if (rig.other[lun]) {
		path_reconnect(rig.other[lun]);
	} else {
		struct path_open_options options = {.initiator_name = "iqn.2024-01.test:tom",
						    .isid_qualifier = 2};
		struct path *paths[PATHS_MAX];
		size_t count;
		char url[120], message[200];
		snprintf(url, sizeof(url), "iscsi://127.0.0.1/" TARGET "/%d", lun + 1);
		CHECK(path_open_all(kinds, rig.loop, url, &options, paths, &count, message,
				    sizeof(message)) == 0);
		rig.other[lun] = paths[0];
	}
	WAIT(rig.other[lun]->state == PATH_STATE_UP, 5000);
	return rig.other[lun];
}

void rig_other_preempts(uint64_t key)
{
	struct path *path = other_path(0);
	CHECK(rig_order(path, PR_OUT_REGISTER_AND_IGNORE, 0, OTHER_KEY).outcome == SCSI_OUTCOME_OK);
	CHECK(rig_order(path, PR_OUT_PREEMPT, OTHER_KEY, key).outcome == SCSI_OUTCOME_OK);
}

void rig_other_lets_go(void)
{
	CHECK(rig_order(other_path(0), PR_OUT_REGISTER, OTHER_KEY, 0).outcome == SCSI_OUTCOME_OK);
}

void rig_all_clear(void)
{
	for (int i = 0; i < RIG_LUNS; i++) {
		struct path *path = other_path(i);
		CHECK(rig_order(path, PR_OUT_REGISTER_AND_IGNORE, 0, OTHER_KEY).outcome ==
		      SCSI_OUTCOME_OK);
		CHECK(rig_order(path, PR_OUT_CLEAR, OTHER_KEY, 0).outcome == SCSI_OUTCOME_OK);
	}
}

/* --- devices --- */

static void attach_ended(struct attach *attach, int status, const char *message, void *user)
{
	(void)attach;
	if (status < 0 && status != -ECANCELED)
		fprintf(stderr, "attach: %s\n", message);
	*(int *)user = status;
}

static void attach_lost(struct attach *attach, const char *reason, void *user)
{
	(void)attach;
	(void)reason;
	(void)user;
	rig.lost++;
}

void rig_attach(int lun)
{
	int status = 1;
	if (!rig.attach[lun]) {
		struct attach_setup setup = {
			.run_folder = rig.run,
			.name = gate_lun_view(rig.gate, (uint16_t)lun)->name,
			.nbd_socket = gate_nbd_socket(rig.gate),
			.block_size = gate_lun_view(rig.gate, (uint16_t)lun)->block_size,
		};
		rig.attach[lun] = attach_new(rig.loop, &setup, attach_lost, NULL);
	}
	CHECK(attach_make(rig.attach[lun], attach_ended, &status) == 0);
	WAIT(status <= 0, 6000);
	CHECK(status == 0);
	CHECK(access(attach_link(rig.attach[lun]), F_OK) == 0);
}

void rig_detach(int lun)
{
	int status = 1;
	CHECK(attach_remove(rig.attach[lun], attach_ended, &status) == 0);
	CHECK(access(attach_link(rig.attach[lun]), F_OK) < 0);
	WAIT(status <= 0, 6000);
	CHECK(status == 0);
}

const char *rig_device(int lun)
{
	return attach_link(rig.attach[lun]);
}

/* --- writers --- */

static void record_fill(uint8_t *record, uint64_t number)
{
	for (size_t i = 0; i < RIG_RECORD; i += sizeof(number))
		memcpy(record + i, &number, sizeof(number));
}

static void write_records(struct rig_writer *writer, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | (strstr(file, "/dev/") ? O_DIRECT : 0),
		      0600);
	uint8_t *record = aligned_alloc(RIG_RECORD, RIG_RECORD);
	bool good = fd >= 0 && record;
	for (uint64_t number = 1; good && !writer->stop; number++) {
		off_t at;

		record_fill(record, number);
		at = (off_t)(number % RIG_SLOTS * RIG_RECORD);
		good = pwrite(fd, record, RIG_RECORD, at) == RIG_RECORD && fdatasync(fd) == 0;
		if (good)
			writer->acknowledged = number;
	}
	if (!good) {
		writer->error = errno;
		writer->failed_ns = uv_hrtime();
	}
	_exit(0);
}

struct rig_writer *rig_writer_start(const char *file)
{
	struct rig_writer *writer = mmap(NULL, sizeof(*writer), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CHECK(writer != MAP_FAILED && writer_count < sizeof(writers) / sizeof(writers[0]));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		write_records(writer, file);
	writer->pid = pid;
	writers[writer_count++] = writer;
	WAIT(writer->acknowledged > 3 || writer->error, 5000);
	CHECK(!writer->error);
	return writer;
}

void rig_writer_stop(struct rig_writer *writer)
{
	writer->stop = true;
	WAIT(waitpid(writer->pid, NULL, WNOHANG) != 0, 5000);
	for (size_t i = 0; i < writer_count; i++)
		if (writers[i] == writer)
			writers[i] = writers[--writer_count];
}

void rig_writer_check(const struct rig_writer *writer, const char *file)
{
	uint64_t last = writer->acknowledged, found;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && last > 0);
	for (uint64_t number = last > RIG_SLOTS ? last - RIG_SLOTS + 1 : 1; number <= last;
	     number++) {
		off_t at = (off_t)(number % RIG_SLOTS * RIG_RECORD);
		CHECK(pread(fd, &found, sizeof(found), at) == sizeof(found));
		/* One that was on its way, unacknowledged, may have come after it. */
		CHECK(found == number || found == last + 1);
	}
	close(fd);
}

uint64_t rig_image_digest(int lun)
{
	int fd = open(rig.image[lun], O_RDONLY | O_CLOEXEC);
	void *data = mmap(NULL, RIG_LUN_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t digest;

	CHECK(fd >= 0 && data != MAP_FAILED);
	digest = gate_wire_digest(data, RIG_LUN_SIZE);
	munmap(data, RIG_LUN_SIZE);
	close(fd);
	return digest;
}
