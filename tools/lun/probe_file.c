/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files of `lun probe` in the state folder: what was found, for `check` to hold the defend interval
 * against; and the blocks that are kept while a probe writes to their range.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/lun/probe.h"

#define KEPT_HEADER_SIZE 512

void lun_probe_file(char *buffer, size_t size, const char *state, const char *wwid,
		    const char *suffix)
{
	size_t used;

	snprintf(buffer, size, "%s/" LUN_PROBE_FOLDER "/", state);
	used = strlen(buffer);
	for (; *wwid && used + 1 < size; wwid++) {
		bool safe = isalnum((unsigned char)*wwid) || *wwid == '.' || *wwid == '-';

		buffer[used++] = safe ? *wwid : '_';
	}
	buffer[used] = '\0';
	snprintf(buffer + used, size - used, "%s", suffix);
}

static int lun_probe_folder(const char *state, char *message, size_t size)
{
	char folder[512];

	snprintf(folder, sizeof(folder), "%s/" LUN_PROBE_FOLDER, state);
	if ((mkdir(state, 0700) && errno != EEXIST) || (mkdir(folder, 0700) && errno != EEXIST)) {
		int error = -errno;

		snprintf(message, size, "cannot make the folder %s: %s; name another by --state",
			 folder, strerror(-error));
		return error;
	}
	return 0;
}

/* Makes what is in the folder durable. */
static int lun_probe_sync_folder(const char *state)
{
	char folder[512];
	int fd, error = 0;

	snprintf(folder, sizeof(folder), "%s/" LUN_PROBE_FOLDER, state);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static int lun_write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t wrote = write(fd, at, size);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return wrote < 0 ? -errno : -EIO;
		at += wrote;
		size -= (size_t)wrote;
	}
	return 0;
}

int lun_probe_store(const char *state, const char *wwid, const json_t *report, char *message,
		    size_t size)
{
	char file[768], fresh[800];
	char *text = json_dumps(report, JSON_INDENT(2));
	int fd, error = lun_probe_folder(state, message, size);

	lun_probe_file(file, sizeof(file), state, wwid, ".json");
	snprintf(fresh, sizeof(fresh), "%s.new", file);
	if (error || !text) {
		free(text);
		return error ? error : -ENOMEM;
	}
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	error = fd < 0 ? -errno : lun_write_all(fd, text, strlen(text));
	if (!error && (fsync(fd) || rename(fresh, file)))
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(text);
	if (error)
		snprintf(message, size, "cannot write %s: %s", file, strerror(-error));
	return error;
}

json_t *lun_probe_load(const char *state, const char *wwid)
{
	char file[768];

	lun_probe_file(file, sizeof(file), state, wwid, ".json");
	return json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
}

/* Kept blocks: a line of JSON, filled up to KEPT_HEADER_SIZE, then the blocks. */

static int lun_kept_header(char header[KEPT_HEADER_SIZE], const char *wwid,
			   const struct lun_kept *kept)
{
	json_t *object =
		json_pack("{s:I, s:I, s:I, s:s}", "first_block", (json_int_t)kept->first_block,
			  "block_count", (json_int_t)kept->block_count, "block_size",
			  (json_int_t)kept->block_size, "wwid", wwid);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	size_t length = text ? strlen(text) : 0;

	json_decref(object);
	memset(header, ' ', KEPT_HEADER_SIZE);
	header[KEPT_HEADER_SIZE - 1] = '\n';
	if (text && length < KEPT_HEADER_SIZE)
		memcpy(header, text, length);
	free(text);
	return length > 0 && length < KEPT_HEADER_SIZE ? 0 : -ENAMETOOLONG;
}

static int lun_kept_write_file(const char *file, const char header[KEPT_HEADER_SIZE],
			       const struct lun_kept *kept)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), error;

	if (fd < 0)
		return -errno;
	error = lun_write_all(fd, header, KEPT_HEADER_SIZE);
	if (!error)
		error = lun_write_all(fd, kept->blocks,
				      (size_t)kept->block_count * kept->block_size);
	if (!error && fsync(fd))
		error = -errno;
	close(fd);
	return error;
}

/* Under its name the file is whole, and nothing that is kept already is overwritten. */
int lun_kept_write(const char *state, const char *wwid, const struct lun_kept *kept, char *message,
		   size_t size)
{
	char file[768], fresh[800], header[KEPT_HEADER_SIZE];
	int error = lun_probe_folder(state, message, size);

	if (error)
		return error;
	lun_probe_file(file, sizeof(file), state, wwid, ".blocks");
	snprintf(fresh, sizeof(fresh), "%s.new", file);
	error = lun_kept_header(header, wwid, kept);
	if (!error)
		error = lun_kept_write_file(fresh, header, kept);
	if (!error && link(fresh, file))
		error = -errno;
	unlink(fresh);
	if (!error) {
		error = lun_probe_sync_folder(state);
		if (error)
			unlink(file);
	}
	if (error)
		snprintf(message, size, "cannot write %s: %s", file, strerror(-error));
	return error;
}

static int lun_kept_parse(const char *header, const char *wwid, struct lun_kept *kept)
{
	json_t *object = json_loads(header, 0, NULL);
	json_int_t first = json_integer_value(json_object_get(object, "first_block"));
	json_int_t count = json_integer_value(json_object_get(object, "block_count"));
	json_int_t block = json_integer_value(json_object_get(object, "block_size"));
	const char *of = json_string_value(json_object_get(object, "wwid"));
	bool good = of && strcmp(of, wwid) == 0 && first >= 0 && count > 0 &&
		    count <= PROBE_BLOCKS_MAX && block > 0 && block <= PROBE_BLOCK_SIZE_MAX;

	json_decref(object);
	kept->first_block = (uint64_t)first;
	kept->block_count = (uint32_t)count;
	kept->block_size = (uint32_t)block;
	return good ? 0 : -EBADMSG;
}

int lun_kept_read(const char *state, const char *wwid, struct lun_kept *kept, char *message,
		  size_t size)
{
	char file[768], header[KEPT_HEADER_SIZE + 1] = "";
	FILE *in;
	size_t bytes;
	int error;

	memset(kept, 0, sizeof(*kept));
	lun_probe_file(file, sizeof(file), state, wwid, ".blocks");
	in = fopen(file, "re");
	if (!in) {
		error = -errno;
		snprintf(message, size, "cannot read %s: %s", file, strerror(-error));
		return error;
	}
	error = fread(header, 1, KEPT_HEADER_SIZE, in) == KEPT_HEADER_SIZE
			? lun_kept_parse(header, wwid, kept)
			: -EBADMSG;
	bytes = (size_t)kept->block_count * kept->block_size;
	if (!error) {
		kept->blocks = malloc(bytes);
		if (!kept->blocks)
			error = -ENOMEM;
		else if (fread(kept->blocks, 1, bytes, in) != bytes)
			error = -EBADMSG;
	}
	fclose(in);
	if (error) {
		free(kept->blocks);
		kept->blocks = NULL;
		snprintf(message, size, "%s is damaged, or of another LUN", file);
	}
	return error;
}

void lun_kept_remove(const char *state, const char *wwid)
{
	char file[768];

	lun_probe_file(file, sizeof(file), state, wwid, ".blocks");
	unlink(file);
	lun_probe_sync_folder(state);
}
