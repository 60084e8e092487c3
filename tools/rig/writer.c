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
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/appender.h"
#include "tools/rig/commands.h"

struct writer {
	const char *file, *log, *pid_file;
	uint32_t interval_ms;
	struct cli_number count;
	int log_fd;
	struct rig_appender appender;
};

static volatile sig_atomic_t writer_ends;

static void writer_end(int number)
{
	(void)number;
	writer_ends = 1;
}

static int writer_open(struct writer *writer)
{
	int error = rig_appender_open(&writer->appender, writer->file);

	if (error) {
		cli_error("cannot open %s: %s", writer->file, strerror(-error));
		return error;
	}
	writer->log_fd = open(writer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (writer->log_fd < 0) {
		error = -errno;
		cli_error("cannot open %s: %s", writer->log, strerror(-error));
	}
	return error;
}

static int writer_append(struct writer *writer)
{
	char line[RIG_RECORD_SIZE], acknowledged[RIG_ACKNOWLEDGED_SIZE];
	int error = rig_appender_append(&writer->appender, line);

	if (error)
		return error;
	rig_acknowledged_encode(line, rig_now_ms(), acknowledged);
	if (write(writer->log_fd, acknowledged, sizeof(acknowledged)) !=
	    (ssize_t)sizeof(acknowledged))
		return errno ? -errno : -EIO;
	return 0;
}

static int writer_run(void *user, int ready_fd)
{
	struct writer *writer = user;
	struct sigaction action = {.sa_handler = writer_end};
	int error = writer_open(writer);

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (uint64_t i = 0; !error && !writer_ends; i++) {
		error = writer_append(writer);
		if (!error && i == 0 && writer->pid_file)
			error = rig_detach(ready_fd, writer->pid_file);
		if (writer->count.given && i + 1 >= writer->count.value)
			break;
		if (!error && !writer_ends)
			rig_sleep_ms(writer->interval_ms);
	}
	if (error)
		cli_error("%s: %s", writer->file, strerror(-error));
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
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
	return writer.pid_file ? rig_background(writer_run, &writer) : writer_run(&writer, -1);
}
