/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig writer`, the demo's application: appends stamped records to a file, one at a time.
 * A record counts as acknowledged when fsync() has come back, and only then it is noted in a log
 * outside the LUN, by which `lunkeeper rig verify` proves that nothing acknowledged was lost. A
 * writer that begins goes on behind the last good record of the file. Any error ends it: after a
 * failed fsync() nobody knows what is on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/rig_commands.h"
#include "tools/rig_record.h"

struct writer {
	const char *file, *log, *pid_file;
	uint32_t interval_ms;
	struct cli_number count;
	int file_fd, log_fd, ready_fd;
	struct rig_record record;
};

static volatile sig_atomic_t writer_ends;

static void writer_end(int number)
{
	(void)number;
	writer_ends = 1;
}

/* Behind the last good record; what stands beyond it was never acknowledged. */
static int writer_find_end(struct writer *writer)
{
	char line[RIG_RECORD_SIZE];
	struct rig_record last = {0};
	struct stat status;
	off_t records;

	if (fstat(writer->file_fd, &status) < 0)
		return -errno;
	for (records = status.st_size / RIG_RECORD_SIZE; records > 0; records--) {
		ssize_t got =
			pread(writer->file_fd, line, sizeof line, (records - 1) * RIG_RECORD_SIZE);

		if (got < 0)
			return -errno;
		if (got == sizeof line && rig_record_decode(&last, line))
			break;
	}
	if (!records)
		last = (struct rig_record){0};
	writer->record.sequence = last.sequence;
	writer->record.epoch = last.epoch + 1;
	if (ftruncate(writer->file_fd, records * RIG_RECORD_SIZE) < 0)
		return -errno;
	return lseek(writer->file_fd, 0, SEEK_END) < 0 ? -errno : 0;
}

static int writer_open(struct writer *writer)
{
	writer->file_fd = open(writer->file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	writer->log_fd = open(writer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (writer->file_fd < 0 || writer->log_fd < 0) {
		int error = errno;

		cli_error("cannot open %s: %s", writer->file_fd < 0 ? writer->file : writer->log,
			  strerror(error));
		return -error;
	}
	if (gethostname(writer->record.node, sizeof writer->record.node) < 0)
		writer->record.node[0] = 0;
	writer->record.node[RIG_RECORD_NODE_MAX] = 0;
	return writer_find_end(writer);
}

static int writer_append(struct writer *writer)
{
	char line[RIG_RECORD_SIZE], acknowledged[RIG_ACKNOWLEDGED_SIZE];

	writer->record.sequence++;
	writer->record.mono_ms = rig_now_ms();
	writer->record.wall_ms = rig_wall_ms();
	rig_record_encode(&writer->record, line);
	if (write(writer->file_fd, line, sizeof line) != (ssize_t)sizeof line)
		return errno ? -errno : -EIO;
	if (fsync(writer->file_fd) < 0)
		return -errno;
	rig_acknowledged_encode(line, rig_now_ms(), acknowledged);
	if (write(writer->log_fd, acknowledged, sizeof acknowledged) !=
	    (ssize_t)sizeof acknowledged)
		return errno ? -errno : -EIO;
	return 0;
}

static int writer_note_pid(const struct writer *writer)
{
	char text[16];
	int fd = open(writer->pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), length;

	if (fd < 0)
		return -errno;
	length = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (write(fd, text, (size_t)length) != length) {
		close(fd);
		return -EIO;
	}
	return close(fd) < 0 ? -errno : 0;
}

/* The first record is on the LUN: whoever waits for the start is told, and the terminal let go. */
static int writer_detach(struct writer *writer)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error = writer_note_pid(writer);

	if (error || null < 0 || write(writer->ready_fd, "", 1) != 1)
		return error ? error : -EIO;
	close(writer->ready_fd);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close(null);
	return 0;
}

static int writer_run(struct writer *writer)
{
	struct sigaction action = {.sa_handler = writer_end};
	int error = writer_open(writer);

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (uint64_t i = 0; !error && !writer_ends; i++) {
		error = writer_append(writer);
		if (!error && i == 0 && writer->pid_file)
			error = writer_detach(writer);
		if (writer->count.given && i + 1 >= writer->count.value)
			break;
		if (!error && !writer_ends)
			rig_sleep_ms(writer->interval_ms);
	}
	if (error)
		cli_error("%s: %s", writer->file, strerror(-error));
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static int writer_background(struct writer *writer)
{
	int pipes[2], status = 0;
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		cli_error("no pipe: %s", strerror(errno));
		return CLI_EXIT_FAILED;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		writer->ready_fd = pipes[1];
		setsid();
		_exit(writer_run(writer));
	}
	close(pipes[1]);
	if (pid > 0 && read(pipes[0], &byte, 1) == 1)
		return CLI_EXIT_OK;
	if (pid > 0)
		waitpid(pid, &status, 0);
	return CLI_EXIT_FAILED;
}

int cmd_rig_writer(int argc, char **argv)
{
	struct writer writer = {.interval_ms = 5};
	const struct cli_option table[] = {
		{"file", 0, CLI_OPTION_STRING, &writer.file, "FILE", "append to this"},
		{"log", 0, CLI_OPTION_STRING, &writer.log, "FILE",
		 "note there what is acknowledged"},
		{"interval", 0, CLI_OPTION_DURATION, &writer.interval_ms, "TIME",
		 "rest between records (5ms)"},
		{"count", 0, CLI_OPTION_UNSIGNED, &writer.count, "N", "end after so many"},
		{"background", 0, CLI_OPTION_STRING, &writer.pid_file, "FILE",
		 "go on in the background once the first record is acknowledged; write the process "
		 "number there"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig writer",
		.arguments = "--file FILE --log FILE [OPTION...]",
		.summary = "Appends stamped records to a file, each one synchronised before it "
			   "counts.",
		.options = table,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	if (!writer.file || !writer.log) {
		cli_error("rig writer: --file and --log are needed");
		return CLI_EXIT_USAGE;
	}
	return writer.pid_file ? writer_background(&writer) : writer_run(&writer);
}
