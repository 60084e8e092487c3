/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate and its devices against a real tgtd: what a service sees when the gate is held, failed,
 * opened again, when its session is lost, when another node preempts, when any of the processes
 * dies. Each case begins with a gate process just started and LUNs that nobody holds. Run with a
 * case's name, or without for all; GATE_TEST_VERBOSE=1 shows commands' output.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/rig/gate_rig.h"

#define KEY 0x4c00000000000001u
#define KEY_2 0x4c00000000000002u

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void mounted(char *path, size_t size)
{
	snprintf(path, size, "%s/mnt", rig.folder);
	mkdir(path, 0700);
	CHECK(RUN(10000, "mkfs.ext4", "-q", "-F", rig_device(0)) == 0);
	CHECK(RUN(5000, "mount", "-t", "ext4", rig_device(0), path) == 0);
}

/* Two LUNs, a file system, fsync; a planned end. What was written is in the SAN. */
/* The gate's process has the user that it is to have, and nothing of root's. */
static void process_is_own_users(void)
{
	const char *name = getenv("LUNKEEPER_GATE_USER");
	const struct passwd *user = name ? getpwnam(name) : NULL;
	char path[64], line[200];
	unsigned uid = 0, gid = 0;
	unsigned long long capabilities = 1, no_new = 0;
	struct gate_view view;
	struct stat status;
	FILE *file;

	if (!name || !*name)
		return;
	CHECK(user);
	gate_view(rig.gate, &view);
	snprintf(path, sizeof(path), "/proc/%u/status", view.pid);
	file = fopen(path, "re");
	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "Uid: %u", &uid);
		sscanf(line, "Gid: %u", &gid);
		sscanf(line, "CapPrm: %llx", &capabilities);
		sscanf(line, "NoNewPrivs: %llx", &no_new);
	}
	fclose(file);
	CHECK(uid == user->pw_uid && gid == user->pw_gid);
	CHECK(capabilities == 0 && no_new == 1);
	CHECK(stat(rig.folder, &status) == 0 && status.st_uid == 0);
}

static void case_service(void)
{
	char path[120], file[140];
	char order[160];
	struct rig_writer *on_file;
	struct rig_writer *on_device;

	rig_own(KEY);
	process_is_own_users();
	rig_attach(0);
	rig_attach(1);
	mounted(path, sizeof(path));
	snprintf(file, sizeof(file), "%s/file", path);
	on_file = rig_writer_start(file);
	on_device = rig_writer_start(rig_device(1));
	rig_run_for(300);
	rig_writer_stop(on_file);
	rig_writer_stop(on_device);
	CHECK(!on_file->error && !on_device->error);
	rig_writer_check(on_file, file);
	CHECK(RUN(5000, "umount", path) == 0);
	rig_writer_check(on_device, rig.image[1]);
	rig_detach(0);
	rig_detach(1);
	CHECK(gate_set(rig.gate, GATE_STATE_FAILED) == 0);
	WAIT(rig_state(GATE_STATE_FAILED) && rig_quiet(), 1000);
	/* As the next node finds it, without a device. */
	snprintf(file, sizeof(file), "%s/copy", rig.folder);
	snprintf(order, sizeof(order), "dump /file %s", file);
	CHECK(RUN(5000, "debugfs", "-R", order, rig.image[0]) == 0);
	rig_writer_check(on_file, file);
}

/* Held: nothing lands, nothing fails; opened: it goes on. */
static void case_held(void)
{
	struct rig_writer *writer;

	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	for (int round = 0; round < 8; round++) {
		uint64_t acknowledged, digest;

		gate_set(rig.gate, GATE_STATE_HELD);
		WAIT(rig_state(GATE_STATE_HELD) && rig_quiet(), 1000);
		acknowledged = writer->acknowledged;
		digest = rig_image_digest(1);
		rig_run_for(20);
		CHECK(rig_image_digest(1) == digest);
		CHECK(writer->acknowledged <= acknowledged + 1); /* its answer was on the way up */
		gate_set(rig.gate, GATE_STATE_OPEN);
		WAIT(writer->acknowledged > acknowledged + 2, 2000);
	}
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[1]);
	rig_detach(1);
}

/* A device is made while the gate is held: nothing of that waits for it. */
static void case_made_held(void)
{
	struct rig_writer *writer;

	rig_own(KEY);
	gate_set(rig.gate, GATE_STATE_FAILED);
	WAIT(rig_state(GATE_STATE_FAILED), 1000);
	gate_set(rig.gate, GATE_STATE_HELD);
	WAIT(rig_state(GATE_STATE_HELD), 1000);
	rig_attach(1);
	CHECK(attach_made_in_ms(rig.attach[1]) < 2000);
	CHECK(gate_set(rig.gate, GATE_STATE_OPEN) == 0);
	WAIT(rig_state(GATE_STATE_OPEN), 1000);
	writer = rig_writer_start(rig_device(1));
	WAIT(writer->acknowledged > 2, 2000);
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[1]);
	rig_detach(1);
}

/* Deposed: writes fail at once, none lands later, the file system can be unmounted, the old device
 * stays dead. */
static void case_preempted(void)
{
	char path[120], file[140], device[64] = "";
	int fd;
	uint64_t digest, before;
	struct rig_writer *writer;
	void *block;

	rig_own(KEY);
	rig_attach(0);
	mounted(path, sizeof(path));
	snprintf(file, sizeof(file), "%s/file", path);
	writer = rig_writer_start(file);
	rig.autofail = true;
	before = uv_hrtime();
	rig_other_preempts(KEY);
	WAIT(writer->error, 1000);
	CHECK(writer->failed_ns - before < 500000000);
	WAIT(rig_state(GATE_STATE_FAILED) && rig_quiet(), 1000);
	CHECK(rig.attentions > 0);
	digest = rig_image_digest(0);
	rig_run_for(300);
	/* Another device on the same gate is alive while the old one, still mounted, is not. */
	CHECK(readlink(rig_device(0), device, sizeof(device) - 1) > 0);
	rig_detach(0);
	rig.autofail = false;
	gate_set(rig.gate, GATE_STATE_HELD);
	WAIT(rig_state(GATE_STATE_HELD), 1000);
	gate_set(rig.gate, GATE_STATE_OPEN);
	WAIT(rig_state(GATE_STATE_OPEN), 1000);
	fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	block = aligned_alloc(4096, 4096);
	memset(block, 7, 4096);
	CHECK(fd < 0 || pwrite(fd, block, 4096, 0) < 0);
	if (fd >= 0)
		close(fd);
	free(block);
	rig_writer_stop(writer);
	CHECK(RUN(3000, "umount", path) == 0);
	CHECK(rig_image_digest(0) == digest);
	WAIT(access(device, F_OK) < 0 || RUN(1000, "losetup", device) != 0, 3000);
}

/* Dirty pages and a target that hangs: failing the gate frees everybody. */
static void case_hung_target(void)
{
	char path[120], file[140], command[300];
	uint64_t before;
	struct rig_writer *writer;

	rig_own(KEY);
	rig_attach(0);
	mounted(path, sizeof(path));
	snprintf(file, sizeof(file), "%s/file", path);
	writer = rig_writer_start(file);
	snprintf(command, sizeof(command), "dd if=/dev/zero of=%s/dirty bs=64k count=64", path);
	CHECK(RUN(5000, "sh", "-c", command) == 0);
	kill(rig.tgtd, SIGSTOP);
	rig_run_for(100);
	before = uv_hrtime();
	gate_set(rig.gate, GATE_STATE_FAILED);
	WAIT(writer->error, 1000);
	CHECK(writer->failed_ns - before < 500000000);
	rig_writer_stop(writer); /* it has the file open until it has ended */
	CHECK(RUN(3000, "umount", path) == 0);
	rig_detach(0);
	WAIT(rig_quiet(), 3000);
	kill(rig.tgtd, SIGCONT);
	WAIT(rig_nexuses_up(), 10000);
	rig_own(KEY_2); /* and it can be used again */
	rig_attach(0);
	writer = rig_writer_start(rig_device(0));
	rig_writer_stop(writer);
	rig_writer_check(writer, rig.image[0]);
	rig_detach(0);
}

/* Lost sessions: held, a fresh nexus, registered again, opened; the writer sees nothing but a
 * pause. */
static void case_session_lost(void)
{
	struct rig_writer *writer;

	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	for (int round = 0; round < 3; round++) {
		unsigned fresh = rig.fresh[1];
		uint64_t acknowledged;

		rig_tgtd_kill();
		WAIT(rig_state(GATE_STATE_HELD) && rig_quiet(), 2000);
		CHECK(rig_view().cause == GATE_CAUSE_NEXUS_LOST);
		CHECK(gate_set(rig.gate, GATE_STATE_OPEN) == 0); /* without a nexus: refused */
		rig_run_for(50);
		CHECK(rig_state(GATE_STATE_HELD) && rig_view().refused);
		rig_tgtd_start();
		WAIT(rig_nexuses_up() && rig.fresh[1] > fresh, 10000);
		CHECK(rig_state(GATE_STATE_HELD) && gate_lun_view(rig.gate, 1)->key == 0);
		acknowledged = writer->acknowledged;
		rig_own(KEY + (unsigned)round);
		WAIT(writer->acknowledged > acknowledged + 3, 2000);
	}
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[1]);
	rig_detach(1);
}

/* The target closes the connection, but lives: the same. */
static void case_connection_cut(void)
{
	struct rig_writer *one, *two;

	rig_own(KEY);
	rig_attach(0);
	rig_attach(1);
	one = rig_writer_start(rig_device(0));
	two = rig_writer_start(rig_device(1));
	for (unsigned round = 0; round < 5; round++) {
		unsigned fresh = rig.fresh[1];
		uint64_t acknowledged;

		rig_connections_cut();
		WAIT(rig.fresh[1] > fresh && rig_nexuses_up() && rig_quiet(), 3000);
		CHECK(rig_state(GATE_STATE_HELD));
		acknowledged = one->acknowledged;
		rig_own(KEY + round);
		WAIT(one->acknowledged > acknowledged + 3, 2000);
	}
	rig_writer_stop(one);
	rig_writer_stop(two);
	CHECK(!one->error && !two->error);
	rig_writer_check(one, rig.image[0]);
	rig_writer_check(two, rig.image[1]);
	rig_detach(0);
	rig_detach(1);
}

/* A conflict that turns out well: what met it is sent again, and nothing is lost. */
static void case_conflict_retaken(void)
{
	uint64_t acknowledged, digest;
	struct rig_writer *writer;

	rig_own(KEY);
	rig_attach(0);
	writer = rig_writer_start(rig_device(0));
	rig_other_preempts(KEY);
	WAIT(rig_state(GATE_STATE_HELD) && rig_quiet(), 1000);
	CHECK(rig_view().cause == GATE_CAUSE_CONFLICT && rig_view().lun == 0);
	acknowledged = writer->acknowledged;
	digest = rig_image_digest(0);
	rig_run_for(200);
	CHECK(rig_image_digest(0) == digest && writer->acknowledged == acknowledged &&
	      !writer->error);
	rig_other_lets_go();
	rig_own(KEY_2);
	WAIT(writer->acknowledged > acknowledged + 3, 2000);
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[0]);
	rig_detach(0);
}

/* A target that is silent for longer than the give-up time: its session is dropped, and made again
 * when it answers. */
static void case_no_answer(void)
{
	uint64_t acknowledged;
	struct rig_writer *writer;

	rig_gate_close(true);
	rig.give_up_ms = 700;
	rig_gate_open();
	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	kill(rig.tgtd, SIGSTOP);
	WAIT(rig_state(GATE_STATE_HELD), 3000);
	CHECK(rig_view().cause == GATE_CAUSE_NO_ANSWER);
	WAIT(rig_quiet(), 3000);
	kill(rig.tgtd, SIGCONT);
	WAIT(rig_nexuses_up(), 10000);
	acknowledged = writer->acknowledged;
	rig_own(KEY_2);
	WAIT(writer->acknowledged > acknowledged + 3, 2000);
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[1]);
	rig_detach(1);
}

/* The daemon goes and comes: the service does not notice, the nexus and the device are the same. */
static void case_daemon_restart(void)
{
	struct attach_setup setup = {.run_folder = rig.run, .name = "two"};
	uint64_t acknowledged;
	struct rig_writer *writer;
	uint32_t serial, pid;
	unsigned fresh;

	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	serial = gate_lun_view(rig.gate, 1)->serial;
	pid = rig_view().pid;
	fresh = rig.fresh[1];
	rig_gate_close(false);
	attach_free(rig.attach[1], NULL, NULL);
	rig.attach[1] = NULL;
	rig_run_for(100);
	rig_gate_open();
	CHECK(rig.found && rig_state(GATE_STATE_OPEN) && !rig_view().differs);
	WAIT(rig_nexuses_up(), 1000);
	CHECK(gate_lun_view(rig.gate, 1)->serial == serial &&
	      gate_lun_view(rig.gate, 1)->key == KEY);
	CHECK(rig.fresh[1] == fresh && rig_view().pid == pid);
	setup.nbd_socket = gate_nbd_socket(rig.gate);
	rig.attach[1] = attach_new(rig.loop, &setup, NULL, NULL);
	CHECK(attach_adopt(rig.attach[1]) &&
	      attach_get_state(rig.attach[1]) == ATTACH_STATE_ATTACHED);
	CHECK(strncmp(attach_device(rig.attach[1]), "/dev/", 5) == 0);
	acknowledged = writer->acknowledged;
	WAIT(writer->acknowledged > acknowledged + 3, 2000);
	rig_writer_stop(writer);
	CHECK(!writer->error);
	rig_writer_check(writer, rig.image[1]);
	rig_detach(1);
	attach_free(rig.attach[1], NULL, NULL);
	rig.attach[1] = NULL;
}

/* Held without a daemon: not for ever. */
static void case_alone(void)
{
	uint64_t before;
	struct rig_writer *writer;

	rig_gate_close(true);
	rig.hold_limit_ms = 1000;
	rig_gate_open();
	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	gate_set(rig.gate, GATE_STATE_HELD);
	WAIT(rig_state(GATE_STATE_HELD) && rig_quiet(), 1000);
	rig_run_for(2000); /* with a daemon: it waits */
	CHECK(!writer->error && rig_state(GATE_STATE_HELD));
	rig_gate_close(false);
	before = now_ms();
	WAIT(writer->error, 3000);
	CHECK(now_ms() - before >=
	      300); /* the last word was a refreshing ago, more on a busy machine */
	rig_writer_stop(writer);
	rig_gate_open();
	CHECK(rig_state(GATE_STATE_FAILED) && rig_view().cause == GATE_CAUSE_ALONE);
	rig_detach(1);
}

/* The gate process is killed: errors, nothing hangs; another one is started, and everything works
 * again. */
static void case_gate_killed(void)
{
	char path[120], file[140];
	struct rig_writer *writer;
	unsigned ups;

	rig_own(KEY);
	rig_attach(0);
	mounted(path, sizeof(path));
	snprintf(file, sizeof(file), "%s/file", path);
	writer = rig_writer_start(file);
	ups = rig.ups;
	CHECK(kill((pid_t)rig_view().pid, SIGKILL) == 0);
	WAIT(writer->error, 2000);
	rig_writer_stop(writer);
	CHECK(RUN(3000, "umount", path) == 0);
	rig_detach(0);
	WAIT(rig.ups > ups, 8000);
	CHECK(!rig.found && rig_state(GATE_STATE_FAILED));
	rig_own(KEY_2);
	rig_attach(0);
	writer = rig_writer_start(rig_device(0));
	rig_writer_stop(writer);
	rig_detach(0);
}

/* A gate process that does not do as told when it is to fail is killed for it. */
static void case_gate_stopped(void)
{
	struct rig_writer *writer;
	unsigned downs, ups;

	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	downs = rig.downs;
	ups = rig.ups;
	CHECK(kill((pid_t)rig_view().pid, SIGSTOP) == 0);
	gate_set(rig.gate, GATE_STATE_FAILED);
	WAIT(writer->error, 4000);
	WAIT(rig.downs > downs, 1000);
	rig_detach(1);
	rig_writer_stop(writer);
	WAIT(rig.ups > ups, 8000);
	CHECK(rig_state(GATE_STATE_FAILED));
}

/* One that hangs is killed also when nobody wants anything of it. */
static void case_gate_hung(void)
{
	struct rig_writer *writer;
	unsigned downs, ups;

	rig_gate_close(true);
	rig.hold_limit_ms = 2000;
	rig_gate_open();
	rig_own(KEY);
	rig_attach(1);
	writer = rig_writer_start(rig_device(1));
	downs = rig.downs;
	ups = rig.ups;
	CHECK(kill((pid_t)rig_view().pid, SIGSTOP) == 0);
	WAIT(writer->error, 5000);
	WAIT(rig.downs > downs, 1000);
	rig_detach(1);
	rig_writer_stop(writer);
	WAIT(rig.ups > ups, 8000);
	CHECK(rig_state(GATE_STATE_FAILED));
}

/* nbdfuse is killed: the device has errors and is cleared away; the gate and the other LUN do not
 * notice. */
static void case_helper_killed(void)
{
	char command[200];
	uint64_t acknowledged;
	struct rig_writer *dead, *alive;
	unsigned lost;

	rig_own(KEY);
	rig_attach(0);
	rig_attach(1);
	dead = rig_writer_start(rig_device(0));
	alive = rig_writer_start(rig_device(1));
	lost = rig.lost;
	snprintf(command, sizeof(command), "kill -9 $(cat %s/attach/one/pid)", rig.run);
	CHECK(RUN(2000, "sh", "-c", command) == 0);
	WAIT(dead->error && rig.lost > lost, 2000);
	rig_detach(0);
	rig_attach(0);
	acknowledged = alive->acknowledged;
	WAIT(alive->acknowledged > acknowledged + 3, 2000);
	rig_writer_stop(dead);
	rig_writer_stop(alive);
	CHECK(!alive->error && rig_state(GATE_STATE_OPEN));
	rig_detach(0);
	rig_detach(1);
}

/* What a killed node leaves is cleared away by its next daemon, which knows only the run folder. */
static void case_leftovers(void)
{
	char device[64] = "", path[120];
	uint64_t before;

	rig_own(KEY);
	rig_attach(0);
	mounted(path, sizeof(path));
	CHECK(readlink(rig_device(0), device, sizeof(device) - 1) > 0);
	attach_free(rig.attach[0], NULL, NULL);
	rig.attach[0] = NULL;
	before = now_ms();
	CHECK(gate_kill_all(rig.run) == 1);
	CHECK(RUN(3000, "umount", path) == 0);
	CHECK(attach_remove_leftovers(rig.run, NULL) == 1);
	CHECK(now_ms() - before < 3000);
	CHECK(RUN(1000, "losetup", device) != 0);
	snprintf(path, sizeof(path), "%s/attach/one", rig.run);
	CHECK(access(path, F_OK) < 0);
	CHECK(attach_remove_leftovers(rig.run, NULL) == 0);
}

/* A removal that overtakes the making; a device that stays in use. */
static void case_detach(void)
{
	int made = 1, removed = 1;
	int fd;
	char device[64] = "";

	rig_own(KEY);
	rig_attach(0);
	rig_detach(0);
	for (unsigned wait = 0; wait < 24; wait += 3) {
		extern void rig_note(struct attach * attach, int status, const char *message,
				     void *user);
		made = removed = 1;
		CHECK(attach_make(rig.attach[0], rig_note, &made) == 0);
		rig_run_for(wait);
		CHECK(attach_remove(rig.attach[0], rig_note, &removed) == 0);
		WAIT(removed <= 0, 5000);
		CHECK(removed == 0 && made <= 0 && access(rig_device(0), F_OK) < 0);
	}
	rig_attach(0);
	CHECK(readlink(rig_device(0), device, sizeof(device) - 1) > 0);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	rig_detach(0);
	CHECK(RUN(1000, "losetup", device) == 0); /* in use */
	close(fd);
	WAIT(RUN(1000, "losetup", device) != 0, 2000);
}

void rig_note(struct attach *attach, int status, const char *message, void *user);
void rig_note(struct attach *attach, int status, const char *message, void *user)
{
	(void)attach;
	(void)message;
	*(int *)user = status;
}

/* The wrong logical unit is not written to, not registered with, and said to be wrong. */
static void case_wrong_wwid(void)
{
	struct scsi_result result;

	rig_gate_close(true);
	rig.wwid[0] = RIG_WWID "1";
	rig.wwid[1] = "naa.6001405deadbeef0";
	rig_gate_open();
	WAIT(gate_lun_view(rig.gate, 1)->nexus == GATE_NEXUS_UNUSABLE, 5000);
	WAIT(gate_lun_view(rig.gate, 0)->nexus == GATE_NEXUS_UP, 5000);
	CHECK(strstr(gate_lun_view(rig.gate, 1)->reason, RIG_WWID "2"));
	CHECK(strstr(gate_lun_view(rig.gate, 1)->reason, "deadbeef0"));
	result = rig_order(gate_path(rig.gate, 1), PR_OUT_REGISTER, 0, KEY);
	CHECK(result.outcome == SCSI_OUTCOME_UNKNOWN && result.error == -ENOTCONN);
	gate_set(rig.gate, GATE_STATE_OPEN);
	rig_run_for(50);
	CHECK(rig_state(GATE_STATE_FAILED));
	rig.wwid[0] = rig.wwid[1] = NULL;
}

/* Nothing writes while it registers. */
static void case_register_guard(void)
{
	struct scsi_result result;

	rig_own(KEY);
	result = rig_order(gate_path(rig.gate, 0), PR_OUT_REGISTER, KEY, KEY_2);
	CHECK(result.outcome == SCSI_OUTCOME_FAILED && result.error == -EBUSY);
	gate_set(rig.gate, GATE_STATE_HELD);
	WAIT(rig_state(GATE_STATE_HELD) && rig_quiet(), 1000);
	CHECK(rig_view().cause == GATE_CAUSE_ORDERED);
	/* An OPEN that crosses a loss on the wire is refused, and the cause is the loss, not the
	 * order before. */
	rig_connections_cut_while_not_looking();
	CHECK(gate_set(rig.gate, GATE_STATE_OPEN) == 0);
	WAIT(rig_view().refused, 2000);
	CHECK(rig_state(GATE_STATE_HELD) && rig_view().cause == GATE_CAUSE_NEXUS_LOST);
	WAIT(rig_nexuses_up(), 5000);
	CHECK(rig_order(gate_path(rig.gate, 0), PR_OUT_REGISTER_AND_IGNORE, 0, KEY).outcome ==
	      SCSI_OUTCOME_OK);
	CHECK(rig_order(gate_path(rig.gate, 0), PR_OUT_REGISTER, KEY, KEY_2).outcome ==
	      SCSI_OUTCOME_OK);
	CHECK(gate_lun_view(rig.gate, 0)->key == KEY_2);
	gate_set(rig.gate, GATE_STATE_OPEN);
	WAIT(rig_state(GATE_STATE_OPEN), 1000);
	CHECK(gate_restart(rig.gate) == -EBUSY);
}

/* What NBD clients are told, and requests larger than one command. */
static void case_nbd(void)
{
	char uri[200], command[600], file[120], back[120];
	rig_own(KEY);
	snprintf(uri, sizeof(uri), "nbd+unix:///two?socket=%s", gate_nbd_socket(rig.gate));
	snprintf(command, sizeof(command),
		 "nbdinfo --json '%s' | tr -d ' \\n\\t' | grep '\"can_fua\":true' | "
		 "grep '\"can_flush\":true' | grep '\"can_multi_conn\":true' | "
		 "grep '\"can_trim\":false' | grep '\"block_size_minimum\":512' | "
		 "grep '\"export-size\":%u,'",
		 uri, RIG_LUN_SIZE);
	CHECK(RUN(5000, "sh", "-c", command) == 0);
	snprintf(file, sizeof(file), "%s/random", rig.folder);
	snprintf(back, sizeof(back), "%s/back", rig.folder);
	snprintf(command, sizeof(command), "head -c %u /dev/urandom >%s && : >%s", RIG_LUN_SIZE,
		 file, back);
	CHECK(RUN(5000, "sh", "-c", command) == 0);
	CHECK(RUN(9000, "nbdcopy", "--flush", "--request-size=8388608", file, uri) == 0);
	CHECK(RUN(5000, "cmp", file, rig.image[1]) == 0);
	CHECK(RUN(9000, "nbdcopy", "--request-size=33554432", uri, back) == 0);
	CHECK(RUN(5000, "cmp", file, back) == 0);
	CHECK(RUN(5000, "rm", file, back) == 0);
	snprintf(command, sizeof(command), "nbdinfo 'nbd+unix:///three?socket=%s'",
		 gate_nbd_socket(rig.gate));
	CHECK(RUN(5000, "sh", "-c", command) > 0);
	gate_set(rig.gate, GATE_STATE_FAILED);
	WAIT(rig_state(GATE_STATE_FAILED), 1000);
	CHECK(RUN(5000, "nbdcopy", uri, "null:") > 0);
}

/* A LUN of 4096 byte blocks becomes a device of such. */
static void case_big_blocks(void)
{
	char path[120], file[140], command[200];
	struct rig_writer *writer;

	rig_gate_close(true);
	rig_lun_remove(0);
	rig_lun_make(0, 4096);
	rig_gate_open();
	rig_own(KEY);
	CHECK(gate_lun_view(rig.gate, 0)->block_size == 4096);
	rig_attach(0);
	snprintf(command, sizeof(command), "test $(blockdev --getss %s) = 4096", rig_device(0));
	CHECK(RUN(2000, "sh", "-c", command) == 0);
	mounted(path, sizeof(path));
	snprintf(file, sizeof(file), "%s/file", path);
	writer = rig_writer_start(file);
	rig_writer_stop(writer);
	rig_writer_check(writer, file);
	CHECK(!writer->error && RUN(5000, "umount", path) == 0);
	rig_detach(0);
	rig_gate_close(true);
	rig_lun_remove(0);
	rig_lun_make(0, 512);
	rig_gate_open();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"service", case_service},
	{"held", case_held},
	{"made-held", case_made_held},
	{"preempted", case_preempted},
	{"hung-target", case_hung_target},
	{"session-lost", case_session_lost},
	{"connection-cut", case_connection_cut},
	{"conflict-retaken", case_conflict_retaken},
	{"no-answer", case_no_answer},
	{"daemon-restart", case_daemon_restart},
	{"alone", case_alone},
	{"gate-killed", case_gate_killed},
	{"gate-stopped", case_gate_stopped},
	{"gate-hung", case_gate_hung},
	{"helper-killed", case_helper_killed},
	{"leftovers", case_leftovers},
	{"detach", case_detach},
	{"wrong-wwid", case_wrong_wwid},
	{"register-guard", case_register_guard},
	{"nbd", case_nbd},
	{"big-blocks", case_big_blocks},
};

static void run_case(size_t index)
{
	uint64_t before = now_ms();
	rig.autofail = false;
	rig.give_up_ms = 5000;
	rig.hold_limit_ms = 20000;
	rig_all_clear();
	rig_gate_open();
	cases[index].run();
	for (int i = 0; i < RIG_LUNS; i++) {
		if (rig.attach[i])
			attach_free(rig.attach[i], NULL, NULL);
		rig.attach[i] = NULL;
	}
	rig_gate_close(true);
	printf("  gate: %-16s %5llu ms\n", cases[index].name,
	       (unsigned long long)(now_ms() - before));
	fflush(stdout);
}

int main(int count, char **arguments)
{
	unsigned passed = 0;
	rig_begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool wanted = count < 2;
		for (int j = 1; j < count; j++)
			wanted |= strcmp(arguments[j], cases[i].name) == 0;
		if (!wanted)
			continue;
		run_case(i);
		passed++;
	}
	printf("%u passed, 0 failed\n", passed);
	return passed ? 0 : 2;
}
