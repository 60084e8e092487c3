/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lun probe`: the verdict on a report (pure), its JSON, and the folder with what was found.
 */
#ifndef TOOLS_LUN_PROBE_H
#define TOOLS_LUN_PROBE_H

#include <jansson.h>

#include "scsi/probe.h"
#include "tools/lun/lun.h"

#define LUN_PROBE_FOLDER "probe"  /* below the state folder */
#define LUN_PROBE_DEFEND_FACTOR 4 /* the defend interval is at least so many times p99 */
#define LUN_VERDICT_LINES_MAX 16

enum lun_fitness { LUN_FITNESS_NO, LUN_FITNESS_LIMITED, LUN_FITNESS_YES, LUN_FITNESS_UNKNOWN };

struct lun_verdict {
	enum lun_fitness fitness;
	unsigned count;
	char lines[LUN_VERDICT_LINES_MAX][200];
};

void lun_verdict_make(struct lun_verdict *verdict, const struct probe_report *report);
const char *lun_fitness_name(enum lun_fitness fitness); /* "yes", "limited", "no", "unknown" */
/* The smallest defend interval, ms, a multiple of 50. 0: nothing was measured. */
uint32_t lun_verdict_defend_ms(const struct probe_report *report);

json_t *lun_probe_json(const struct probe_report *report, const struct lun_context *context);
void lun_probe_print(json_t *results, bool json);
void lun_probe_print_restored(const json_t *results);

/* STATE/probe/WWID.json or .blocks; characters that are not safe in a file name as '_'. */
void lun_probe_file(char *buffer, size_t size, const char *state, const char *wwid,
		    const char *suffix);
/* 0 or -errno with a message. */
int lun_probe_store(const char *state, const char *wwid, const json_t *report, char *message,
		    size_t size);
/* What an earlier `lun probe --save` found; NULL: nothing (or nothing readable). */
json_t *lun_probe_load(const char *state, const char *wwid);

/* Blocks that are kept while a probe writes to their range. */
struct lun_kept {
	uint64_t first_block;
	uint32_t block_count, block_size;
	void *blocks; /* malloc()ed */
};
int lun_kept_write(const char *state, const char *wwid, const struct lun_kept *kept, char *message,
		   size_t size);
/* 0, -ENOENT, or another -errno with a message. */
int lun_kept_read(const char *state, const char *wwid, struct lun_kept *kept, char *message,
		  size_t size);
void lun_kept_remove(const char *state, const char *wwid);

#endif
